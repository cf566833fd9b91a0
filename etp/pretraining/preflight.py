"""What can be refused before anything is computed: folders, disk, packages, and runs that are in the way."""

import importlib.util
import json
import os
import shutil
import tempfile
from pathlib import Path

import yaml
from accelerate import Accelerator
from accelerate.utils import DistributedType

from .arguments import Arguments
from .checkpoints import FOLDER, CheckpointError, find_fault, newest_checkpoint
from .logs import CONFIG_FILE, METRICS_FILE
from .options import OptionError

WHOLE_MODEL_ON_EACH = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
FREE_BYTES = 512 << 20  # checkpoints of a ResNet18-1D with AdamW take 50 MB each, a saved text tower up to 440 MB
RUN_FILES = (CONFIG_FILE, METRICS_FILE, FOLDER, "model.safetensors", "best.safetensors")
# Options that may change between the parts of a run: none has a part in what is computed.
FREE_OPTIONS = {
    "output_dir", "data_dir", "cache_dir", "feature_cache", "report_to", "log_every",
    "checkpoint_every", "keep_checkpoints", "push_to_hub",
}  # fmt: skip


def check_before_computing(args: Arguments) -> Path | None:
    """Refuse what can't work and find the checkpoint to continue from.

    Returns:
        The checkpoint's folder; none starts anew.

    Raises:
        OptionError: Names the flag and the cure.
        CheckpointError: `--resume` has nothing whole to continue from.
    """
    for tracker in args.training.report_to:
        if tracker not in ("tensorboard", "trackio"):
            raise OptionError(f"--report_to: unknown tracker {tracker!r}, choose from tensorboard, trackio.")
        if importlib.util.find_spec(tracker) is None:
            raise OptionError(f"--report_to {tracker}: it is not installed: pip install {tracker}.")
    if args.data.data_dir is not None and not args.data.data_dir.is_dir():
        raise OptionError(f"--data_dir: there is no folder {args.data.data_dir}.")
    output_dir = args.training.output_dir
    checkpoint = _find_checkpoint(args)
    if checkpoint is not None:
        _check_same_options(args, checkpoint)
    elif not args.training.overwrite and args.training.resume is None:
        found = [name for name in RUN_FILES if (output_dir / name).exists()]
        if found:
            raise OptionError(
                f"--output_dir {output_dir} holds another run ({', '.join(found)}): continue it with --resume auto, "
                "replace it with --overwrite, or set another folder."
            )
    _check_writable(output_dir)
    return checkpoint


def clear_output(output_dir: Path) -> None:
    """Remove the files of the run that `--overwrite` replaces, and no others."""
    for name in RUN_FILES:
        path = output_dir / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _find_checkpoint(args: Arguments) -> Path | None:
    wanted, output_dir = args.training.resume, args.training.output_dir
    if wanted is None:
        return None
    if wanted != "auto":
        folder = Path(wanted)
        fault = find_fault(folder) if folder.is_dir() else "there is no such folder"
        if fault:
            raise CheckpointError(
                f"--resume {folder}: {fault}. Give another checkpoint, or `auto` for the newest whole one."
            )
        return folder
    checkpoint = newest_checkpoint(output_dir)
    if checkpoint is None and any((output_dir / name).exists() for name in ("model.safetensors", "best.safetensors")):
        raise CheckpointError(
            f"--resume auto: {output_dir} holds a run without a whole checkpoint. Start anew with --overwrite."
        )
    return checkpoint  # none: the run was killed before its first checkpoint, so it starts anew


def _check_same_options(args: Arguments, checkpoint: Path) -> None:
    stored = json.loads((checkpoint / "state.json").read_text())["options"]
    current = yaml.safe_load(yaml.safe_dump(args.to_dict()))
    for name, value in current.items():
        if name not in FREE_OPTIONS and stored.get(name) != value:
            raise OptionError(
                f"--resume {checkpoint}: --{name} is {value!r} here and was {stored.get(name)!r}. A run continues with "
                f"its own options: leave the flag out and pass the {CONFIG_FILE} of the run, or start anew."
            )


def _check_writable(output_dir: Path) -> None:
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output_dir):
            pass
    except OSError as error:
        raise OptionError(f"--output_dir {output_dir} can't be written: {error.strerror}.") from error
    free = shutil.disk_usage(output_dir).free
    if free < FREE_BYTES:
        raise OptionError(
            f"--output_dir {output_dir}: {free >> 20} MB are free on its disk, a run needs {FREE_BYTES >> 20} MB. Make "
            "room or set another folder."
        )


def check_processes(accelerator: Accelerator) -> None:
    """Refuse launches that would not train one model on all processes.

    Raises:
        OptionError: The processes do not know of each other, so each would train alone and overwrite the others; or
            the model is to be cut into pieces (FSDP, DeepSpeed), which checkpoints and the moving average can't follow.
    """
    started = int(os.environ.get("WORLD_SIZE", 1))
    if accelerator.num_processes != started:
        raise OptionError(
            f"{started} processes were started and {accelerator.num_processes} take part. On CPUs launch with "
            "ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes N."
        )
    if accelerator.distributed_type not in WHOLE_MODEL_ON_EACH:
        raise OptionError(
            f"distributed_type {accelerator.distributed_type.value} cuts the model into pieces, which train.py does not "
            "do: what it trains fits one device many times over. Take one of examples/accelerate/."
        )
