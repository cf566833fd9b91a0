"""Prepared signals: what they hold, when they are made again, and what a killed preparation leaves."""

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value, concatenate_datasets

from etp import prepared_signals
from etp.options import OptionError
from etp.prepared_signals import prepare_signals
from etp.training.arguments import DataArguments
from etp.training.data.records import load_split
from etp.training.data.signals import SignalStore
from modeling_etp.ecg_microvolts_etp import NO_SAMPLE
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor

FEATURES = Features(
    {
        "record_id": Value("string"),
        "ecg": List(List(Value("int16")), length=12),
        "sampling_rate": Value("int32"),
        "statements": List(Value("string")),
    }
)


def rows(*signals: np.ndarray, rate: int = 500) -> Dataset:
    return Dataset.from_dict(
        {
            "record_id": [f"r{index}" for index in range(len(signals))],
            "ecg": [signal.tolist() for signal in signals],
            "sampling_rate": [rate] * len(signals),
            "statements": [[f"statement {index % 3}"] for index in range(len(signals))],
        },
        features=FEATURES,
    )


def ecg(samples: int = 5000, seed: int = 0) -> np.ndarray:
    """int16 µV of about 1 mV, `(12, samples)`."""
    return (np.random.default_rng(seed).normal(size=(12, samples)).cumsum(axis=1) * 20).astype(np.int16)


@pytest.fixture
def on_disk(tmp_path):
    """A data set behind files, as the builders make it; rows of several rates and lengths, one flat, one with a gap."""
    gap = ecg(seed=3)
    gap[4, 100:110] = NO_SAMPLE
    parts = [
        rows(*(ecg(seed=seed) for seed in range(4))),
        rows(np.zeros((12, 5000), np.int16)),
        rows(gap),
        rows(ecg(1000, seed=9), rate=100),
        rows(ecg(2570, seed=10), rate=257),
    ]
    whole = concatenate_datasets(parts)
    whole = whole.remove_columns("record_id").add_column("record_id", [f"r{row}" for row in range(len(whole))])
    whole.save_to_disk(tmp_path / "rows")
    return Dataset.load_from_disk(str(tmp_path / "rows"))


def test_every_record_is_what_the_feature_extractor_makes_of_it(on_disk, tmp_path):
    extractor = ETPFeatureExtractor()
    found = prepare_signals(on_disk, extractor, folder=tmp_path / "store")
    assert sorted(found.unusable) == [4, 5]
    assert "flat" in found.unusable[4]
    assert "NaN" in found.unusable[5]
    for row, record in enumerate(on_disk):
        if row in found.unusable:
            assert not found.signals[row].any()
            continue
        signal, rate = np.array(record["ecg"], np.int16), record["sampling_rate"]
        (values,) = extractor(signal * 1e-3, sampling_rate=rate)["input_values"]
        np.testing.assert_allclose(found.signals[row] / 1e3, values, atol=0.0005 + 1e-5)  # half a microvolt


def test_records_of_the_models_rate_and_length_keep_every_microvolt(on_disk, tmp_path):
    found = prepare_signals(on_disk, ETPFeatureExtractor(remove_offset=False), folder=tmp_path / "store")
    np.testing.assert_array_equal(found.signals[6], np.array(on_disk[6]["ecg"]))


def test_a_gap_that_may_be_bridged_is_no_fault(on_disk, tmp_path):
    found = prepare_signals(on_disk, ETPFeatureExtractor(max_gap_seconds=0.1), folder=tmp_path / "store")
    assert list(found.unusable) == [4]


def test_signals_are_made_once_and_again_when_rows_settings_or_code_change(on_disk, tmp_path, monkeypatch):
    made = []
    original = prepared_signals._prepare_chunk
    monkeypatch.setattr(prepared_signals, "_prepare_chunk", lambda *state: made.append(state[0]) or original(*state))
    folder, extractor = tmp_path / "store", ETPFeatureExtractor()

    def times(dataset, extractor=extractor):
        made.clear()
        prepare_signals(dataset, extractor, folder=folder)
        return len(made)

    assert (times(on_disk), times(on_disk)) == (1, 0)
    assert times(on_disk.select([2, 1])) == times(on_disk.select([1, 2])) == 1
    assert times(on_disk, ETPFeatureExtractor(num_samples=500)) == 1
    assert times(on_disk, ETPFeatureExtractor(max_gap_seconds=1)) == 1
    monkeypatch.setattr(prepared_signals, "_CODE", ("loss_etp.py",))
    assert times(on_disk) == 1


def test_a_killed_preparation_goes_on_with_what_is_missing(on_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(prepared_signals, "ROWS_PER_CHUNK", 2)
    whole = prepare_signals(on_disk, ETPFeatureExtractor(), folder=tmp_path / "whole")
    original, made = prepared_signals._prepare_chunk, []

    def killed(chunk, *state):
        if chunk == 2 and len(made) == 2:
            raise KeyboardInterrupt
        made.append(chunk)
        return original(chunk, *state)

    monkeypatch.setattr(prepared_signals, "_prepare_chunk", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare_signals(on_disk, ETPFeatureExtractor(), folder=tmp_path / "store")
    (notes,) = (tmp_path / "store").glob("*.chunks")
    with notes.open("a") as file:
        file.write('{"number": 2, "unusable": {"4": "cut o')  # as a kill leaves it
    made.append(None)
    found = prepare_signals(on_disk, ETPFeatureExtractor(), folder=tmp_path / "store")
    assert made == [0, 1, None, 2, 3]
    np.testing.assert_array_equal(found.signals, whole.signals)
    assert found.unusable == whole.unusable
    assert sorted(path.suffix for path in (tmp_path / "store").iterdir()) == [".int16", ".json", ".lock"]


@pytest.mark.slow
def test_several_processes_prepare_what_one_does(on_disk, tmp_path, monkeypatch):
    many = concatenate_datasets([on_disk] * 700)
    many.save_to_disk(tmp_path / "many")
    many = Dataset.load_from_disk(str(tmp_path / "many"))
    one, two = (prepare_signals(many, ETPFeatureExtractor(), folder=tmp_path / f"{n}", num_proc=n) for n in (1, 2))
    np.testing.assert_array_equal(one.signals, two.signals)
    assert one.unusable == two.unusable


def test_a_description_that_is_there_before_its_signals_does_not_count(on_disk, tmp_path):
    folder = tmp_path / "store"
    whole = prepare_signals(on_disk, ETPFeatureExtractor(), folder=folder)
    (signals,) = folder.glob("*.int16")
    signals.unlink()
    again = prepare_signals(on_disk, ETPFeatureExtractor(), folder=folder)
    np.testing.assert_array_equal(again.signals, whole.signals)
    (description,) = folder.glob("*.json")
    assert json.loads(description.read_text())["shape"] == [8, 12, 1000]


@pytest.mark.parametrize("before", [".int16", ".json"])
def test_a_preparation_that_ends_between_its_last_files_loses_no_signal(on_disk, tmp_path, monkeypatch, before):
    """Killed, or out of disk space, when all chunks are made and one of the two files has not its name yet."""
    whole = prepare_signals(on_disk, ETPFeatureExtractor(), folder=tmp_path / "whole")
    original = Path.replace

    def dying(self, target):
        if self.suffix == ".unfinished" and Path(target).suffix == before:
            raise KeyboardInterrupt
        return original(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            prepare_signals(on_disk, ETPFeatureExtractor(), folder=tmp_path / "store")
    again = prepare_signals(on_disk, ETPFeatureExtractor(), folder=tmp_path / "store")
    np.testing.assert_array_equal(again.signals, whole.signals)
    assert again.unusable == whole.unusable
    assert again.source_sha256 == whole.source_sha256


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[:-100]
    elif how == "zeros":  # as a disk may have it after a power cut
        content[4096:8192] = bytes(4096)
    elif how == "one bit":
        content[1000] ^= 1
    elif how == "empty":
        content.clear()
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["cut", "zeros", "one bit", "empty"])
@pytest.mark.parametrize("suffix", [".int16", ".json"])
def test_damaged_signals_are_prepared_again(on_disk, tmp_path, suffix, how):
    folder = tmp_path / "store"
    whole = prepare_signals(on_disk, ETPFeatureExtractor(), folder=folder)
    signals = whole.signals.copy()
    (path,) = folder.glob(f"*{suffix}")
    before = path.read_bytes()
    if suffix == ".json" and how in ("zeros", "one bit"):
        path.write_text("[1]" if how == "zeros" else json.dumps({**json.loads(before), "unusable": None}))
    else:
        damage(path, how)
    again = prepare_signals(on_disk, ETPFeatureExtractor(), folder=folder)
    np.testing.assert_array_equal(again.signals, signals)
    assert again.unusable == whole.unusable
    assert path.read_bytes() == before


@pytest.mark.parametrize("how", ["missing", "cut", "zeros"])
def test_notes_are_not_believed_of_an_unfinished_file_that_is_not_theirs(on_disk, tmp_path, monkeypatch, how):
    monkeypatch.setattr(prepared_signals, "ROWS_PER_CHUNK", 2)
    whole = prepare_signals(on_disk, ETPFeatureExtractor(), folder=tmp_path / "whole")
    original = prepared_signals._prepare_chunk

    def killed(chunk, *state):
        if chunk == 3:
            raise KeyboardInterrupt
        return original(chunk, *state)

    with monkeypatch.context() as patch:
        patch.setattr(prepared_signals, "_prepare_chunk", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare_signals(on_disk, ETPFeatureExtractor(), folder=tmp_path / "store")
    (unfinished,) = (tmp_path / "store").glob("*.unfinished")
    unfinished.unlink() if how == "missing" else damage(unfinished, how)
    again = prepare_signals(on_disk, ETPFeatureExtractor(), folder=tmp_path / "store")
    np.testing.assert_array_equal(again.signals, whole.signals)


def test_a_preparation_may_be_killed_more_than_once(on_disk, tmp_path, monkeypatch):
    """A line of the notes that was cut off is not continued by the next one."""
    monkeypatch.setattr(prepared_signals, "ROWS_PER_CHUNK", 2)
    whole = prepare_signals(on_disk, ETPFeatureExtractor(), folder=tmp_path / "whole")
    original = prepared_signals._prepare_chunk
    for last in (1, 2, 3):

        def killed(chunk, *state, last=last):
            if chunk == last:
                raise KeyboardInterrupt
            return original(chunk, *state)

        with monkeypatch.context() as patch:
            patch.setattr(prepared_signals, "_prepare_chunk", killed)
            with pytest.raises(KeyboardInterrupt):
                prepare_signals(on_disk, ETPFeatureExtractor(), folder=tmp_path / "store")
        (notes,) = (tmp_path / "store").glob("*.chunks")
        with notes.open("a") as file:
            file.write('{"number": 2, "unusable": {"4": "cut o')
    again = prepare_signals(on_disk, ETPFeatureExtractor(), folder=tmp_path / "store")
    np.testing.assert_array_equal(again.signals, whole.signals)


def split_of(dataset, tmp_path, **options):
    return load_split(
        dataset,
        DataArguments(cache_dir=tmp_path / "cache", **options),
        ETPFeatureExtractor(),
        name="train",
        seed=0,
        device="cpu",
        progress=False,
    )


def test_unusable_records_stop_a_run_all_at_once_or_are_left_out(on_disk, tmp_path):
    with pytest.raises(
        OptionError, match=r"2 of 8 train records can't be used.*record r4: .*flat.*--on_error skip"
    ) as e:
        split_of(on_disk, tmp_path)
    assert "units" not in str(e.value)  # nobody can give a unit of an archive
    split = split_of(on_disk, tmp_path, on_error="skip")
    assert "pass --max_gap_seconds 0." in split.unusable["r5"]
    assert len(split) == len(split.statements) == len(split.signals) == len(split.record_ids) == 6
    kept = [0, 1, 2, 3, 6, 7]
    whole = prepare_signals(on_disk, ETPFeatureExtractor(), folder=tmp_path / "other").signals
    np.testing.assert_allclose(split.signals.batch(np.arange(6)).numpy(), whole[kept] / 1e3, atol=1e-6)


def test_records_of_which_none_can_be_used_are_an_error_however_asked(tmp_path):
    flat = rows(*[np.zeros((12, 5000), np.int16)] * 2)
    with pytest.raises(OptionError, match="None of the 2 train records can be used"):
        split_of(flat, tmp_path, on_error="skip")


def test_a_batch_is_the_same_expected_or_not():
    signals = np.stack([ecg(100, seed=seed) for seed in range(10)])
    store, order = SignalStore(signals, rows=np.arange(10)[::-1].copy()), np.array([3, 1, 4])
    plain = store.batch(order)
    np.testing.assert_allclose(plain.numpy(), signals[::-1][order] / 1e3, atol=1e-6)
    store.expect(order)
    np.testing.assert_array_equal(store.batch(order), plain)
    store.expect(np.array([0]))
    np.testing.assert_array_equal(store.batch(order), plain)
    plain.zero_()  # a batch is a copy
    assert store.batch(order).any()
