"""Stopping and continuing a run leaves no trace in what it learns."""

import json
import os
import random
import signal
import time

import pytest

from etp.options import OptionError
from etp.training import loop
from etp.training.checkpoints import CheckpointError

EVERYTHING = (
    "--objectives batch=1 vocabulary=1 --text_views report=1 statement=1 subset=1 --ema_decay 0.9 --initial_crop 0.5 --max_shift 0.1 "
    "--noise_mv 0.02 --wander_mv 0.1 --lead_dropout 0.1 --ecg_config hidden_sizes=[8,8] depths=[1,1] kernel_sizes=[7,5] dropout=0.1"
).split()


class _Killed(BaseException):
    pass


def _dies_before_step(monkeypatch, step: int) -> None:
    """Let the loop die, as from kill -9, when it is about to make a certain step."""
    original = loop.Trainer._step

    def dying(self, batch):
        if self.position.step == step:
            raise _Killed
        original(self, batch)

    monkeypatch.setattr(loop.Trainer, "_step", dying)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    return tmp_path_factory.mktemp("whole") / "run"


@pytest.mark.parametrize("step", [1, 3, 5])
def test_resuming_anywhere_equals_not_stopping(run, assert_same_weights, whole_run, tmp_path, monkeypatch, step):
    options = [*EVERYTHING, "--checkpoint_every", "2"]
    if not whole_run.exists():
        assert run(whole_run, *options) == 0
    with monkeypatch.context() as patch:
        _dies_before_step(patch, step)
        with pytest.raises(_Killed):
            run(tmp_path / "run", *options)
    assert run(tmp_path / "run", *options, "--resume", "auto") == 0
    assert_same_weights(whole_run, tmp_path / "run")


def test_resuming_leaves_each_step_once_in_the_metrics(run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        _dies_before_step(patch, 3)
        with pytest.raises(_Killed):
            run(tmp_path, "--checkpoint_every", "2")
    run(tmp_path, "--checkpoint_every", "2", "--resume", "auto")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, lines[-1]["step"] + 1))


@pytest.mark.parametrize("dies_in", ["save_checkpoint", "_save_best"])
def test_the_best_weights_outlive_a_kill_on_either_side_of_their_checkpoint(
    run, assert_same_weights, tmp_path, monkeypatch, dies_in
):
    options = ["--select_best", "loss", "--ema_decay", "0.9"]
    assert run(tmp_path / "whole", *options) == 0

    def dying(self):
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, dies_in, dying)
        with pytest.raises(_Killed):
            run(tmp_path / "run", *options)
    assert run(tmp_path / "run", *options, "--resume", "auto") == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "run")
    best = [(tmp_path / name / "best.safetensors").read_bytes() for name in ("whole", "run")]
    assert best[0] == best[1]


def test_a_torn_newest_checkpoint_is_passed_over(run, tmp_path, caplog):
    run(tmp_path, "--num_epochs", "2")
    newest = sorted((tmp_path / "checkpoints").iterdir())[-1]
    weights = newest / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    before = (tmp_path / "model.safetensors").read_bytes()
    run(tmp_path, "--num_epochs", "2", "--resume", "auto")
    assert f"{newest} is passed over: weights.safetensors does not match its hash" in caplog.text
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_resuming_from_a_torn_checkpoint_by_name_is_refused(run, tmp_path):
    run(tmp_path)
    newest = sorted((tmp_path / "checkpoints").iterdir())[-1]
    (newest / "optimizer.pt").unlink()
    with pytest.raises(CheckpointError, match=r"step_\d+: optimizer.pt is missing"):
        run(tmp_path, "--resume", str(newest))


def test_resuming_with_another_option_is_refused(run, tmp_path):
    run(tmp_path)
    with pytest.raises(OptionError, match=r"--learning_rate is 0.1 here and was 0.002"):
        run(tmp_path, "--resume", "auto", "--learning_rate", "0.1")


def test_resuming_another_architecture_is_refused(run, tmp_path):
    run(tmp_path)
    with pytest.raises(OptionError, match=r"--ecg_config is .* here and was"):
        run(tmp_path, "--resume", "auto", "--ecg_config", "norm=group")


def test_only_the_newest_checkpoints_are_kept(run, tmp_path):
    run(tmp_path, "--checkpoint_every", "5", "--keep_checkpoints", "3")
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step_00000003", "step_00000005", "step_00000006"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("number", "num_processes"), [(signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_a_signal_saves_and_stops(launch_train, run, tmp_path, number, num_processes):
    options = ["--num_epochs", "400"]
    process = launch_train(tmp_path, *options, num_processes=num_processes)
    _wait_for(tmp_path / "metrics.jsonl")
    for child in _training_processes(process.pid) if num_processes == 1 else [process.pid]:
        os.kill(child, number)
    output, _ = process.communicate(timeout=120)
    assert "Stopped by a signal after step" in output
    step = int(output.split("Stopped by a signal after step ")[1].split(";")[0])
    assert (tmp_path / "checkpoints" / f"step_{step:08d}").is_dir()
    assert process.returncode != 0
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_that_signals_every_process_of_a_run_loses_nothing(launch_train, assert_same_weights, tmp_path):
    options = ["--num_epochs", "40"]
    whole = launch_train(tmp_path / "whole", *options, num_processes=2)
    assert whole.wait(300) == 0
    process = launch_train(tmp_path / "run", *options, num_processes=2, own_group=True)
    _wait_for(tmp_path / "run/metrics.jsonl")
    os.killpg(process.pid, signal.SIGTERM)  # the launcher and both of its processes, as Slurm does
    output, _ = process.communicate(timeout=120)
    assert "Stopped by a signal after step" in output
    assert process.returncode != 0
    step = _newest_step(tmp_path / "run")
    assert 0 < step < 160
    assert not (tmp_path / "run/model.safetensors").exists()
    again = launch_train(tmp_path / "run", *options, "--resume", "auto", num_processes=2)
    output, _ = again.communicate(timeout=300)
    assert again.returncode == 0, output
    assert f"after step {step}" in output
    assert_same_weights(tmp_path / "whole", tmp_path / "run")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_killed_twenty_times_learns_the_same(launch_train, assert_same_weights, tmp_path):
    options = [*EVERYTHING, "--num_epochs", "20", "--batch_size", "4"]  # 300 steps
    whole = launch_train(tmp_path / "whole", *options)
    output, _ = whole.communicate(timeout=600)
    assert whole.returncode == 0, output
    moments = random.Random(0)
    for _ in range(20):
        process = launch_train(tmp_path / "killed", *options, "--resume", "auto", "--checkpoint_every", "2")
        reached = _newest_step(tmp_path / "killed") + moments.randint(1, 4)
        while _newest_step(tmp_path / "killed") < reached:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.15))  # between steps, inside one, while a checkpoint is written
        for child in _training_processes(process.pid):
            os.kill(child, signal.SIGKILL)
        process.communicate()
    assert _newest_step(tmp_path / "killed") < 300
    last = launch_train(tmp_path / "killed", *options, "--resume", "auto")
    output, _ = last.communicate(timeout=600)
    assert last.returncode == 0, output
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_killed_together_or_one_at_a_time_learn_the_same(launch_train, assert_same_weights, tmp_path):
    options = [*EVERYTHING, "--num_epochs", "8", "--batch_size", "4"]  # 120 steps
    output, _ = launch_train(tmp_path / "whole", *options, num_processes=2).communicate(timeout=600)
    assert "Saved the model" in output
    moments = random.Random(0)
    for victims in (2, 1, 1, 2):
        process = launch_train(
            tmp_path / "killed", *options, "--resume", "auto", "--checkpoint_every", "2", num_processes=2
        )
        reached = _newest_step(tmp_path / "killed") + moments.randint(2, 12)
        while _newest_step(tmp_path / "killed") < reached:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.15))
        workers = _training_processes(process.pid)
        assert len(workers) == 2
        for worker in moments.sample(workers, victims):
            os.kill(worker, signal.SIGKILL)
        process.communicate(timeout=120)  # the launcher ends the one that is left waiting for the other
        assert process.returncode != 0
    assert _newest_step(tmp_path / "killed") < 120
    output, _ = launch_train(tmp_path / "killed", *options, "--resume", "auto", num_processes=2).communicate(
        timeout=600
    )
    assert "Saved the model" in output
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")
    lines = [json.loads(line) for line in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 121))


def _newest_step(output_dir) -> int:
    steps = [int(path.name.removeprefix("step_")) for path in (output_dir / "checkpoints").glob("step_*")]
    return max(steps, default=0)


def _training_processes(launcher: int) -> list[int]:
    import psutil

    children = psutil.Process(launcher).children(recursive=True)
    return [child.pid for child in children if "train.py" in child.cmdline()]


def _wait_for(path, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not path.exists() or not path.read_text():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.05)
