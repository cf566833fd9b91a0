"""What can't be an ECG in millivolts."""

from collections.abc import Sequence

import numpy as np

# Of 3,800 PTB-XL and CPSC2018 records, the 95th percentile of the distance from a lead's median, halfway through the
# leads, is 0.08 to 2.1 mV; the same numbers read as µV would be 84 to 2,100 mV. A percentile, because a spike of
# 32 mV or an artefact of 20 mV for a moment is real, and half the leads, because electrodes fall off.
HIGHEST_TYPICAL_MV = 10.0

# Below the resolution of any recorder: flat, or volts taken for millivolts.
LOWEST_RANGE_MV = 0.01


def check_finite(
    low: np.ndarray,
    high: np.ndarray,
    signals: np.ndarray,
    record_names: Sequence[str],
    lead_names: Sequence[str],
    max_gap_seconds: float,
) -> None:
    """Refuse NaN and infinite values.

    Args:
        low: Minima over time of `signals`, shape `(batch, leads)`; NaN where a lead holds one.
        high: Maxima.
        signals: Shape `(batch, leads, samples)`, mV.
    """
    finite = np.isfinite(low) & np.isfinite(high)
    if finite.all():
        return
    record = int(np.argmin(finite.all(axis=1)))
    leads = [name for name, good in zip(lead_names, finite[record], strict=True) if not good]
    bad_samples = np.flatnonzero(~np.isfinite(signals[record]).all(axis=0))
    raise ValueError(
        f"{record_names[record]}: NaN or infinite values in lead(s) {', '.join(leads)}, {len(bad_samples)} samples from "
        f"sample {bad_samples[0]}. Cut them out, or let short gaps be bridged with `max_gap_seconds` "
        f"(now {max_gap_seconds:g})."
    )


def check_amplitude(low: np.ndarray, high: np.ndarray, signals: np.ndarray, record_names: Sequence[str]) -> None:
    """Refuse records that are flat in all leads, or too large for an ECG in mV; arguments as of `check_finite`."""
    height = high - low
    flat = (height < LOWEST_RANGE_MV).all(axis=1)
    if flat.any():
        record = int(np.argmax(flat))
        raise ValueError(
            f"{record_names[record]}: flat, no lead varies by more than {height[record].max():.2g} mV. Check the "
            'electrodes; if the values are in volts, pass units="V".'
        )
    # What varies by less than the limit in half of its leads needs no percentile.
    suspects = np.flatnonzero((height > HIGHEST_TYPICAL_MV).sum(axis=1) * 2 >= height.shape[1])
    for record in suspects.tolist():
        signal = signals[record]
        distance = np.abs(signal - np.median(signal, axis=1, keepdims=True))
        typical = float(np.median(np.percentile(distance, 95, axis=1)))
        if typical > HIGHEST_TYPICAL_MV:
            raise ValueError(
                f"{record_names[record]}: an amplitude of {typical:.3g} mV is physically impossible, the heart gives "
                f'about 1 mV. If the values are in microvolts, pass units="uV".'
            )


def bridge_short_gaps(signal: np.ndarray, longest: int) -> np.ndarray:
    """Replace runs of at most `longest` NaN by a straight line, at the ends by the nearest value.

    Longer runs stay NaN, and so does a lead without a single value.

    Args:
        signal: Shape `(leads, samples)`.
        longest: Samples.
    """
    signal = signal.copy()
    for lead in signal:
        missing = np.isnan(lead)
        if not missing.any() or missing.all():
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]])))
        for start, stop in edges.reshape(-1, 2):
            missing[start:stop] = stop - start <= longest
        present = np.flatnonzero(~np.isnan(lead))
        gaps = np.flatnonzero(missing)
        lead[gaps] = np.interp(gaps, present, lead[present])
    return signal
