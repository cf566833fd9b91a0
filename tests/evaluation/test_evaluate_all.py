"""The whole protocol by one command, on a small archive."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "zero-shot-ptb-xl": "zero_shot",
    "zero-shot-ptb-xl-patients": "zero_shot",
    "zero-shot-ptb-xl-limb": "zero_shot",
    "zero-shot-ptb-xl-I-II-V2": "zero_shot",
    "zero-shot-ptb-xl-II": "zero_shot",
    "zero-shot-ptb-xl-I": "zero_shot",
    "linear-ptb-xl": "linear_probe",
    "retrieval-ptb-xl": "retrieval",
    "open-vocabulary-ptb-xl": "open_vocabulary",
}


@pytest.fixture
def evaluate(checkpoint_dir, archive_dir, arrow_cache):
    def evaluate(output: Path, *options: str) -> subprocess.CompletedProcess:
        paths = {"--model": checkpoint_dir, "--ptb_xl": archive_dir, "--cache_dir": arrow_cache, "--output": output}
        argv = [str(word) for pair in paths.items() for word in pair]
        command = [
            sys.executable,
            "-m",
            "etp.cli",
            "evaluate",
            "all",
            *argv,
            "--num_resamples",
            "20",
            "--num_seeds",
            "1",
        ]
        return subprocess.run([*command, *options], capture_output=True, text=True, check=False)

    return evaluate


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_runs_goes_on_and_ends_in_one_page(evaluate, tmp_path):
    output, page = tmp_path / "results", tmp_path / "page.md"
    done = evaluate(output, "--page", str(page))
    assert done.returncode == 0, done.stderr[-3000:]
    kinds = {path.stem: json.loads(path.read_text())["kind"] for path in output.glob("*.json")}
    assert kinds == FILES
    text = page.read_text()
    for heading in (
        "by leads",
        "sex and age",
        "by fraction of labels",
        "Retrieval",
        "Open vocabulary, ptb_xl, validation split",
    ):
        assert heading in text
    assert page.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert {path.stem for path in page.with_suffix("").glob("*.csv")} == set(FILES)
    assert len(text.splitlines()) <= 120

    dates = {path.stem: json.loads(path.read_text())["date"] for path in output.glob("*.json")}
    (output / "linear-ptb-xl.json").unlink()
    again = evaluate(output, "--page", str(page))
    assert again.returncode == 0, again.stderr[-3000:]
    redone = [path.stem for path in output.glob("*.json") if json.loads(path.read_text())["date"] != dates[path.stem]]
    assert redone == ["linear-ptb-xl"]


def test_the_commands_can_be_read_without_running_any(evaluate, archive_dir, tmp_path):
    done = evaluate(tmp_path / "results", "--cpsc2018", str(archive_dir), "--page", "page.md", "--dry_run")
    lines = done.stdout.splitlines()
    assert len(lines) == len(FILES) + 3
    assert all("--dataset cpsc2018" in line for line in lines[-3:-1])
    assert "--split test" in lines[0]
    assert "--split" not in lines[len(FILES) - 1]  # paraphrases are evaluated on the validation split
    assert all(f"{name}.json" in lines[-1] for name in FILES)
    assert not list(tmp_path.glob("results/*.json"))


def test_an_archive_that_is_not_there_is_said_before_anything_runs(evaluate, tmp_path):
    done = evaluate(tmp_path / "results", "--cpsc2018", "/nowhere")
    assert done.returncode == 2
    assert "--cpsc2018 /nowhere is not a folder" in done.stderr
    assert done.stdout == ""
