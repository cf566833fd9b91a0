"""The synthetic archive is laid out as PTB-XL, and its reports and labels say the same."""

import ast
import csv
import filecmp
import re
from pathlib import Path

import numpy as np
import pytest
import wfdb

from datasets_scripts.ptb_xl_reports import report_statements
from datasets_scripts.synthetic import DATABASE_COLUMNS, DESCRIPTIONS, STATEMENT_COLUMNS, main, write_archive
from datasets_scripts.synthetic_ecg import CONDITIONS, Condition
from datasets_scripts.synthetic_reports import (
    AV_BLOCK_WORDS,
    FAST_FIBRILLATION,
    PREMATURE_WORDS,
    RHYTHM_WORDS,
    VENTRICULAR_WORDS,
    heart_axis,
    scp_codes,
    write_report,
)
from etp.archives import open_archive
from modeling_etp.ecg_files_etp import STANDARD_LEADS, read_ecg

# Part of a statement that says so in English, per code of `Condition`.
IN_ENGLISH = {
    "SR": "sinus rhythm",
    "SBRAD": "sinus bradycardia",
    "STACH": "sinus tachycardia",
    "AFIB": "atrial fibrillation",
    "CLBBB": "left bundle branch block",
    "CRBBB": "right bundle branch block",
    "AMI": "anterior myocardial infarction",
    "IMI": "inferior myocardial infarction",
    "ISC_": "ST depression|ischemia",
    "LVH": "left ventricular hypertrophy",
    "1AVB": "first-degree AV block|prolonged PR interval",
    "PVC": "premature ventricular complex",
}


def read_table(path: Path) -> list[dict]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return write_archive(tmp_path_factory.mktemp("synthetic") / "archive", num_records=300, seed=7)


@pytest.fixture(scope="module")
def rows(archive) -> list[dict]:
    return read_table(archive / "ptbxl_database.csv")


def test_the_tables_have_the_columns_of_ptb_xl(archive, rows):
    assert len(DATABASE_COLUMNS) == 28
    assert list(rows[0]) == list(DATABASE_COLUMNS)
    assert list(read_table(archive / "scp_statements.csv")[0]) == list(STATEMENT_COLUMNS)
    assert [int(row["ecg_id"]) for row in rows] == list(range(1, 301))


def test_patients_stay_in_one_fold_and_conditions_are_in_all(rows):
    folds_of = {}
    for row in rows:
        folds_of.setdefault(row["patient_id"], set()).add(row["strat_fold"])
    assert len(folds_of) < len(rows)
    assert all(len(folds) == 1 for folds in folds_of.values())
    for code in ("NORM", "AFIB", "CLBBB", "AMI"):
        assert {row["strat_fold"] for row in rows if f"'{code}'" in row["scp_codes"]} == set(map(str, range(1, 11)))


def test_every_code_that_occurs_is_explained_and_none_else(rows):
    used = {code for row in rows for code in ast.literal_eval(row["scp_codes"])}
    assert used == set(DESCRIPTIONS)


def test_report_and_codes_of_a_record_agree(rows):
    for row in rows:
        statements = " | ".join(report_statements(row["report"]))
        for code in set(ast.literal_eval(row["scp_codes"])) & set(IN_ENGLISH):
            assert re.search(IN_ENGLISH[code], statements), (code, row["report"], statements)


def test_the_builder_of_ptb_xl_reads_it(archive, rows, tmp_path):
    splits = open_archive("ptb_xl", archive, cache_dir=tmp_path)
    assert {name: len(split) for name, split in splits.items()} == {
        "train": sum(int(row["strat_fold"]) <= 8 for row in rows),
        "validation": sum(row["strat_fold"] == "9" for row in rows),
        "test": sum(row["strat_fold"] == "10" for row in rows),
    }
    first = splits["test"][0]
    row = rows[int(first["record_id"]) - 1]
    assert first["report"] == row["report"]
    samples = np.fromfile((archive / row["filename_lr"]).with_suffix(".dat"), "<i2").reshape(1000, 12)
    np.testing.assert_array_equal(np.array(first["ecg"]), samples.T)
    assert [code["code"] for code in first["scp_codes"]] == list(ast.literal_eval(row["scp_codes"]))


@pytest.mark.parametrize("language", ["de", "en", "sv"])
def test_every_wording_is_understood_by_the_translator(language):
    wordings = {"AFIB": [*RHYTHM_WORDS["AFIB"][language], *FAST_FIBRILLATION[language]]}
    wordings |= {code: RHYTHM_WORDS[code][language] for code in ("SR", "SBRAD", "STACH")}
    wordings |= {code: words[language] for code, words in VENTRICULAR_WORDS.items()}
    wordings |= {"1AVB": AV_BLOCK_WORDS[language], "PVC": PREMATURE_WORDS[language]}
    for code, phrases in wordings.items():
        for phrase in phrases:
            assert re.search(IN_ENGLISH[code], " | ".join(report_statements(phrase))), phrase


def test_codes_follow_the_habits_of_ptb_xl():
    assert scp_codes(Condition()) == {"NORM": 100.0, "SR": 0.0}
    assert scp_codes(CONDITIONS["bradycardia"]) == {"NORM": 80.0, "SBRAD": 0.0}
    assert scp_codes(CONDITIONS["atrial fibrillation"]) == {"AFIB": 0.0}
    assert scp_codes(Condition(ventricles="LVH", av_block=True, premature_beats=True)) == {
        "LVH": 100.0,
        "VCLVH": 0.0,
        "1AVB": 100.0,
        "PVC": 100.0,
        "SR": 0.0,
    }


def test_fast_fibrillation_is_called_fast():
    reports = {
        rate: [
            write_report(
                CONDITIONS["atrial fibrillation"], axis="MID", heart_rate=rate, rng=np.random.default_rng(seed)
            )[0]
            for seed in range(30)
        ]
        for rate in (80, 130)
    }
    fast = re.compile("tachykard|rapid|hÖg kammarfrekvens")
    assert all(fast.search(report) for report in reports[130])
    assert not any(fast.search(report) for report in reports[80])


@pytest.mark.parametrize(
    ("degrees", "code"), [(50, "MID"), (0, "LAD"), (-45, "ALAD"), (80, "AXR"), (120, "RAD"), (-120, "RAD")]
)
def test_the_axis_gets_its_code(degrees, code):
    assert heart_axis(degrees) == code


def test_records_read_as_wfdb_says(archive, rows):
    path = archive / rows[0]["filename_lr"]
    record = wfdb.rdrecord(str(path))
    assert record.sig_name == [lead.upper() for lead in STANDARD_LEADS]
    assert (record.fs, record.sig_len, set(record.units)) == (100, 1000, {"mV"})
    ours = read_ecg(path.with_suffix(".hea"))
    assert tuple(ours.lead_names) == STANDARD_LEADS
    np.testing.assert_allclose(ours.signal, record.p_signal.T, atol=1e-6)
    assert np.abs(ours.signal).max() < 10


def test_headers_are_spelled_as_the_publishers(archive):
    lines = (archive / "records100/00000/00001_lr.hea").read_text().splitlines()
    samples = np.fromfile(archive / "records100/00000/00001_lr.dat", "<i2").reshape(1000, 12)
    assert lines[0] == "00001_lr 12 100 1000"
    for lead, line, column in zip(STANDARD_LEADS, lines[1:], samples.T, strict=True):
        checksum = int(column.astype(np.int64).sum()) % 65536
        assert line == f"00001_lr.dat 16 1000.0(0)/mV 16 0 {column[0]} {checksum} 0 {lead.upper()}"


def test_the_same_arguments_give_the_same_bytes_and_500_hz_changes_nothing_at_100(tmp_path):
    first = write_archive(tmp_path / "first", num_records=30, seed=1)
    both = write_archive(tmp_path / "both", num_records=30, seed=1, sampling_rates=(100, 500))
    files = [str(path.relative_to(first)) for path in first.rglob("*") if path.is_file()]
    assert len(files) == 2 + 2 * 30
    assert filecmp.cmpfiles(first, both, files, shallow=False)[0] == files
    assert (both / "records500/00000/00030_hr.dat").stat().st_size == 5000 * 12 * 2
    other = write_archive(tmp_path / "other", num_records=30, seed=2)
    assert not filecmp.cmpfiles(first, other, [name for name in files if name.endswith(".dat")], shallow=False)[0]


def test_bad_arguments_are_refused(tmp_path, archive, capsys):
    with pytest.raises(FileExistsError, match="holds an archive already"):
        write_archive(archive, num_records=2)
    with pytest.raises(ValueError, match=r"must be of 100 and 500, as in PTB-XL, got \[250\]"):
        write_archive(tmp_path / "new", sampling_rates=[250])
    with pytest.raises(ValueError, match="num_records must be at least 1, got 0"):
        write_archive(tmp_path / "new", num_records=0)
    with pytest.raises(SystemExit, match="2"):
        main([str(archive)])
    assert "holds an archive already" in capsys.readouterr().err


def test_the_command_writes_an_archive(tmp_path, capsys):
    main([str(tmp_path / "archive"), "--records", "3", "--seed", "5"])
    assert len(read_table(tmp_path / "archive/ptbxl_database.csv")) == 3
    assert "3 synthetic records" in capsys.readouterr().out
