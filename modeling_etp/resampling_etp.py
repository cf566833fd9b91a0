"""Change the sampling rate of signals by a rational factor."""

from fractions import Fraction
from functools import lru_cache

import numpy as np

_LARGEST_MATRIX = 4_000_000  # values; a rate such as 9999/9998 takes scipy's slower way


def resample(signal: np.ndarray, rate: Fraction) -> np.ndarray:
    """Change the sampling rate along the last axis with a zero-phase anti-aliasing filter.

    Equal within rounding to `scipy.signal.resample_poly(signal, up, down, padtype="line")` with its Kaiser window, and
    several times faster: a block of outputs is one product of the inputs it depends on with a banded matrix. Each end is
    continued by the line through the first and last sample, so that an offset of the baseline doesn't ring at the edges.

    Args:
        signal: Shape `(…, samples)`, float32, two samples or more.
        rate: Output samples per input sample.

    Returns:
        float32 `(…, ceil(samples * rate))`.
    """
    up, down = rate.numerator, rate.denominator
    reach, outputs, inputs = _block(up, down)
    if (inputs + 2 * reach) * outputs > _LARGEST_MATRIX:
        from scipy.signal import resample_poly  # takes 0.3 s to import, and few rates need it

        return resample_poly(signal, up, down, axis=-1, padtype="line").astype(np.float32)
    samples = signal.shape[-1]
    total = -(-samples * up // down)
    blocks = -(-total // outputs)
    matrix = _matrix(up, down)
    rows = signal.reshape(-1, samples)
    padded = _with_lines(rows, reach, (blocks - 1) * inputs + len(matrix))
    frames = np.lib.stride_tricks.sliding_window_view(padded, len(matrix), axis=1)[:, ::inputs]
    resampled = np.ascontiguousarray(frames).reshape(-1, len(matrix)) @ matrix
    return resampled.reshape(len(rows), -1)[:, :total].reshape(*signal.shape[:-1], total)


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


def _block(up: int, down: int) -> tuple[int, int, int]:
    """How far the filter reaches, in inputs, and the outputs and inputs of a block."""
    reach = 10 * max(up, down) // up + 1
    repeats = max(
        1, round(2 * reach / down)
    )  # a block much shorter than the filter's reach reads inputs again and again
    return reach, up * repeats, down * repeats


@lru_cache(maxsize=16)
def _matrix(up: int, down: int) -> np.ndarray:
    """Filter of one block, float32 `(inputs that it depends on, outputs)`."""
    from scipy.signal import firwin

    reach, outputs, inputs = _block(up, down)
    half = 10 * max(up, down)
    taps = firwin(2 * half + 1, 1 / max(up, down), window=("kaiser", 5.0)) * up
    steps = np.arange(outputs) * down - (np.arange(inputs + 2 * reach + 1)[:, None] - reach) * up + half
    inside = (steps >= 0) & (steps < len(taps))
    return np.where(inside, taps[np.where(inside, steps, 0)], 0).astype(np.float32)


def _with_lines(rows: np.ndarray, before: int, length: int) -> np.ndarray:
    """Rows continued by the line through their ends, `before` samples at the start and up to `length` in all."""
    samples = rows.shape[1]
    padded = np.empty((len(rows), max(length, before + samples)), dtype=np.float32)
    first, last = rows[:, :1], rows[:, -1:]
    slope = (last - first) / np.float32(max(samples - 1, 1))
    padded[:, :before] = first + slope * np.arange(-before, 0, dtype=np.float32)
    padded[:, before : before + samples] = rows
    after = padded.shape[1] - before - samples
    padded[:, before + samples :] = last + slope * np.arange(1, after + 1, dtype=np.float32)
    return padded


__all__ = ["resample", "resample_with_gaps"]
