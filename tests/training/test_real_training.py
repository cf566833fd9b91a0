"""The whole line on the real archives: a short training and the shipped weights, evaluated on the validation fold."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from etp.weights import join

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.real_data, pytest.mark.timeout(1800)]


def run(*command: object) -> None:
    done = subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def macro_auroc(data_root, cache_dir, tmp_path):
    """Zero-shot macro AUROC of a checkpoint by task, on PTB-XL's validation fold."""

    def evaluate(model: Path, *tasks: str) -> dict[str, float]:
        output = tmp_path / "results.json"
        run(
            *("evaluate_zeroshot.py", "--model", model, "--data_dir", data_root / "ptb-xl", "--split", "validation"),
            *(
                "--tasks",
                *tasks,
                "--num_resamples",
                0,
                "--precision",
                "bf16",
                "--cache_dir",
                cache_dir,
                "--output",
                output,
            ),
        )
        return {task: report["macro_auroc"] for task, report in json.loads(output.read_text())["tasks"].items()}

    return evaluate


def test_a_short_training_learns_to_classify_from_reports_alone(data_root, cache_dir, tmp_path, macro_auroc):
    run(
        *"-m accelerate.commands.launch --num_processes 1 --num_machines 1 --mixed_precision no".split(),
        *"--dynamo_backend no train.py etp-base --max_steps 150 --objectives vocabulary=1".split(),
        *("--ecg_config", "hidden_sizes=[32,64,96,128]", "depths=[1,1,1,1]", "--vocabulary_min_count", 20),
        *("--data_dir", data_root / "ptb-xl", "--cache_dir", cache_dir, "--feature_cache", cache_dir / "texts"),
        *("--output_dir", tmp_path / "run", "--ema_decay", 0),
    )
    found = macro_auroc(tmp_path / "run", "superclass", "rhythm")
    assert found["superclass"] > 0.70
    assert found["rhythm"] > 0.65


def test_the_shipped_weights_still_classify(tmp_path, macro_auroc):
    join(ROOT / "etp" / "pretrained" / "etp-ptb-xl", tmp_path / "joined")
    found = macro_auroc(tmp_path / "joined", "superclass", "subclass", "form", "rhythm")
    # The figures of docs/log.md, rounded down by a margin for other machines.
    assert found["superclass"] > 0.88
    assert found["subclass"] > 0.87
    assert found["form"] > 0.77
    assert found["rhythm"] > 0.95
