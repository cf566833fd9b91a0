"""`etp check` tells which records training can use, by the test that training makes, and evaluation can leave the others out."""

import json
from pathlib import Path

import numpy as np
import pytest
from toy_archive import FINDINGS

from datasets_scripts.synthetic_ecg import CONDITIONS, simulate_ecgs


@pytest.fixture
def own(tmp_path) -> Path:
    """30 ECGs; of the training records one misses 0.2 s, one has no signal at all and one no file."""
    folder = tmp_path / "own"
    folder.mkdir()
    names = [FINDINGS[number % 3] for number in range(30)]
    signals = simulate_ecgs([CONDITIONS[name] for name in names], sampling_rate=100, seed=1).signal
    signals[24, 3, 100:120] = np.nan
    signals[25] = 0
    lines = ["file,report,labels,split,sampling_rate"]
    for number, (name, signal) in enumerate(zip(names, signals, strict=True)):
        np.save(folder / f"{number}.npy", signal)
        split = "test" if number < 9 else "validation" if number < 18 else "train"
        lines.append(f"{number}.npy,{name.capitalize()}.,{name},{split},100")
    (folder / "26.npy").unlink()
    (folder / "records.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_it_names_what_the_reader_and_what_the_feature_extractor_refuse(etp, own, tmp_path):
    where = ["--dataset", "folder", "--data_dir", own, "--cache_dir", tmp_path / "cache"]
    status, out, err = etp("check", *where)
    assert status == 1
    assert "train: 11 records, 11 with text" in out
    assert "27 of 30 records can be used" in out
    lines = {line.split(":")[0]: line for line in err.splitlines() if line.startswith("Record ")}
    assert set(lines) == {"Record 24", "Record 25", "Record 26"}
    assert "max_gap_seconds" in lines["Record 24"]
    status, out, err = etp("check", *where, "--max_gap_seconds", "0.3")
    assert "28 of 30 records can be used" in out
    assert "Record 24" not in err


def test_its_json_holds_what_can_be_used_and_every_refused_record_with_the_reason(etp, own, tmp_path):
    where = ["--dataset", "folder", "--data_dir", own, "--cache_dir", tmp_path / "cache"]
    status, out, err = etp("check", *where, "--json")
    assert (status, "Record" in err) == (1, False)
    (line,) = out.splitlines()
    found = json.loads(line)
    assert found["usable"] == 27
    assert found["usable_of_split"] == {"train": 9, "validation": 9, "test": 9}
    assert {record["record_id"]: record["split"] for record in found["refused"]} == dict.fromkeys(
        ["24", "25", "26"], "train"
    )
    reasons = {record["record_id"]: record["error"] for record in found["refused"]}
    assert "max_gap_seconds" in reasons["24"]
    assert all(reasons.values())


def test_it_ends_with_0_where_all_can_be_used(etp, archive_dir, arrow_cache):
    status, out, err = etp("check", "--data_dir", archive_dir, "--cache_dir", arrow_cache)
    assert status == 0
    assert "Record" not in err
    assert out.splitlines()[-1] == "300 of 300 records can be used"


def evaluate(etp, own, checkpoint_dir, tmp_path, protocol, *extra):
    output = tmp_path / f"{protocol}-{len(extra)}.json"  # another one for other options
    where = ["--dataset", "folder", "--data_dir", own, "--cache_dir", tmp_path / "cache", "--model", checkpoint_dir]
    status, _, err = etp("evaluate", protocol, *where, "--output", output, "--num_resamples", 10, *extra)
    return status, err, json.loads(output.read_text()) if output.exists() else None


def test_an_evaluation_stops_at_a_bad_record_and_says_how_to_go_on(etp, own, checkpoint_dir, tmp_path):
    (own / "26.npy").write_bytes((own / "27.npy").read_bytes())
    status, err, _ = evaluate(etp, own, checkpoint_dir, tmp_path, "linear", "--label_fractions", 1)
    assert status == 2
    assert "record 24" in err
    assert "--on_error skip" in err


def test_an_evaluation_leaves_bad_records_out_counted_and_listed(etp, own, checkpoint_dir, tmp_path):
    extra = ["--label_fractions", 1, "--on_error", "skip"]
    status, _, result = evaluate(etp, own, checkpoint_dir, tmp_path, "linear", *extra)
    assert status == 0
    assert result["tasks"]["labels"]["num_training_records"] == 9
    assert [row["record_id"] for row in result["skipped_records"]] == ["26", "24", "25"]
    assert {row["split"] for row in result["skipped_records"]} == {"train"}
    status, err, result = evaluate(etp, own, checkpoint_dir, tmp_path, "linear", *extra, "--max_gap_seconds", 0.3)
    assert status == 0, err
    assert result["tasks"]["labels"]["num_training_records"] == 10
    assert result["conditions"]["max_gap_seconds"] == 0.3


def test_a_gap_below_0_is_refused(etp, own, checkpoint_dir, tmp_path):
    status, err, _ = evaluate(etp, own, checkpoint_dir, tmp_path, "zero-shot", "--max_gap_seconds", -1)
    assert (status, "--max_gap_seconds must be at least 0, got -1" in err) == (2, True)
