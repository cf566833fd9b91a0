"""Training checkpoints: written atomically, verified by hash before use."""

import contextlib
import json
import logging
import os
import pickle
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from etp.atomic_files import NotWrittenError, sync, sync_all, whole_file, writing
from etp.file_hashes import file_sha256
from etp.run_files import BEST_WEIGHTS
from etp.strict_yaml import DocumentError, read_json

logger = logging.getLogger(__name__)

FOLDER = "checkpoints"
MANIFEST = "manifest.json"
WEIGHTS, OPTIMIZER, AVERAGE, STATE = "weights.safetensors", "optimizer.pt", "average.safetensors", "state.json"
_REQUIRED = (WEIGHTS, OPTIMIZER, STATE)
_STATE_PARTS = {"position": dict, "options": dict, "versions": dict, "text_tower": str}
_NAME = re.compile(r"step_(\d{8,})")
_OWN_NAME = re.compile(r"(?:\.writing_)?step_\d{8,}|set_aside_\d+")


class CheckpointError(ValueError):
    """A checkpoint that can't be written or continued from; the message names it and how to fix it."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run continues from.

    Attributes:
        weights: Trained parameters and buffers by name.
        optimizer: State dict of the optimizer.
        average: State dict of the moving average; empty without one.
        state: Position, best result so far, options, and what the run is made of, as JSON holds them.
        best: File of the best weights so far; None where there are none, or they are those of this step.
    """

    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    average: dict[str, Tensor]
    state: dict[str, Any]
    best: Path | None = None


def write_checkpoint(output_dir: Path, checkpoint: Checkpoint, *, step: int, keep: int) -> Path:
    """Write `output_dir/checkpoints/step_XXXXXXXX`, the newest, and remove all before it but `keep` with it.

    Everything is written to a folder beside it, forced to disk and renamed: a process killed at any moment leaves
    either no checkpoint of this step or a whole one.

    Raises:
        CheckpointError: The disk is full or can't be written; earlier checkpoints are untouched.
    """
    folder = output_dir / FOLDER
    final = folder / f"step_{step:08d}"
    if find_fault(final) is None and read_state(final).get("run_id") == checkpoint.state.get("run_id"):
        return final  # the same step of the same run is the same state
    temporary = folder / f".writing_{final.name}"
    try:
        with writing(folder):
            remove(temporary)
            temporary.mkdir(parents=True)
            _write_files(temporary, checkpoint)
            remove(final)  # torn, or of another run
            temporary.rename(final)
            sync(folder)
    except NotWrittenError as error:
        with contextlib.suppress(OSError):  # of a disk that is read-only now, nothing can be removed
            remove(temporary)
        raise CheckpointError(
            f"The checkpoint of step {step}: {error} Earlier checkpoints are untouched; continue with --resume."
        ) from error
    # A later one that is torn stays until its step comes again; it is none of those that are kept.
    for old in [path for path in _folders(output_dir) if _step(path) <= step][keep:]:
        remove(old)
    return final


def remove(path: Path) -> None:
    """Remove a file, a folder with all below it, or a link but not what it leads to; nothing if there is nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear_checkpoints(output_dir: Path) -> None:
    """Remove all checkpoints of a run and what it set aside; the folder too, unless it holds something else."""
    folder = output_dir / FOLDER
    for path in folder.glob("*"):
        if _OWN_NAME.fullmatch(path.name):
            remove(path)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def newest_checkpoint(output_dir: Path) -> Path | None:
    """The newest whole checkpoint of a run; torn ones are passed over with a warning."""
    for folder in _folders(output_dir):
        fault = find_fault(folder)
        if fault is None:
            return folder
        logger.warning("%s is passed over: %s.", folder, fault)
    return None


def find_fault(folder: Path) -> str | None:
    """What is wrong with a checkpoint's files, or None."""
    if not folder.is_dir():
        return "there is no such folder"
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return f"it has no {MANIFEST}"
    try:
        hashes = read_json(manifest)
    except DocumentError:
        return f"its {MANIFEST} is damaged"
    if not isinstance(hashes, dict):
        return f"its {MANIFEST} is damaged"
    if missing := [name for name in _REQUIRED if name not in hashes]:
        return f"its {MANIFEST} does not name {missing[0]}"
    for name, expected in hashes.items():
        if name != Path(name).name or not (folder / name).is_file():
            return f"{name} is missing"
        if file_sha256(folder / name) != expected:
            return f"{name} does not match its hash"
    return None


def read_state(folder: Path) -> dict[str, Any]:
    """The `state.json` of a checkpoint that has no fault.

    Raises:
        CheckpointError: It is not what a run writes.
    """
    try:
        state = read_json(folder / STATE)
    except DocumentError as error:
        raise CheckpointError(f"--resume {folder}: {error} Give another checkpoint.") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"--resume {folder}: its {STATE} holds no state of a run. Give another checkpoint.")
    return state


def check_state(state: dict[str, Any], *, folder: Path) -> None:
    """Refuse the state of a checkpoint that lacks what every run writes.

    Raises:
        CheckpointError: Names the part.
    """
    for name, kind in _STATE_PARTS.items():
        if not isinstance(state.get(name), kind):
            raise CheckpointError(f"--resume {folder}: its {STATE} lacks `{name}`. Give another checkpoint.")


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint after checking every file.

    Raises:
        CheckpointError: It is missing or torn, or one of its files is not what a run writes.
    """
    require_whole(folder)
    named = read_json(folder / MANIFEST)
    state = read_state(folder)
    try:
        return Checkpoint(
            weights=load_file(folder / WEIGHTS),
            optimizer=torch.load(folder / OPTIMIZER, weights_only=True, map_location="cpu"),
            average=load_file(folder / AVERAGE) if AVERAGE in named else {},
            state=state,
            best=folder / BEST_WEIGHTS if BEST_WEIGHTS in named else None,
        )
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"--resume {folder}: {reason} Give another checkpoint.") from error


def require_whole(folder: Path) -> None:
    """Refuse a checkpoint with a fault.

    Raises:
        CheckpointError: Names the fault and the cure.
    """
    if fault := find_fault(folder):
        raise CheckpointError(
            f"--resume {folder}: {fault}. Give another checkpoint, or `auto` for the newest whole one."
        )


def other_histories(output_dir: Path, state: dict[str, Any]) -> list[Path]:
    """Whole checkpoints of a run's folder that do not lead to a state, newest first: later ones, and those of other runs.

    Args:
        state: Of the checkpoint that the run continues from.
    """
    runs = {state.get("run_id"), *(entry["run_id"] for entry in state.get("history", ()))}
    found = [path for path in _folders(output_dir) if find_fault(path) is None]
    return [
        path for path in found if _step(path) > state["position"]["step"] or read_state(path).get("run_id") not in runs
    ]


def set_aside(output_dir: Path, names: list[str], *, copies: list[str]) -> Path:
    """Move files and folders of a run out of the way of another history.

    Args:
        names: Relative to the folder of the run; those that are there are moved in this order.
        copies: Those that are copied.

    Returns:
        The folder they are in now, below that of the checkpoints.
    """
    parent = output_dir / FOLDER
    numbers = (number for number in range(1, 1 << 20) if not (parent / f"set_aside_{number}").exists())
    target = parent / f"set_aside_{next(numbers)}"
    with writing(target):
        target.mkdir(parents=True)
        for name in copies:
            if (output_dir / name).exists():
                shutil.copyfile(output_dir / name, target / name)
        for name in names:
            if (output_dir / name).exists():
                (output_dir / name).rename(target / Path(name).name)
        sync(target)
        sync(parent)
    return target


def check_weights(expected: dict[str, Tensor], found: dict[str, Tensor], *, folder: Path) -> None:
    """Refuse weights of another architecture.

    Raises:
        CheckpointError: Names the first weight that is missing, unknown or of another shape.
    """
    cure = "It was made with other model options: resume with the options beside it, or start anew."
    for name in sorted(expected.keys() ^ found.keys()):
        where = "is not in the checkpoint" if name in expected else "is unknown to this model"
        raise CheckpointError(f"--resume {folder}: {name} {where}. {cure}")
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape:
            shapes = f"{tuple(tensor.shape)} here and {tuple(found[name].shape)} in the checkpoint"
            raise CheckpointError(f"--resume {folder}: {name} is {shapes}. {cure}")


def save_best(output_dir: Path, tensors: dict[str, Tensor]) -> None:
    """Keep the weights of the best epoch beside the checkpoints, replaced in one go."""
    with whole_file(output_dir / BEST_WEIGHTS) as unfinished:
        save_file(_plain(tensors), unfinished)


def _write_files(folder: Path, checkpoint: Checkpoint) -> None:
    save_file(_plain(checkpoint.weights), folder / WEIGHTS)
    torch.save(checkpoint.optimizer, folder / OPTIMIZER)
    if checkpoint.average:
        save_file(_plain(checkpoint.average), folder / AVERAGE)
    if checkpoint.best is not None:
        try:  # the same file: better weights take its name and leave this one as it is
            os.link(checkpoint.best, folder / BEST_WEIGHTS)
        except OSError:  # of a file system without hard links, or of a full one, which the copy says
            shutil.copyfile(checkpoint.best, folder / BEST_WEIGHTS)
    (folder / STATE).write_text(json.dumps(checkpoint.state, indent=2, default=str) + "\n")
    hashes = {path.name: file_sha256(path) for path in sorted(folder.iterdir())}
    (folder / MANIFEST).write_text(json.dumps(hashes, indent=2) + "\n")
    sync_all(folder)


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _folders(output_dir: Path) -> list[Path]:
    """Checkpoints that a run wrote, newest first: no links, and nothing that somebody else gave a similar name."""
    found = [path for path in (output_dir / FOLDER).glob("step_*") if _NAME.fullmatch(path.name)]
    return sorted((path for path in found if path.is_dir() and not path.is_symlink()), key=_step, reverse=True)


def _step(folder: Path) -> int:
    found = _NAME.fullmatch(folder.name)
    return int(found[1]) if found else 0
