"""A run uses the cores there are, though its launcher says one thread where nobody said anything."""

import joblib
import pytest
import torch

from etp.pretraining.threads import use_threads

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


def test_accelerate_launches_on_all_cores(launch, tmp_path):
    script = tmp_path / "say.py"
    script.write_text("from etp.pretraining.threads import use_threads\nprint('threads', use_threads())\n")
    output, _ = launch(str(script)).communicate(timeout=120)
    assert f"threads {joblib.cpu_count(only_physical_cores=True)}" in output
