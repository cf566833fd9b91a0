"""Beats that look alike get the same attribution, others keep their own, and nothing is lost."""

import sys

import numpy as np
import pytest

from datasets_scripts.synthetic_ecg import CONDITIONS, simulate_ecgs
from etp.beat_average import average_over_beats, r_peaks
from etp.explain import Attribution, attribution_layer
from modeling_etp import STANDARD_LEADS, EcgRecording

RATE = 100
PEAKS = np.array([50, 150, 250, 350, 450])


@pytest.fixture
def beats() -> np.ndarray:
    """Two leads of five seconds with a spike of 50 ms at each peak; the fourth points down."""
    signal = np.zeros((2, 500), np.float32)
    for number, peak in enumerate(PEAKS):
        signal[:, peak - 2 : peak + 3] = np.array([0.2, 0.6, 1, 0.6, 0.2]) * (-1 if number == 3 else 1)
    return signal


def test_beats_that_look_alike_get_their_mean(beats):
    values = np.zeros_like(beats)
    values[0, PEAKS] = [1, 2, 3, 100, 4]
    averaged = average_over_beats(values, beats, PEAKS, RATE)
    np.testing.assert_allclose(averaged[0, PEAKS], [2.5, 2.5, 2.5, 100, 2.5])
    assert not averaged[1].any()


def test_the_sum_stays(beats):
    values = np.random.default_rng(0).normal(size=beats.shape)
    averaged = average_over_beats(values, beats, PEAKS, RATE)
    assert averaged.sum() == pytest.approx(values.sum())
    np.testing.assert_allclose(averaged[:, 130:170], averaged[:, 230:270])


@pytest.mark.parametrize("peaks", [[], [50]])
def test_without_two_beats_nothing_is_averaged(beats, peaks):
    values = np.random.default_rng(0).normal(size=beats.shape)
    np.testing.assert_array_equal(average_over_beats(values, beats, peaks, RATE), values)


@pytest.fixture(scope="module")
def attribution() -> Attribution:
    """Random values on a simulated ECG."""
    ecg = simulate_ecgs([CONDITIONS["normal"]], sampling_rate=RATE, seed=0).signal[0]
    values = np.random.default_rng(1).normal(size=ecg.shape)
    return Attribution("label", values, ecg, STANDARD_LEADS, RATE, 1.0, 0.0)


def test_the_layer_looks_alike_on_like_beats_and_nothing_of_it_is_cut(attribution):
    pytest.importorskip("openecg")
    layer = attribution_layer(attribution)
    assert np.abs(layer).max() == pytest.approx(1)
    assert (np.abs(layer) == 1).sum() < 40  # the largest alone, once a beat
    peaks = r_peaks(attribution.input_values, RATE, STANDARD_LEADS)
    assert len(peaks) > 7
    around = np.stack([layer[:, peak - 15 : peak + 15] for peak in peaks[2:-2]])
    np.testing.assert_allclose(around, np.broadcast_to(around[0], around.shape), atol=1e-6)


def test_without_the_package_the_layer_is_not_averaged(attribution, monkeypatch):
    pytest.importorskip("openecg")
    averaged = attribution_layer(attribution)
    monkeypatch.setitem(sys.modules, "openecg", None)
    assert not np.allclose(attribution_layer(attribution), averaged, atol=0.1)


def test_the_layer_lies_on_the_recording_lead_by_lead_and_second_by_second(attribution):
    layer = attribution_layer(attribution)
    recording = EcgRecording(np.zeros((3, 6000), np.float32), 500, ("V2", "AVR", "X"))
    onto = attribution_layer(attribution, onto=recording)
    assert onto.shape == (3, 6000)
    np.testing.assert_allclose(onto[0, ::5][:1000], layer[STANDARD_LEADS.index("V2")], atol=1e-6)
    np.testing.assert_allclose(onto[1, ::5][:1000], layer[STANDARD_LEADS.index("aVR")], atol=1e-6)
    assert not onto[2].any()
    assert not onto[:, 5000:].any()
