"""Training checkpoints: written atomically, verified by hash before use."""

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from etp.atomic_files import NotWrittenError, sync, sync_all, writing
from etp.file_hashes import file_sha256

logger = logging.getLogger(__name__)

FOLDER = "checkpoints"
MANIFEST = "manifest.json"


class CheckpointError(ValueError):
    """A checkpoint that can't be written or continued from; the message names it and how to fix it."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run continues from.

    Attributes:
        weights: Trained parameters and buffers by name.
        optimizer: State dict of the optimizer.
        average: State dict of the moving average; empty without one.
        state: Position, best result so far, options and versions, as JSON holds them.
    """

    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    average: dict[str, Tensor]
    state: dict[str, Any]


def write_checkpoint(output_dir: Path, checkpoint: Checkpoint, *, step: int, keep: int) -> Path:
    """Write `output_dir/checkpoints/step_XXXXXXXX` and remove all but the newest `keep`.

    Everything is written to a folder beside it, forced to disk and renamed: a process killed at any moment leaves
    either no checkpoint of this step or a whole one.

    Raises:
        CheckpointError: The disk is full or can't be written; earlier checkpoints are untouched.
    """
    folder = output_dir / FOLDER
    final = folder / f"step_{step:08d}"
    if final.exists() and find_fault(final) is None:
        return final  # the same step of the same run is the same state
    temporary = folder / f".writing_{final.name}"
    try:
        with writing(folder):
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            _write_files(temporary, checkpoint)
            if final.exists():  # a torn one
                shutil.rmtree(final)
            temporary.rename(final)
            sync(folder)
    except NotWrittenError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError(
            f"The checkpoint of step {step}: {error} Earlier checkpoints are untouched; continue with --resume."
        ) from error
    for old in _folders(output_dir)[keep:]:
        shutil.rmtree(old)
    return final


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
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return f"it has no {MANIFEST}"
    try:
        hashes = json.loads(manifest.read_text())
    except ValueError:
        return f"its {MANIFEST} is damaged"
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if file_sha256(folder / name) != expected:
            return f"{name} does not match its hash"
    return None


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint after checking every file.

    Raises:
        CheckpointError: It is missing or torn.
    """
    fault = find_fault(folder) if folder.is_dir() else "there is no such folder"
    if fault:
        raise CheckpointError(
            f"--resume {folder}: {fault}. Give another checkpoint, or `auto` for the newest whole one."
        )
    average = folder / "average.safetensors"
    return Checkpoint(
        weights=load_file(folder / "weights.safetensors"),
        optimizer=torch.load(folder / "optimizer.pt", weights_only=True, map_location="cpu"),
        average=load_file(average) if average.exists() else {},
        state=json.loads((folder / "state.json").read_text()),
    )


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


def _write_files(folder: Path, checkpoint: Checkpoint) -> None:
    def plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}

    save_file(plain(checkpoint.weights), folder / "weights.safetensors")
    torch.save(checkpoint.optimizer, folder / "optimizer.pt")
    if checkpoint.average:
        save_file(plain(checkpoint.average), folder / "average.safetensors")
    (folder / "state.json").write_text(json.dumps(checkpoint.state, indent=2, default=str) + "\n")
    hashes = {path.name: file_sha256(path) for path in sorted(folder.iterdir())}
    (folder / MANIFEST).write_text(json.dumps(hashes, indent=2) + "\n")
    sync_all(folder)


def _folders(output_dir: Path) -> list[Path]:
    """Checkpoints, newest first."""
    return sorted((output_dir / FOLDER).glob("step_*"), reverse=True)
