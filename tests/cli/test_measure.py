"""`etp measure`, and the measurements in `etp info` and `etp plot`, on an ECG and on files that can't be measured."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from datasets_scripts.synthetic_ecg import CONDITIONS, simulate_ecgs
from modeling_etp import STANDARD_LEADS

pytest.importorskip("openecg")

STATED = ["--sampling_rate", 100, "--lead_names", "I", "II"]


@pytest.fixture(scope="module")
def truth():
    return simulate_ecgs([CONDITIONS["normal"]], sampling_rate=100, seed=3, seconds=6)


@pytest.fixture
def ecg(truth, tmp_path) -> Path:
    """Leads I and II of six seconds."""
    assert STANDARD_LEADS[:2] == ("I", "II")
    np.save(tmp_path / "ecg.npy", truth.signal[0, :2])
    return tmp_path / "ecg.npy"


@pytest.fixture
def noise(tmp_path) -> Path:
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).normal(0, 0.2, (2, 600)).astype(np.float32))
    return tmp_path / "noise.npy"


def test_it_prints_every_measurement_or_why_there_is_none(etp, truth, ecg, noise):
    status, out, err = etp("measure", ecg, noise, *STATED)
    assert (status, err) == (0, "")
    first, second = out.split(f"{noise}\n")
    *measured, note = first.splitlines()[1:]
    assert note == "  note: Its values are taken as mV, as no unit is stated."
    lines = dict(line.strip().split("  ", 1) for line in measured)
    assert float(lines["heart rate"].split()[0]) == pytest.approx(truth.heart_rate[0], rel=0.03)
    assert [name for name in lines if name.startswith("QTc")] == ["QTc (Fridericia)", "QTc (Bazett)"]
    assert second.count("not measurable: ") == 7


def test_json_and_the_table_hold_the_same(etp, ecg, noise, tmp_path):
    table = tmp_path / "measured.csv"
    status, out, _ = etp("measure", ecg, noise, *STATED, "--json", "-o", table)
    assert status == 0
    good, bad = map(json.loads, out.splitlines())
    assert good["file"] == str(ecg)
    assert isinstance(good["qrs_duration"], int)
    assert bad["heart_rate"] is None
    assert bad["reasons"]["heart_rate"]
    rows = list(csv.DictReader(table.open()))
    assert [row["file"] for row in rows] == [str(ecg), str(noise)]
    assert rows[0]["qrs_duration"] == str(good["qrs_duration"])
    assert rows[1]["axis"] == ""
    assert "heart_rate: " in rows[1]["not_measurable"]
    status, _, err = etp("measure", ecg, *STATED, "-o", table)
    assert status == 2
    assert "exists already" in err


def test_a_file_that_is_none_is_named_and_the_others_go_on(etp, ecg, tmp_path):
    (tmp_path / "words.npy").write_bytes(b"words")
    status, out, err = etp("measure", tmp_path / "words.npy", ecg, *STATED, "--json")
    assert status == 1
    assert "words.npy" in err
    assert json.loads(out)["file"] == str(ecg)


def test_the_table_is_a_csv_file(etp, ecg, tmp_path):
    status, _, err = etp("measure", ecg, *STATED, "-o", tmp_path / "measured.xlsx")
    assert status == 2
    assert "must end in .csv" in err


def test_info_has_a_block_of_measurements(etp, ecg):
    _, out, _ = etp("info", ecg, *STATED)
    assert "\nQTc (Fridericia)  " in out
    facts = json.loads(etp("info", ecg, *STATED, "--json")[1])
    assert facts["measurements"]["heart_rate"] in range(40, 130)


def test_without_the_package_the_extra_is_named(etp, ecg, monkeypatch):
    monkeypatch.setitem(sys.modules, "openecg", None)
    status, _, err = etp("measure", ecg, *STATED)
    assert status == 1
    assert "openecg is not installed: pip install" in err
    assert '[measure]"' in err
    status, out, _ = etp("info", ecg, *STATED)
    assert status == 0
    assert "not measurable: openecg is not installed: pip install" in out
