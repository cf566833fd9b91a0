"""MIMIC-IV-ECG in the layout of its release 1.0: reports, measurements, leads by name, splits by patient."""

import numpy as np
import pytest
from archive_server import write_sums
from small_archives import signal_of, write_mimic

from datasets_scripts.archive_errors import ArchiveError, RecordError
from datasets_scripts.archive_tables import fold_of, split_of_fold
from datasets_scripts.mimic_iv_ecg import MimicIvEcg
from datasets_scripts.mimic_reports import statements_of
from etp.archives import open_archive
from etp.arrow_batches import read_signals

RECORDS = [
    (10000032, 40689238, ["Sinus rhythm", "Normal ECG."], {"rr_interval": 659, "p_axis": 51, "qrs_axis": -30}),
    (10000032, 44458630, ["Sinus tachycardia", "Confirmed by Dr. X"], {}),
    *((10000100 + number, 40000000 + number, ["Atrial fibrillation"], {"t_end": 800}) for number in range(12)),
]


@pytest.fixture
def mimic(tmp_path):
    return write_mimic(tmp_path / "mimic", RECORDS)


def open_rows(root, tmp_path):
    splits = open_archive("mimic_iv_ecg", root, cache_dir=tmp_path / "cache")
    return {row["record_id"]: (split, row) for split, data in splits.items() for row in data}, splits


def test_leads_are_put_into_order_by_the_names_of_the_header(mimic, tmp_path):
    _, splits = open_rows(mimic, tmp_path)
    for data in splits.values():
        for study, signal in zip(data["record_id"], read_signals(data, range(len(data))), strict=True):
            np.testing.assert_array_equal(signal, signal_of(int(study), 5000) // 5 * 5)


def test_reports_statements_and_measurements_of_a_row_are_of_its_study(mimic, tmp_path):
    rows, _ = open_rows(mimic, tmp_path)
    _, first = rows["40689238"]
    assert (first["report"], first["statements"]) == ("Sinus rhythm. Normal ECG", ["Sinus rhythm", "Normal ECG"])
    assert rows["44458630"][1]["statements"] == ["Sinus tachycardia"]
    assert (first["rr_interval_ms"], first["p_axis_degrees"], first["qrs_axis_degrees"]) == (659, 51, -30)
    assert first["t_end_ms"] is None  # 29999 is "not measured"
    assert rows["40000003"][1]["t_end_ms"] == 800
    assert (first["age"], first["sex"]) == (None, None)


def test_splits_are_by_patient_and_stay_when_the_archive_is_only_partly_there(mimic, tmp_path):
    rows, _ = open_rows(mimic, tmp_path)
    for split, row in rows.values():
        assert (split, row["strat_fold"]) == (split_of_fold(fold_of(row["patient_id"])), fold_of(row["patient_id"]))
    part = write_mimic(tmp_path / "part", RECORDS[:5])
    for study, (split, _) in open_rows(part, tmp_path)[0].items():
        assert rows[study][0] == split


def test_a_study_without_measurements_has_no_report(mimic, tmp_path):
    table = mimic / "machine_measurements.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([lines[0], *lines[2:]]))
    row = open_rows(mimic, tmp_path)[0]["40689238"][1]
    assert (row["report"], row["statements"], row["rr_interval_ms"]) == ("", [], None)


FAULTS = {
    "a missing column": ("machine_measurements.csv", "report_17", "report17", r"row 1: .*; report_17 is missing"),
    "a path outside": ("record_list.csv", "files/p1000/p10000032/s40689238/40689238", "../../etc/passwd", r"row 2: expected a path such as files/"),
    "a link of words": ("record_list.csv", "files/p1000/p10000032/s40689238/40689238", "files/p1000/p10000032/s40689238/../x", r"row 2: expected a path"),
    "another patient's path": ("record_list.csv", "10000032,40689238", "10000033,40689238", r"row 2: the path .* is not of patient 10000033"),
    "a doubled study": ("record_list.csv", "10000032,44458630,44458630,2180-07-23 08:44:00,files/p1000/p10000032/s44458630/44458630", "10000032,40689238,44458630,2180-07-23 08:44:00,files/p1000/p10000032/s40689238/40689238", r"record 40689238 is there twice \(rows 2 and 3\)"),
    "a doubled measurement": ("machine_measurements.csv", "10000032,44458630", "10000032,40689238", r"record 40689238 is there twice \(rows 2 and 3\)"),
    "a measurement of another patient": ("machine_measurements.csv", "10000032,40689238", "10000099,40689238", r"row 2: study 40689238 is of patient 10000099 there, of 10000032 in record_list\.csv"),
    "a measurement that is none": ("machine_measurements.csv", ",659,", ",fast,", r"row 2: rr_interval must be a number or blank, got 'fast'"),
    "another encoding": ("machine_measurements.csv", "Normal ECG.", "Normal \udcfc", r"row 2: b'\\xfc' is not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_tables_that_are_wrong_are_named_with_row_and_cure(mimic, tmp_path, fault):
    name, old, new, message = FAULTS[fault]
    content = (mimic / name).read_text()
    assert old in content
    (mimic / name).write_bytes(content.replace(old, new, 1).encode("utf-8", "surrogateescape"))
    with pytest.raises(ArchiveError, match=rf"{name}.*{message}.* (Fetch|Keep)") as raised:
        open_archive("mimic_iv_ecg", mimic, cache_dir=tmp_path / "cache")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" 12 500 5000", " 12 500 6000", r"40689238\.dat"),
        (" 12 500 5000", " 12 250 5000", r"40689238\.hea: expected 500 Hz, the header says 250"),
        ("aVL", "X", r"12 leads are needed, aVL not found"),
    ],
)
def test_headers_that_contradict_are_named(mimic, tmp_path, old, new, message):
    header = mimic / "files/p1000/p10000032/s40689238/40689238.hea"
    assert old in header.read_text()
    header.write_text(header.read_text().replace(old, new))
    with pytest.raises(RecordError, match=rf"(?s)Record 40689238: .*{message}"):
        open_archive("mimic_iv_ecg", mimic, cache_dir=tmp_path / "cache")


def test_bad_records_are_skipped_and_listed(mimic, tmp_path):
    (mimic / "files/p1000/p10000032/s40689238/40689238.dat").unlink()
    builder = MimicIvEcg(tmp_path / "cache", data_dir=mimic, on_error="skip")
    builder.download_and_prepare()
    assert [row["record_id"] for row in builder.skipped_records] == ["40689238"]


@pytest.mark.parametrize(
    ("sentence", "statements"),
    [
        ("Sinus rhythm", ["Sinus rhythm"]),
        ("Possible anterior infarct - age undetermined", ["Possible anterior infarct - age undetermined"]),
        ("Inferior/lateral ST-T changes may be due to myocardial ischemia", ["Inferior/lateral ST-T changes may be due to myocardial ischemia"]),
        ("Low QRS voltages in precordial leads", ["Low QRS voltages in precordial leads"]),
        ("Poor R wave progression", ["Poor R wave progression"]),
        ("Pacemaker rhythm - no further analysis", ["Pacemaker rhythm"]),
        ("Atrial-paced rhythm", ["Atrial-paced rhythm"]),
        ("Consider left atrial abnormality. Clinical correlation is suggested.", ["Consider left atrial abnormality"]),
        ("Summary: Abnormal ECG", ["Abnormal ECG"]),
        ("Sinus rhythm.", ["Sinus rhythm"]),
        ("*** Poor data quality, interpretation may be adversely affected ***", []),
        ("Warning: Data quality may affect interpretation", []),
        ("Baseline artifact", []),
        ("--- Suspect arm lead reversal - only aVF, V1-V6 analyzed ---", []),
        ("Lead(s) V2 were not used for morphology analysis", []),
        ("Missing lead(s): V3", []),
        ("Demand pacing, analysis is based upon intrinsic rhythm", []),
        ("Demand ventricular pacemaker", []),
        ("Confirmed by DOE, MD (1) on 1/1/2100 8:00:00 AM", []),
        ("Unconfirmed report", []),
        ("Compared to the previous tracing there is no change", []),
        ("Since previous tracing, no significant change", []),
        ("", []),
    ],
)  # fmt: skip
def test_sentences_that_say_nothing_of_the_heart_are_no_findings(sentence, statements):
    assert statements_of([sentence]) == statements


def test_the_archive_is_fetched_from_its_publisher(mimic, tmp_path, serve):
    write_sums(mimic)
    builder = MimicIvEcg(tmp_path / "cache", url=serve(mimic).url)
    builder.download_and_prepare()
    assert sum(len(data) for data in builder.as_dataset().values()) == len(RECORDS)
