"""How far a run is, and from where it goes on."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from etp.atomic_files import whole_file
from etp.run_files import BEST_WEIGHTS, METRICS_FILE, RUN_FILE

from .checkpoints import FOLDER, Checkpoint, CheckpointError, remove, set_aside
from .data.batches import BatchPlan
from .data.fingerprint import Fingerprint

logger = logging.getLogger(__name__)


@dataclass
class Position:
    """How far a run is: `step` optimizer steps in all, the last ones in `epoch`.

    `added_steps` is what the run is longer than its epochs are on the data it ends with, because it began on other data.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best: float | None = None
    best_step: int | None = None
    added_steps: int = 0


@dataclass(frozen=True)
class Resumption:
    """How a run continues.

    Attributes:
        step: Of the checkpoint.
        others: Checkpoints in the output folder that do not lead there.
        best: Best weights so far, where they are not those of the checkpoint itself.
        branches: Whether this is another run than the one that wrote the checkpoint.
    """

    step: int
    others: list[Path]
    best: Path | None
    branches: bool


def read_position(content: dict[str, Any], *, folder: Path) -> Position:
    """The position that a checkpoint's state holds.

    Raises:
        CheckpointError: It holds none.
    """
    try:
        position = Position(**content)
    except TypeError as error:
        raise CheckpointError(
            f"--resume {folder}: the position in its state.json is not one of this version ({error}). Start anew."
        ) from error
    whole_numbers = (position.epoch, position.step_in_epoch, position.step)
    if not all(isinstance(number, int) and number >= 0 for number in whole_numbers):
        raise CheckpointError(
            f"--resume {folder}: the position in its state.json is no position: {content}. Start anew."
        )
    return position


def check_best(position: Position, checkpoint: Checkpoint, *, folder: Path) -> None:
    """Refuse a checkpoint without what the end of the run needs.

    Raises:
        CheckpointError: It lacks the best weights so far.
    """
    if position.best_step not in (None, position.step) and checkpoint.best is None:
        raise CheckpointError(
            f"--resume {folder}: it lacks the best weights so far, those of step {position.best_step}, which the end of "
            "the run needs. Give another checkpoint, or start anew."
        )


def go_on_with_other_data(
    position: Position, before: Mapping[str, Any], now: Mapping[str, Fingerprint], plan: BatchPlan
) -> None:
    """Begin the epoch anew on another training split, and the choice of the best anew on another validation split.

    Args:
        position: Changed in place.
        before: Fingerprint of each split that the checkpoint was made on; empty where it does not say.
        now: Of each split that the run goes on with.
        plan: Batches of the training split that the run goes on with.
    """
    if before.get("validation") != asdict(now["validation"]):
        position.best = position.best_step = None
    if before.get("train") != asdict(now["train"]):
        position.step_in_epoch = 0
        position.added_steps = position.step - position.epoch * plan.steps_per_epoch


def return_to(resumption: Resumption, output_dir: Path) -> None:
    """Make the output folder what it was at the checkpoint; what another history left there is moved aside, not removed."""
    if resumption.branches:
        later = [f"{FOLDER}/{path.name}" for path in resumption.others]
        names = ["model.safetensors", RUN_FILE, BEST_WEIGHTS, *later]
        if any((output_dir / name).exists() for name in names):
            target = set_aside(output_dir, names, copies=[METRICS_FILE])
            logger.warning(
                "What the run made after step %d is in %s now; delete it if nobody needs it.", resumption.step, target
            )
    if resumption.best is None:  # there is none, or the loop writes it from the weights of this step
        remove(output_dir / BEST_WEIGHTS)
    else:
        with whole_file(output_dir / BEST_WEIGHTS) as unfinished:
            shutil.copyfile(resumption.best, unfinished)
