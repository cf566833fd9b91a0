"""Heart rate, intervals and frontal axis of an ECG: medians over beats and leads of the waves that openecg finds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from modeling_etp.ecg_checks_etp import bridge_short_gaps
from modeling_etp.leads_etp import LIMB_LEADS, leads_of, limb_lead_weights

from .extras import install_hint
from .wave_finder import (
    FINDER_RATE,
    PIECE_SAMPLES,
    LeadBeats,
    at_finder_rate,
    find_beats,
    has_pacing_spikes,
    likeness,
)

if TYPE_CHECKING:
    from modeling_etp.ecg_files_etp import EcgRecording

# The first that there are, up to so many: each takes 0.1 s of a core for its 10 s, and more change little.
PREFERRED_LEADS = ("II", "V5", "I", "V2", "aVF", "V1", "V3", "V6", "V4", "III", "aVL", "aVR")
MAX_LEADS = 4
MAX_PIECES = 6  # of a longer recording its first minute is measured

MIN_RATE_HZ = 90  # slower sampling does not show where waves begin and end
MIN_PACING_RATE_HZ = 250  # slower sampling does not show pacemaker spikes
MIN_BEATS = 3
MIN_LIKENESS = 0.75
FLAT_MV = 0.05
MIN_SHARE = 0.5  # of the beats of a lead that must have a wave, and of the leads that must have a value
IRREGULAR = 0.1  # deviation of the distances between beats over their mean; sinus arrhythmia has P waves
MAX_PR_SPREAD_MS = (
    40.0  # between quartiles of the beats: P waves of sinus beats keep their distance to the QRS complex
)
MIN_AXIS_MV = 0.04  # net QRS deflection in the frontal plane; below, its direction means nothing

# Field -> its name, unit, and the plausible range of a beat.
FIELDS = {
    "heart_rate": ("heart rate", "/min"),
    "pr_interval": ("PR", "ms"),
    "qrs_duration": ("QRS", "ms"),
    "qt_interval": ("QT", "ms"),
    "qtc_fridericia": ("QTc (Fridericia)", "ms"),
    "qtc_bazett": ("QTc (Bazett)", "ms"),
    "axis": ("axis", "°"),
}
PLAUSIBLE_MS = {"pr_interval": (60, 450), "qrs_duration": (40, 260), "qt_interval": (180, 750)}


@dataclass(frozen=True)
class EcgMeasurements:
    """What a cart prints beside an ECG; `None` where it can't be measured, and `reasons` says why.

    Attributes:
        heart_rate: Ventricular rate, mean of the recording, beats per minute.
        pr_interval: From the start of P to the start of QRS, ms.
        qrs_duration: ms.
        qt_interval: From the start of QRS to the end of T, ms.
        qtc_fridericia: QT corrected for the rate, QT / RR^(1/3) with RR in seconds, ms.
        qtc_bazett: QT / RR^(1/2), ms.
        axis: Of the QRS complex in the frontal plane, degrees, -180 to 180: 0 points to the left, 90 to the feet.
        reasons: Field -> why it is None.
        notes: Short sentences on what was left out.
    """

    heart_rate: float | None = None
    pr_interval: float | None = None
    qrs_duration: float | None = None
    qt_interval: float | None = None
    qtc_fridericia: float | None = None
    qtc_bazett: float | None = None
    axis: float | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def rows(self) -> list[tuple[str, str]]:
        """Name and value with its unit, or why there is none, in the order of a cart."""
        return [(name, self._shown(key, unit)) for key, (name, unit) in FIELDS.items()]

    def on_one_line(self) -> str:
        """As on top of ECG paper; what could not be measured has a dash."""
        rate, pr, qrs, qt, qtc, _, axis = (
            "-" if (value := getattr(self, key)) is None else f"{value:.0f}" for key in FIELDS
        )
        return f"{rate} /min   PR {pr} ms   QRS {qrs} ms   QT/QTcF {qt}/{qtc} ms   axis {axis}°"

    def as_dict(self) -> dict:
        """The fields by their names, whole numbers, with `reasons` and `notes`, for JSON."""
        values = {key: None if (value := getattr(self, key)) is None else round(value) for key in FIELDS}
        return {**values, "reasons": dict(self.reasons), "notes": list(self.notes)}

    def _shown(self, key: str, unit: str) -> str:
        value = getattr(self, key)
        if value is None:
            return f"not measurable: {self.reasons[key]}"
        return f"{value:.0f}{'' if unit == '°' else ' '}{unit}"


def measure(recording: "EcgRecording", *, max_gap_seconds: float = 0.0) -> EcgMeasurements:
    """Measure an ECG.

    Args:
        recording: From `read_ecg`; leads in any order. Flat leads and those with missing samples are left out.
        max_gap_seconds: Missing samples that a straight line bridges.

    Raises:
        ModuleNotFoundError: If openecg is not installed, which the extra `measure` brings.
    """
    rate = float(recording.sampling_rate)
    if rate < MIN_RATE_HZ:
        return nothing_measured(f"sampled at {rate:g} Hz, which is below {MIN_RATE_HZ} Hz")
    signal = _without_empty_ends(np.asarray(recording.signal, np.float32))
    signal = bridge_short_gaps(signal, int(max_gap_seconds * rate))
    leads, notes = _usable_leads(signal, recording.lead_names)
    if not leads:
        return nothing_measured("every lead is flat or has missing samples")
    signals = dict(zip(leads, at_finder_rate(np.stack([*leads.values()]), rate), strict=True))
    pieces = _pieces(min(signal.shape[0] for signal in signals.values()))
    if signal.shape[1] > MAX_PIECES * 10 * rate:
        notes.append(f"The first {MAX_PIECES * 10} s were measured.")

    measured = [name for name in PREFERRED_LEADS if name in signals][:MAX_LEADS] or list(signals)[:MAX_LEADS]
    found = [(name, piece, find_beats(signals[name][piece])) for piece in pieces for name in measured]
    good = [
        (name, piece, beats)
        for name, piece, beats in found
        if len(beats) >= MIN_BEATS and likeness(signals[name][piece], beats) >= MIN_LIKENESS
    ]
    if not any(len(beats) >= MIN_BEATS for *_, beats in found):
        return nothing_measured(f"fewer than {MIN_BEATS} beats found", notes)
    if len(good) < MIN_SHARE * len(found):
        return nothing_measured("noise: what was found in most leads does not repeat itself as beats do", notes)
    paced = rate >= MIN_PACING_RATE_HZ and any(
        has_pacing_spikes([signals[name][piece]], len(beats)) for name, piece, beats in good
    )
    if len(measured) == 1:
        notes.append(f"From lead {measured[0]} alone: the longest of twelve leads may be longer.")
    return _from_beats([beats for *_, beats in good], _axis(signals, good), paced, notes)


def measure_if_installed(recording: "EcgRecording") -> EcgMeasurements:
    """As [`measure`]; without the package it takes, the reasons say what would have to be installed."""
    try:
        return measure(recording)
    except ModuleNotFoundError as error:
        hint = install_hint(error, extra="measure")
        if hint is None:
            raise
        return nothing_measured(hint)


def nothing_measured(reason: str, notes: Sequence[str] = ()) -> EcgMeasurements:
    """Measurements that all have one reason not to be."""
    return EcgMeasurements(reasons=dict.fromkeys(FIELDS, reason), notes=tuple(notes))


def _without_empty_ends(signal: np.ndarray) -> np.ndarray:
    """What lies between the first and the last sample of any lead."""
    recorded = np.flatnonzero(np.isfinite(signal).any(axis=0))
    return signal[:, recorded[0] : recorded[-1] + 1] if recorded.size else signal


def _usable_leads(signal: np.ndarray, lead_names: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Leads by name that have all their samples and aren't flat, and what is said of the others."""
    names = [lead or own for own, lead in zip(lead_names, leads_of(lead_names), strict=True)]
    leads, without = {}, []
    for name, samples in zip(names, signal, strict=True):
        if np.isfinite(samples).all() and np.ptp(samples) > FLAT_MV:
            leads[name] = samples
        else:
            without.append(name)
    return leads, [f"Left out, flat or with missing samples: {', '.join(without)}."] if leads and without else []


def _pieces(samples: int) -> list[slice]:
    """Pieces of ten seconds; of the rest a last one, if it holds some beats or is all there is."""
    starts = [
        start for start in range(0, samples, PIECE_SAMPLES) if not start or samples - start >= PIECE_SAMPLES // 2
    ]
    return [slice(start, min(start + PIECE_SAMPLES, samples)) for start in starts[:MAX_PIECES]]


def _from_beats(beats: Sequence[LeadBeats], axis: float | str, paced: bool, notes: Sequence[str]) -> EcgMeasurements:
    """Medians over leads and pieces of what each lead says, and reasons where too few say anything."""
    per_beat = {
        "pr_interval": [lead.qrs_onset - lead.p_onset for lead in beats],
        "qrs_duration": [lead.qrs_end - lead.qrs_onset for lead in beats],
        "qt_interval": [lead.t_end - lead.qrs_onset for lead in beats],
    }
    no_wave = {
        "pr_interval": "no P wave before most beats",
        "qrs_duration": "no plausible QRS complex",
        "qt_interval": "the end of T was not found after most beats",
    }
    cycle = float(np.median([np.diff(lead.r_peak).mean() for lead in beats])) / FINDER_RATE
    values: dict[str, float] = {"heart_rate": 60 / cycle}
    reasons: dict[str, str] = {}
    for key, of_leads in per_beat.items():
        medians, spreads = zip(*(_median_ms(samples, PLAUSIBLE_MS[key]) for samples in of_leads), strict=True)
        if paced:
            reasons[key] = "pacemaker spikes"
        elif np.isfinite(medians).mean() < MIN_SHARE:
            reasons[key] = no_wave[key]
        elif key == "pr_interval" and np.nanmedian(spreads) > MAX_PR_SPREAD_MS:
            reasons[key] = "the distance from P to QRS differs from beat to beat"
        else:
            values[key] = float(np.nanmedian(medians))
    if reasons.get("pr_interval") == no_wave["pr_interval"] and _is_irregular(beats):
        for key in ("qrs_duration", "qt_interval"):
            values.pop(key, None)
            reasons.setdefault(key, "irregular without P waves, where ends are found up to 0.1 s late")
    for key, power in (("qtc_fridericia", 1 / 3), ("qtc_bazett", 1 / 2)):
        if "qt_interval" in values:
            values[key] = values["qt_interval"] / cycle**power
        else:
            reasons[key] = reasons["qt_interval"]
    if paced or isinstance(axis, str):
        reasons["axis"] = "pacemaker spikes" if paced else str(axis)
    else:
        values["axis"] = axis
    return EcgMeasurements(**values, reasons=reasons, notes=tuple(notes))


def _is_irregular(beats: Sequence[LeadBeats]) -> bool:
    """Whether the distances between beats vary as in atrial fibrillation, in most leads."""
    cycles = [np.diff(lead.r_peak) for lead in beats]
    return bool(np.median([own.std() / own.mean() for own in cycles]) > IRREGULAR)


def _median_ms(samples: np.ndarray, plausible: tuple[float, float]) -> tuple[float, float]:
    """Median over beats, and the distance between quartiles; NaN where most beats have no plausible value."""
    milliseconds = samples / FINDER_RATE * 1000
    there = (milliseconds >= plausible[0]) & (milliseconds <= plausible[1])
    if there.mean() < MIN_SHARE:
        return np.nan, np.nan
    low, middle, high = np.percentile(milliseconds[there], (25, 50, 75))
    return float(middle), float(high - low)


def _axis(signals: dict[str, np.ndarray], good: Sequence[tuple[str, slice, LeadBeats]]) -> float | str:
    """Degrees from the net areas of the QRS complexes in I and aVF, or why there is none."""
    limbs = [name for name in LIMB_LEADS if name in signals]
    weights = [own for lead in ("I", "aVF") if (own := limb_lead_weights(lead, limbs)) is not None]
    if len(weights) < 2:
        return "it takes two limb leads"
    frontal = np.stack(weights) @ np.stack([signals[name] for name in limbs])
    before = round(0.012 * FINDER_RATE)
    areas = []
    for piece in dict.fromkeys((piece.start, piece.stop) for _, piece, _ in good):
        beats = next(found for _, own, found in good if (own.start, own.stop) == piece)
        for onset, end in zip(
            beats.qrs_onset.astype(int) + piece[0], beats.qrs_end.astype(int) + piece[0], strict=True
        ):
            baseline = frontal[:, max(onset - before, 0) : onset + 1].mean(axis=1, keepdims=True)
            areas.append((frontal[:, onset:end] - baseline).mean(axis=1))
    net_one, net_avf = np.median(areas, axis=0)
    # An augmented lead is sqrt(3)/2 of what an equilateral triangle would measure along its direction.
    net_avf *= 2 / np.sqrt(3)
    if np.hypot(net_one, net_avf) < MIN_AXIS_MV:
        return "the QRS complex has no direction in the frontal plane: what is above and below the line is equal"
    return float(np.rad2deg(np.arctan2(net_avf, net_one)))
