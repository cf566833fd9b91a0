"""An attribution averaged over the beats of an ECG that look alike, so that it looks alike on them."""

from collections.abc import Sequence

import numpy as np

REACH_SECONDS = 0.08  # around the R peak: the QRS complex
ALIKE = 0.8  # correlation
BEFORE = 0.4  # share of the distance between two R peaks that belongs to the beat of the second


def r_peaks(signal: np.ndarray, sampling_rate: float, lead_names: Sequence[str]) -> np.ndarray:
    """R peaks that openecg detects in lead II, or else in the lead that swings most; samples.

    Args:
        signal: Shape `(leads, samples)`, mV, no sample missing.

    Raises:
        ModuleNotFoundError: If openecg is not installed.
    """
    import openecg

    names = [name.upper() for name in lead_names]
    swings = np.ptp(signal, axis=1)
    row = names.index("II") if "II" in names and swings[names.index("II")] > 0 else int(swings.argmax())
    return np.asarray(openecg.detect_qrs(np.asarray(signal[row], np.float64), round(sampling_rate)))


def average_over_beats(
    values: np.ndarray, signal: np.ndarray, peaks: Sequence[int] | np.ndarray, sampling_rate: float
) -> np.ndarray:
    """Replace the values of each beat by the mean over the beats that look like it, aligned at their R peaks.

    Premature and other beats of another shape are averaged among themselves.

    Args:
        values: Shape `(leads, samples)`, what is averaged.
        signal: Shape of the values, mV: what shows which beats are alike.
        peaks: Samples of the R peaks, ascending. With fewer than two, nothing is averaged.
        sampling_rate: Hz.

    Returns:
        Shape of the values. Their sum over all samples is that of the values, up to rounding.
    """
    at = np.asarray(peaks, dtype=int)
    if len(at) < 2:
        return np.array(values)
    samples = np.arange(values.shape[1])
    starts = np.round(at[1:] - BEFORE * np.diff(at)).astype(int)
    beat_of = np.searchsorted(starts, samples, side="right")
    offset = samples - at[beat_of] + values.shape[1]  # never negative
    group_of = _groups(signal, at, round(REACH_SECONDS * sampling_rate))[beat_of]
    averaged = np.empty_like(values)
    for group in np.unique(group_of):
        own = group_of == group
        counts = np.bincount(offset[own])
        for lead in range(len(values)):
            sums = np.bincount(offset[own], weights=values[lead, own])
            averaged[lead, own] = sums[offset[own]] / counts[offset[own]]
    return averaged


def _groups(signal: np.ndarray, peaks: np.ndarray, reach: int) -> np.ndarray:
    """Number of the group of beats that each beat looks like; shape of the peaks."""
    padded = np.pad(signal, [(0, 0), (reach, reach)], mode="edge").astype(np.float64)
    beats = np.stack([padded[:, peak : peak + 2 * reach + 1] for peak in peaks])
    beats = (beats - beats.mean(axis=2, keepdims=True)).reshape(len(peaks), -1)
    beats /= np.maximum(np.linalg.norm(beats, axis=1, keepdims=True), 1e-12)
    group_of = np.empty(len(peaks), dtype=int)
    left, usual, group = np.arange(len(peaks)), np.median(beats, axis=0), 0
    while left.size:
        alike = beats[left] @ usual >= ALIKE * np.linalg.norm(usual)
        alike[0] |= group > 0  # it is what the others are compared with
        group_of[left[alike]] = group
        left = left[~alike]
        if left.size:
            usual, group = beats[left[0]], group + 1
    return group_of
