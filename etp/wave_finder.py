"""P waves, QRS complexes and T waves of each lead of an ECG, as the package openecg finds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from modeling_etp.resampling_etp import resample

# What the network of openecg was trained on: 10 s of one lead at 500 Hz. A shorter piece is padded.
FINDER_RATE = 500
PIECE_SAMPLES = 10 * FINDER_RATE
MIN_QRS_SECONDS = 0.03  # shorter is a spike or noise
MAX_PR_SECONDS = 0.45
LEAST_PROMINENCE = 1.8  # R peaks against the median of all samples; of a sine wave 1.41, of one sampled coarsely 1.62


@dataclass(frozen=True)
class LeadBeats:
    """The beats of one lead, in order; shape `(beats,)`, samples of the lead, NaN where there is no such wave.

    A beat whose QRS complex the piece cuts is left out.
    """

    r_peak: np.ndarray
    p_onset: np.ndarray
    qrs_onset: np.ndarray
    qrs_end: np.ndarray
    t_end: np.ndarray

    def __len__(self) -> int:
        return len(self.r_peak)


def find_beats(lead: np.ndarray) -> LeadBeats:
    """Find the waves of one lead.

    Args:
        lead: Shape `(samples,)`, mV at `FINDER_RATE`, at most `PIECE_SAMPLES`, no sample missing.

    Raises:
        ModuleNotFoundError: If openecg is not installed.
    """
    import openecg
    from openecg.eval import SUPER_P, SUPER_PACED_QRS, SUPER_QRS, SUPER_T

    codec = openecg.encode(np.asarray(lead, np.float32), fs=FINDER_RATE, model=_model())
    waves = [event for event in codec.events("frame") if event[2] in (SUPER_P, SUPER_QRS, SUPER_PACED_QRS, SUPER_T)]
    rows = []
    for number, (onset, end, kind) in enumerate(waves):
        is_whole = onset > 0 and end < len(lead) and end - onset >= MIN_QRS_SECONDS * FINDER_RATE
        if kind not in (SUPER_QRS, SUPER_PACED_QRS) or not is_whole:
            continue
        before = waves[number - 1] if number else (0, 0, None)
        after = waves[number + 1] if number + 1 < len(waves) else (0, 0, None)
        has_p = before[2] == SUPER_P and 0 < before[0] >= onset - MAX_PR_SECONDS * FINDER_RATE
        has_t = after[2] == SUPER_T and after[1] < len(lead)
        swing = np.abs(lead[onset:end] - np.median(lead))
        rows.append(
            (onset + swing.argmax(), before[0] if has_p else np.nan, onset, end, after[1] if has_t else np.nan)
        )
    return LeadBeats(*np.array(rows, dtype=np.float64).reshape(-1, 5).T)


def likeness(lead: np.ndarray, beats: LeadBeats) -> float:
    """Median correlation of the QRS complexes with their median: near 1 in an ECG, low where "beats" are noise.

    0 where they don't stand out from what is between them: mains hum is like itself everywhere.
    """
    if not len(beats):
        return 0.0
    swing = np.abs(lead - np.median(lead))
    if np.median(swing[beats.r_peak.astype(int)]) < LEAST_PROMINENCE * np.median(swing):
        return 0.0
    return float(np.median(_correlations(lead, beats.r_peak)))


def has_pacing_spikes(leads: Sequence[np.ndarray], beats: int) -> bool:
    """Whether pacemaker spikes go with the beats of a lead; takes what `find_beats` takes."""
    import openecg

    return any(len(openecg.detect_pacings(lead, FINDER_RATE)) >= max(3, 0.5 * beats) for lead in leads)


def at_finder_rate(signal: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Resample; shape `(leads, samples)`, no sample missing."""
    factor = Fraction(FINDER_RATE) / Fraction(sampling_rate).limit_denominator(1000)
    return signal if factor == 1 else resample(np.asarray(signal, np.float32), factor)


def _correlations(lead: np.ndarray, r_peaks: np.ndarray, seconds: float = 0.08) -> np.ndarray:
    """Of the lead around each peak with the median around all peaks that are far enough from the ends."""
    reach = round(seconds * FINDER_RATE)
    inside = [int(peak) for peak in r_peaks if reach <= peak < len(lead) - reach]
    if not inside:
        return np.zeros(1)
    complexes = np.stack([lead[peak - reach : peak + reach + 1] for peak in inside]).astype(np.float64)
    complexes -= complexes.mean(axis=1, keepdims=True)
    usual = np.median(complexes, axis=0)
    norms = np.linalg.norm(complexes, axis=1) * np.linalg.norm(usual)
    return complexes @ usual / np.maximum(norms, 1e-12)


@lru_cache(maxsize=1)
def _model() -> Any:
    import warnings

    import openecg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of torch, on a speed-up that this network can't have
        return openecg.load_codec()
