"""Where the feature extractor's limits lie exactly, and what its errors name."""

import json
import warnings
from functools import partial

import numpy as np
import pytest
import torch

from modeling_etp.ecg_checks_etp import bridge_short_gaps
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.leads_etp import STANDARD_LEADS

# These tests follow single samples, and leave the offset alone; test_lead_offsets.py has its own.
make_extractor = partial(ETPFeatureExtractor, remove_offset=False)


@pytest.fixture
def ecg() -> np.ndarray:
    """12 leads of 10 s at 100 Hz, each of its own size."""
    noise = np.random.default_rng(0).normal(0, 0.2, (12, 1000))
    return (noise * np.linspace(1, 2, 12)[:, None]).astype(np.float32)


def values(ecg, extractor=None, **stated) -> np.ndarray:
    return (extractor or make_extractor())(ecg, **{"sampling_rate": 100, **stated})["input_values"]


# Rate and length


@pytest.mark.parametrize(("rate", "allowed"), [(50, True), (49.9, False), (100_000, True), (100_001, False)])
def test_limits_of_the_rate(ecg, rate, allowed):
    long = np.tile(ecg, (1, 100))
    if allowed:
        assert values(long, sampling_rate=rate).shape == (1, 12, 1000)
    else:
        with pytest.raises(ValueError, match=f"of them, got {rate}"):
            values(long, sampling_rate=rate)


def test_the_models_own_rate_is_always_allowed(ecg):
    slow = make_extractor(sampling_rate=20, num_samples=1000)
    np.testing.assert_array_equal(values(ecg, slow, sampling_rate=20)[0], ecg)
    with pytest.raises(ValueError, match="is in Hz"):
        values(ecg, slow, sampling_rate=21)


def test_rate_may_be_text_of_a_number(ecg):
    np.testing.assert_array_equal(values(ecg, sampling_rate="100"), values(ecg))


def test_the_shortest_ecg_lasts_exactly_the_least_seconds(ecg):
    assert values(ecg[:, :100]).any()
    assert values(ecg[:, :500], sampling_rate=500).any()
    with pytest.raises(ValueError, match=r"at least 1 s of signal, got 499 samples = 0\.998 s"):
        values(ecg[:, :499], sampling_rate=500)
    two = make_extractor(min_seconds=2)
    assert values(ecg[:, :200], two).any()
    with pytest.raises(ValueError, match=r"at least 2 s of signal, got 199 samples = 1\.99 s"):
        values(ecg[:, :199], two)


def test_a_model_of_less_than_the_least_seconds_takes_its_own_length(ecg):
    short = make_extractor(num_samples=50)
    np.testing.assert_array_equal(values(ecg[:, :50], short)[0], ecg[:, :50])
    with pytest.raises(ValueError, match=r"at least 0\.5 s of signal, got 49 samples"):
        values(ecg[:, :49], short)


def test_limits_of_the_settings():
    assert make_extractor(num_samples=1).num_samples == 1
    assert make_extractor(sampling_rate=1, num_samples=86_400).num_samples == 86_400
    with pytest.raises(ValueError, match=r"may be 86,400 s at most, got 86401 s"):
        make_extractor(sampling_rate=1, num_samples=86_401)
    with pytest.raises(ValueError, match="must be above 0, got 1000 and 0"):
        make_extractor(sampling_rate=0)
    assert make_extractor(feature_size=12).feature_size == 12


@pytest.mark.parametrize("crop", ["start", "center"])
@pytest.mark.parametrize("samples", [1001, 1002, 1999])
def test_what_is_cropped_to_the_sample(crop, samples):
    ecg = np.broadcast_to(np.arange(samples) / samples, (12, samples))
    first = 0 if crop == "start" else (samples - 1000) // 2
    np.testing.assert_allclose(values(ecg, make_extractor(crop=crop))[0], ecg[:, first : first + 1000], rtol=1e-6)


def test_number_of_samples_after_a_change_of_rate_is_rounded_up(ecg):
    output = values(ecg[:, :999], make_extractor(padding_value=9.0), sampling_rate=300)[0]
    assert (output[:, :333] != 9).all()
    assert (output[:, 333:] == 9).all()
    output = values(ecg[:, :1000], make_extractor(padding_value=9.0), sampling_rate=300)[0]
    assert (output[:, 333] != 9).all()
    assert (output[:, 334:] == 9).all()


# Leads and padding


def test_padding_has_its_value_and_missing_leads_are_zero_where_there_is_signal(ecg):
    extractor = make_extractor(padding_value=0.5)
    output = values(ecg[[6], :300], extractor, lead_names=["V1"])[0]
    np.testing.assert_array_equal(output[6, :300], ecg[6, :300])
    assert not np.delete(output, 6, axis=0)[:, :300].any()
    assert (output[:, 300:] == 0.5).all()


def test_an_error_names_the_lead_by_its_row_in_the_record(ecg):
    names = STANDARD_LEADS[::-1]
    ecg[2, 7:9] = np.nan
    with pytest.raises(ValueError, match=r"lead\(s\) V4, 2 samples from sample 7\."):
        values(ecg, lead_names=names)
    with pytest.raises(ValueError, match=r"lead\(s\) V4, 2 samples from sample 7\."):
        values(np.concatenate([ecg, ecg[:1]])[::-1], lead_names=["X", *names[::-1]])


def test_what_is_wrong_in_a_lead_that_is_not_used_does_not_matter(ecg):
    frank = np.full((1, 1000), np.nan)
    np.testing.assert_array_equal(values(np.concatenate([ecg, frank]), lead_names=[*STANDARD_LEADS, "X"])[0], ecg)


def test_several_mistakes_are_named_together(ecg):
    with pytest.raises(ValueError, match=r"unknown lead\(s\) 'A', 'B'\. Rename them to one of I, II, III"):
        values(ecg[:4], lead_names=["I", "A", "II", "B"])
    with pytest.raises(
        ValueError, match=r"lead\(s\) I, V1 occur more than once in `lead_names` \['V1', 'I', 'V1', 'I'\]"
    ):
        values(ecg[:4], lead_names=["V1", "I", "V1", "I"])


def test_leads_that_the_model_does_not_have_are_named(ecg):
    with pytest.raises(ValueError, match=r"^none of the leads \['X', 'V7'\] is one of the model's: \['I', 'II', "):
        values(ecg[:2], lead_names=["X", "V7"])


def test_what_is_no_array_of_numbers_is_called_an_ecg():
    with pytest.raises(ValueError, match=r"^ECG: expected numbers, got str of type <U4"):
        values("text")


def test_lead_names_may_be_an_array(ecg):
    np.testing.assert_array_equal(values(ecg, lead_names=np.array(STANDARD_LEADS)), values(ecg))


def test_the_mask_has_a_row_for_each_record_and_can_be_written_to(ecg):
    features = make_extractor()([ecg[:2], ecg[:2]], sampling_rate=100, lead_names=["I", "V1"], return_lead_mask=True)
    assert features["lead_mask"].shape == (2, 12)
    features["lead_mask"][0, 3] = True
    assert np.flatnonzero(features["lead_mask"][1]).tolist() == [0, 6]
    assert "lead_mask" not in make_extractor()(ecg, sampling_rate=100)


# Records


@pytest.mark.parametrize("batch", [False, True])
def test_records_have_the_names_of_the_caller(ecg, batch):
    flat = np.zeros_like(ecg)
    with pytest.raises(ValueError, match=r"^patient 7: flat"):
        values(flat[None] if batch else flat, record_ids="patient 7")
    with pytest.raises(ValueError, match=r"^8: flat"):
        values(np.stack([ecg, flat]) if batch else [ecg, flat], record_ids=(7, 8))


def test_the_first_bad_record_is_named(ecg):
    bad = ecg.copy()
    bad[4, 10] = np.inf
    with pytest.raises(ValueError, match=r"^ECG 1: NaN or infinite values in lead\(s\) aVL, 1 samples from sample 10"):
        values(np.stack([ecg, bad, bad]))


@pytest.mark.parametrize("as_batch", [False, True])
def test_overflow_is_an_error_and_no_warning(ecg, as_batch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="NaN or infinite values"):
            values((ecg.astype(np.float64) * 1e300)[None] if as_batch else ecg.astype(np.float64) * 1e300)


def test_a_tensor_that_requires_gradients_is_taken(ecg):
    np.testing.assert_array_equal(values(torch.from_numpy(ecg).requires_grad_()), values(ecg))


def test_whole_numbers_of_any_width_are_scaled_without_loss(ecg):
    nanovolts = np.round(ecg.astype(np.float64) * 1e6)
    for dtype in (np.int32, np.int64):
        np.testing.assert_allclose(values(nanovolts.astype(dtype), units="nV")[0], nanovolts / 1e6, rtol=1e-6)


# Amplitude


def large(leads: int, height: float) -> np.ndarray:
    """Square waves: `leads` of them from -`height` to `height` mV, the others of 1 mV."""
    wave = np.where(np.arange(1000) % 100 < 50, 1.0, -1.0)
    return np.stack([wave * (height if lead < leads else 1) for lead in range(12)])


@pytest.mark.parametrize(
    ("leads", "height", "named"), [(12, 3.5, None), (12, 3.51, "7.02"), (6, 5.9, None), (6, 6.1, "7.1"), (7, 30, "60"), (5, 1e6, None)]
)  # fmt: skip
def test_what_is_too_large_for_an_ecg(leads, height, named):
    """The middle of the leads counts, of an even number the mean of the two in the middle."""
    if named is None:
        assert np.isfinite(values(large(leads, height))).all()
    else:
        with pytest.raises(ValueError, match=f"ECG 0: an amplitude of {named} mV is physically impossible"):
            values(large(leads, height))


@pytest.mark.parametrize(("height", "named"), [(0.076, None), (0.074, "0.15"), (0.02, "0.04")])
def test_what_is_too_small_for_an_ecg_of_many_leads(height, named):
    wave = large(12, height)
    if named is None:
        assert np.isfinite(values(wave)).all()
    else:
        with pytest.raises(ValueError, match=f"amplitude of {named} mV is too small for an ECG.* Correct the gain"):
            values(wave)
        assert values(np.where(np.arange(12)[:, None] < 3, wave, 0)).any(), "three leads may be as small"


@pytest.mark.parametrize("factor", [25, 1 / 25, 1000])
def test_gain_that_is_far_off_is_refused_at_any_rate(ecg, factor):
    for seconds in (1, 10):
        signal = 0.6 * np.tile(ecg, (1, seconds))[:, : 100 * seconds]
        assert values(signal).any()
        with pytest.raises(ValueError, match=r"physically impossible|too small for an ECG"):
            values(signal * factor)


def test_an_artefact_of_less_than_half_of_the_time_is_allowed(ecg):
    for samples, allowed in ((400, True), (700, False)):
        spiked = ecg.copy()
        spiked[:, :samples] += np.where(np.arange(samples) % 20 < 10, 50, 0)
        if allowed:
            assert values(spiked).max() > 50
        else:
            with pytest.raises(ValueError, match="physically impossible"):
                values(spiked)


def test_what_is_flat():
    wave = np.where(np.arange(1000) % 100 < 50, 0.005, -0.005)
    just = np.zeros((12, 1000))
    just[:3] = wave * 1.01
    assert values(just).any()
    with pytest.raises(ValueError, match=r"flat, no lead varies by more than 0\.0099 mV"):
        values(np.tile(wave, (12, 1)) * 0.99)
    one = np.zeros((12, 1000))
    one[3] = 2 * wave
    assert values(one).any()


# Gaps


def test_gaps_are_bridged_up_to_their_longest():
    lead = np.array([np.nan, 1, np.nan, np.nan, 4, np.nan, np.nan, np.nan, 8, 9, np.nan])
    signal = np.stack([lead, np.full(11, np.nan), np.arange(11.0)])
    bridged = bridge_short_gaps(signal, 2)
    np.testing.assert_array_equal(bridged[0], [1, 1, 2, 3, 4, np.nan, np.nan, np.nan, 8, 9, 9])
    assert np.isnan(bridged[1]).all()
    np.testing.assert_array_equal(bridged[2], signal[2])
    assert np.isnan(signal[0, 0]), "the input was written to"
    np.testing.assert_array_equal(bridge_short_gaps(signal, 3)[0], [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9])
    assert np.isnan(bridge_short_gaps(signal, 0)[0]).sum() == 7


# Saving


def test_code_of_a_checkpoint_does_not_stay_on_the_extractor(tmp_path):
    extractor = make_extractor(auto_map={"AutoFeatureExtractor": "x.Y"})
    assert not hasattr(extractor, "auto_map")
    saved = extractor.save_pretrained(tmp_path)
    assert saved
    assert not hasattr(extractor, "auto_map")
    stored = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert stored["return_attention_mask"] is False
    assert stored["lead_names"] == list(STANDARD_LEADS)
    assert make_extractor(return_attention_mask=True).return_attention_mask is True
