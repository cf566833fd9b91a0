"""Trackers get the name, identity and figures of a run by what accelerate hands them; none can stop it without a word."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from accelerate import tracking
from accelerate.utils import LoggerType

from etp.options import OptionError
from etp.run_files import read_metrics


class FakeRun:
    """What `wandb.init` gives, as far as accelerate uses it."""

    def __init__(self, **asked):
        self.asked, self.logged, self.finished = asked, [], False

    def log(self, values, step=None, **_):
        self.logged.append((step, values))

    def finish(self):
        self.finished = True


@pytest.fixture
def wandb(monkeypatch):
    """A module of the name, which never speaks to anybody."""
    runs: list[FakeRun] = []
    module = ModuleType("wandb")

    def init(**asked):
        runs.append(FakeRun(**asked))
        return runs[-1]

    module.init = init
    module.config = SimpleNamespace(update=lambda values, **_: runs[-1].__dict__.update(config=values))
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr(tracking, "_available_trackers", [LoggerType.WANDB])
    return SimpleNamespace(module=module, runs=runs)


def test_a_run_has_its_name_its_options_and_every_figure_and_goes_on_under_its_identity(run, wandb, tmp_path):
    assert run(tmp_path / "my-run", "--report_to", "wandb", "--max_steps", "3") == 0
    assert run(tmp_path / "my-run", "--report_to", "wandb", "--max_steps", "3", "--resume", "auto") == 0
    assert run(tmp_path / "my-run", "--report_to", "wandb", "--max_steps", "2", "--overwrite") == 0
    first, resumed, anew = wandb.runs
    assert (first.asked["project"], first.asked["name"]) == ("etp", "my-run")
    assert first.asked["id"] == resumed.asked["id"] != anew.asked["id"]
    assert first.config["batch_size"] == "16"
    assert all(each.finished for each in wandb.runs)
    losses = {
        line["step"]: pytest.approx(line["loss"])
        for line in read_metrics(tmp_path / "my-run/metrics.jsonl")
        if "loss" in line
    }
    assert {step: values["loss"] for step, values in anew.logged if "loss" in values} == losses


def test_a_tracker_that_does_not_start_is_one_line_with_its_reason(run, wandb, tmp_path):
    def init(**asked):
        raise RuntimeError("No API key configured.\nUse `wandb login` to log in.")

    wandb.module.init = init
    words = (
        r"--report_to wandb: it can't be started \(No API key configured. Use `wandb login` to log in.\). Mend that"
    )
    with pytest.raises(OptionError, match=words):
        run(tmp_path / "run", "--report_to", "wandb")


def test_the_trackers_are_those_of_the_installed_accelerate():
    assert {"tensorboard", "wandb", "mlflow", "trackio", "clearml", "comet_ml", "dvclive"} <= {
        *tracking.LOGGER_TYPE_TO_CLASS
    }
