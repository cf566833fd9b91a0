"""Batches of signals from Arrow: the right rows, whatever selects them."""

import datasets
import numpy as np
import pytest
from datasets import Dataset, Features, List, Value

from datasets_scripts.archive_builder import ragged_signal_array, signal_array
from etp.arrow_batches import read_signals
from modeling_etp.ecg_microvolts_etp import to_millivolts

SIGNALS = np.arange(30 * 12 * 7, dtype=np.int16).reshape(30, 12, 7)


def equal_lengths(pieces=(10, 1, 19)) -> Dataset:
    features = Features({"ecg": List(List(Value("int16"), length=7), length=12)})
    parts, start = [], 0
    for piece in pieces:
        table = {"ecg": signal_array(SIGNALS[start : start + piece])}
        parts.append(Dataset(datasets.table.InMemoryTable.from_pydict(table)).cast(features))
        start += piece
    return datasets.concatenate_datasets(parts)


@pytest.fixture
def ragged() -> Dataset:
    records = [SIGNALS[row][:, : 3 + row % 4] for row in range(30)]
    return Dataset(datasets.table.InMemoryTable.from_pydict({"ecg": ragged_signal_array(records)}))


@pytest.mark.parametrize("rows", [[0], [29, 0, 11, 10, 11], list(range(8, 15)), np.arange(30), [-1, -30]])
def test_rows_are_those_asked_for_in_that_order(rows):
    np.testing.assert_array_equal(read_signals(equal_lengths(), rows), SIGNALS[rows])


def test_a_slice_selects_as_in_a_list():
    np.testing.assert_array_equal(read_signals(equal_lengths(), slice(3, 28, 5)), SIGNALS[3:28:5])


def test_a_shuffled_selection_reads_its_own_rows():
    chosen = equal_lengths().select([5, 25, 3, 17]).shuffle(seed=1)
    expected = np.stack([np.asarray(row["ecg"]) for row in chosen])
    np.testing.assert_array_equal(read_signals(chosen, range(4)), expected)


def test_the_format_of_the_data_set_does_not_matter():
    formatted = equal_lengths().with_format("numpy")
    np.testing.assert_array_equal(read_signals(formatted, [4, 2]), SIGNALS[[4, 2]])


def test_neighbouring_rows_are_a_view_of_the_file(tmp_path):
    equal_lengths(pieces=(30,)).save_to_disk(tmp_path / "saved")
    stored = datasets.load_from_disk(tmp_path / "saved")
    signals = read_signals(stored, range(4, 9))
    np.testing.assert_array_equal(signals, SIGNALS[4:9])
    assert not signals.flags.owndata


def test_records_of_different_lengths_come_as_a_list(ragged):
    signals = read_signals(ragged, [29, 2, 0])
    assert [signal.shape for signal in signals] == [(12, 4), (12, 5), (12, 3)]
    for row, signal in zip([29, 2, 0], signals, strict=True):
        np.testing.assert_array_equal(signal, SIGNALS[row][:, : 3 + row % 4])


def test_records_that_happen_to_be_equally_long_come_as_one_array(ragged):
    assert read_signals(ragged, [0, 4, 8]).shape == (3, 12, 3)


@pytest.mark.parametrize("row", [30, -31])
def test_a_row_out_of_range_is_named(row):
    with pytest.raises(IndexError, match=r"is out of range for a data set of 30 rows"):
        read_signals(equal_lengths(), [0, row])


def test_no_rows_are_an_error():
    with pytest.raises(ValueError, match="No rows were asked for"):
        read_signals(equal_lengths(), [])


def test_a_data_set_without_signals_is_named():
    with pytest.raises(ValueError, match="needs a column `ecg`, it has report"):
        read_signals(Dataset.from_dict({"report": ["x"]}), [0])


def test_millivolts_keep_the_scale_and_mark_missing_samples():
    millivolts = to_millivolts(np.array([[1000, -2500, -32768, 1]], dtype=np.int16))
    assert millivolts.dtype == np.float32
    np.testing.assert_allclose(millivolts, [[1.0, -2.5, np.nan, 0.001]], rtol=1e-6)
