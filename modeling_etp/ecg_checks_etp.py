"""What can't be an ECG in millivolts."""

from collections.abc import Sequence

import numpy as np

from .ecg_errors_etp import argument

# Two amplitudes of a record are robust, each a median over the leads that vary, as electrodes fall off:
# the beat, which is the range within 1 s in the middle one of all seconds (an artefact of 20 mV for a moment is real),
# and the reach, which is the distance from the median that 99% of the samples keep (a spike of 32 mV is real).
# In 21,964 records of PTB-XL and CPSC2018 the beat is 0.30 to 4.02 mV and the reach 0.18 to 2.58 mV. What is above both
# limits, or with its beat below the lowest, isn't in mV: all of these records with a gain 25 times too large, 98% with
# one 10 times too large; 99.9% with one 25 times too small, 82% with one 10 times too small.
HIGHEST_BEAT_MV, HIGHEST_REACH_MV = 5.0, 3.5
LOWEST_BEAT_MV = 0.15

# Seen in fewer than 1 of 1,000 of the same records, but in most of them under a gain that is 5 times off.
HIGH_BEAT_MV, HIGH_REACH_MV = 3.3, 2.7
LOW_BEAT_MV = 0.35

# Single leads differ more: their beat is 0 to 10.8 mV in the same records.
FEWEST_LEADS = 6
HIGHEST_BEAT_OF_FEW_LEADS_MV = 15.0

# Below the resolution of any recorder: flat, or volts taken for millivolts.
LOWEST_RANGE_MV = 0.01


def check_finite(
    low: np.ndarray,
    high: np.ndarray,
    signals: np.ndarray,
    record_names: Sequence[str],
    lead_names: Sequence[str],
    max_gap_seconds: float,
    sampling_rate: float,
) -> None:
    """Refuse NaN and infinite values.

    Args:
        low: Minima over time of `signals`, shape `(batch, leads)`; NaN where a lead holds one.
        high: Maxima.
        signals: Shape `(batch, leads, samples)`, mV.
        sampling_rate: Of `signals`, Hz.
    """
    finite = np.isfinite(low) & np.isfinite(high)
    if finite.all():
        return
    record = int(np.argmin(finite.all(axis=1)))
    leads = [name for name, good in zip(lead_names, finite[record], strict=True) if not good]
    bad_samples = np.flatnonzero(~np.isfinite(signals[record]).all(axis=0))
    raise ValueError(
        f"{record_names[record]}: NaN or infinite values in lead(s) {', '.join(leads)}, {len(bad_samples)} samples from "
        f"sample {bad_samples[0]}. {_cure_of_gaps(signals[record], sampling_rate, max_gap_seconds)}"
    )


def _cure_of_gaps(signal: np.ndarray, sampling_rate: float, max_gap_seconds: float) -> str:
    """What to do about samples of `(leads, samples)` that are not finite: straight lines bridge NaN between numbers only."""
    missing = np.isnan(signal)
    if missing.all(axis=1).any():
        return "Cut them out, or leave these leads out."
    if np.isinf(signal).any():
        return "Cut them out."
    edges = np.diff(np.pad(missing, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    longest = max((np.argwhere(edges == -1) - np.argwhere(edges == 1))[:, 1]) / sampling_rate
    needed = -(-round(longest * 1000, 3) // 10) / 100
    return (
        f"Cut them out; to have gaps of up to {longest:.3g} s bridged by straight lines, pass {argument('max_gap_seconds', needed)} "
        f"(now {max_gap_seconds:g})."
    )


def check_amplitude(
    low: np.ndarray, high: np.ndarray, signals: np.ndarray, record_names: Sequence[str], sampling_rate: float
) -> None:
    """Refuse records that are flat in all leads, or too large or too small for an ECG in mV.

    Args:
        low, high, signals: As of `check_finite`.
        sampling_rate: Of `signals`, Hz.
    """
    height = high - low
    varying = height >= LOWEST_RANGE_MV
    count = varying.sum(axis=1)
    if not count.all():
        record = int(np.argmin(count))
        raise ValueError(
            f"{record_names[record]}: flat, no lead varies by more than {height[record].max():.2g} mV. Check the "
            'electrodes; if they are volts of which the file states no unit, pass `units="V"`.'
        )
    # A record that is within the limits as a whole is so in every second.
    large = ((height > HIGHEST_BEAT_MV).sum(axis=1) * 2 >= count).nonzero()[0]
    small = (((height < LOWEST_BEAT_MV) & varying).sum(axis=1) * 2 >= count).nonzero()[0]
    for record in (*large.tolist(), *small.tolist()):
        beat, reach = beat_and_reach(signals[record][varying[record]], sampling_rate)
        several = count[record] >= FEWEST_LEADS
        if beat > (HIGHEST_BEAT_MV if several else HIGHEST_BEAT_OF_FEW_LEADS_MV) and reach > HIGHEST_REACH_MV:
            raise ValueError(
                f"{record_names[record]}: an amplitude of {beat:.3g} mV is physically impossible, the heart gives "
                'about 1 mV. Correct the gain; if they are microvolts of which the file states no unit, pass `units="uV"`.'
            )
        if several and beat < LOWEST_BEAT_MV:
            raise ValueError(
                f"{record_names[record]}: an amplitude of {beat:.2g} mV is too small for an ECG, the heart gives "
                "about 1 mV. Correct the gain."
            )


def unusual_amplitude(signal: np.ndarray, sampling_rate: float) -> float | None:
    """The beat of `(leads, samples)` in mV where hardly any ECG has such a one, else `None`.

    It is looked for in the first 3 s, which hold several beats, and then in all of the signal. Fewer than `FEWEST_LEADS`
    differ so much that only what `check_amplitude` refuses is unusual. Leads that are constant tell nothing.
    """
    few = len(signal) < FEWEST_LEADS
    high, high_reach = (HIGHEST_BEAT_OF_FEW_LEADS_MV, HIGHEST_REACH_MV) if few else (HIGH_BEAT_MV, HIGH_REACH_MV)
    low = LOWEST_RANGE_MV if few else LOW_BEAT_MV
    start = signal[:, : max(int(3 * sampling_rate), 1)]
    middle = np.sort(start.max(axis=1) - start.min(axis=1))[len(signal) // 2]
    if not (middle > high or 0 < middle < low):
        return None
    present = signal[np.isfinite(signal).any(axis=1)]
    complete = present[:, np.isfinite(present).all(axis=0)]
    height = np.ptp(complete, axis=1) if complete.size else np.zeros(1)
    if 0 < height.max() < LOWEST_RANGE_MV:
        return float(height.max())
    varying = height >= LOWEST_RANGE_MV
    if varying.sum() < (1 if few else FEWEST_LEADS):
        return None
    beat, reach = beat_and_reach(complete[varying], sampling_rate)
    return beat if (beat > high and reach > high_reach) or beat < low else None


def beat_and_reach(signal: np.ndarray, sampling_rate: float) -> tuple[float, float]:
    """Beat and reach of `(leads, samples)`, mV."""
    window = min(max(round(sampling_rate), 1), signal.shape[1])
    seconds = signal[:, : signal.shape[1] // window * window].reshape(len(signal), -1, window)
    distance = np.abs(signal - np.median(signal, axis=1, keepdims=True))
    beat = np.median(np.median(np.ptp(seconds, axis=2), axis=1))
    return float(beat), float(np.median(np.percentile(distance, 99, axis=1)))


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
