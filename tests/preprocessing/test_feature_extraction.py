"""The feature extractor: what it promises about rate, leads, length and unit, and what it refuses."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.leads_etp import STANDARD_LEADS, canonical_lead, limb_lead_weights
from modeling_etp.resampling_etp import resample


@pytest.fixture
def extractor() -> ETPFeatureExtractor:
    return ETPFeatureExtractor()


def waves(rate: float, seconds: float = 10.0, highest: float = 40.0) -> np.ndarray:
    """Twelve leads in mV, each a sum of sines below `highest` Hz around an offset, sampled at `rate`."""
    time = np.arange(round(seconds * rate)) / rate
    rng = np.random.default_rng(0)
    leads = []
    for lead in range(12):
        frequencies, phases = rng.uniform(0.5, highest, 6), rng.uniform(0, 2 * np.pi, 6)
        leads.append(0.1 * lead - 0.5 + 0.2 * np.sin(2 * np.pi * frequencies[:, None] * time + phases[:, None]).sum(0))
    return np.stack(leads)


@pytest.fixture
def ecg() -> np.ndarray:
    """At the model's own rate and length; the limb leads obey Einthoven and Goldberger."""
    signals = waves(100)
    one, two = signals[0].copy(), signals[1].copy()
    signals[2:6] = two - one, -(one + two) / 2, one - two / 2, two - one / 2
    return signals.astype(np.float32)


def values(extractor, ecg, **kwargs):
    return extractor(ecg, **{"sampling_rate": 100, **kwargs})["input_values"]


# What comes back


def test_ecg_at_the_models_rate_and_length_is_unchanged(extractor, ecg):
    output = values(extractor, ecg)
    assert (output.shape, output.dtype) == ((1, 12, 1000), np.float32)
    np.testing.assert_array_equal(output[0], ecg)


def test_output_does_not_share_memory_with_the_input(extractor, ecg):
    batch = ecg[None]
    assert not np.shares_memory(values(extractor, batch), batch)


@pytest.mark.parametrize(
    "as_type", [np.float64, np.float16, list, torch.tensor, lambda ecg: torch.tensor(ecg).bfloat16()]
)
def test_any_type_of_array_gives_the_same_values(extractor, ecg, as_type):
    given = (
        ecg.tolist()
        if as_type is list
        else as_type(ecg)
        if callable(as_type) and not isinstance(as_type, type)
        else ecg.astype(as_type)
    )
    output = values(extractor, given)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output[0], ecg, atol=1e-2 if as_type not in (np.float64, list, torch.tensor) else 1e-7)


def test_batch_list_and_single_records_agree(extractor, ecg):
    single = np.concatenate([values(extractor, ecg), values(extractor, 2 * ecg)])
    for batch in (
        np.stack([ecg, 2 * ecg]),
        [ecg, 2 * ecg],
        (ecg, torch.tensor(2 * ecg)),
        [ecg.tolist(), (2 * ecg).tolist()],
    ):
        np.testing.assert_array_equal(values(extractor, batch), single)


def test_tensors_are_returned_on_request(extractor, ecg):
    output = extractor(ecg, sampling_rate=100, return_tensors="pt", return_lead_mask=True)
    assert output["input_values"].dtype == torch.float32
    assert (output["lead_mask"].dtype, output["lead_mask"].shape) == (torch.bool, (1, 12))


@pytest.mark.parametrize(("units", "factor"), [("uV", 1e3), ("µV", 1e3), ("mV", 1), ("V", 1e-3)])
def test_stated_units_are_converted(extractor, ecg, units, factor):
    np.testing.assert_allclose(values(extractor, ecg * factor, units=units)[0], ecg, atol=1e-6)
    np.testing.assert_allclose(values(extractor, [ecg * factor], units=units)[0], ecg, atol=1e-6)


def test_whole_microvolts_equal_millivolts(extractor, ecg):
    whole = np.round(ecg * 1000).astype(np.int16)
    np.testing.assert_allclose(values(extractor, whole, units="uV")[0], whole / 1000, atol=1e-6)


def test_voltage_is_kept(extractor, ecg):
    """No scaling by record: low voltage and hypertrophy are diagnoses."""
    np.testing.assert_array_equal(values(extractor, 4 * ecg), 4 * values(extractor, ecg))


# Rate


@pytest.mark.parametrize("rate", [50, 128, 250, 257, 360, 500, 997, 1000, 359.9, 1000 / 3])
def test_resampled_waves_match_waves_sampled_at_the_models_rate(extractor, rate):
    """Up to 20 Hz, where the filter of 50 Hz sampling still passes: within 1% of the 1 mV amplitude, 1 s off the ends."""
    output = values(extractor, waves(rate, highest=20), sampling_rate=rate)[0]
    inner = slice(100, 900)
    np.testing.assert_allclose(output[:, inner], waves(100, highest=20)[:, inner], atol=0.01)


def test_what_the_models_rate_cannot_hold_is_filtered_out(extractor):
    """230 Hz at 500 Hz would fold to 30 Hz; at most a thousandth may be left."""
    time = np.arange(5000) / 500
    alias = np.sin(2 * np.pi * 230 * time) * np.ones((12, 1))
    wanted = np.sin(2 * np.pi * 2 * time) * np.ones((12, 1))
    clean = values(extractor, wanted, sampling_rate=500)
    output = values(extractor, wanted + alias, sampling_rate=500)
    inner = slice(20, 980)  # the sudden start and end of the alias are in the band
    np.testing.assert_allclose(output[..., inner], clean[..., inner], atol=1e-3)


def test_offset_of_the_baseline_does_not_ring_at_the_ends(extractor):
    offset = 3 + 1e-2 * waves(500, highest=5)
    output = values(extractor, offset, sampling_rate=500)[0]
    assert np.abs(output - 3).max() < 0.1


@pytest.mark.parametrize("crop", ["start", "center"])
@pytest.mark.parametrize("rate", [250, 360, 500])
def test_cropping_first_equals_resampling_first(crop, rate):
    long = waves(rate, seconds=60)
    output = values(ETPFeatureExtractor(crop=crop), long, sampling_rate=rate)[0]
    whole = resample(long.astype(np.float32), Fraction(100, rate))
    first = 0 if crop == "start" else (whole.shape[1] - 1000) // 2
    np.testing.assert_allclose(output[:, 10:], whole[:, first + 10 : first + 1000], atol=2e-3)


def test_order_of_leads_and_rate_do_not_interact(extractor):
    ecg = waves(500)
    order = np.random.default_rng(1).permutation(12)
    names = [STANDARD_LEADS[lead] for lead in order]
    shuffled = values(extractor, ecg[order], sampling_rate=500, lead_names=names)
    # A matrix product rounds a row by where it stands: to a thousandth of a microvolt.
    np.testing.assert_allclose(shuffled, values(extractor, ecg, sampling_rate=500), atol=2e-6)


# Length


def test_long_ecg_is_cropped_at_the_start_or_center(ecg):
    long = np.concatenate([ecg, 2 * ecg, 3 * ecg], axis=1)
    np.testing.assert_array_equal(values(ETPFeatureExtractor(), long)[0], ecg)
    np.testing.assert_array_equal(values(ETPFeatureExtractor(crop="center"), long)[0], 2 * ecg)


def test_short_ecg_is_padded_with_zeros_at_the_end(extractor, ecg):
    output = values(extractor, ecg[:, :600])[0]
    np.testing.assert_array_equal(output[:, :600], ecg[:, :600])
    assert not output[:, 600:].any()


def test_lengths_may_differ_within_a_call(extractor, ecg):
    output = values(extractor, [ecg, ecg[:, :300]])
    np.testing.assert_array_equal(output[0], ecg)
    assert not output[1, :, 300:].any()


# Leads


def test_leads_are_put_in_order_by_name_in_any_spelling(extractor, ecg):
    spelled = [
        "v6",
        "ECG V5",
        "MDC_ECG_LEAD_V4",
        "Lead V3",
        "V2",
        "V1",
        "AVF",
        "avl",
        "aVR",
        "DIII",
        "MLII",
        "Lead I (Einthoven)",
    ]
    np.testing.assert_array_equal(values(extractor, ecg[::-1], lead_names=spelled)[0], ecg)


@pytest.mark.parametrize(
    "known", [("I", "II"), ("II", "III"), ("aVR", "I"), ("aVL", "aVF"), ("III", "aVR"), ("I", "II", "III")]
)
def test_limb_leads_follow_from_any_two(extractor, ecg, known):
    rows = [STANDARD_LEADS.index(name) for name in known] + list(range(6, 12))
    output = extractor(ecg[rows], sampling_rate=100, lead_names=[*known, *STANDARD_LEADS[6:]], return_lead_mask=True)
    np.testing.assert_allclose(output["input_values"][0], ecg, atol=1e-6)
    assert output["lead_mask"].all()


def test_missing_leads_are_zero_and_masked(extractor, ecg):
    output = extractor(ecg[[1, 6]], sampling_rate=100, lead_names=["II", "V1"], return_lead_mask=True)
    assert np.flatnonzero(output["lead_mask"][0]).tolist() == [1, 6]
    assert np.flatnonzero(output["input_values"][0].any(axis=1)).tolist() == [1, 6]


def test_limb_leads_are_left_zero_on_request(ecg):
    extractor = ETPFeatureExtractor(derive_limb_leads=False)
    output = extractor(ecg[:2], sampling_rate=100, lead_names=["I", "II"], return_lead_mask=True)
    assert np.flatnonzero(output["lead_mask"][0]).tolist() == [0, 1]


def test_derived_leads_are_zero_in_the_padding(ecg):
    extractor = ETPFeatureExtractor(padding_value=0.0)
    output = values(extractor, ecg[:2, :500], lead_names=["I", "II"])[0]
    assert not output[:, 500:].any()


def test_frank_and_posterior_leads_are_dropped_by_name(extractor, ecg):
    more = np.concatenate([ecg, ecg[:4]])
    np.testing.assert_array_equal(values(extractor, more, lead_names=[*STANDARD_LEADS, "VX", "vy", "Z", "V7"])[0], ecg)


def test_model_of_fewer_leads_takes_them_from_twelve(ecg):
    extractor = ETPFeatureExtractor(lead_names=["II", "V5"])
    np.testing.assert_array_equal(values(extractor, ecg, lead_names=STANDARD_LEADS)[0], ecg[[1, 10]])
    np.testing.assert_allclose(values(extractor, ecg[[0, 2]], lead_names=["I", "III"])[0, 0], ecg[1], atol=1e-6)


@pytest.mark.parametrize("name", ["-aVR", "V10", "RESP", "C3", "ABP", "IV", "", "ECG"])
def test_what_is_no_standard_lead_is_not_taken_for_one(name):
    assert canonical_lead(name) not in STANDARD_LEADS


def test_more_than_two_limb_leads_share_their_rounding():
    weights = limb_lead_weights("aVF", ["I", "II", "III", "aVR"])
    assert np.count_nonzero(np.abs(weights) > 1e-9) > 2
    assert limb_lead_weights("aVF", ["I"]) is None


# What is refused, and what looks wrong and is not


def spiked(ecg, height):
    ecg = ecg.copy()
    ecg[:, 500:505] = height
    return ecg


def test_a_spike_of_32_mv_passes(extractor, ecg):
    assert values(extractor, spiked(ecg, 32.7)).max() == np.float32(32.7)


def test_one_constant_lead_passes(extractor, ecg):
    ecg[10] = 0.4
    np.testing.assert_array_equal(values(extractor, ecg)[0], ecg)


def with_nan(ecg, samples):
    ecg = ecg.copy()
    ecg[7, samples] = np.nan
    return ecg


@pytest.mark.parametrize(
    ("change", "kwargs", "message"),
    [
        (lambda ecg: ecg, {"sampling_rate": None}, r"`sampling_rate` \(Hz\) of the ECG is missing"),
        (lambda ecg: ecg, {"sampling_rate": 0}, "is in Hz and an ECG has 50 to 100,000 of them, got 0"),
        (lambda ecg: ecg, {"sampling_rate": 0.5}, "is in Hz"),
        (lambda ecg: ecg, {"sampling_rate": float("nan")}, "is in Hz"),
        (lambda ecg: ecg, {"sampling_rate": "fast"}, "must be a number of Hz, got 'fast'"),
        (lambda ecg: ecg, {"units": "mmHg"}, "must be a unit of voltage"),
        (lambda ecg: ecg.T, {}, r"ECG 0: expected shape \(12, samples\), got \(1000, 12\). It looks transposed: pass `ecg.T`"),
        (lambda ecg: ecg[:8], {}, r"expected shape \(12, samples\), got \(8, 1000\). Pass the names of its rows"),
        (lambda ecg: ecg[0], {}, r"expected shape \(12, samples\), got \(1000,\)"),
        (lambda ecg: ecg, {"lead_names": STANDARD_LEADS[:11]}, r"expected shape \(11, samples\)"),
        (lambda ecg: ecg, {"lead_names": [*STANDARD_LEADS[:11], "V5"]}, r"lead\(s\) V5 occur more than once"),
        (lambda ecg: ecg, {"lead_names": [*STANDARD_LEADS[:10], "MLII", "II"]}, r"lead\(s\) II occur more than once"),
        (lambda ecg: ecg, {"lead_names": [*STANDARD_LEADS[:11], "RESP"]}, r"unknown lead\(s\) 'RESP'. Rename"),
        (lambda ecg: ecg[:3], {"lead_names": ["X", "Y", "Z"]}, "none of the leads .* is one of the model's"),
        (lambda ecg: ecg, {"lead_names": "I,II"}, "must be a sequence of names, got the string"),
        (lambda ecg: ecg, {"lead_names": 12}, "must be a sequence of names, got 12"),
        (lambda ecg: ecg, {"units": 3}, "must be a unit of voltage"),
        (lambda ecg: with_nan(ecg, slice(300, 310)), {}, r"ECG 0: NaN or infinite values in lead\(s\) V2, 10 samples from sample 300"),
        (lambda ecg: np.where(ecg == ecg[3, 5], np.inf, ecg), {}, r"NaN or infinite values in lead\(s\) aVR"),
        (lambda ecg: ecg.astype(float) * 1e300, {}, "NaN or infinite values"),
        (lambda ecg: ecg * 1000, {}, r'ECG 0: an amplitude of \d+ mV is physically impossible.*units="uV"'),
        (lambda ecg: ecg / 1000, {}, 'flat, no lead varies by more than .* mV.*units="V"'),
        (lambda ecg: np.zeros_like(ecg), {}, "ECG 0: flat"),
        (lambda ecg: np.tile(ecg[:, :1], 1000), {}, "ECG 0: flat"),
        (lambda ecg: ecg[:, :99], {}, r"ECG 0: expected at least 1 s of signal, got 99 samples = 0.99 s"),
        (lambda ecg: ecg[:, :0], {}, "got 0 samples"),
        (lambda ecg: [], {}, "expected at least one ECG, got an empty list"),
        (lambda ecg: ecg[None][:0], {}, "expected at least one ECG"),
        (lambda ecg: ecg.astype(str), {}, "expected numbers, got ndarray of type"),
        (lambda ecg: ecg + 1j, {}, "expected numbers"),
        (lambda ecg: [ecg[0].tolist(), ecg[1, :5].tolist()], {}, "rows of different lengths"),
        (lambda ecg: ecg[None, None], {}, r"got \(1, 1, 12, 1000\)"),
        (lambda ecg: ecg, {"record_ids": ["a", "b"]}, r"`record_ids` has 2 names for 1 record"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "wrap", [lambda ecg: ecg, lambda ecg: ecg[None] if isinstance(ecg, np.ndarray) else ecg], ids=["record", "batch"]
)
def test_unusable_ecg_is_refused_by_name(extractor, ecg, change, kwargs, message, wrap):
    changed = change(ecg)
    if wrap(changed) is not changed and changed.ndim != 2:
        pytest.skip("not a record")
    with pytest.raises(ValueError, match=message):
        values(extractor, wrap(changed), **kwargs)


def test_record_is_named(extractor, ecg):
    with pytest.raises(ValueError, match=r"A0002: NaN or infinite values in lead\(s\) V2"):
        values(extractor, np.stack([ecg, with_nan(ecg, 5)]), record_ids=["A0001", "A0002"])
    with pytest.raises(ValueError, match="ECG 1: flat"):
        values(extractor, [ecg, 0 * ecg])


def test_short_gaps_are_bridged_on_request_and_long_ones_refused(ecg):
    extractor = ETPFeatureExtractor(max_gap_seconds=0.1)
    output = values(extractor, with_nan(ecg, slice(300, 310)))[0]
    np.testing.assert_allclose(output[7, 300:310], np.linspace(ecg[7, 299], ecg[7, 310], 12)[1:-1], atol=1e-6)
    np.testing.assert_array_equal(np.delete(output, 7, axis=0), np.delete(ecg, 7, axis=0))
    np.testing.assert_allclose(values(extractor, with_nan(ecg, slice(0, 5)))[0, 7, :5], ecg[7, 5])
    with pytest.raises(ValueError, match=r"11 samples from sample 300.*now 0\.1"):
        values(extractor, with_nan(ecg, slice(300, 311)))
    with pytest.raises(ValueError, match=r"lead\(s\) V2"):
        values(extractor, with_nan(ecg, slice(None)))


def test_gap_is_measured_in_the_records_own_samples(ecg):
    fine = np.repeat(ecg, 5, axis=1)
    extractor = ETPFeatureExtractor(max_gap_seconds=0.1)
    assert np.isfinite(values(extractor, with_nan(fine, slice(300, 350)), sampling_rate=500)).all()
    with pytest.raises(ValueError, match="51 samples"):
        values(extractor, with_nan(fine, slice(300, 351)), sampling_rate=500)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"crop": "end"}, r"`crop` must be \"start\" or \"center\", got 'end'"),
        ({"num_samples": 0}, "must be above 0, got 0 and 100"),
        ({"sampling_rate": -1}, "must be above 0"),
        ({"lead_names": ["I", "I"]}, "must be distinct leads"),
        ({"lead_names": ["avr"]}, "spelled as in"),
        ({"lead_names": []}, "must be distinct leads"),
        ({"feature_size": 3}, "`feature_size` is the number of `lead_names`, 12, got 3"),
    ],
)
def test_impossible_settings_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ETPFeatureExtractor(**kwargs)


# As `transformers` expects it


def test_saving_and_loading_keeps_every_setting(tmp_path, ecg):
    extractor = ETPFeatureExtractor(
        sampling_rate=250, num_samples=500, lead_names=["V1", "II"], crop="center", min_seconds=0.5, max_gap_seconds=0.2,
        derive_limb_leads=False, padding_value=0.1,
    )  # fmt: skip
    extractor.save_pretrained(tmp_path)
    loaded = ETPFeatureExtractor.from_pretrained(tmp_path)
    assert loaded.to_dict() == extractor.to_dict()
    np.testing.assert_array_equal(
        values(loaded, ecg, lead_names=STANDARD_LEADS), values(extractor, ecg, lead_names=STANDARD_LEADS)
    )


def test_common_attributes_of_feature_extractors(extractor):
    assert extractor.model_input_names == ["input_values"]
    assert (extractor.feature_size, extractor.sampling_rate, extractor.padding_value) == (12, 100, 0.0)


@pytest.mark.real_data
def test_real_artefacts_pass_and_microvolts_do_not(data_root):
    """All of CPSC2018 (with the spike of A1388) and 2,000 of PTB-XL (with the constant lead of 12722) are usable as they
    are; the same numbers taken for µV are refused, every one."""
    from modeling_etp.ecg_files_etp import read_ecg

    extractor = ETPFeatureExtractor()
    headers = sorted(data_root.glob("cpsc2018/training/*/*/*.hea"))
    headers += sorted(data_root.glob("ptb-xl/records100/*/*.hea"))[::11]
    headers += list(data_root.glob("ptb-xl/records100/*/12722_lr.hea"))
    assert len(headers) > 2000
    for header in headers:
        recording = read_ecg(header)
        stated = {"sampling_rate": recording.sampling_rate, "lead_names": recording.lead_names}
        assert np.isfinite(values(extractor, recording.signal, **stated)).all()
        with pytest.raises(ValueError, match="physically impossible"):
            values(extractor, recording.signal * 1000, **stated)
