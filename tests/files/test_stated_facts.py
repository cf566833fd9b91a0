"""What is stated beside an array is used however it is written, or refused by its name."""

import io

import numpy as np
import pytest
from ecg_writers import saved
from scipy.io import savemat

from modeling_etp.ecg_facts_etp import are_counts, as_texts, hertz, unit_size
from modeling_etp.ecg_files_etp import STANDARD_LEADS, EcgContentError, EcgUnsafeError, read_ecg

LEADS = [*STANDARD_LEADS]


def npz(**values) -> bytes:
    return saved(np.savez, **values)


def mat(**values) -> bytes:
    return saved(savemat, values)


NAMES = {
    "leads": LEADS,
    "sig_name": LEADS,
    "sig_names": LEADS,
    "Lead_Names": LEADS,
    "channels": LEADS,
    "sig": LEADS,
    "labels_of_rows": LEADS,  # by what they are
    "chan_names": np.array(LEADS, dtype="S"),
    "lead_order": ",".join(LEADS),
    "lead": " ".join(LEADS),
    "leadNames": np.array([list(name.ljust(3)) for name in LEADS]),  # a character a cell
}


@pytest.mark.parametrize("key", NAMES)
def test_names_are_used_under_any_key_and_in_any_type(millivolts, key):
    value = NAMES[key]
    turned = value[::-1] if not isinstance(value, str) else value.replace(",", " ").split()[::-1]
    turned = (("," if "," in value else " ").join(turned)) if isinstance(value, str) else turned
    recording = read_ecg(npz(signal=millivolts, fs=100, **{key: turned}))
    assert recording.lead_names == tuple(LEADS[::-1])
    assert not any("assumed" in note for note in recording.notes)


@pytest.mark.parametrize(
    "leads",
    [
        np.array(LEADS[::-1], dtype=object),
        np.array([[name] for name in LEADS[::-1]], dtype=object),
        np.array(LEADS[::-1]),
        ", ".join(LEADS[::-1]),
    ],
)
def test_names_of_matlab_in_cells_and_characters(millivolts, leads):
    recording = read_ecg(mat(val=millivolts, Fs=100.0, leads=leads))
    assert recording.lead_names == tuple(LEADS[::-1])


def test_facts_inside_a_struct(millivolts):
    struct = {"signal": millivolts[:3], "fs": 250.0, "info": {"leads": np.array(["V1", "V2", "II"], object)}}
    recording = read_ecg(mat(record=struct))
    assert (recording.sampling_rate, recording.lead_names) == (250, ("V1", "V2", "II"))
    struct = {"data": millivolts[:2], "Fs": 250.0, "leads": np.array(["V1", "V2"], object)}
    assert read_ecg(mat(ECG=struct)).sampling_rate == 250  # no record of CPSC2018


def test_one_vector_a_lead(millivolts):
    content = mat(**{name: row.reshape(-1, 1) for name, row in zip(LEADS, millivolts, strict=True)}, fs=100)
    recording = read_ecg(content)
    order = [LEADS.index(name) for name in recording.lead_names]
    assert sorted(order) == list(range(12))
    np.testing.assert_array_equal(recording.signal, millivolts[order])


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"lead_names": ["I", "II"]}, r"its 'lead_names' is .*expected the names of its 12 rows"),
        ({"leads": np.arange(12)}, r'its .leads. is .*Pass them in order, e\.g\. `lead_names=\["I", "II", .*"V6"\]`'),
        ({"leads": LEADS, "sig_name": LEADS[::-1]}, "two different sets of lead names"),
        ({"fs": 100, "sampling_rate": 250}, r"two different sampling rates .*'fs' 100.*'sampling_rate' 250"),
        ({"fs": 100, "t": np.arange(200) / 250}, "two different sampling rates"),
        ({"fs": "fast"}, r"its 'fs' is 'fast', expected a rate in Hz"),
        ({"fs": 100, "units": ["mV"] * 3}, r"its 'units' is .*expected a unit of voltage, one or 12"),
        ({"fs": 100, "units": "mV", "unit": "uV"}, "two different units"),
        ({"fs": 100, "units": "furlong"}, "'furlong' is no unit of voltage"),
        ({"fs": 100, "n_sig": 8}, "its 'n_sig' is 8, its signal has 12 leads"),
        ({"fs": 100, "sig_len": 5000}, "its 'sig_len' is 5000, its signal has 200 samples"),
        ({"fs": 100, "skew": np.arange(12)}, "its leads are shifted by 'skew'"),
        ({"fs": 100, "gain": 200}, "it isn't clear what of it the values still need"),
        ({"fs": 100, "baseline": 100}, "it states 'baseline' 100"),
        ({"fs": 100, "mask": np.eye(12, 200) > 0}, "without saying as what. Save it as 'missing' or 'valid'"),
        ({"fs": 0.5}, r"its 'fs' states a sampling rate of 0\.5 Hz"),
        ({"data": np.ones((12, 200))}, "it has several: signal, data"),
    ],
)
def test_a_fact_that_is_not_understood_is_named(millivolts, facts, message):
    with pytest.raises(EcgContentError, match=message):
        read_ecg(npz(signal=millivolts, **({"fs": 100} | facts if "sampling" not in message else facts)))


@pytest.mark.parametrize(
    ("key", "value", "rate"),
    [
        ("fs", "500 Hz", 500),
        ("Fs", "500", 500),
        ("freq", np.array([[360.0]]), 360),
        ("sampling_frequency", "0.5 kHz", 500),
        ("SampleRate", b"250 samples/s", 250),
        ("sfreq", [500.0] * 12, 500),
        ("samplingRateHz", 1000, 1000),
        ("fs_khz", 0.5, 500),
        ("ecg_sampling_rate", "512,5 Hz", 512.5),
        ("dt", 0.002, 500),
        ("dt", "2 ms", 500),
        ("sampling_interval", 4, 250),  # ms is the only unit that gives a rate an ECG can have
        ("rate", "500 Hz", 500),
        ("time", np.arange(200) / 250, 250),
        ("t", np.arange(200) * 2, 500),
        ("time_ns", np.arange(200) * 2_000_000, 500),
    ],
)
def test_rates_as_people_write_them(millivolts, key, value, rate):
    recording = read_ecg(npz(signal=millivolts, **{key: value}))
    assert recording.sampling_rate == pytest.approx(rate, rel=1e-9)
    assert recording.lead_names == STANDARD_LEADS


def test_rates_of_other_things_are_not_taken(millivolts):
    content = npz(signal=millivolts, heart_rate=72, filter_freq=150, target_fs=50, rate=80)
    with pytest.raises(EcgContentError, match="the sampling rate isn't in the file"):
        read_ecg(content)
    assert any("'heart_rate'" in note for note in read_ecg(content, sampling_rate=100).notes)


def test_interval_of_acqknowledge_states_its_unit(millivolts):
    content = mat(
        data=millivolts[:2], isi=2.0, isi_units="ms", labels=np.array(["I", "II"]), units=np.array(["mV", "mV"])
    )
    recording = read_ecg(content)
    assert (recording.sampling_rate, recording.lead_names) == (500, ("I", "II"))


@pytest.mark.parametrize("given", ["500", "500 Hz", "0.5 kHz", 500, np.int64(500), 500.0])
def test_the_callers_rate_may_be_text(millivolts, given):
    assert read_ecg(saved(np.save, millivolts), sampling_rate=given).sampling_rate == 500


@pytest.mark.parametrize("given", ["fast", 0, -5, float("nan"), "", True])
def test_a_rate_of_the_caller_that_is_none_is_refused(millivolts, given):
    with pytest.raises(EcgContentError, match="`sampling_rate` must be a number above 0"):
        read_ecg(saved(np.save, millivolts), sampling_rate=given)


def test_a_rate_that_no_ecg_has_gives_way_to_the_callers(millivolts):
    recording = read_ecg(npz(signal=millivolts, fs=0.5), sampling_rate=500)
    assert recording.sampling_rate == 500
    assert any("'fs' states a sampling rate of 0" in note for note in recording.notes)


def test_units_are_used_per_lead(microvolts, millivolts):
    values = np.concatenate([millivolts[:6], microvolts[6:]])
    recording = read_ecg(npz(ecg=values, fs=100, units=["mV"] * 6 + ["µV"] * 6))
    np.testing.assert_allclose(recording.signal, millivolts, rtol=1e-6)


@pytest.mark.parametrize(
    ("facts", "stored"),
    [
        ({"adc_gain": 200.0}, lambda uv: uv / 5),
        ({"gain": np.full(12, 1000), "baseline": np.arange(12)}, lambda uv: uv + np.arange(12)[:, None]),
        ({"gain": 200, "units": "adu"}, lambda uv: uv / 5),
        ({"lsb": 5.0, "units": "uV"}, lambda uv: uv / 5),
        ({"uV_per_bit": 5}, lambda uv: uv / 5),
        ({"adc_gain": "200 adu/mV"}, lambda uv: uv / 5),
        ({"units": "5 uV"}, lambda uv: uv / 5),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_gains_are_applied_to_whole_numbers(microvolts, facts, stored, dtype):
    counts = np.round(stored(microvolts.astype(float))).astype(dtype)
    recording = read_ecg(npz(ecg=counts, fs=100, **facts))
    np.testing.assert_allclose(recording.signal, microvolts / 1000, atol=0.0026)


def test_a_gain_beside_values_in_a_unit_is_said_not_applied(millivolts):
    recording = read_ecg(npz(p_signal=millivolts, adc_gain=np.full(12, 1000), baseline=np.zeros(12), fs=100))
    np.testing.assert_array_equal(recording.signal, millivolts)
    assert any("Not applied" in note and "adc_gain" in note for note in recording.notes)
    assert read_ecg(npz(ecg=millivolts, gain=200, fs=100), units="mV").notes


@pytest.mark.parametrize("write", [npz, mat])
@pytest.mark.parametrize("key", ["p_signal", "d_signal"])
def test_a_record_of_the_wfdb_package_as_it_stands(microvolts, millivolts, write, key):
    """`numpy.savez(**record.__dict__)`: (samples, leads), gains beside physical values, all that it holds besides."""
    record = {
        "p_signal" if key == "p_signal" else "d_signal": (millivolts if key == "p_signal" else microvolts + 7).T,
        "fs": 250, "sig_name": np.array(LEADS[::-1]), "units": np.array(["mV"] * 12), "n_sig": 12, "sig_len": 200,
        "adc_gain": np.full(12, 1000.0), "baseline": np.full(12, 7), "adc_zero": np.full(12, 3), "skew": np.zeros(12, int),
        "checksum": np.zeros(12, int), "fmt": np.array(["16"] * 12), "record_name": "r",
    }  # fmt: skip
    recording = read_ecg(write(**record))
    np.testing.assert_allclose(recording.signal, millivolts, atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (250, tuple(LEADS[::-1]))
    with pytest.raises(EcgContentError, match="looks transposed"):
        read_ecg(npz(signal=millivolts.T, fs=100))


def test_a_gain_that_gives_no_ecg_is_refused(microvolts):
    with pytest.raises(EcgContentError, match="which no ECG has"):
        read_ecg(npz(ecg=microvolts, gain=0.005, fs=100))


@pytest.mark.parametrize("factor", [5, 20, 25, 200, 1000])
@pytest.mark.parametrize("write", [mat, npz])
def test_whole_numbers_are_told_by_value(millivolts, factor, write):
    content = write(val=np.round(millivolts.astype(float) * factor))
    with pytest.raises(EcgContentError, match="whole numbers without a unit"):
        read_ecg(content, sampling_rate=100)
    recording = read_ecg(content, sampling_rate=100, units=f"1/{factor} mV")
    np.testing.assert_allclose(recording.signal, millivolts, atol=0.51 / factor)


def test_constant_and_fractional_leads_are_no_counts(millivolts):
    assert not are_counts(np.zeros((2, 9)))
    assert not are_counts(np.full((2, 9), 3.0))
    assert not are_counts(millivolts)
    assert are_counts(np.array([[0.0, np.nan, 2.0]]))
    assert are_counts(np.concatenate([millivolts[:2, :9], np.arange(9.0)[None]]))


def test_the_lowest_count_is_no_sample(microvolts):
    values = microvolts.copy()
    values[3, 50:60] = -32768
    for content in (npz(ecg=values, fs=100, units="uV"), npz(ecg=values.astype(float), fs=100, units="uV")):
        recording = read_ecg(content)
        assert np.argwhere(np.isnan(recording.signal)).tolist() == [[3, k] for k in range(50, 60)]
        assert any("10 values" in note for note in recording.notes)


def test_what_a_mask_says_is_missing(millivolts):
    bad = np.zeros((12, 200), bool)
    bad[2, 7] = True
    for key, marks in (("missing", bad), ("valid", ~bad)):
        recording = read_ecg(npz(ecg=millivolts, fs=100, **{key: marks}))
        assert np.argwhere(np.isnan(recording.signal)).tolist() == [[2, 7]]
        assert any(key in note for note in recording.notes)


@pytest.mark.parametrize(
    "arguments",
    [{"units": "uV"}, {"sampling_rate": 250}, {"lead_names": LEADS[::-1]}],
)
@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_an_argument_that_contradicts_the_file_is_refused(millivolts, arguments, kind):
    text = "time," + ",".join(f"{name} [mV]" for name in LEADS) + "\n"
    text += "\n".join(",".join(f"{v:.4f}" for v in (k / 100, *row)) for k, row in enumerate(millivolts.T))
    content = npz(ecg=millivolts, fs=100, units="mV", leads=LEADS) if kind == "npz" else text.encode()
    with pytest.raises(EcgContentError, match=rf"`{next(iter(arguments))}`.*[Ll]eave"):
        read_ecg(content, **arguments)
    agreed = read_ecg(content, units="mV", sampling_rate=100, lead_names=LEADS)
    np.testing.assert_allclose(agreed.signal, millivolts, atol=1e-4)


def test_names_of_the_caller_stand_for_those_that_are_no_leads(millivolts):
    content = npz(ecg=millivolts[:3], fs=100, leads=["ch1", "ch2", "II"])
    assert read_ecg(content, lead_names=["I", "V1", "II"]).lead_names == ("I", "V1", "II")
    with pytest.raises(EcgContentError, match="calls a channel 'II', `lead_names` calls it 'V2'"):
        read_ecg(content, lead_names=["I", "V1", "V2"])


def test_objects_are_left_out_unless_they_are_needed(millivolts):
    recording = read_ecg(npz(ecg=millivolts, fs=100, report=np.array({"text": "sinus rhythm"}, object)))
    assert any("Python objects: 'report'" in note for note in recording.notes)
    with pytest.raises(EcgUnsafeError, match=r"dtype=str"):
        read_ecg(npz(ecg=millivolts, fs=100, lead_names=np.array(LEADS, object)))


def test_what_is_not_read_is_said(millivolts):
    recording = read_ecg(npz(ecg=millivolts, fs=100, leads=LEADS, age=61, sex="F", label=3, qrs=np.arange(5)))
    assert (recording.metadata["age"], recording.metadata["sex"]) == (61, "female")
    assert any("'label', 'qrs'" in note for note in recording.notes)


def test_words_for_rates_units_and_names():
    assert [hertz(text) for text in ("500Hz", " 1 kHz", "5e2", "128 sps", "x", None, "150 bpm")] == [
        500, 1000, 500, 128, None, None, None,
    ]  # fmt: skip
    assert [unit_size(text) for text in ("uV", "4.88 µV", "1/200 mV", "2,5 uV/bit", "mmHg", "0 mV", None)] == [
        0.001, pytest.approx(0.00488), 0.005, pytest.approx(0.0025), None, None, None,
    ]  # fmt: skip
    assert (
        as_texts(b"I;II;III")
        == as_texts(np.array(["I", "II", "III"]))
        == as_texts("[I, II, III]")
        == ["I", "II", "III"]
    )
    assert as_texts(np.arange(3)) is None


def test_an_archive_of_another_writer_with_a_later_header(millivolts):
    """`numpy.savez_compressed` of Fortran order, with names in UTF-8 that need version 3 of the header."""
    stream = io.BytesIO()
    np.savez_compressed(stream, signal=np.asfortranarray(millivolts), Fs=np.float32(100), Leads=np.array(LEADS))
    np.testing.assert_array_equal(read_ecg(stream.getvalue()).signal, millivolts)
