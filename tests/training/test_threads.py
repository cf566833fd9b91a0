"""A run uses the cores there are, though its launcher says one thread where nobody said anything."""

import os
import subprocess
import sys
from pathlib import Path

import joblib
import pytest
import torch

from etp.training.processes.threads import use_threads

ROOT = Path(__file__).resolve().parents[2]
LAUNCHED = {"ACCELERATE_DYNAMO_BACKEND": "NO", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def on_eight_cores(monkeypatch):
    """A machine of eight cores with three threads in use, and nothing in the environment that decides on threads."""
    for name in (*LAUNCHED, "TORCHELASTIC_RUN_ID", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(joblib, "cpu_count", lambda only_physical_cores: 8)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("environment", "num_threads", "expected"),
    [
        (LAUNCHED, None, 8),
        ({**LAUNCHED, "LOCAL_WORLD_SIZE": "3"}, None, 2),
        ({**LAUNCHED, "LOCAL_WORLD_SIZE": "9"}, None, 1),
        ({"TORCHELASTIC_RUN_ID": "etp", "OMP_NUM_THREADS": "1"}, None, 8),
        (LAUNCHED, 2, 2),
        ({**LAUNCHED, "OMP_NUM_THREADS": "3"}, None, 3),
        ({"OMP_NUM_THREADS": "1"}, None, 3),  # started by hand: whoever said 1 meant it
        ({}, None, 3),
    ],
)
def test_threads_are_those_asked_for_or_the_share_of_the_cores(
    on_eight_cores, monkeypatch, environment, num_threads, expected
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert use_threads(num_threads) == expected == torch.get_num_threads()


def test_train_takes_the_cores_that_its_launcher_left_idle(common_options, tmp_path):
    """As users start it: nothing in the environment says how many threads."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    decided = common_options.index("--num_threads")
    options = [*common_options[:decided], *common_options[decided + 2 :], "--output_dir", str(tmp_path / "run")]
    launched = subprocess.run(
        [sys.executable, *"-m accelerate.commands.launch --num_processes 1 train.py --max_steps 1".split(), *options],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert launched.returncode == 0, launched.stderr
    cores = joblib.cpu_count(only_physical_cores=True)
    assert f"Computing on cpu, processes: 1, CPU threads of each: {cores}." in launched.stderr
