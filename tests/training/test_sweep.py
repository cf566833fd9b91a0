"""The sweep of examples/: what it suggests is a command line of `etp train`, and validation alone decides."""

import importlib.util
import json
from pathlib import Path

import pytest

from etp.options import parse_options
from etp.training.arguments import GROUPS, Arguments

pytest.importorskip("optuna")
SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "sweep.py"


@pytest.fixture(scope="module")
def sweep():
    spec = importlib.util.spec_from_file_location("sweep", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("vocabulary", "objectives"), [(0.5, {"batch": 1.0, "vocabulary": 0.5}), (0.0, {"batch": 1.0})]
)
def test_what_is_suggested_is_a_command_line_of_training(sweep, vocabulary, objectives):
    words = sweep.flags_of({"learning_rate": 0.00123, "weight_decay": 0.05, "vocabulary": vocabulary}).split()
    args = Arguments(*parse_options(GROUPS, ["etp-tiny", *words, "--output_dir", "x"], description="", presets=True))
    assert (args.training.learning_rate, args.training.weight_decay) == (0.00123, 0.05)
    assert args.training.objectives == objectives


def test_a_trial_is_scored_by_its_best_validation(sweep, tmp_path):
    lines = [{"step": step, **dict.fromkeys(sweep.RECALLS, recall)} for step, recall in ((1, 0.2), (2, 0.6), (3, 0.4))]
    lines.insert(1, {"step": 1, "loss": 99.0})  # of training
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert sweep.best_recall(tmp_path / "metrics.jsonl") == pytest.approx(0.6)
