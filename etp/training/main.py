"""Align ECGs with reports: `etp train` and `accelerate launch train.py`."""

import gc
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from safetensors.torch import load_file

from etp.atomic_files import NotWrittenError, files_added
from etp.cures import as_flags
from etp.devices import use_bf16
from etp.options import OptionError, options_of, parse_options
from etp.output_lock import folder_lock
from etp.progress import log_beside_bars
from etp.run_files import BEST_WEIGHTS, METRICS_FILE, RUN_FILE
from etp.saving import save_whole
from etp.training.data.records import Split, load_split, open_splits, with_features
from etp.training.processes.batch_norm import synchronise_batch_norm
from etp.training.processes.sharding import cut_like, enable_sharding, whole
from etp.training.processes.threads import use_threads
from etp.training.towers.building import FrozenTextEncoder, make_configs, make_model, make_processor
from etp.training.towers.trainable_text import TrainableTextEncoder, unfreeze_text_layers
from modeling_etp.modeling_etp import ETPModel
from modeling_etp.processing_etp import ETPProcessor

from .arguments import GROUPS, Arguments
from .checkpoints import CheckpointError
from .identity import Identity, run_facts, tower_sha256
from .interruption import Interruption
from .logs import plot_curves, write_run_files, write_unusable
from .loop import NonFiniteLossError, Trainer
from .objective_names import uses_texts
from .objectives import ContrastiveModel
from .preflight import (
    check_before_computing,
    check_processes,
    clear_output,
    on_one_process_first,
)
from .resumption import Resumption, return_to
from .trackers import start_trackers, trackers

logger = logging.getLogger("train")


def main(argv: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    args = Arguments(*parse_options(GROUPS, words, description=__doc__, prog=program(), presets=True))
    make_configs(args.model)
    checkpoint = check_before_computing(args)
    if not is_main_process():  # which holds the folder for all
        return run_alone(args, checkpoint)
    with folder_lock(args.training.output_dir):
        if check_before_computing(args) != checkpoint:
            raise OptionError(
                f"--output_dir {args.training.output_dir}: another run has just trained there. Try again."
            )
        return run_alone(args, checkpoint)


def run_alone(args: Arguments, checkpoint: Path | None) -> int:
    """Train in a folder that is this run's alone, from a checkpoint on or anew; returns the exit status."""
    reserve_on_hub(args)
    accelerator = start_accelerator(args)

    trainer, processor = make_trainer(args, accelerator)
    resumption = None if checkpoint is None else trainer.resume(checkpoint)
    prepare_output(args, accelerator, trainer, resumption)
    with Interruption() as interruption:
        finished = trainer.run(interruption)

    if accelerator.is_main_process:
        plot_curves(args.training.output_dir / METRICS_FILE, args.training.output_dir / "curves.png")
    if finished:
        save_model(trainer, processor, args)
    step = trainer.position.step
    del trainer
    end_training(accelerator)
    if not finished:
        accelerator.print(f"Stopped by a signal after step {step}; --resume auto continues.")
        return 128 + interruption.signal_number if interruption.signal_number else 1
    return 0 if not accelerator.is_main_process or push_to_hub(args) else 1


def is_main_process() -> bool:
    """Whether this is the main process of the run, before any process knows of the others."""
    return int(os.environ.get("RANK", 0)) == 0


def start_accelerator(args: Arguments) -> Accelerator:
    # Statistics of BatchNorm are synchronised by the norm itself; a broadcast of rank 0's would be a second opinion.
    handler = DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
    accelerator = Accelerator(
        mixed_precision="bf16" if use_bf16(args.training.precision) else "no",
        log_with=trackers(args.training.report_to) or None,
        project_dir=args.training.output_dir,
        kwargs_handlers=[handler],
    )
    check_processes(accelerator)
    enable_sharding(accelerator)
    num_threads = use_threads(args.training.num_threads)
    processes = accelerator.num_processes
    logger.info("Computing on %s, processes: %d, CPU threads of each: %d.", accelerator.device, processes, num_threads)
    return accelerator


def prepare_output(args: Arguments, accelerator: Accelerator, trainer: Trainer, resumption: Resumption | None) -> None:
    """Make the output folder this run's, once nothing is left that could refuse the run on any process."""
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if args.training.overwrite:
            clear_output(args.training.output_dir)
        if resumption is not None:
            return_to(resumption, args.training.output_dir)
        write_run_files(args.training.output_dir, args, resumes=resumption is not None)
        splits = {"train": trainer.train_split, "validation": trainer.validation_split}
        write_unusable(args.training.output_dir, {name: split.unusable for name, split in splits.items()})
    if args.training.report_to:
        start_trackers(
            accelerator,
            args.training.report_to,
            args.to_dict(),
            run=args.training.output_dir,
            run_id=trainer.lineage.run_id,
            resumes=resumption is not None,
        )


def make_trainer(args: Arguments, accelerator: Accelerator) -> tuple[Trainer, ETPProcessor]:
    """Everything a run consists of, at its first step."""
    processor = make_processor(args.model, max_gap_seconds=args.data.max_gap_seconds)
    model = make_model(args.model, seed=args.training.seed).to(accelerator.device)
    if args.model.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    texts = make_texts(model, processor, args, accelerator)
    train, validation = load_splits(args, processor, accelerator)
    if args.model.freeze_ecg_model:
        train, validation = embed_splits((train, validation), model, accelerator)

    several = accelerator.num_processes > 1
    contrastive = ContrastiveModel(
        model,
        weights=args.training.objectives,
        across_processes=several,
        first_text_layer=args.model.unfreeze_text_from or 0,
        frozen_ecg_model=args.model.freeze_ecg_model,
    )
    if several:
        contrastive = cast(ContrastiveModel, synchronise_batch_norm(contrastive, device=accelerator.device))
    identity = Identity(
        data={"train": train.fingerprint, "validation": validation.fingerprint},
        text_tower=texts.fingerprint,
        ecg_tower=tower_sha256(model.ecg_model) if args.model.freeze_ecg_model else None,
    )
    trainer = Trainer(
        accelerator, contrastive, args, train=train, validation=validation, texts=texts, identity=identity
    )
    if uses_texts(args.training.objectives):
        trainer.prepare_texts([validation.views.text(key) for key in validation.views.reports()])
    return trainer, processor


def make_texts(
    model: ETPModel, processor: ETPProcessor, args: Arguments, accelerator: Accelerator
) -> FrozenTextEncoder | TrainableTextEncoder:
    """Freeze the text tower, or its lower layers, and keep what the frozen part gives."""
    first_layer, device = args.model.unfreeze_text_from, accelerator.device
    if first_layer is None:
        model.freeze_text_model()
        return FrozenTextEncoder(model, processor.tokenizer, cache_dir=args.training.feature_cache, device=device)
    unfreeze_text_layers(model, first_layer=first_layer)
    dtype = torch.bfloat16 if accelerator.mixed_precision == "bf16" else torch.float32
    return TrainableTextEncoder(model, processor.tokenizer, first_layer=first_layer, dtype=dtype, device=device)


def load_splits(args: Arguments, processor: ETPProcessor, accelerator: Accelerator) -> tuple[Split, ...]:
    """Training and validation records; one process of each machine prepares them, the others wait for it."""
    splits = on_one_process_first(accelerator, lambda: open_splits(args.data))
    return tuple(
        load_split(
            split,
            args.data,
            processor.feature_extractor,
            name=name,
            seed=args.training.seed,
            device=accelerator.device,
            progress=accelerator.is_local_main_process,
            objectives=args.training.objectives,
        )
        for name, split in splits.items()
    )


def embed_splits(splits: Sequence[Split], model: ETPModel, accelerator: Accelerator) -> tuple[Split, ...]:
    """The splits as features of the frozen ECG tower, which training then never runs."""
    with accelerator.autocast():
        return tuple(
            with_features(split, model.ecg_model, progress=accelerator.is_local_main_process) for split in splits
        )


def save_model(trainer: Trainer, processor: ETPProcessor, args: Arguments) -> None:
    """Save the weights that were chosen, with the processor, as a folder that `from_pretrained` takes.

    Every process gives its shards; the main one writes.
    """
    output_dir = args.training.output_dir
    if args.training.select_best != "last":
        chosen = load_file(output_dir / BEST_WEIGHTS)
        with torch.no_grad():
            for name, tensor in trainer.trained.items():
                tensor.copy_(cut_like(chosen[name], tensor))
    average = trainer.average if args.training.select_best == "last" else None
    with nullcontext() if average is None else average.applied():
        weights = whole(trainer.module.model.state_dict())
        if not trainer.accelerator.is_main_process:
            return
        with files_added(output_dir, last="model*.safetensors") as folder:
            save_whole(trainer.module.model, processor, folder, state_dict=weights)
            facts = run_facts(trainer.identity, trainer.lineage, step=trainer.chosen_step)
            (folder / RUN_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    logger.info("Saved the model and its processor in %s.", output_dir)


def end_training(accelerator: Accelerator) -> None:
    """Close the trackers and leave the process group, which nothing may hold any more.

    `DistributedDataParallel` holds it without letting go of Python's lock when it is the last to do so, and gloo's own
    thread, which it then waits for, may want that lock: now and then a process never ended.
    """
    accelerator.free_memory()
    gc.collect()
    accelerator.end_training()


def reserve_on_hub(args: Arguments) -> None:
    """Find out before the training whether its model may be pushed where `--push_to_hub` says."""
    if args.training.push_to_hub is None:
        return
    from etp.hub import reserve_repo

    try:
        reserve_repo(args.training.push_to_hub)
    except (ValueError, OSError) as error:
        raise OptionError(f"--push_to_hub {args.training.push_to_hub}: {' '.join(str(error).split())}") from error


def push_to_hub(args: Arguments) -> bool:
    """Push the saved model where `--push_to_hub` says; False if that fails, and the model is still there to push."""
    repo, output_dir = args.training.push_to_hub, args.training.output_dir
    if repo is None:
        return True
    from etp.hub import push_model
    from etp.loading import load_checkpoint

    try:
        logger.info("Pushed: %s", push_model(load_checkpoint(output_dir), repo))
    except OSError as error:
        reason = " ".join(str(error).split())
        logger.error("Not pushed (%s). Try again: etp push %s %s", reason, output_dir, repo)
        return False
    return True


def run(argv: Sequence[str] | None = None) -> int:
    """Train, and turn what a user can cause into one line; returns the exit status."""
    first_process = is_main_process()
    log_beside_bars(logging.INFO if first_process else logging.ERROR)
    try:
        return main(argv)
    except (OptionError, CheckpointError, NonFiniteLossError, NotWrittenError) as error:
        if first_process:  # every process finds the same fault; one says it
            print(f"{program()}: {as_flags(str(error), options_of(GROUPS))}", file=sys.stderr)
        return 2 if isinstance(error, OptionError) else 1


def program() -> str:
    """What a user typed to come here."""
    return "train.py" if os.path.basename(sys.argv[0]) == "train.py" else "etp train"


if __name__ == "__main__":
    sys.exit(run())
