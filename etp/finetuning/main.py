"""etp finetune --model build/etp-ptb-xl --data_dir DIR --tasks superclass --output_dir build/fine-tuned

Fine-tune a classifier on the ECG tower of a checkpoint; the output folder serves `pipeline("ecg-classification")`.
"""

import logging
import shutil
import time
from pathlib import Path
from typing import Any

from etp.augmentation import Augmentation
from etp.common_options import AugmentationArguments
from etp.devices import choose_device, use_bf16
from etp.loading import CheckpointError
from etp.options import OptionError
from etp.output_lock import folder_lock
from etp.progress import log_beside_bars
from etp.saving import save_classifier

from .arguments import DataArguments, ModelArguments, TrainingArguments
from .data import EcgBatches, LabelledSplit, labelled_split, open_labelled, some_labels
from .features import HeadOnFeatures, compute_features
from .head_start import start_from_probe
from .identity import check_identity, describe_run, write_run
from .labels import LabelHead
from .model import Base, choose_weights, open_base
from .scores import Fitted, describe_metrics, fit_probabilities, undefined_tasks, validation_metrics
from .training import CHECKPOINTS, check_checkpoint, make_trainer, newest_checkpoint, train

ADAPTER = "adapter"


def main(data: DataArguments, model: ModelArguments, args: TrainingArguments, augment: AugmentationArguments) -> None:
    """Fine-tune, calibrate and save.

    Raises:
        OptionError: If an option, the data or the checkpoint can't be used; names it and the cure.
    """
    log_beside_bars(logging.WARNING)
    make_output_dir(args.output_dir)
    with folder_lock(args.output_dir):
        check_output_dir(args)
        run(data, model, args, augment)


def run(data: DataArguments, model: ModelArguments, args: TrainingArguments, augment: AugmentationArguments) -> None:
    """As [`main`], in an output folder that is this run's alone."""
    started = time.monotonic()
    device = choose_device(args.device)
    archive = open_labelled(data)
    try:
        head = LabelHead.of(archive["train"], data.dataset, data.tasks, data.problem_type)
        base = open_base(model, head, seed=args.seed)
    except (CheckpointError, ValueError) as error:
        raise OptionError(str(error)) from error
    if data.max_gap_seconds is not None:
        base.recorded.max_gap_seconds = base.feature_extractor.max_gap_seconds = data.max_gap_seconds
    training, validation = (
        labelled_split(archive[name], head, data, base.recorded, name=name, progress=True)
        for name in ("train", "validation")
    )
    if nothing := undefined_tasks(validation.targets, head):
        raise OptionError(
            f"no label of task {nothing[0]!r} has both records with it and without it in the validation split, by which "
            "the epoch is chosen. Put more records into that split, or leave the task out by --tasks."
        )
    training = some_labels(training, data.label_fraction, seed=args.seed)
    made = describe_run(data, model, args, augment, base=base, contents=[training.content, validation.content])
    if args.resume:
        if check_identity(args.output_dir, made):
            print(f"{args.output_dir} is finished: nothing is left to do.")
            return
    else:
        write_run(args.output_dir, made)
    print(f"{len(training)} training records, {len(validation)} of validation, {len(head.names)} labels.", flush=True)
    fitted, metrics = fine_tune(base, head, training, validation, model, args, augment, device=device)
    made |= {
        "validation": metrics,
        "seconds": round(time.monotonic() - started, 1),
        "num_training_records": len(training),
    }
    save(base, fitted, args.output_dir, made)
    print(f"On the validation records, by which the weights were chosen: {describe_metrics(metrics)}.")
    print(
        f"Saved to {args.output_dir}. Evaluate it: etp evaluate fine-tuned --model {args.output_dir} --dataset "
        f"{data.dataset} --data_dir {data.data_dir} --output {args.output_dir}/results/test.json"
    )


def check_output_dir(args: TrainingArguments) -> None:
    """Refuse to mix two runs in one folder; with --overwrite the checkpoints of the one that was there are removed, and
    nothing else.

    Raises:
        OptionError: If the folder holds a run or a model, or there is nothing to go on with.
    """
    folder = args.output_dir
    if args.resume:
        check_checkpoint(folder)
    elif args.overwrite:
        if (folder / CHECKPOINTS).is_symlink():
            raise OptionError(f"--overwrite: {folder / CHECKPOINTS} is a link, and nothing behind a link is removed.")
        while checkpoint := newest_checkpoint(folder):
            shutil.rmtree(checkpoint)
    elif newest_checkpoint(folder):
        raise OptionError(
            f"--output_dir {folder} holds the checkpoints of a run. Go on with it by --resume, replace it by --overwrite, "
            "or name another folder."
        )
    elif (folder / "config.json").exists():
        raise OptionError(f"--output_dir {folder} holds a model. Name another folder, or replace it by --overwrite.")


def make_output_dir(folder: Path) -> None:
    """Make the output folder, if it isn't there.

    Raises:
        OptionError: If that is impossible.
    """
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"--output_dir {folder} is a file; name a folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"--output_dir {folder} can't be made: {error.strerror}. Name another folder.") from error


def fine_tune(
    base: Base,
    head: LabelHead,
    training: LabelledSplit,
    validation: LabelledSplit,
    model_args: ModelArguments,
    args: TrainingArguments,
    augment: AugmentationArguments,
    *,
    device: str,
) -> tuple[Fitted | None, dict[str, float]]:
    """Train the model of `base` in place, up to its best epoch.

    Returns:
        What is fitted on the validation records, and their metrics.
    """
    bf16 = use_bf16(args.precision, device=device)
    length = base.feature_extractor.num_samples
    augmentation = Augmentation(
        augment,
        sampling_rate=base.feature_extractor.sampling_rate,
        num_epochs=args.num_epochs,
        seed=args.seed,
    )
    classifier: Any = base.model
    classifier.to(device)
    problem = head.problem_type
    validated: Any = EcgBatches(validation, problem, length=length)
    trained: Any = EcgBatches(training, problem, length=length, augmentation=augmentation, seed=args.seed)
    on_features = model_args.train == "head" and not augmentation.is_active
    if on_features or model_args.head_start == "probe":
        options: dict[str, Any] = {"batch_size": max(args.batch_size, 64), "bf16": bf16}
        whole = EcgBatches(training, problem, length=length)
        known = compute_features(classifier, whole, **options, description="Training ECGs")
        held_out = compute_features(classifier, validated, **options, description="Validation ECGs")
    if model_args.head_start == "probe":
        start_from_probe(classifier, head, (known, training.targets), (held_out, validation.targets))
    network: Any = choose_weights(classifier, model_args)
    if on_features:
        network, trained, validated = HeadOnFeatures(classifier), known, held_out
    trainer = make_trainer(
        network, head, trained, validated, validation.targets, args, what=model_args, bf16=bf16, device=device
    )
    keep_start = model_args.head_start == "probe"
    logits = train(trainer, head, validated, validation.targets, args, keep_start=keep_start)
    if model_args.train == "lora":
        network.save_pretrained(args.output_dir / ADAPTER)
        network.merge_and_unload()  # in the modules of the model itself
    fitted = fit_probabilities(logits, validation.targets, head) if args.calibrate else None
    return fitted, validation_metrics(logits, validation.targets, head)


def save(base: Base, fitted: Fitted | None, output_dir: Path, run: dict[str, Any]) -> None:
    """Write the classifier with its feature extractor, code and calibration, and what it was made with."""
    if fitted is not None:
        base.model.config.calibration = fitted.calibration
        base.model.config.thresholds = fitted.thresholds
    save_classifier(base.model, base.feature_extractor, output_dir)
    write_run(output_dir, run)
