"""The ECGs that come with the package: whole, attributed, and called by name."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from datasets_scripts.ptb_xl_reports import report_statements
from etp.cli import main
from etp.samples import SAMPLES, list_samples, sample_path
from modeling_etp import STANDARD_LEADS, read_ecg

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("sample", list_samples(), ids=lambda sample: sample.name)
def test_a_sample_is_ten_whole_seconds_of_twelve_leads_from_a_fold_that_is_not_trained_on(sample):
    recording = read_ecg(sample.path)
    assert recording.lead_names == STANDARD_LEADS
    assert recording.signal.shape == (12, 10 * recording.sampling_rate)
    assert np.isfinite(recording.signal).all()
    assert recording.notes == ()
    assert sample.strat_fold in (9, 10)
    assert f"Record {sample.record_id} of PTB-XL" in recording.metadata["comments"][0]


@pytest.mark.parametrize("sample", list_samples(), ids=lambda sample: sample.name)
def test_the_statements_of_a_sample_are_those_of_its_report(sample):
    assert list(sample.statements) == report_statements(sample.report)
    words = {word.rstrip("s") for word in sample.name.split("-")}
    said = re.sub("prolonged PR interval", "first degree av block", " ".join(sample.statements)).lower()
    assert words <= set(re.split(r"\W+", said)), "the name is what the report says"


def test_samples_are_a_dozen_and_light_and_carry_their_licence():
    assert len(list_samples()) == 12
    assert sum(path.stat().st_size for path in SAMPLES.iterdir() if path.is_file()) < 1.5e6
    text = (SAMPLES / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for words in (
        "Wagner",
        "PTB-XL",
        "1.0.3",
        "creativecommons.org/licenses/by/4.0",
        "Changes made",
        "10.1038/s41597-020-0495-6",
    ):
        assert words in text


def test_no_other_recording_is_in_the_repository():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not tracked:
        pytest.skip("not a clone")
    recordings = {name for name in tracked if re.search(r"\.(dat|hea|mat|edf|dcm|scp|h5|hdf5|npy|npz)\Z", name)}
    assert recordings == {f"etp/samples/{sample.name}{end}" for sample in list_samples() for end in (".dat", ".hea")}


def test_a_sample_that_is_misspelt_is_suggested():
    with pytest.raises(
        ValueError,
        match=r"no sample 'atrial-fibrilation'\. Did you mean sample:atrial-fibrillation\? There are normal, ",
    ):
        sample_path("sample:atrial-fibrilation")
    assert sample_path("normal") == sample_path("sample:normal")


def test_commands_take_samples_by_name(checkpoint_dir, tmp_path, capsys):
    assert main(["info", "sample:atrial-flutter", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sampling_rate"] == 500
    words = ["--model", str(checkpoint_dir), "--labels", "a", "b", "--json"]
    assert main(["classify", "sample:*-infarction", "sample:normal", *words]) == 0
    files = [json.loads(line)["file"] for line in capsys.readouterr().out.splitlines()]
    assert files == ["sample:anterior-infarction", "sample:inferior-infarction", "sample:normal"]
    assert main(["plot", "sample:normal", "-o", str(tmp_path / "normal.svg")]) == 0
    assert main(["embed", "sample:normal", "--model", str(checkpoint_dir), "-o", str(tmp_path / "e.npz")]) == 0


@pytest.mark.parametrize(
    "command", [["classify", "--labels", "a", "b"], ["info"], ["plot", "-o", "a.png"]], ids=lambda c: c[0]
)
def test_a_sample_that_there_is_not_is_said_by_every_command(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([command[0], "sample:nomral", *command[1:]]) in (1, 2)
    assert "Did you mean sample:normal?" in capsys.readouterr().err


def test_a_file_of_that_very_name_is_that_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = ["time,I,II,V1", *(f"{row / 100},{row % 7 / 10},{row % 5 / 10},{row % 3 / 10}" for row in range(1000))]
    Path("sample:normal").write_text("\n".join(rows))
    assert main(["info", "sample:normal", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lead_names"] == ["I", "II", "V1"]
