"""Measurements of simulated ECGs are what the ECGs were made with, and what can't be measured says why."""

import dataclasses
import re

import numpy as np
import pytest

from datasets_scripts.synthetic_ecg import CONDITIONS, Condition, Patients, simulate_ecgs
from etp.measurements import FIELDS, EcgMeasurements, measure
from modeling_etp import STANDARD_LEADS, EcgRecording

pytest.importorskip("openecg")


def patients(turns: list[float]) -> Patients:
    """Average patients whose hearts are turned by so many degrees in the frontal plane."""
    count = len(turns)
    return Patients(np.deg2rad(turns), np.zeros(count), np.ones(count), np.ones((count, 8)))


def recordings(condition: Condition, count: int = 4, *, rate: int = 500, seconds: float = 10.0) -> tuple:
    """ECGs and what they were made with."""
    ecgs = simulate_ecgs(
        [condition] * count, sampling_rate=rate, seed=11, seconds=seconds, patients=patients([0.0] * count)
    )
    return [EcgRecording(signal, rate, STANDARD_LEADS) for signal in ecgs.signal], ecgs


@pytest.fixture(scope="module")
def normal() -> EcgRecording:
    return recordings(CONDITIONS["normal"], 1)[0][0]


def with_signal(recording: EcgRecording, signal: np.ndarray, names: tuple = STANDARD_LEADS) -> EcgRecording:
    return dataclasses.replace(recording, signal=signal.astype(np.float32), lead_names=names)


@pytest.mark.parametrize(("name", "rate"), [("normal", 100), ("bradycardia", 250), ("tachycardia", 1000)])
def test_the_rate_is_that_of_the_heart(name, rate):
    (ecg,), truth = recordings(CONDITIONS[name], 1, rate=rate)
    assert measure(ecg).heart_rate == pytest.approx(truth.heart_rate[0], rel=0.02)


@pytest.mark.parametrize("name", ["normal", "first-degree AV block", "left bundle branch block"])
def test_intervals_are_near_those_the_ecg_was_made_with(name):
    ecgs, truth = recordings(CONDITIONS[name], 2)
    for ecg, pr, qrs, qt in zip(ecgs, truth.pr_interval, truth.qrs_duration, truth.qt_interval, strict=True):
        measured = measure(ecg)
        assert abs(measured.pr_interval - pr) < 40
        assert abs(measured.qrs_duration - qrs) < 45
        assert abs(measured.qt_interval - qt) < 60
        assert (measured.pr_interval > 200) == (name == "first-degree AV block")
        assert (measured.qrs_duration > 145) == (name == "left bundle branch block")


def test_qt_is_corrected_by_the_two_formulas(normal):
    measured = measure(normal)
    cycle = 60 / measured.heart_rate
    assert measured.qtc_fridericia == pytest.approx(measured.qt_interval / cycle ** (1 / 3))
    assert measured.qtc_bazett == pytest.approx(measured.qt_interval / cycle ** (1 / 2))


def test_the_axis_turns_with_the_heart():
    turns = [-80.0, 0.0, 60.0, 160.0]
    ecgs = simulate_ecgs([CONDITIONS["normal"]] * len(turns), sampling_rate=500, seed=5, patients=patients(turns))
    for signal, axis in zip(ecgs.signal, ecgs.axis, strict=True):
        measured = measure(EcgRecording(signal, 500, STANDARD_LEADS)).axis
        assert abs((measured - axis + 180) % 360 - 180) < 15, axis


def test_the_axis_needs_any_two_limb_leads(normal):
    whole = measure(normal).axis
    chosen = [STANDARD_LEADS.index(name) for name in ("III", "aVL", "V2")]
    two = measure(with_signal(normal, normal.signal[chosen], ("III", "aVL", "V2")))
    assert two.axis == pytest.approx(whole, abs=4)
    one = measure(with_signal(normal, normal.signal[[1, 7]], ("II", "V2")))
    assert one.axis is None
    assert one.reasons["axis"] == "it takes two limb leads"


def test_one_lead_gives_intervals_and_a_note(normal):
    measured = measure(with_signal(normal, normal.signal[[1]], ("II",)))
    assert measured.qrs_duration is not None
    assert measured.notes == ("From lead II alone: the longest of twelve leads may be longer.",)


def test_the_order_of_leads_and_their_spelling_do_not_count(normal):
    order = np.random.default_rng(0).permutation(12)
    names = tuple(STANDARD_LEADS[row].upper() for row in order)
    assert measure(with_signal(normal, normal.signal[order], names)).as_dict() == measure(normal).as_dict()


def test_fibrillation_has_a_rate_and_an_axis_and_no_intervals():
    for ecg in recordings(CONDITIONS["atrial fibrillation"], 2)[0]:
        measured = measure(ecg)
        assert None not in (measured.heart_rate, measured.axis)
        assert "no P wave" in measured.reasons["pr_interval"]
        for key in ("qrs_duration", "qt_interval", "qtc_fridericia", "qtc_bazett"):
            assert getattr(measured, key) is None
            assert "irregular without P waves" in measured.reasons[key]


def test_pacemaker_spikes_leave_the_rate_alone(normal):
    spiky, onsets = normal.signal.copy(), np.arange(60, 5000, 430)
    for onset in onsets:
        spiky[:, onset] += 2.0
    paced = measure(with_signal(normal, spiky))
    assert paced.heart_rate == pytest.approx(measure(normal).heart_rate, rel=0.05)
    for key in FIELDS:
        if key != "heart_rate":
            assert getattr(paced, key) is None
            assert paced.reasons[key] == "pacemaker spikes"


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (np.random.default_rng(1).normal(0, 0.2, (12, 5000)), "noise|fewer than 3 beats"),
        (np.cumsum(np.random.default_rng(2).normal(0, 0.02, (12, 5000)), axis=1), "noise|fewer than 3 beats"),
        (np.tile(np.sin(2 * np.pi * 50 * np.arange(5000) / 500), (12, 1)), "noise|fewer than 3 beats"),
        (np.zeros((12, 5000)), "every lead is flat"),
        (np.full((12, 5000), np.nan), "every lead is flat or has missing samples"),
    ],
    ids=["white", "wander", "mains", "flat", "missing"],
)
def test_what_is_no_ecg_is_not_measured(normal, signal, reason):
    measured = measure(with_signal(normal, signal))
    assert all(getattr(measured, key) is None for key in FIELDS)
    assert set(measured.reasons) == set(FIELDS)
    assert all(re.match(reason, why) for why in measured.reasons.values())


def test_noise_in_some_leads_does_not_matter_and_in_most_of_them_does(normal):
    noise = np.random.default_rng(3).normal(0, 1.5, (12, 5000))
    some, most = normal.signal.copy(), normal.signal.copy()
    some[[6, 7]] += noise[[6, 7]]
    most[:] += noise
    assert measure(with_signal(normal, some)).heart_rate == pytest.approx(measure(normal).heart_rate, rel=0.02)
    assert measure(with_signal(normal, most)).heart_rate is None


def test_leads_with_missing_samples_are_left_out_unless_the_gap_is_bridged(normal):
    gap = normal.signal.copy()
    gap[1, 1000:1010] = np.nan
    assert measure(with_signal(normal, gap)).notes == ("Left out, flat or with missing samples: II.",)
    assert measure(with_signal(normal, gap), max_gap_seconds=0.05).notes == ()


def test_missing_samples_at_the_ends_are_cut_off(normal):
    padded = np.pad(normal.signal, [(0, 0), (100, 700)], constant_values=np.nan)
    assert measure(with_signal(normal, padded)).as_dict() == measure(normal).as_dict()


def test_slow_sampling_is_refused(normal):
    slow = dataclasses.replace(normal, signal=normal.signal[:, ::10], sampling_rate=50)
    assert measure(slow).reasons["qt_interval"] == "sampled at 50 Hz, which is below 90 Hz"


def test_two_beats_are_too_few(normal):
    assert "fewer than 3 beats" in measure(with_signal(normal, normal.signal[:, :700])).reasons["heart_rate"]


def test_a_long_recording_is_measured_piece_by_piece_up_to_a_minute():
    (ecg,), truth = recordings(CONDITIONS["normal"], 1, rate=100, seconds=75)
    ecg = with_signal(ecg, ecg.signal[[1]], ("II",))
    measured = measure(ecg)
    assert measured.heart_rate == pytest.approx(truth.heart_rate[0], rel=0.02)
    assert "The first 60 s were measured." in measured.notes


def test_it_is_printed_as_on_a_cart():
    measured = EcgMeasurements(
        heart_rate=61.6, qrs_duration=94.2, qt_interval=400, qtc_fridericia=403.4, qtc_bazett=405, axis=-30.4,
        reasons={"pr_interval": "no P wave before most beats"},
    )  # fmt: skip
    assert measured.on_one_line() == "62 /min   PR - ms   QRS 94 ms   QT/QTcF 400/403 ms   axis -30°"
    assert dict(measured.rows())["PR"] == "not measurable: no P wave before most beats"
    assert dict(measured.rows())["axis"] == "-30°"
    assert measured.as_dict()["qrs_duration"] == 94
