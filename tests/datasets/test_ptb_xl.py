"""PtbXl: rows, labels, splits, cache, streaming and export of a small archive in the publisher's layout."""

import datasets
import numpy as np
import pytest
import wfdb
from small_archives import PTB_XL_RECORDS, signal_of, write_ptb_xl, write_record

from datasets_scripts.archive_errors import ArchiveError
from datasets_scripts.ptb_xl import PtbXl
from etp.arrow_batches import read_signals


def build(root, tmp_path, config="100hz", **options):
    num_proc = options.pop("num_proc", None)
    builder = PtbXl(tmp_path / "cache", config_name=config, data_dir=root, **options)
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset()


def by_id(splits):
    return {row["record_id"]: row for split in splits.values() for row in split}


def test_folds_decide_the_split(ptb_xl, tmp_path):
    splits = build(ptb_xl, tmp_path)
    assert {name: split["record_id"][:] for name, split in splits.items()} == {
        "train": ["1", "2", "17"],
        "validation": ["21", "1001"],
        "test": ["1002"],
    }


def test_signal_report_and_labels_of_a_row_belong_to_one_record(ptb_xl, tmp_path):
    rows = by_id(build(ptb_xl, tmp_path))
    for ecg_id, patient, _, _, report, codes, fold in PTB_XL_RECORDS:
        row = rows[str(ecg_id)]
        np.testing.assert_array_equal(row["ecg"], signal_of(ecg_id, 1000))
        assert row["patient_id"] == str(int(float(patient)))
        assert row["report"] == report
        assert row["strat_fold"] == fold
        assert {pair["code"]: pair["likelihood"] for pair in row["scp_codes"]} == eval(codes)


def test_signals_equal_those_of_wfdb(ptb_xl, tmp_path):
    train = build(ptb_xl, tmp_path)["train"]
    record = wfdb.rdrecord(str(ptb_xl / "records100/00000/00017_lr"), physical=False)
    np.testing.assert_array_equal(read_signals(train, [2])[0], record.d_signal.T)


def test_records_at_500_hz(tmp_path):
    root = write_ptb_xl(tmp_path / "archive", rates=(500,))
    row = by_id(build(root, tmp_path, "500hz"))["21"]
    assert (len(row["ecg"]), len(row["ecg"][0]), row["sampling_rate"]) == (12, 5000, 500)


def test_coded_and_missing_demographics(ptb_xl, tmp_path):
    rows = by_id(build(ptb_xl, tmp_path))
    assert rows["2"]["age"] == 90  # 300 in the table stands for "over 89"
    assert rows["17"]["age"] is None
    assert (rows["1"]["sex"], rows["2"]["sex"]) == ("female", "male")


def test_every_code_counts_for_the_classes_of_each_task(ptb_xl, tmp_path):
    splits = build(ptb_xl, tmp_path)
    row = by_id(splits)["17"]  # IMI 35, ISCAL 0, ABQRS 0
    features = splits["train"].features

    def names(task):
        return [features[task].feature.int2str(index) for index in row[task]]

    assert names("superclass") == ["MI", "STTC"]  # likelihood 0 means "not stated", not "absent"
    assert names("subclass") == ["IMI", "ISCA"]
    assert names("diagnostic") == ["IMI", "ISCAL"]
    assert names("form") == ["ABQRS"]
    assert names("rhythm") == []
    assert names("all") == ["IMI", "ISCAL", "ABQRS"]


def test_tasks_have_the_published_numbers_of_classes(ptb_xl, tmp_path):
    features = PtbXl(tmp_path / "cache", data_dir=ptb_xl).info.features
    tasks = ("superclass", "subclass", "diagnostic", "form", "rhythm", "all")
    assert [features[task].feature.num_classes for task in tasks] == [5, 23, 44, 19, 12, 71]


def test_statements_come_from_the_report_alone(ptb_xl, tmp_path):
    rows = by_id(build(ptb_xl, tmp_path))
    assert rows["17"]["statements"] == rows["1001"]["statements"] == rows["1002"]["statements"]
    assert rows["17"]["statements"] != rows["21"]["statements"]
    assert all(isinstance(statement, str) for statement in rows["1"]["statements"])


def test_table_of_an_earlier_release_gets_the_consensus_codes(tmp_path):
    old = (9824, "10683.0", "58.0", "0", "sinusrytm", "{'NORM': 50.0, 'SR': 0.0}", 3)
    root = write_ptb_xl(tmp_path / "archive", records=[old])
    assert list(build(root, tmp_path)) == ["train"]  # no split without a record
    assert by_id(build(root, tmp_path))["9824"]["superclass"] == [0]  # another archive's record of that number
    table = root / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("1984-11-09 09:17:34", "1993-02-21 10:12:30"))
    assert by_id(build(root, tmp_path))["9824"]["superclass"] == []


def test_streaming_gives_the_same_rows(ptb_xl, tmp_path):
    prepared = build(ptb_xl, tmp_path)
    streamed = PtbXl(tmp_path / "other", data_dir=ptb_xl).as_streaming_dataset()
    assert {name: list(split) for name, split in streamed.items()} == {
        name: list(split) for name, split in prepared.items()
    }


@pytest.mark.slow
def test_two_processes_give_the_rows_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets_scripts.archive_builder.RECORDS_PER_BATCH", 2)
    records = [(i, f"{i}.0", "50.0", "0", "sinusrhythmus", "{'NORM': 100.0}", 1 + i % 10) for i in range(1, 41)]
    root = write_ptb_xl(tmp_path / "archive", records=records)
    one = build(root, tmp_path / "one")
    two = build(root, tmp_path / "two", num_proc=2)
    assert by_id(one) == by_id(two)
    assert one["train"]["record_id"][:] == two["train"]["record_id"][:]


def test_parquet_export_loads_with_the_same_rows_and_features(ptb_xl, tmp_path):
    splits = build(ptb_xl, tmp_path)
    splits["train"].to_parquet(tmp_path / "train.parquet")
    loaded = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "train.parquet"), cache_dir=str(tmp_path / "c")
    )
    assert loaded["train"].features == splits["train"].features
    assert list(loaded["train"]) == list(splits["train"])


def test_cache_is_used_again(ptb_xl, tmp_path, monkeypatch):
    build(ptb_xl, tmp_path)
    monkeypatch.setattr(PtbXl, "_generate_tables", lambda *args, **kwargs: pytest.fail("it was prepared again"))
    assert len(build(ptb_xl, tmp_path)["train"]) == 3


def test_cache_notices_a_changed_table(ptb_xl, tmp_path):
    build(ptb_xl, tmp_path)
    table = ptb_xl / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("vorhofflimmern", "sinusrhythmus"))
    assert by_id(build(ptb_xl, tmp_path))["21"]["report"] == "sinusrhythmus"


def test_cache_notices_a_replaced_signal(ptb_xl, tmp_path):
    build(ptb_xl, tmp_path)
    folder = ptb_xl / "records100/00000"
    write_record(tmp_path / "new", "00021_lr", signal_of(5, 1000), rate=100)
    for ending in (".hea", ".dat"):
        (folder / f"00021_lr{ending}").unlink()
        (tmp_path / "new" / f"00021_lr{ending}").rename(folder / f"00021_lr{ending}")
    np.testing.assert_array_equal(by_id(build(ptb_xl, tmp_path))["21"]["ecg"], signal_of(5, 1000))


def test_cache_notices_changed_code(ptb_xl, tmp_path, monkeypatch):
    before = PtbXl(tmp_path / "cache", data_dir=ptb_xl).cache_dir
    assert PtbXl(tmp_path / "cache", data_dir=ptb_xl).cache_dir == before
    monkeypatch.setattr("datasets_scripts.archive_builder.source_hash", lambda: "other code")
    assert PtbXl(tmp_path / "cache", data_dir=ptb_xl).cache_dir != before


def test_a_relative_folder_means_the_one_of_this_working_directory(ptb_xl, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = PtbXl(tmp_path / "cache", data_dir="ptb-xl")
    assert relative.cache_dir == PtbXl(tmp_path / "cache", data_dir=ptb_xl).cache_dir


def test_records_in_other_wfdb_forms_are_read_too(ptb_xl, tmp_path):
    signal = signal_of(21, 1000)
    folder = ptb_xl / "records100/00000"
    order = list(range(11, -1, -1))
    names = ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    halved = signal // 2  # 500 units per mV
    write_record(
        folder, "00021_lr", halved[order], rate=100, adc_gain=[500.0] * 12, sig_name=[names[i] for i in order]
    )
    np.testing.assert_array_equal(by_id(build(ptb_xl, tmp_path))["21"]["ecg"], halved * 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{'AFIB': 0.0}", "{'AFIB': }", r"record 21, scp_codes: expected a dictionary"),
        ("{'AFIB': 0.0}", "{'NOPE': 0.0}", r"record 21, scp_codes: unknown SCP statement\(s\) NOPE"),
        (",24.0,1,1984-11-09 09:17:34,vorhof", ",24.0,2,1984-11-09 09:17:34,vorhof", r"record 21, sex: expected 0"),
        ("records100/00000/00021_lr", "../../etc/passwd", r"record 21, filename_lr: expected a path"),
        ("{'AFIB': 0.0},9,", "{'AFIB': 0.0},11,", r"record 21, strat_fold: expected a fold from 1 to 10, got '11'"),
        ("scp_codes,", "codes,", r"row 1: PTB-XL's table of records has the columns .*; scp_codes is missing"),
    ],
)
def test_errors_in_the_table_name_the_record_and_the_column(ptb_xl, tmp_path, old, new, message):
    table = ptb_xl / "ptbxl_database.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(ArchiveError, match=message):
        build(ptb_xl, tmp_path)


def test_statements_with_other_classes_are_refused(ptb_xl, tmp_path):
    path = ptb_xl / "scp_statements.csv"
    path.write_text(path.read_text().replace("STTC,STTC", "MI,AMI"))
    with pytest.raises(ArchiveError, match=r"scp_statements.csv: statement NDT is \('MI', 'AMI'"):
        build(ptb_xl, tmp_path)
