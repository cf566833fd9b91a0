"""A run goes on with the data, code and versions it was made of, in a folder that is its alone."""

import csv
import hashlib
import json
import logging
import os
import pty
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from datasets_scripts.synthetic import write_archive
from etp.options import OptionError, parse_options
from etp.training import identity as identity_module
from etp.training import loop
from etp.training.arguments import GROUPS, Arguments
from etp.training.checkpoints import CheckpointError


class _Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def other_archive(tmp_path_factory) -> Path:
    """Fewer and other records than those of `archive`."""
    return write_archive(tmp_path_factory.mktemp("other") / "ptb-xl", num_records=60, seed=2)


@pytest.fixture
def kill(monkeypatch):
    """Let the loop die, as from kill -9, when it is about to make a certain step."""

    def kill(run, step: int, *arguments) -> None:
        original = loop.Trainer._step

        def dying(self, batch):
            if self.position.step == step:
                raise _Killed
            original(self, batch)

        with monkeypatch.context() as patch:
            patch.setattr(loop.Trainer, "_step", dying)
            with pytest.raises(_Killed):
                run(*arguments)

    return kill


def newest(output_dir: Path) -> Path:
    return sorted((output_dir / "checkpoints").glob("step_*"))[-1]


def state_of(checkpoint: Path) -> dict:
    return json.loads((checkpoint / "state.json").read_text())


def rewrite(checkpoint: Path, **changes) -> None:
    """Change the state of a checkpoint as an earlier version, or somebody else's, would have written it."""
    state = state_of(checkpoint)
    for name, value in changes.items():
        state.pop(name, None) if value is None else state.update({name: value})
    (checkpoint / "state.json").write_text(json.dumps(state))
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["state.json"] = hashlib.sha256((checkpoint / "state.json").read_bytes()).hexdigest()
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))


def validated_steps(output_dir: Path) -> list[int]:
    lines = map(json.loads, (output_dir / "metrics.jsonl").read_text().splitlines())
    return [line["step"] for line in lines if "validation_loss" in line]


def test_a_checkpoint_says_what_the_run_is_made_of(run, tmp_path):
    assert run(tmp_path, "--max_steps", "2") == 0
    state = state_of(newest(tmp_path))
    assert {name: split["records"] for name, split in state["data"].items()} == {"train": 62, "validation": 11}
    assert all(len(split["sha256"]) == 64 for split in state["data"].values())
    assert len(state["code"]) == 64
    assert {"torch", "transformers", "datasets", "accelerate", "numpy"} <= state["versions"].keys()
    assert len(state["run_id"]) == 32
    assert state["history"] == []


def test_other_data_is_refused_and_says_how_many_records_there_were(run, kill, other_archive, tmp_path):
    kill(run, 4, tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(
        CheckpointError,
        match=r"data of the train split changed \(62 records then, \d+ now.*validation split changed \(11 records then"
        r".*--accept_changes data\.$",
    ):
        run(tmp_path, "--data_dir", str(other_archive), "--resume", "auto")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("change", ["signal", "report"])
def test_a_single_changed_record_is_noticed(run, kill, archive, tmp_path, change):
    changed = Path(shutil.copytree(archive, tmp_path / "archive"))
    kill(run, 4, tmp_path / "run", "--data_dir", str(changed))
    if change == "report":
        table = changed / "ptbxl_database.csv"
        table.write_text(table.read_text().replace("sinusrhythmus", "vorhofflimmern", 1))
    else:  # its halves exchanged, so the record's own checksum still holds
        rows = csv.DictReader((changed / "ptbxl_database.csv").open())
        path = changed / f"{next(row for row in rows if int(row['strat_fold']) < 9)['filename_lr']}.dat"
        content = path.read_bytes()
        path.write_bytes(content[len(content) // 2 :] + content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"train split changed \(62 records then and now; sha256"):
        run(tmp_path / "run", "--data_dir", str(changed), "--resume", "auto")


def test_accepted_data_trains_all_epochs_and_never_compares_two_validation_sets(
    run, kill, other_archive, tmp_path, monkeypatch
):
    losses = iter([0.001, 3.0, 2.0])  # of the old validation split, then of the new one

    def scripted(*args, **kwargs):
        return {**validate(*args, **kwargs), "validation_loss": next(losses)}

    validate = loop.validate
    monkeypatch.setattr(loop, "validate", scripted)
    options = ["--num_epochs", "3", "--select_best", "loss", "--keep_checkpoints", "9", "--checkpoint_every", "1"]
    kill(run, 4, tmp_path, *options)  # one epoch of three steps, and one step more
    assert state_of(newest(tmp_path))["position"]["best_step"] == 3
    changed = ["--data_dir", str(other_archive), "--resume", "auto", "--accept_changes", "data"]
    assert run(tmp_path, *options, *changed) == 0
    end = state_of(newest(tmp_path))
    steps = validated_steps(tmp_path)
    per_epoch = steps[2] - steps[1]
    assert end["position"]["epoch"] == 3
    assert steps == [3, 4 + per_epoch, 4 + 2 * per_epoch]
    assert (end["position"]["best"], end["position"]["best_step"]) == (-2.0, steps[2])
    facts = json.loads((tmp_path / "training_run.json").read_text())
    assert [(part["first_step"], part["last_step"], part["train"]["records"] == 62) for part in facts["data"]] == [
        (1, 4, True),
        (5, steps[2], False),
    ]
    assert len(facts["history"]) == 1
    assert facts["history"][0]["run_id"] != facts["run_id"]


def test_data_that_changed_after_the_last_step_gives_a_model_all_the_same(run, other_archive, tmp_path):
    options = ["--select_best", "loss"]
    assert run(tmp_path, *options) == 0
    changed = ["--data_dir", str(other_archive), "--resume", "auto", "--accept_changes", "data"]
    assert run(tmp_path, *options, *changed) == 0
    assert len(load_file(tmp_path / "model.safetensors")) > 10
    (part,) = json.loads((tmp_path / "training_run.json").read_text())["data"]
    assert (part["last_step"], part["train"]["records"]) == (6, 62)  # no step was made on the other data


def test_other_code_is_refused(run, kill, tmp_path, monkeypatch):
    kill(run, 4, tmp_path)
    rewrite(newest(tmp_path), code="0" * 64)
    with pytest.raises(
        CheckpointError, match=r"the code changed \(sha256 000000000000 then.*--accept_changes code\.$"
    ):
        run(tmp_path, "--resume", "auto")
    assert run(tmp_path, "--resume", "auto", "--accept_changes", "code") == 0


def test_the_code_of_a_run_is_all_that_decides_its_numbers():
    assert {"modeling_etp", "datasets_scripts", "etp/training", "etp/texts"} <= set(identity_module.SOURCES)
    assert identity_module.training_code_sha256() == identity_module.source_sha256(identity_module.SOURCES)


@pytest.mark.parametrize("package", ["torch", "transformers", "datasets", "accelerate", "numpy"])
def test_another_release_of_a_package_is_refused_and_a_patch_of_it_is_said(package, caplog):
    now = identity_module.Identity(data={}, text_tower="tower")
    major, minor, *_ = now.versions[package].split(".")
    args = Arguments(*parse_options(GROUPS, ["--output_dir", "a"]))
    state = {"text_tower": "tower", "data": {}, "code": now.code}
    for version in (f"{major}.{int(minor) + 1}.0", f"{int(major) + 1}.{minor}.0"):
        with pytest.raises(CheckpointError, match=f"versions of packages changed .{package} {version} then"):
            now.changes({**state, "versions": {**now.versions, package: version}}, args, folder=Path("a"))
    with caplog.at_level(logging.WARNING):
        patched = {**now.versions, package: f"{major}.{minor}.99"}
        assert now.changes({**state, "versions": patched}, args, folder=Path("a")) == {}
    assert f"{package} {major}.{minor}.99 then" in caplog.text


def test_all_that_differs_is_said_at_once(run, kill, other_archive, tmp_path):
    kill(run, 4, tmp_path)
    rewrite(newest(tmp_path), code="0" * 64)
    with pytest.raises(
        CheckpointError, match=r"train split changed.*; the code changed.*--accept_changes data code\.$"
    ):
        run(tmp_path, "--data_dir", str(other_archive), "--resume", "auto")
    with pytest.raises(CheckpointError, match=r": the code changed.*--accept_changes data code\.$"):
        run(tmp_path, "--data_dir", str(other_archive), "--resume", "auto", "--accept_changes", "data")


def test_a_checkpoint_that_does_not_say_its_data_is_not_taken_for_the_same(run, kill, tmp_path):
    """As versions before this one wrote them."""
    kill(run, 4, tmp_path, "--select_best", "loss")
    rewrite(newest(tmp_path), data=None, code=None, run_id=None, history=None)
    with pytest.raises(
        CheckpointError, match=r"does not say which data it was trained on.*--accept_changes data code"
    ):
        run(tmp_path, "--select_best", "loss", "--resume", "auto")
    assert run(tmp_path, "--select_best", "loss", "--resume", "auto", "--accept_changes", "data", "code") == 0


def test_a_changed_frozen_ecg_tower_is_refused(run, kill, tmp_path):
    from safetensors.torch import save_file

    assert run(tmp_path / "tower", "--max_steps", "1") == 0
    words = ["--ecg_model", str(tmp_path / "tower"), "--freeze_ecg_model", "true", "--ecg_config", "{}"]
    kill(run, 4, tmp_path / "run", *words)
    weights = load_file(tmp_path / "tower/model.safetensors")
    name = next(name for name in sorted(weights) if name.startswith("ecg_model") and name.endswith("weight"))
    save_file({**weights, name: weights[name] + 0.01}, tmp_path / "tower/model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"--ecg_model .*/tower is not the frozen ECG tower of that run"):
        run(tmp_path / "run", *words, "--resume", "auto")


def test_going_back_leaves_no_later_checkpoint_of_the_old_history(
    run, kill, other_archive, assert_same_weights, tmp_path
):
    """The second `--resume auto` continued the run on the old data, to the byte."""
    options = ["--checkpoint_every", "1", "--keep_checkpoints", "9"]
    assert run(tmp_path / "run", *options) == 0
    back = ["--resume", str(tmp_path / "run/checkpoints/step_00000003"), "--data_dir", str(other_archive)]
    back += ["--accept_changes", "data"]
    before = state_of(newest(tmp_path / "run"))["run_id"]
    kill(run, 4, tmp_path / "run", *options, *back)
    assert sorted(path.name for path in (tmp_path / "run/checkpoints").glob("step_*"))[-1] == "step_00000004"
    aside = tmp_path / "run/checkpoints/set_aside_1"
    assert {"step_00000004", "step_00000005", "step_00000006", "model.safetensors"} <= set(os.listdir(aside))
    assert not (tmp_path / "run/model.safetensors").exists()
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines if '"loss"' in line] == [1, 2, 3, 4]
    assert len((aside / "metrics.jsonl").read_text().splitlines()) == 8
    ids = [state_of(path)["run_id"] for path in sorted((tmp_path / "run/checkpoints").glob("step_*"))]
    assert ids[:3] == [before] * 3
    assert ids[3] != before
    assert run(tmp_path / "run", *options, "--data_dir", str(other_archive), "--resume", "auto") == 0
    assert run(tmp_path / "whole", *options, *back) == 0
    assert_same_weights(tmp_path / "run", tmp_path / "whole")
    state = state_of(newest(tmp_path / "run"))
    assert state["run_id"] == ids[3]
    assert [(entry["run_id"], entry["step"]) for entry in state["history"]] == [(before, 3), (ids[3], 4)]


def test_going_back_gives_back_the_best_weights_of_that_time(run, kill, assert_same_weights, tmp_path, monkeypatch):
    losses = {"whole": [1.0, 2.0, 3.0, 4.0], "run": [1.0, 2.0, 0.5]}
    validate = loop.validate
    options = ["--num_epochs", "4", "--select_best", "loss", "--keep_checkpoints", "9"]

    def scripted(name: str):
        values = iter(losses[name])
        return lambda *args, **kwargs: {**validate(*args, **kwargs), "validation_loss": next(values)}

    monkeypatch.setattr(loop, "validate", scripted("whole"))
    assert run(tmp_path / "whole", *options) == 0
    monkeypatch.setattr(loop, "validate", scripted("run"))
    kill(run, 9, tmp_path / "run", *options)  # its third epoch was the best
    back = tmp_path / "run/checkpoints/step_00000006"
    values = iter([3.0, 4.0])
    monkeypatch.setattr(
        loop, "validate", lambda *args, **kwargs: {**validate(*args, **kwargs), "validation_loss": next(values)}
    )
    assert run(tmp_path / "run", *options, "--resume", str(back)) == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "run")


def test_a_run_of_which_every_checkpoint_is_damaged_is_not_begun_anew_unasked(run, kill, tmp_path):
    """Its log and what could be saved of its checkpoints were replaced, step by step."""
    kill(run, 4, tmp_path)
    for path in (tmp_path / "checkpoints").glob("step_*"):
        (path / "weights.safetensors").write_bytes(b"")
    log = (tmp_path / "metrics.jsonl").read_text()
    with pytest.raises(CheckpointError, match=r"holds a run without a whole checkpoint. Start anew with --overwrite"):
        run(tmp_path, "--resume", "auto")
    assert (tmp_path / "metrics.jsonl").read_text() == log
    assert run(tmp_path, "--overwrite", "--max_steps", "1") == 0


def test_a_copied_checkpoint_holds_all_that_the_end_needs(run, kill, assert_same_weights, tmp_path, monkeypatch):
    """It trained to the end, and then there was no best.safetensors: all was lost."""
    validate, losses = loop.validate, {3: 1.0, 6: 2.0, 9: 3.0}

    def scripted(model, *args, **kwargs):
        scripted.calls += 1
        return {**validate(model, *args, **kwargs), "validation_loss": losses[3 * scripted.calls]}

    monkeypatch.setattr(loop, "validate", scripted)
    options = ["--num_epochs", "3", "--select_best", "loss"]
    scripted.calls = 0
    assert run(tmp_path / "whole", *options) == 0
    scripted.calls = 0
    kill(run, 7, tmp_path / "run", *options)
    copied = Path(shutil.copytree(newest(tmp_path / "run"), tmp_path / "step_00000006"))
    shutil.rmtree(tmp_path / "run")
    assert run(tmp_path / "elsewhere", *options, "--resume", str(copied)) == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "elsewhere")


@pytest.mark.slow
def test_a_run_goes_on_where_its_towers_lie_elsewhere(run, kill, text_tower, assert_same_weights, tmp_path):
    """As on another machine: a text tower, and an ECG tower that stays frozen, are compared by what they hold."""
    assert run(tmp_path / "tower", "--max_steps", "1") == 0
    options = ["--ecg_config", "{}", "--freeze_ecg_model", "true", "--ecg_model"]
    kill(run, 4, tmp_path / "run", *options, str(tmp_path / "tower"))
    assert run(tmp_path / "whole", *options, str(tmp_path / "tower")) == 0
    for name, folder in (("text", text_tower), ("ecg", tmp_path / "tower")):
        shutil.copytree(folder, tmp_path / "moved" / name)
    options += [str(tmp_path / "moved/ecg"), "--text_model", str(tmp_path / "moved/text")]
    assert run(tmp_path / "run", *options, "--resume", "auto") == 0
    assert_same_weights(tmp_path / "run", tmp_path / "whole")


def test_a_checkpoint_without_its_best_weights_is_refused_at_the_start(run, kill, tmp_path, monkeypatch):
    validate, values = loop.validate, iter([1.0, 2.0])
    monkeypatch.setattr(
        loop, "validate", lambda *args, **kwargs: {**validate(*args, **kwargs), "validation_loss": next(values)}
    )
    options = ["--num_epochs", "3", "--select_best", "loss"]
    kill(run, 7, tmp_path, *options)
    checkpoint = newest(tmp_path)
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    del manifest["best.safetensors"]
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="it lacks the best weights so far, those of step 3, which the end"):
        run(tmp_path, *options, "--resume", str(checkpoint))


@pytest.mark.parametrize(
    "content", ["{}", "[]", "3", '{"../../secret": "0"}', '{"state.json": "0", "state.json": "0"}', "[" * 9999]
)
def test_a_manifest_that_is_none_is_a_fault(run, tmp_path, content):
    assert run(tmp_path) == 0
    (newest(tmp_path) / "manifest.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"step_00000006: its manifest.json (is damaged|does not name weights)"):
        run(tmp_path, "--resume", str(newest(tmp_path)))


@pytest.mark.parametrize(
    ("name", "content"),
    [("state.json", b"[]"), ("state.json", b"{}"), ("optimizer.pt", b"x"), ("weights.safetensors", b"")],
)
def test_a_checkpoint_whose_files_are_somebody_elses_is_refused(run, tmp_path, name, content):
    assert run(tmp_path, "--max_steps", "1") == 0
    checkpoint = newest(tmp_path)
    (checkpoint / name).write_bytes(content)
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest[name] = hashlib.sha256(content).hexdigest()
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"--resume .*Give another checkpoint"):
        run(tmp_path, "--max_steps", "1", "--resume", str(checkpoint))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seed", "-1"], "--seed must be 0 or more, got -1"),
        (["--learning_rate", "inf"], "--learning_rate must be a finite number, got inf"),
        (["--max_grad_norm", "inf"], "--max_grad_norm must be a finite number, got inf"),
        (["--objectives", "batch=.inf"], "the weight of batch must be a number above 0, got inf"),
        (["--accept_changes", "data"], "--accept_changes is about the checkpoint"),
        (["--resume", "auto", "--accept_changes", "models"], "choose from data, code, versions"),
    ],
)
def test_values_no_run_can_have_are_refused(run, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        run(tmp_path / "run", *options)


@pytest.mark.parametrize("extra", [[], ["--log_every", "100"], ["--select_best", "recall", "--max_grad_norm", "0"]])
def test_a_learning_rate_that_destroys_the_weights_stops_the_run_in_one_sentence(run, tmp_path, extra):
    with pytest.raises(loop.NonFiniteLossError, match=r"Lower --learning_rate"):
        run(tmp_path, "--learning_rate", "1e6", *extra)
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_closes_saves_and_stops_unless_it_is_ignored(common_options, tmp_path, ignored):
    """The kernel sends SIGHUP, and whatever is printed after it is an error."""
    root = Path(__file__).resolve().parents[2]
    command = ["nohup"] if ignored else []
    command += [sys.executable, str(root / "train.py"), *common_options, "--output_dir", str(tmp_path)]
    command += ["--num_epochs", "4000", "--max_steps", "6" if ignored else "4000"]
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under `nohup` themselves
        os.chdir(tmp_path)  # where `nohup` puts what is printed
        os.execvpe(command[0], command, {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 240
    while not (tmp_path / "metrics.jsonl").exists() or not (tmp_path / "metrics.jsonl").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
        os.set_blocking(terminal, False)
        try:
            os.read(terminal, 1 << 16)
        except OSError:
            continue
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert (tmp_path / "model.safetensors").exists() == ignored
    if not ignored:
        assert status == 128 + signal.SIGHUP
        assert newest(tmp_path).name == f"step_{state_of(newest(tmp_path))['position']['step']:08d}"
