"""A small generator of plausible 12-lead ECGs: a moving cardiac dipole made of Gaussians, seen by twelve leads.

The dipole is a sum of Gaussian waves per beat (McSharry et al. 2003, doi 10.1109/TBME.2003.808805), carried to three
dimensions as by Sameni et al. 2007 (doi 10.1155/2007/43407), and projected on the leads with Dower's matrix (Dower,
Machado & Osborne 1980, doi 10.1002/clc.1980.3.2.87). Everything is vectorised over records.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modeling_etp.ecg_files_etp import STANDARD_LEADS

from .synthetic_waves import (
    ECTOPIC_WAVES,
    FIRST_QRS_WAVE,
    FIRST_REPOLARISATION_WAVE,
    QRS_GAIN_OF_HYPERTROPHY,
    VENTRICULAR_WAVES,
    beat_waves,
    intervals_of_waves,
    repolarisation_stretch,
)

# Beats per minute, uniformly drawn.
HEART_RATES = {"SR": (62.0, 96.0), "SBRAD": (40.0, 55.0), "STACH": (106.0, 150.0), "AFIB": (65.0, 140.0)}

# Rows I, II, V1 ... V6; columns of the Frank frame: left, inferior, posterior.
DOWER = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
# The eight measured leads from the potentials of the electrodes RA, LA, LL, V1 ... V6. Disturbances enter here, so
# that they obey Einthoven's law as they do on a patient.
LEADS_OF_ELECTRODES = np.zeros((8, 9))
LEADS_OF_ELECTRODES[0, [0, 1]] = -1, 1
LEADS_OF_ELECTRODES[1, [0, 2]] = -1, 1
LEADS_OF_ELECTRODES[2:, :3] = -1 / 3
LEADS_OF_ELECTRODES[2:, 3:] = np.eye(6)
# I, II, III, aVR, aVL, aVF, V1 ... V6 from the eight measured leads.
TWELVE_OF_EIGHT = np.zeros((12, 8))
TWELVE_OF_EIGHT[:6, :2] = np.array([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]])
TWELVE_OF_EIGHT[6:, 2:] = np.eye(6)

CHUNK = 16  # records simulated at a time: what fits the processor's cache is fastest


@dataclass(frozen=True)
class Condition:
    """What is the matter with a heart, in the codes of PTB-XL.

    Attributes:
        rhythm: "SR", "SBRAD", "STACH" or "AFIB".
        ventricles: "NORM", "CLBBB", "CRBBB", "AMI" and "IMI" (acute, with ST elevation), "ISC_" (ST depression), "LVH".
        av_block: First-degree AV block.
        premature_beats: Premature ventricular beats among the others.
    """

    rhythm: str = "SR"
    ventricles: str = "NORM"
    av_block: bool = False
    premature_beats: bool = False

    def __post_init__(self) -> None:
        if self.rhythm not in HEART_RATES:
            raise ValueError(f"rhythm must be one of {', '.join(HEART_RATES)}, got {self.rhythm!r}.")
        if self.ventricles not in VENTRICULAR_WAVES:
            raise ValueError(f"ventricles must be one of {', '.join(VENTRICULAR_WAVES)}, got {self.ventricles!r}.")
        if self.av_block and self.rhythm == "AFIB":
            raise ValueError("atrial fibrillation has no P wave, so no first-degree AV block either.")


CONDITIONS = {
    "normal": Condition(),
    "bradycardia": Condition(rhythm="SBRAD"),
    "tachycardia": Condition(rhythm="STACH"),
    "atrial fibrillation": Condition(rhythm="AFIB"),
    "premature ventricular beats": Condition(premature_beats=True),
    "left bundle branch block": Condition(ventricles="CLBBB"),
    "right bundle branch block": Condition(ventricles="CRBBB"),
    "anterior ST elevation": Condition(ventricles="AMI"),
    "inferior ST elevation": Condition(ventricles="IMI"),
    "ST depression": Condition(ventricles="ISC_"),
    "first-degree AV block": Condition(av_block=True),
    "left ventricular hypertrophy": Condition(ventricles="LVH"),
}


@dataclass(frozen=True)
class Patients:
    """What stays the same between the ECGs of one patient.

    Attributes:
        frontal_turn: Turn of the heart's axis in the frontal plane, radians, positive clockwise as axes are counted.
        transverse_turn: Turn in the transverse plane, radians.
        gain: Amplitude against the average patient.
        lead_gain: Shape `(patients, 8)`: how electrode positions and the chest change each measured lead.
    """

    frontal_turn: np.ndarray
    transverse_turn: np.ndarray
    gain: np.ndarray
    lead_gain: np.ndarray

    @classmethod
    def draw(cls, count: int, rng: np.random.Generator) -> "Patients":
        return cls(
            frontal_turn=np.deg2rad(np.clip(rng.normal(-3, 19, count), -50, 40)),
            transverse_turn=np.deg2rad(np.clip(rng.normal(0, 12, count), -30, 30)),
            gain=np.exp(np.clip(rng.normal(-0.05, 0.17, count), -0.45, 0.25)),
            lead_gain=np.exp(rng.normal(0, 0.08, (count, 8))),
        )

    def __getitem__(self, index) -> "Patients":
        return Patients(self.frontal_turn[index], self.transverse_turn[index], self.gain[index], self.lead_gain[index])


@dataclass(frozen=True)
class SimulatedEcgs:
    """ECGs and what was drawn for them.

    Attributes:
        signal: float32, shape `(records, 12, samples)`, mV, leads in the order of `STANDARD_LEADS`.
        heart_rate: Shape `(records,)`, mean ventricular rate, beats per minute.
        axis: Shape `(records,)`, electrical axis of the QRS complex in the frontal plane, degrees.
        num_premature: Shape `(records,)`, premature ventricular beats that begin within the record.
        pr_interval: Shape `(records,)`, ms, of the sinus beats; NaN in atrial fibrillation.
        qrs_duration: Shape `(records,)`, ms, of the sinus beats.
        qt_interval: Shape `(records,)`, ms, median of the sinus beats.
    """

    signal: np.ndarray
    heart_rate: np.ndarray
    axis: np.ndarray
    num_premature: np.ndarray
    pr_interval: np.ndarray
    qrs_duration: np.ndarray
    qt_interval: np.ndarray

    lead_names = STANDARD_LEADS


def simulate_ecgs(
    conditions: Sequence[Condition],
    *,
    sampling_rate: int,
    seed: int | Sequence[int],
    seconds: float = 10.0,
    patients: Patients | None = None,
) -> SimulatedEcgs:
    """Simulate one ECG per condition.

    The same seed gives the same hearts and the same baseline wander at every sampling rate; only the broadband noise
    differs, as it is drawn per sample.

    Args:
        conditions: What each record is to show.
        sampling_rate: Hz.
        seed: Decides everything random.
        seconds: Length of every record.
        patients: Whose hearts they are, one per record; drawn if not given.

    Raises:
        ValueError: If the number of patients is not the number of conditions, or nothing is to be simulated.
    """
    if patients is not None and len(patients.gain) != len(conditions):
        raise ValueError(f"{len(conditions)} conditions need as many patients, got {len(patients.gain)}.")
    if not conditions or sampling_rate * seconds < 1:
        raise ValueError(f"nothing to simulate: {len(conditions)} conditions, {seconds} s at {sampling_rate} Hz.")
    body_seed, noise_seed = np.random.SeedSequence(seed).spawn(2)
    rng, noise_rng = np.random.default_rng(body_seed), np.random.default_rng(noise_seed)
    patients = patients or Patients.draw(len(conditions), rng)
    chunks = [
        _simulate_chunk(conditions[at : at + CHUNK], patients[at : at + CHUNK], sampling_rate, seconds, rng, noise_rng)
        for at in range(0, len(conditions), CHUNK)
    ]
    return SimulatedEcgs(*(np.concatenate(parts) for parts in zip(*chunks, strict=True)))


def _simulate_chunk(
    conditions: Sequence[Condition],
    patients: Patients,
    sampling_rate: int,
    seconds: float,
    rng: np.random.Generator,
    noise_rng: np.random.Generator,
) -> tuple[np.ndarray, ...]:
    num_samples = round(seconds * sampling_rate)
    time = (np.arange(num_samples) / sampling_rate).astype(np.float32)
    beats = _draw_beats(conditions, seconds, rng)
    sinus, ectopic = _draw_waves(conditions, patients, rng)

    dipole = _dipole(beats, sinus, ectopic, sampling_rate, num_samples)
    respiration = _draw_respiration(len(conditions), time, rng)
    dipole *= 1 + 0.04 * respiration[..., None]
    fibrillating = np.flatnonzero([condition.rhythm == "AFIB" for condition in conditions])
    dipole[fibrillating] += _fibrillatory_waves(len(fibrillating), time, rng)

    leads_of_dipole = DOWER * patients.lead_gain[..., None]
    electrodes = _wander(respiration, time, rng) + _noise(len(conditions), time, sampling_rate, rng, noise_rng)
    to_leads = TWELVE_OF_EIGHT @ leads_of_dipole  # (records, 12, 3)
    signal = to_leads.astype(np.float32) @ dipole.swapaxes(1, 2)
    signal += (TWELVE_OF_EIGHT @ LEADS_OF_ELECTRODES).astype(np.float32) @ electrodes
    visible = (beats.onset >= 0) & (beats.onset < seconds)
    return (
        signal,
        beats.heart_rate,
        _axis(sinus, to_leads),
        (beats.ectopic & visible).sum(axis=1),
        *intervals_of_waves(sinus, np.where(visible & ~beats.ectopic, beats.interval, np.nan)),
    )


@dataclass(frozen=True)
class _Beats:
    """Shape `(records, beats)` each, but `heart_rate`; the beats of a record are more than it shows."""

    onset: np.ndarray  # seconds, of the QRS complex
    interval: np.ndarray  # seconds since the beat before
    ectopic: np.ndarray
    heart_rate: np.ndarray


def _draw_beats(conditions: Sequence[Condition], seconds: float, rng: np.random.Generator) -> _Beats:
    rates = np.array([HEART_RATES[condition.rhythm] for condition in conditions])
    # A PR interval beyond 0.22 s fits before a beat only while the heart is not fast.
    rates[:, 1] = np.where([condition.av_block for condition in conditions], np.minimum(rates[:, 1], 90), rates[:, 1])
    heart_rate = rng.uniform(rates[:, 0], rates[:, 1])
    mean = 60 / heart_rate[:, None]
    count = math.ceil((seconds + 4) / 0.3)
    nominal = np.arange(count) * mean

    breathing, pressure = rng.uniform(0.2, 0.33, (len(mean), 1)), rng.uniform(0.08, 0.12, (len(mean), 1))
    phase = rng.uniform(0, 2 * np.pi, (2, len(mean), 1))
    depth = rng.uniform(0.008, 0.045, (2, len(mean), 1)) * np.minimum(1, mean / 0.7)
    sinus = 1 + depth[0] * np.sin(2 * np.pi * breathing * nominal + phase[0])
    sinus += 0.5 * depth[1] * np.sin(2 * np.pi * pressure * nominal + phase[1]) + rng.normal(0, 0.006, nominal.shape)
    irregularity = rng.uniform(0.18, 0.28, (len(mean), 1))
    fibrillation = rng.gamma(irregularity**-2, irregularity**2, nominal.shape)
    fibrillating = np.array([condition.rhythm == "AFIB" for condition in conditions])[:, None]
    interval = np.maximum(mean * np.where(fibrillating, fibrillation, sinus), 0.3)
    onset = np.cumsum(interval, axis=1) - 2 - rng.uniform(0, mean)

    ectopic = _draw_ectopic(conditions, onset, rng)
    coupling = np.maximum(rng.uniform(0.52, 0.68, (len(mean), 1)) * mean, 0.33)
    # The next sinus beat comes when it would have come: the pause is compensatory.
    early = np.where(ectopic, np.maximum(interval - coupling, 0), 0)
    interval = interval - early
    interval[:, 1:] += early[:, :-1]
    return _Beats(onset - early, interval, ectopic, heart_rate)


def _draw_ectopic(conditions: Sequence[Condition], onset: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every second beat (bigeminy) in one record of seven, else every third to ninth."""
    first = (onset < 0.7).sum(axis=1) + rng.integers(0, 3, len(onset))
    spacing = np.where(rng.random(len(onset)) < 1 / 7, 2, rng.integers(3, 10, len(onset)))
    since = np.arange(onset.shape[1]) - first[:, None]
    premature = np.array([condition.premature_beats for condition in conditions])
    return premature[:, None] & (since >= 0) & (since % spacing[:, None] == 0)


def _draw_waves(
    conditions: Sequence[Condition], patients: Patients, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The waves of a sinus beat and of an ectopic beat of every record; shape `(records, waves, 6)` both.

    The last axis is delay after the QRS onset, rise, fall (seconds), and the dipole to the left, inferior, posterior.
    """
    n = len(conditions)
    pr_interval = np.where(
        [condition.av_block for condition in conditions], rng.uniform(0.23, 0.32, n), rng.uniform(0.125, 0.185, n)
    )
    pr_interval -= np.where([condition.rhythm == "STACH" for condition in conditions], 0.015, 0)
    has_p = np.array([condition.rhythm != "AFIB" for condition in conditions])
    sinus = np.stack([beat_waves(condition.ventricles) for condition in conditions])
    ectopic = ECTOPIC_WAVES[rng.integers(0, len(ECTOPIC_WAVES), n)]

    sinus[:, :FIRST_QRS_WAVE, 0] -= pr_interval[:, None]
    sinus[:, :FIRST_QRS_WAVE, 3:] *= (has_p * rng.uniform(0.75, 1.25, n))[:, None, None]
    hypertrophy = np.array([condition.ventricles == "LVH" for condition in conditions])
    qrs_gain = np.where(hypertrophy, rng.uniform(*QRS_GAIN_OF_HYPERTROPHY, n) / np.minimum(patients.gain, 1), 1)
    sinus[:, FIRST_QRS_WAVE:FIRST_REPOLARISATION_WAVE, 3:] *= qrs_gain[:, None, None]
    # Injury currents and T waves vary more between patients than depolarisation does.
    sinus[:, FIRST_REPOLARISATION_WAVE:, 3:] *= rng.uniform(0.7, 1.3, n)[:, None, None]
    for waves in (sinus, ectopic):
        waves[..., 1:3] *= np.exp(rng.normal(0, 0.06, waves.shape[:2]))[..., None]
        waves[..., 3:] *= np.exp(rng.normal(0, 0.08, waves[..., 3:].shape)) * patients.gain[:, None, None]
        waves[:, FIRST_QRS_WAVE:, 0] *= np.exp(rng.normal(0, 0.04, n))[:, None]
        _turn(waves[..., 3:5], patients.frontal_turn)
        _turn(waves[..., 3::2], patients.transverse_turn)
    return sinus, ectopic


def _turn(plane: np.ndarray, angle: np.ndarray) -> None:
    """Rotate the vectors `(records, waves, 2)` in place."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    plane[...] = np.stack(
        [cos * plane[..., 0] - sin * plane[..., 1], sin * plane[..., 0] + cos * plane[..., 1]], axis=-1
    )


def _dipole(beats: _Beats, sinus: np.ndarray, ectopic: np.ndarray, sampling_rate: int, num_samples: int) -> np.ndarray:
    """Sum the waves of all beats; float32, shape `(records, samples, 3)`."""
    records, waves = sinus.shape[:2]
    reach = 1.0  # seconds; no wave begins earlier before or ends later after the onset of its QRS complex
    record, beat = np.nonzero((beats.onset > -reach) & (beats.onset < num_samples / sampling_rate + reach))
    shape = np.where(beats.ectopic[record, beat][:, None, None], ectopic[record], sinus[record])
    stretch = np.ones((len(record), waves))
    stretch[:, FIRST_REPOLARISATION_WAVE:] = repolarisation_stretch(beats.interval[record, beat])[:, None]
    centre = ((beats.onset[record, beat][:, None] + stretch * shape[..., 0]) * sampling_rate).ravel()
    rise, fall = ((stretch * shape[..., column] * sampling_rate).ravel() for column in (1, 2))
    vector = shape[..., 3:].reshape(-1, 3).astype(np.float32)

    first = np.clip(np.ceil(centre - 4 * rise), 0, num_samples).astype(np.int64)
    last = np.clip(np.floor(centre + 4 * fall) + 1, 0, num_samples).astype(np.int64)
    length = np.where(vector.any(axis=1), np.maximum(last - first, 0), 0)
    wave = np.repeat(np.arange(len(length)), length)
    start = np.cumsum(length) - length
    sample = np.arange(length.sum()) + (first - start)[wave]
    away = (sample - centre[wave]).astype(np.float32)
    away *= np.where(away < 0, (1 / rise).astype(np.float32)[wave], (1 / fall).astype(np.float32)[wave])
    height = np.exp(-0.5 * away * away)
    place = np.repeat(record, waves)[wave] * num_samples + sample
    dipole = np.empty((records, num_samples, 3), np.float32)
    for axis in range(3):
        total = np.bincount(place, weights=height * vector[wave, axis], minlength=records * num_samples)
        dipole[..., axis] = total.reshape(records, num_samples)
    return dipole


def _fibrillatory_waves(count: int, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Atrial activity of fibrillation: 4-8 Hz, waxing and waning, strongest in V1 and II; `(count, samples, 3)`, mV."""
    waves = np.zeros((count, len(time), 3), np.float32)
    directions = np.array([[0.1, 0.35, -0.75], [-0.25, 0.6, -0.25], [0.45, -0.2, -0.3]], np.float32)
    amplitude = rng.uniform(0.04, 0.1, (count, 1)).astype(np.float32)
    for direction in directions:
        frequency, swing, phase, drift = (
            rng.uniform(low, high, (count, 1)).astype(np.float32)
            for low, high in ((4.5, 7.5), (0.15, 0.6), (0, 6.28), (0, 6.28))
        )
        angle = 2 * np.pi * frequency * time + 1.5 * np.sin(2 * np.pi * swing * time + drift) + phase
        envelope = amplitude * (1 + 0.5 * np.sin(2 * np.pi * 1.7 * swing * time + phase))
        # A second harmonic in phase makes the saw-tooth edge of coarse fibrillation.
        waves += (envelope * (np.sin(angle) + 0.35 * np.sin(2 * angle)))[..., None] * direction
    return waves


def _draw_respiration(count: int, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Breathing between -1 and 1; shape `(count, samples)`."""
    frequency, phase = rng.uniform(0.2, 0.33, (count, 1)), rng.uniform(0, 2 * np.pi, (count, 1))
    return np.sin((2 * np.pi * frequency).astype(np.float32) * time + phase.astype(np.float32))


def _wander(respiration: np.ndarray, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Baseline wander of each electrode: breathing and a slow drift; shape `(records, 9, samples)`, mV."""
    records = len(respiration)
    cycles = np.arange(1, 13)
    angle = 2 * np.pi * np.outer(cycles, time / 23.0)  # up to 0.52 Hz
    basis = np.concatenate([np.sin(angle), np.cos(angle)]).astype(np.float32)
    strength = np.exp(rng.normal(-3.9, 0.7, (records, 1, 1)))  # 0.02 mV, in some records five times that
    drift = strength * rng.normal(0, 1, (records, 9, 2 * len(cycles))) / np.tile(cycles, 2)
    breathing = 0.8 * strength * rng.normal(0, 1, (records, 9, 1))
    return drift.astype(np.float32) @ basis + breathing.astype(np.float32) * respiration[:, None]


def _noise(
    count: int, time: np.ndarray, sampling_rate: int, rng: np.random.Generator, noise_rng: np.random.Generator
) -> np.ndarray:
    """Muscle noise of each electrode, and mains hum where the rate can carry it; shape `(count, 9, samples)`, mV."""
    strength = np.exp(rng.normal(-5.6, 0.5, (count, 1, 1))) * np.exp(rng.normal(0, 0.3, (count, 9, 1)))  # 0.004 mV
    hum, phase = 0.004 * rng.exponential(1, (count, 9, 1)), rng.uniform(0, 2 * np.pi, (count, 1, 1))
    noise = noise_rng.standard_normal((count, 9, len(time)), dtype=np.float32)
    noise *= strength.astype(np.float32)
    if sampling_rate > 100:
        noise += hum.astype(np.float32) * np.sin(np.float32(2 * np.pi * 50) * time + phase.astype(np.float32))
    return noise


def _axis(sinus: np.ndarray, to_leads: np.ndarray) -> np.ndarray:
    """Electrical axis in degrees from the net areas of the QRS complex in I and aVF.

    Its last wave is left out, as one reads the axis in right bundle branch block.
    """
    qrs = sinus[:, FIRST_QRS_WAVE : FIRST_REPOLARISATION_WAVE - 1]
    area = ((qrs[..., 1] + qrs[..., 2])[..., None] * qrs[..., 3:]).sum(axis=1)
    lead_one, avf = (np.einsum("nd,nd->n", to_leads[:, lead], area) for lead in (0, 5))
    # An augmented lead is sqrt(3)/2 of what an equilateral triangle would measure along its direction.
    return np.rad2deg(np.arctan2(2 / math.sqrt(3) * avf, lead_one))
