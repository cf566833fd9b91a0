"""What a lead lies above zero as a whole is taken off, and nothing else."""

import numpy as np
import pytest

from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.lead_offsets_etp import lead_offsets
from modeling_etp.leads_etp import STANDARD_LEADS


@pytest.fixture
def ecg() -> np.ndarray:
    """12 leads of 10 s at 500 Hz, mV: beats of up to 2 mV on a wandering baseline around zero."""
    time = np.arange(5000) / 500
    beats = np.exp(-0.5 * (((time % 0.8) - 0.4) / 0.02) ** 2) * np.linspace(-1, 2, 12)[:, None]
    ecg = beats + 0.1 * np.sin(2 * np.pi * 0.2 * time)
    return (ecg - ecg.mean(axis=1, keepdims=True)).astype(np.float32)


OFFSETS = np.linspace(-5, 5, 12)[:, None]


def values(ecg, **stated) -> np.ndarray:
    extractor = ETPFeatureExtractor(**{name: stated.pop(name) for name in ("crop", "remove_offset") if name in stated})
    return extractor(ecg, **{"sampling_rate": 500, **stated})["input_values"]


@pytest.mark.parametrize("offset", [0.5, -300.0, OFFSETS], ids=["all leads", "electrode", "per lead"])
@pytest.mark.parametrize(
    "change",
    [
        lambda ecg, offset: (ecg + offset, {}),
        lambda ecg, offset: ((ecg + offset)[:, ::5][:, :1000], {"sampling_rate": 100}),
        lambda ecg, offset: ((ecg + offset)[:, ::5][None], {"sampling_rate": 100}),
        lambda ecg, offset: ((ecg + offset)[:, :2000], {}),
        lambda ecg, offset: (np.tile(ecg + offset, 3), {"crop": "center"}),
        lambda ecg, offset: (((ecg + offset) * 1000).astype(np.int32), {"units": "uV"}),
        lambda ecg, offset: ((ecg + offset)[[0, 1, 6]], {"lead_names": ["I", "II", "V1"]}),
    ],
    ids=["resampled", "own rate", "batch", "short", "long", "integers", "derived"],
)
def test_an_offset_changes_nothing(ecg, change, offset):
    expected, stated = change(ecg, 0)
    shifted, _ = change(ecg, offset)
    np.testing.assert_allclose(values(shifted, **stated), values(expected, **stated), atol=2e-3)


def test_an_ecg_without_offset_is_unchanged(ecg):
    ecg = ecg[:, ::5] - ecg[:, ::5].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(values(ecg, sampling_rate=100)[0], ecg, atol=1e-6)


def test_padding_begins_where_the_signal_ends_at_its_mean(ecg):
    short = values(ecg[:, :2000] + 2.0)[0]
    np.testing.assert_allclose(short[:, :400].mean(axis=1), 0, atol=1e-3)
    assert (short[:, 400:] == 0).all()


def test_leads_that_are_derived_and_missing_ones_have_no_offset(ecg):
    output = values(ecg[:2] + 1.0, lead_names=["I", "II"])[0]
    np.testing.assert_allclose(output.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(output[2], output[1] - output[0], atol=1e-6)
    assert (output[6:] == 0).all()


def test_a_constant_lead_is_as_a_missing_one(ecg):
    ecg[10] = 2.5
    assert np.abs(values(ecg)[0, 10]).max() < 1e-6


def test_an_artefact_does_not_pass_for_an_offset(ecg):
    with_spike = ecg.copy()
    with_spike[3, 100:150] += 30  # 1% of the time; its mean alone is 0.3 mV
    assert abs(lead_offsets(with_spike)[3]) < 0.05
    np.testing.assert_allclose(lead_offsets(ecg), ecg.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(lead_offsets(np.stack([with_spike, ecg]) + 2)[1], ecg.mean(axis=1) + 2, atol=1e-5)


def test_what_was_given_is_not_written_to(ecg):
    ecg = ecg[:, ::5] + 1.0
    before = ecg.copy()
    for given in (ecg, ecg[None], [ecg, ecg]):
        values(given, sampling_rate=100)
    np.testing.assert_array_equal(ecg, before)


def test_an_offset_is_kept_on_request_and_the_request_is_saved(ecg, tmp_path):
    ecg = ecg[:, ::5] + 1.0
    np.testing.assert_array_equal(values(ecg, sampling_rate=100, remove_offset=False)[0], ecg)
    ETPFeatureExtractor(remove_offset=False).save_pretrained(tmp_path)
    assert ETPFeatureExtractor.from_pretrained(tmp_path).remove_offset is False
    saved = tmp_path / "preprocessor_config.json"
    saved.write_text(saved.read_text().replace('  "remove_offset": false,\n', ""))
    assert ETPFeatureExtractor.from_pretrained(tmp_path).remove_offset is True


def test_order_of_leads_does_not_matter(ecg):
    shifted = ecg + OFFSETS
    np.testing.assert_allclose(
        values(shifted[::-1], lead_names=STANDARD_LEADS[::-1]), values(shifted, lead_names=STANDARD_LEADS), atol=1e-5
    )
