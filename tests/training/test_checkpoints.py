"""Checkpoints are whole or not there, and nothing that goes wrong costs an earlier one."""

import pytest
import torch

from etp.training import checkpoints
from etp.training.checkpoints import (
    Checkpoint,
    CheckpointError,
    check_weights,
    find_fault,
    newest_checkpoint,
    read_checkpoint,
    write_checkpoint,
)


def checkpoint(value: float) -> Checkpoint:
    return Checkpoint(
        weights={"a": torch.full((2, 3), value)},
        optimizer={"state": {0: {"step": torch.tensor(value)}}},
        average={"a": torch.zeros(2, 3)},
        state={"position": {"step": value}},
    )


def test_what_is_written_is_read(tmp_path):
    folder = write_checkpoint(tmp_path, checkpoint(1.5), step=3, keep=2)
    found = read_checkpoint(folder)
    assert torch.equal(found.weights["a"], torch.full((2, 3), 1.5))
    assert found.optimizer["state"][0]["step"] == 1.5
    assert torch.equal(found.average["a"], torch.zeros(2, 3))
    assert found.state == {"position": {"step": 1.5}}


@pytest.mark.parametrize("moment", ["save_file", "sync_all"])
def test_a_full_disk_leaves_the_earlier_checkpoint_and_says_so(tmp_path, monkeypatch, moment):
    first = write_checkpoint(tmp_path, checkpoint(1), step=1, keep=1)

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, moment, fail)
    with pytest.raises(CheckpointError, match=r"checkpoint of step 2: .*checkpoints can't be written: No space left"):
        write_checkpoint(tmp_path, checkpoint(2), step=2, keep=1)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [first.name]
    assert newest_checkpoint(tmp_path) == first


def test_a_write_that_was_cut_off_is_no_checkpoint_and_in_nobodys_way(tmp_path):
    first = write_checkpoint(tmp_path, checkpoint(1), step=1, keep=2)
    (tmp_path / "checkpoints" / ".writing_step_00000002").mkdir()
    (tmp_path / "checkpoints" / ".writing_step_00000002" / "weights.safetensors").write_bytes(b"half")
    assert newest_checkpoint(tmp_path) == first
    assert find_fault(write_checkpoint(tmp_path, checkpoint(2), step=2, keep=2)) is None


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.pt", "state.json", "average.safetensors"])
def test_every_file_is_checked(tmp_path, name):
    older = write_checkpoint(tmp_path, checkpoint(1), step=1, keep=2)
    newest = write_checkpoint(tmp_path, checkpoint(2), step=2, keep=2)
    content = bytearray((newest / name).read_bytes())
    content[len(content) // 2] ^= 1
    (newest / name).write_bytes(bytes(content))
    assert newest_checkpoint(tmp_path) == older
    with pytest.raises(CheckpointError, match=f"{name} does not match its hash. Give another checkpoint"):
        read_checkpoint(newest)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "it has no manifest.json"), ("{", "its manifest.json is damaged")]
)
def test_a_damaged_manifest_is_named(tmp_path, content, message):
    folder = write_checkpoint(tmp_path, checkpoint(1), step=1, keep=2)
    (folder / "manifest.json").unlink()
    if content:
        (folder / "manifest.json").write_text(content)
    assert find_fault(folder) == message


def test_a_torn_checkpoint_of_the_same_step_is_written_anew(tmp_path):
    folder = write_checkpoint(tmp_path, checkpoint(1), step=1, keep=2)
    (folder / "weights.safetensors").write_bytes(b"")
    write_checkpoint(tmp_path, checkpoint(1), step=1, keep=2)
    assert find_fault(folder) is None


def test_a_torn_later_checkpoint_is_none_of_those_that_are_kept(tmp_path):
    """It lasted while every whole one before it was removed, and a kill then cost the run."""
    write_checkpoint(tmp_path, checkpoint(1), step=1, keep=2)
    for step in (8, 9):
        torn = write_checkpoint(tmp_path, checkpoint(step), step=step, keep=3)
        (torn / "weights.safetensors").write_bytes(b"")
    second = write_checkpoint(tmp_path, checkpoint(2), step=2, keep=1)
    assert newest_checkpoint(tmp_path) == second
    third = write_checkpoint(tmp_path, checkpoint(3), step=3, keep=1)
    assert newest_checkpoint(tmp_path) == third
    assert not second.exists()
    for step in (8, 9):
        write_checkpoint(tmp_path, checkpoint(step), step=step, keep=1)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000009"]


def test_weights_of_another_architecture_are_refused_by_name(tmp_path):
    expected = {"a": torch.zeros(2, 3), "b": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"b is not in the checkpoint. It was made with other model options"):
        check_weights(expected, {"a": torch.zeros(2, 3)}, folder=tmp_path)
    with pytest.raises(CheckpointError, match="c is unknown to this model"):
        check_weights(expected, {**expected, "c": torch.zeros(1)}, folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"a is \(2, 3\) here and \(2, 4\) in the checkpoint"):
        check_weights(expected, {**expected, "a": torch.zeros(2, 4)}, folder=tmp_path)
