"""`etp train` starts what `accelerate launch train.py` starts: the same run, with the same exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from etp import cli
from etp.options import PRESETS, OptionError, parse_options
from etp.training import launch
from etp.training.arguments import GROUPS, Arguments
from etp.training.launch import LauncherArguments, launch_options

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def started(monkeypatch):
    """What `etp train` would start in its place, on a machine without GPUs, in or out of a launcher."""
    found = {}

    def execve(program, command, environment):
        found.update(command=command, environment=environment)
        raise SystemExit(0)

    monkeypatch.setattr(launch.os, "execve", execve)
    monkeypatch.setattr(launch, "_gpus", lambda: 0)
    monkeypatch.setattr(launch, "_accelerate_config", lambda: Path("/nowhere"))
    monkeypatch.setattr("etp.training.main.run", lambda words: found.update(words=words) or 0)
    for name in ("WORLD_SIZE", "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(name, raising=False)
    return found


def parse(*words: str, preset: bool = True) -> Arguments:
    return Arguments(*parse_options(GROUPS, words, presets=preset))


def test_one_process_needs_no_launcher(started):
    for words in (["--num_processes", "1"], []):
        assert cli.main(["train", "etp-tiny", *words, "--output_dir", "a"]) == 0
        assert started["words"] == ["etp-tiny", "--output_dir", "a"]
        assert "command" not in started


def test_several_processes_are_those_of_accelerate_launch(started):
    with pytest.raises(SystemExit):
        cli.main("train etp-tiny --num_processes 2 --report_to tensorboard trackio --output_dir a".split())
    python, *words = started["command"]
    assert python == sys.executable
    assert " ".join(words) == (
        "-m accelerate.commands.launch --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no "
        "--multi_gpu -m etp.training.main etp-tiny --report_to tensorboard trackio --output_dir a"
    )
    assert started["environment"]["ACCELERATE_USE_CPU"] == "true"


def test_a_process_of_a_launcher_starts_no_other(started, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main(["train", "--num_processes", "2", "--output_dir", "a"]) == 0
    assert started["words"] == ["--output_dir", "a"]


def test_every_gpu_gets_a_process_unless_a_number_is_given():
    assert "--num_processes 4" in " ".join(launch_options(LauncherArguments(), gpus=4))
    assert "--multi_gpu" in launch_options(LauncherArguments(), gpus=4)
    assert "--multi_gpu" not in launch_options(LauncherArguments(num_processes=1), gpus=4)


def test_a_file_of_accelerate_is_passed_on_and_nothing_beside_it(tmp_path):
    file = tmp_path / "machines.yaml"
    file.touch()
    words = launch_options(LauncherArguments(config_file=file, machine_rank=0, num_machines=2), gpus=8)
    assert words == ["--num_machines", "2", "--machine_rank", "0", "--config_file", str(file)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num_processes", "0"], "--num_processes must be at least 1, got 0"),
        (["--num_processes", "3", "--num_machines", "2"], "--num_machines 2 share them evenly"),
        (["--config_file", "nowhere.yaml"], "--config_file: there is no file nowhere.yaml"),
        (["--num_proceses", "2"], "did you mean '--num_processes'?"),
        (["--batch_size", "1"], "--batch_size must be at least 2, got 1"),
        (["etp-bsae"], "there is no file etp-bsae; the presets are etp-base, "),
        (["configs/etp-base.yaml"], "'etp-base' is a preset, named without a path"),
        (["etp-base", "etp-tiny"], "unexpected argument 'etp-tiny'"),
        (["etp-base", "--config", "etp-tiny"], "are two presets: give one of them"),
    ],
)
def test_what_can_not_be_started_is_one_line_before_any_process_is(started, capsys, words, message):
    assert cli.main(["train", *words, "--output_dir", "a"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("etp train: ")
    assert error.count("\n") == 1
    assert message in error
    assert not started


@pytest.mark.parametrize("place", ["first", "last", "flag", "path", "old path"])
def test_a_preset_is_named_or_given_by_its_path(place):
    path = {"path": PRESETS / "etp-tiny.yaml", "old path": ROOT / "examples/configs/etp-tiny.yaml"}.get(
        place, "etp-tiny"
    )
    words = {"last": ["--output_dir", "a", str(path)], "flag": ["--output_dir", "a", "--config", str(path)]}
    args = parse(*words.get(place, [str(path), "--output_dir", "a"]))
    assert args.training.learning_rate == 3e-3
    assert args.model.model_config == {"projection_dim": 32}


@pytest.mark.parametrize("name", [path.stem for path in sorted(PRESETS.glob("*.yaml"))])
def test_no_preset_binds_another_data_set_or_tower(name):
    named = [name, "--output_dir", "a", "--ecg_model", "b"]
    own = parse(*named, "--dataset", "folder")
    assert (own.data.dataset, own.data.dataset_config) == ("folder", None)
    assert own.model.ecg_config == {}
    content = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
    assert parse(*named, "--dataset", "ptb_xl").data.dataset_config == content.get("dataset_config")
    assert parse(*named, "--dataset", "folder", "--dataset_config", "x").data.dataset_config == "x"


def test_a_file_of_ones_own_that_contradicts_itself_is_still_refused(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("output_dir: a\necg_model: b\necg_config: {depths: [1, 1]}\n")
    with pytest.raises(OptionError, match="--ecg_model brings its own settings"):
        parse(str(file))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_etp_train_with_two_processes_trains_in_two(common_options, tmp_path, assert_same_weights):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    options = ["etp-tiny", "--max_steps", "2", *common_options, "--learning_rate", "1e-4", "--drop_last", "false"]
    for processes in ("1", "2"):
        command = ["-m", "etp.cli", "train", *options, "--num_processes", processes]
        done = subprocess.run(
            [sys.executable, *command, "--output_dir", str(tmp_path / processes)],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=400,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f", processes: {processes}, CPU threads" in done.stderr
    assert_same_weights(tmp_path / "1", tmp_path / "2", tolerance=1e-5)
