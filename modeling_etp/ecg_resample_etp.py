"""Change of the sampling rate."""

from fractions import Fraction

import numpy as np


def resample(signal: np.ndarray, rate: Fraction) -> np.ndarray:
    """Change the sampling rate along the last axis with a zero-phase anti-aliasing filter.

    `scipy.signal.resample_poly` with its Kaiser window. Each end is continued by the line through the first and last
    sample, so that an offset of the baseline doesn't ring at the edges.

    Args:
        signal: Shape `(leads, samples)`.
        rate: Output samples per input sample.
    """
    from scipy.signal import resample_poly  # takes 0.3 s to import, and the model's own rate doesn't need it

    return resample_poly(signal, rate.numerator, rate.denominator, axis=-1, padtype="line").astype(np.float32)


def resample_with_gaps(samples: np.ndarray, rate: Fraction) -> np.ndarray:
    """`resample` of one channel, `(samples,)`, in which NaN stays NaN and doesn't spread over the filter's length."""
    missing = np.isnan(samples)
    if missing.all():
        return np.full(-(-len(samples) * rate.numerator // rate.denominator), np.nan, np.float32)
    present = np.flatnonzero(~missing)
    bridged = np.interp(np.arange(len(samples)), present, samples[present]) if missing.any() else samples
    resampled = resample(np.asarray(bridged)[None], rate)[0]
    if missing.any():
        nearest = np.rint(np.arange(len(resampled)) / float(rate)).astype(int).clip(max=len(samples) - 1)
        resampled[missing[nearest]] = np.nan
    return resampled
