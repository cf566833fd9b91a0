"""ECGs that other libraries hold in memory: data frames, HDF5 data sets, masked arrays, dicts with facts of their own."""

import io

import numpy as np
import pandas as pd
import pytest
import torch

from modeling_etp.ecg_files_etp import EcgContentError, read_ecg
from modeling_etp.ecg_inputs_etp import as_inputs, is_one_ecg, open_ecg
from modeling_etp.leads_etp import STANDARD_LEADS

LEADS = [*STANDARD_LEADS]


@pytest.fixture
def millivolts(make_ecg):
    return np.round(make_ecg(), 3).astype(np.float32)


@pytest.fixture
def frame(millivolts):
    return pd.DataFrame(millivolts.T.astype(float), columns=LEADS)


def test_a_data_frame_is_one_ecg_and_its_columns_are_leads(classifier, frame, millivolts):
    expected = classifier(millivolts, ["normal ecg", "sinus rhythm"], sampling_rate=100)
    scores = classifier(frame[LEADS[::-1]], ["normal ecg", "sinus rhythm"], sampling_rate=100)
    for own, other in zip(scores, expected, strict=True):
        assert own["score"] == pytest.approx(other["score"], abs=1e-5)
    assert is_one_ecg(frame)
    assert as_inputs(frame) is frame
    with pytest.raises(EcgContentError, match="sampling rate isn't in the file"):
        open_ecg(frame)


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.assign(time=np.arange(len(frame)) / 100),
        lambda frame: frame.assign(**{"time [ms]": np.arange(len(frame)) * 10}),
        lambda frame: frame.assign(stamp=pd.date_range("2021-07-20", periods=len(frame), freq="10ms")),
        lambda frame: frame.set_index(pd.date_range("2021-07-20", periods=len(frame), freq="10ms")),
        lambda frame: frame.set_index(pd.to_timedelta(np.arange(len(frame)) * 10, unit="ms")),
        lambda frame: frame.set_index(pd.Index(np.arange(len(frame)) / 100, name="time")),
        lambda frame: frame.set_index(np.arange(len(frame)) / 100),
        lambda frame: frame.assign(time=np.arange(len(frame)) / 100, beat="N", who=None),
        lambda frame: frame.astype("Float64").assign(time=np.arange(len(frame)) / 100),
    ],
)
def test_times_of_a_data_frame(frame, millivolts, change):
    opened = open_ecg(change(frame))
    assert opened.sampling_rate == 100
    assert opened.lead_names == STANDARD_LEADS
    np.testing.assert_allclose(opened.signal, millivolts, atol=1e-6)


def test_what_a_data_frame_states_beside_its_columns(frame, millivolts):
    counts = (frame * 1000).round().astype(int)
    with pytest.raises(EcgContentError, match="whole numbers without a unit of I"):
        open_ecg(counts, sampling_rate=100)
    counts.attrs = {"fs": "100 Hz", "units": "uV"}
    opened = open_ecg(counts)
    np.testing.assert_allclose(opened.signal, millivolts, atol=1e-6)
    with pytest.raises(EcgContentError, match="the file states the unit 'uV'"):
        open_ecg(counts, units="mV")
    turned = open_ecg(frame.T, sampling_rate=100)
    assert turned.lead_names == STANDARD_LEADS


def test_a_data_frame_of_paths_is_refused_with_a_cure(tmp_path, classifier, millivolts):
    np.save(tmp_path / "a.npy", millivolts)
    paths = pd.DataFrame({"path": [str(tmp_path / "a.npy")] * 2})
    with pytest.raises(ValueError, match="If one holds paths, pass that column as a list"):
        classifier(paths, ["normal ecg"], sampling_rate=100)
    assert len(classifier(list(paths["path"]), ["normal ecg"], sampling_rate=100)) == 2
    assert len(classifier(paths["path"].to_numpy(), ["normal ecg"], sampling_rate=100)) == 2


def test_an_hdf5_data_set_and_its_attributes(classifier, millivolts):
    h5py = pytest.importorskip("h5py")
    with h5py.File(io.BytesIO(), "w") as file:
        plain = file.create_dataset("ecg", data=millivolts)
        opened = open_ecg(plain, sampling_rate=100)
        np.testing.assert_array_equal(opened.signal, millivolts)
        counts = file.create_dataset("counts", data=np.round(millivolts[::-1] * 1000).astype("i2"))
        counts.attrs.update({"fs": 100, "units": "uV", "leads": LEADS[::-1]})
        opened = open_ecg(counts)
        assert (opened.sampling_rate, opened.lead_names) == (100, STANDARD_LEADS[::-1])
        np.testing.assert_allclose(opened.signal, millivolts[::-1], atol=1e-6)
        group = file.create_group("record")
        group["signal"], group["fs"] = millivolts, 250
        assert open_ecg(group).sampling_rate == 250
        several = file.create_dataset("several", data=np.stack([millivolts] * 3))
        assert len(classifier(several, ["normal ecg"], sampling_rate=100)) == 3


def test_masked_values_are_missing(millivolts):
    masked = np.ma.masked_array(millivolts, mask=np.zeros(millivolts.shape, bool))
    masked[1, 10:20] = np.ma.masked
    for ecg in (masked, {"array": masked, "sampling_rate": 100}):
        opened = open_ecg(ecg, **({} if isinstance(ecg, dict) else {"sampling_rate": 100}))
        assert np.argwhere(np.isnan(opened.signal)).tolist() == [[1, k] for k in range(10, 20)]
        assert any("10 values are masked" in note for note in opened.notes)


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float64])
def test_whole_numbers_in_memory_need_a_unit(millivolts, kind):
    counts = np.round(millivolts * 20).astype(kind)
    for ecg, stated in ((counts, {"sampling_rate": 100}), ({"array": counts, "sampling_rate": 100}, {})):
        with pytest.raises(ValueError, match="whole numbers without a unit"):
            open_ecg(ecg, **stated)
        opened = open_ecg(ecg, units="1/20 mV", **stated)
        np.testing.assert_allclose(opened.signal * {"mV": 1}[opened.units], millivolts, atol=0.026)


def test_the_lowest_number_in_memory_is_no_sample(millivolts):
    counts = np.round(millivolts * 1000).astype(np.int16)
    counts[2, 5] = -32768
    opened = open_ecg(counts, sampling_rate=100, units="uV")
    assert np.argwhere(np.isnan(opened.signal)).tolist() == [[2, 5]]
    assert opened.notes


@pytest.mark.parametrize("rate", ["100", "100 Hz", "0.1 kHz", torch.tensor(100), np.array([100])])
def test_a_rate_of_any_form(millivolts, rate):
    assert open_ecg(millivolts, sampling_rate=rate).sampling_rate == 100
    assert open_ecg({"array": millivolts, "fs": rate}).sampling_rate == 100


def test_facts_of_a_dict_under_other_keys(millivolts):
    """As `wfdb.rdsamp` gives them out."""
    fields = {"fs": 100, "sig_name": LEADS[::-1], "units": ["mV"] * 12, "n_sig": 12, "sig_len": 1000, "comments": []}
    opened = open_ecg({"array": millivolts[::-1], **fields})
    assert (opened.sampling_rate, opened.lead_names) == (100, STANDARD_LEADS[::-1])
    with pytest.raises(ValueError, match="two different sets of lead names"):
        open_ecg({"array": millivolts, **fields, "lead_names": LEADS})
    for argument in ({"sampling_rate": 500}, {"units": "uV"}, {"lead_names": LEADS}):
        with pytest.raises(ValueError, match=rf"`{next(iter(argument))}`.*[Ll]eave"):
            open_ecg({"array": millivolts[::-1], **fields}, **argument)


def test_rows_without_names_stay_the_models_leads(millivolts):
    assert open_ecg({"array": millivolts[:2], "sampling_rate": 100}).lead_names is None
    assert open_ecg({"array": millivolts, "sampling_rate": 100}).lead_names is None


def test_read_ecg_says_where_what_is_in_memory_goes(frame, millivolts):
    for value in (frame, millivolts, {"array": millivolts}):
        with pytest.raises(TypeError, match=r"pass them to the pipeline, or `open_ecg`"):
            read_ecg(value)


def test_notes_of_a_file_reach_the_input(tmp_path, millivolts):
    np.savez(tmp_path / "a.npz", ecg=millivolts, fs=100, leads=LEADS, label=3)
    assert any("'label'" in note for note in open_ecg(tmp_path / "a.npz").notes)
