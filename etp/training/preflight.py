"""Checks before anything is computed: folders, disk space, packages, other runs."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import datasets
from accelerate import Accelerator
from accelerate.utils import DistributedType, gather_object

from datasets_scripts.archives import ARCHIVES
from etp.options import OptionError
from etp.run_files import BEST_WEIGHTS, CONFIG_FILE, ECG_MODEL_RUN, METRICS_FILE, RUN_FILE, TEXT_MODEL_RUN
from etp.training.towers.text_cache import DEFAULT_CACHE

from .arguments import Arguments
from .checkpoints import (
    FOLDER,
    CheckpointError,
    check_state,
    clear_checkpoints,
    newest_checkpoint,
    read_state,
    remove,
    require_whole,
)
from .logs import UNUSABLE_FILE
from .trackers import PROJECT, trackers

T = TypeVar("T")

KNOWN_LAUNCHES = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU, DistributedType.FSDP)
FREE_BYTES = 512 << 20  # checkpoints of a ResNet18-1D with AdamW take 50 MB each, a saved text tower up to 440 MB
RUN_FILES = (
    CONFIG_FILE, METRICS_FILE, UNUSABLE_FILE, FOLDER, ECG_MODEL_RUN, TEXT_MODEL_RUN, RUN_FILE, "model.safetensors", BEST_WEIGHTS,
)  # fmt: skip
OWN_FOLDERS = (FOLDER, ECG_MODEL_RUN, TEXT_MODEL_RUN, PROJECT)
# Options that may change between the parts of a run: none has a part in what is computed, threads but in the last bits.
FREE_OPTIONS = {
    "output_dir", "data_dir", "cache_dir", "feature_cache", "report_to", "log_every",
    "checkpoint_every", "keep_checkpoints", "push_to_hub", "num_threads",
}  # fmt: skip
# Options whose files are compared by their content, wherever they lie now; the second only of a tower that stays frozen.
COMPARED_OPTIONS = ("text_model", "ecg_model")


def check_before_computing(args: Arguments) -> Path | None:
    """Refuse what can't work and find the checkpoint to continue from.

    Returns:
        The checkpoint's folder; none starts anew.

    Raises:
        OptionError: Names the flag and the cure.
        CheckpointError: `--resume` has nothing whole to continue from.
    """
    trackers(args.training.report_to)
    if args.data.dataset not in ARCHIVES:
        raise OptionError(f"--dataset: unknown archive {args.data.dataset!r}, choose from {', '.join(ARCHIVES)}.")
    if args.data.data_dir is not None and not args.data.data_dir.is_dir():
        raise OptionError(f"--data_dir: there is no folder {args.data.data_dir}.")
    output_dir = args.training.output_dir
    check_own_folders(output_dir)
    checkpoint = _find_checkpoint(args)
    if checkpoint is not None:
        _check_same_options(args, checkpoint)
    inside = checkpoint is not None and output_dir.resolve() in checkpoint.resolve().parents
    own = args.training.resume == "auto" or inside
    found = [name for name in RUN_FILES if (output_dir / name).exists()]
    if found and not own and not args.training.overwrite:
        raise OptionError(
            f"--output_dir {output_dir} holds another run ({', '.join(found)}): continue it with --resume auto, "
            "replace it with --overwrite, or set another folder."
        )
    _check_writable("output_dir", output_dir, free_bytes=FREE_BYTES)
    if args.model.unfreeze_text_from is None:
        _check_writable("feature_cache", (args.training.feature_cache or DEFAULT_CACHE).expanduser())
    _check_writable("cache_dir", args.data.cache_dir or Path(datasets.config.HF_DATASETS_CACHE))
    return checkpoint


def check_own_folders(output_dir: Path) -> None:
    """Refuse folders of a run that lie somewhere else, for a run writes and deletes in them.

    Raises:
        OptionError: Names the folder and where it leads.
    """
    for name in OWN_FOLDERS:
        folder = output_dir / name
        if folder.is_symlink():
            raise OptionError(
                f"--output_dir {output_dir}: {name} is a link to {os.readlink(folder)}, and a run writes and deletes in "
                "folders of its own only. Remove the link, or set --output_dir to a folder that lies where it leads."
            )
        if folder.exists() and not folder.is_dir():
            raise OptionError(f"--output_dir {output_dir}: {name} is not a folder. Remove it, or set another folder.")


def clear_output(output_dir: Path) -> None:
    """Remove the files of the run that `--overwrite` replaces, and no others."""
    for name in (*RUN_FILES, PROJECT):
        if name == FOLDER:
            clear_checkpoints(output_dir)
        else:
            remove(output_dir / name)


def _find_checkpoint(args: Arguments) -> Path | None:
    wanted, output_dir = args.training.resume, args.training.output_dir
    if wanted is None:
        return None
    if wanted != "auto":
        folder = Path(wanted)
        require_whole(folder)
        return folder
    checkpoint = newest_checkpoint(output_dir)
    left = [output_dir / "model.safetensors", output_dir / BEST_WEIGHTS, *(output_dir / FOLDER).glob("step_*")]
    if checkpoint is None and any(
        path.exists() for path in left
    ):  # damaged later on: a kill leaves whole ones or none
        raise CheckpointError(
            f"--resume auto: {output_dir} holds a run without a whole checkpoint. Start anew with --overwrite."
        )
    return checkpoint  # none: the run was killed before its first checkpoint, so it starts anew


def _check_same_options(args: Arguments, checkpoint: Path) -> None:
    state = read_state(checkpoint)
    check_state(state, folder=checkpoint)
    stored = state["options"]
    free = {*FREE_OPTIONS, *COMPARED_OPTIONS[: 1 + args.model.freeze_ecg_model]}
    for name, value in json.loads(json.dumps(args.to_dict())).items():
        if name not in free and stored.get(name) != value:
            raise OptionError(
                f"--resume {checkpoint}: --{name} is {value!r} here and was {stored.get(name)!r}. A run continues with "
                f"its own options: leave the flag out and pass the {CONFIG_FILE} of the run, or start anew."
            )


def _check_writable(flag: str, folder: Path, *, free_bytes: int = 0) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"1")
            file.flush()
    except OSError as error:
        raise OptionError(
            f"--{flag} {folder} can't be written: {error.strerror}. Make room, get permission, or set another folder."
        ) from error
    free = shutil.disk_usage(folder).free
    if free < free_bytes:
        raise OptionError(
            f"--{flag} {folder}: {free >> 20} MB are free on its disk, a run needs {free_bytes >> 20} MB. Make room or "
            "set another folder."
        )


def on_one_process_first(accelerator: Accelerator, work: Callable[[], T]) -> T:
    """Do work that fills a cache on one process of each machine, then on the others, which find it there.

    Raises:
        OptionError: On every process, where the work raises it on one: the others do not wait for it in vain.
    """
    first, fault = accelerator.is_local_main_process, None
    if first:
        try:
            result = work()
        except OptionError as error:
            fault = error
    said = next((text for text in gather_object([str(fault) if fault else ""]) if text), None)
    if said is not None:
        raise OptionError(said) from fault
    return result if first else work()


def check_processes(accelerator: Accelerator) -> None:
    """Refuse launches that would not train one model on all processes.

    Raises:
        OptionError: The processes do not know of each other, so each would train alone and overwrite the others; or
            they are launched in a way that train.py does not know, such as DeepSpeed.
    """
    started = int(os.environ.get("WORLD_SIZE", 1))
    if accelerator.num_processes != started:
        raise OptionError(
            f"{started} processes were started and {accelerator.num_processes} take part. On CPUs launch with "
            "ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes N."
        )
    if accelerator.distributed_type not in KNOWN_LAUNCHES:
        raise OptionError(
            f"distributed_type {accelerator.distributed_type.value} is not known to train.py: take one of "
            "examples/accelerate/, e.g. fsdp.yaml where weights are to be cut into shards."
        )
