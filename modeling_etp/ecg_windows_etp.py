"""Recordings of any length as windows of the model's length, and what was found in windows as one."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .ecg_inputs_etp import EcgInput
from .leads_etp import LIMB_LEADS, canonical_lead, limb_lead_weights

WINDOW_POOLINGS = ("mean", "max")
WINDOW_OVERLAP = 0.5
LEAST_REST_SECONDS = 0.5  # less than a heartbeat
WINDOWS_AT_A_TIME = 128  # bounds memory where one recording has thousands of windows


def windows_of(
    ecgs: Sequence[EcgInput], feature_extractor: Any, *, overlap: float, max_gap_seconds: float | None = None
) -> dict[str, Any]:
    """Cut ECGs into windows and prepare these for the model.

    Args:
        ecgs: From `open_ecg`.
        feature_extractor: An [`ETPFeatureExtractor`].
        overlap: Share of a window that it has in common with the next, in [0, 1).
        max_gap_seconds: Runs of NaN up to this long are bridged; what the feature extractor says if omitted.

    Returns:
        `input_values` of shape `(windows of all ECGs, leads, num_samples)`, `seconds`: for each ECG the pairs of
        seconds between which its windows lie, and `notes`: for each ECG what was assumed, left out or filled in.

    Raises:
        ValueError: If the feature extractor refuses an ECG; names it, and the window of a long one.
    """
    windows, names, seconds, notes = [], [], [], []
    for ecg in ecgs:
        bounds = window_bounds(ecg.signal.shape[1], ecg.sampling_rate, feature_extractor, overlap=overlap)
        own = [(start / ecg.sampling_rate, stop / ecg.sampling_rate) for start, stop in bounds]
        for (start, stop), (begin, end) in zip(bounds, own, strict=True):
            windows.append((ecg, ecg.signal[:, start:stop]))
            names.append(ecg.name if len(own) == 1 else f"{ecg.name}, {begin:g} to {end:g} s")
        seconds.append(own)
        notes.append([*ecg.notes, *_notes_of(ecg, bounds, feature_extractor)])
    return {
        "input_values": _extract(windows, names, feature_extractor, max_gap_seconds),
        "seconds": seconds,
        "notes": notes,
    }


def _notes_of(ecg: EcgInput, bounds: list[tuple[int, int]], feature_extractor: Any) -> Iterator[str]:
    """What the model gets otherwise than it was recorded; the feature extractor has accepted the ECG or will refuse it."""
    wanted = feature_extractor.lead_names
    given = wanted if ecg.lead_names is None else [canonical_lead(str(name)) for name in ecg.lead_names]
    limbs = [name for name in given if name in LIMB_LEADS]
    missing = [name for name in wanted if name not in given]
    derived = [
        name
        for name in missing
        if feature_extractor.derive_limb_leads and name in LIMB_LEADS and limb_lead_weights(name, limbs) is not None
    ]
    zeroed = [name for name in missing if name not in derived]
    if derived:
        yield f"Leads {', '.join(derived)} are not given and were computed from {' and '.join(limbs[:2])}."
    if zeroed:
        yield f"Leads {', '.join(zeroed)} are missing and count as 0 mV."
    window = feature_extractor.num_samples / feature_extractor.sampling_rate
    seconds = ecg.signal.shape[1] / ecg.sampling_rate
    if seconds < window - 0.5 / feature_extractor.sampling_rate:
        yield f"It lasts {seconds:g} s of the {window:g} s that the model reads; the rest was filled with zeros."
    left = (ecg.signal.shape[1] - bounds[-1][1]) / ecg.sampling_rate
    if left > 0:
        yield f"Its last {left:.2g} s are less than a heartbeat and were left out."
    if ecg.sampling_rate != feature_extractor.sampling_rate:
        yield f"It was resampled from {ecg.sampling_rate:g} to {feature_extractor.sampling_rate:g} Hz."
    gaps = np.isnan(ecg.signal).any(axis=1) if ecg.signal.dtype.kind == "f" else np.zeros(0, bool)
    if gaps.any():
        names = [str(name) for name, has_gap in zip(ecg.lead_names or wanted, gaps, strict=False) if has_gap]
        yield f"Gaps in lead{'s' if len(names) > 1 else ''} {', '.join(names)} were bridged by straight lines."


def window_bounds(
    num_samples: int, sampling_rate: float, feature_extractor: Any, *, overlap: float
) -> list[tuple[int, int]]:
    """First sample of each window of the model's length, and the one after its last; arguments as of `window_starts`."""
    length = int(-(-feature_extractor.num_samples * sampling_rate // feature_extractor.sampling_rate))  # rounded up
    starts = window_starts(num_samples, length, overlap=overlap, least_rest=int(LEAST_REST_SECONDS * sampling_rate))
    return [(start, min(start + length, num_samples)) for start in starts]


def window_starts(num_samples: int, window: int, *, overlap: float, least_rest: int) -> list[int]:
    """Where the windows of a recording begin, in samples.

    The last window ends with the recording, so nothing is left out but a rest of less than `least_rest`.

    Args:
        num_samples: Length of the recording.
        window: Length of a window.
        overlap: Share of a window that it has in common with the next, in [0, 1).
        least_rest: A rest shorter than this makes no window of its own.

    Example:
        >>> window_starts(2500, 1000, overlap=0.5, least_rest=50)
        [0, 500, 1000, 1500]
    """
    last = num_samples - window
    if last < max(least_rest, 1):
        return [0]
    starts = list(range(0, last, max(round(window * (1 - overlap)), 1)))
    if len(starts) > 1 and last - starts[-1] < least_rest:
        starts.pop()
    return [*starts, last]


def _extract(
    windows: list[tuple[EcgInput, np.ndarray]],
    names: list[str],
    feature_extractor: Any,
    max_gap_seconds: float | None,
) -> Tensor:
    """All windows through the feature extractor, those alike in one call, but not more than `WINDOWS_AT_A_TIME`."""
    groups: dict[tuple, list[int]] = {}
    for index, (ecg, signal) in enumerate(windows):
        groups.setdefault((ecg.sampling_rate, ecg.lead_names, ecg.units, signal.shape), []).append(index)
    prepared = torch.empty(len(windows), len(feature_extractor.lead_names), feature_extractor.num_samples)
    for (rate, lead_names, units, _), group in groups.items():
        for first in range(0, len(group), WINDOWS_AT_A_TIME):
            rows = group[first : first + WINDOWS_AT_A_TIME]
            features = feature_extractor(
                np.stack([windows[row][1] for row in rows]),
                sampling_rate=rate,
                lead_names=lead_names,
                units=units,
                record_ids=[names[row] for row in rows],
                max_gap_seconds=max_gap_seconds,
            )
            prepared[rows] = torch.from_numpy(features["input_values"])
    return prepared


def pool_windows(values: Tensor, counts: Sequence[int], pooling: str) -> Tensor:
    """`(windows of all ECGs, …)` to `(ecgs, …)`."""
    if len(values) == len(counts):
        return values
    pool = torch.amax if pooling == "max" else torch.mean
    return torch.stack([pool(own, dim=0) for own in values.split(list(counts))])


__all__ = [
    "WINDOWS_AT_A_TIME",
    "WINDOW_OVERLAP",
    "WINDOW_POOLINGS",
    "pool_windows",
    "window_bounds",
    "window_starts",
    "windows_of",
]
