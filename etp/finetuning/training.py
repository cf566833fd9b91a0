"""Fine-tuning by the `Trainer` of transformers: batches, metrics, early stopping, checkpoints."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn
from transformers import EarlyStoppingCallback, Trainer
from transformers.trainer_utils import get_last_checkpoint

from etp.options import OptionError

from .arguments import ModelArguments, TrainingArguments
from .data import as_they_are
from .epoch_lines import say_epochs
from .labels import LabelHead
from .model import make_optimizer
from .scores import describe_metrics, pool, validation_metrics

CHECKPOINTS = "checkpoints"  # in the output folder


def make_trainer(
    model: nn.Module,
    head: LabelHead,
    training: torch.utils.data.Dataset,
    validation: Any,
    targets: np.ndarray,
    args: TrainingArguments,
    *,
    what: ModelArguments,
    bf16: bool,
    device: str,
) -> Trainer:
    """A `Trainer` that chooses the epoch by the mean of the tasks' macro AUROC on the validation records.

    Args:
        validation: Batches of the validation records, `windows` rows a record.
        targets: Of the validation records, `(records, labels)`.
        what: Which weights are trained, and how the head starts.
        device: "cpu", or that of a GPU, which `Trainer` finds itself.
    """

    def compute_metrics(prediction) -> dict[str, float]:
        return validation_metrics(pool(prediction.predictions, validation.windows), targets, head)

    steps_per_epoch = -(-len(training) // (args.batch_size * args.gradient_accumulation_steps))  # type: ignore[arg-type]
    settings = transformers.TrainingArguments(
        output_dir=str(args.output_dir / CHECKPOINTS),
        num_train_epochs=args.num_epochs,
        per_device_train_batch_size=args.batch_size,
        per_device_eval_batch_size=max(args.batch_size, 64),
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        lr_scheduler_type="cosine",
        warmup_steps=round(args.warmup_ratio * steps_per_epoch * args.num_epochs),
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="auroc",
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        disable_tqdm=True,
        logging_strategy="steps",
        logging_steps=max(1, steps_per_epoch // 10),
        bf16=bf16,
        use_cpu=device == "cpu",
        seed=args.seed,
        data_seed=args.seed,
        remove_unused_columns=False,
        label_names=["labels"],
        report_to=args.report_to or "none",
        dataloader_pin_memory=device != "cpu",
    )
    trainer = Trainer(
        model=model,
        args=settings,
        data_collator=as_they_are,
        train_dataset=training,
        eval_dataset=validation,
        compute_metrics=compute_metrics,
        callbacks=[EarlyStoppingCallback(args.patience)] if args.patience else [],
        optimizers=(make_optimizer(model, what, args), None),
    )
    say_epochs(trainer)
    return trainer


def newest_checkpoint(output_dir: Path) -> str | None:
    """The checkpoint that a run left last; None if there is none."""
    folder = output_dir / CHECKPOINTS
    return get_last_checkpoint(str(folder)) if folder.is_dir() else None


def train(
    trainer: Trainer,
    head: LabelHead,
    validation: Any,
    targets: np.ndarray,
    args: TrainingArguments,
    *,
    keep_start: bool,
) -> np.ndarray:
    """Train the model of `trainer` in place, up to its best epoch.

    Args:
        validation: Batches of the validation records.
        targets: Of the validation records, `(records, labels)`.
        keep_start: Whether the weights stay what they are now if no epoch is better.

    Returns:
        Logits of the validation records, float64 `(records, labels)`.
    """
    network: Any = trainer.model
    if keep_start:
        start = {name: value.clone() for name, value in network.state_dict().items()}
        before = predict_logits(trainer, validation)
        at_start = validation_metrics(before, targets, head)
        print(f"Before training: validation {describe_metrics(at_start)}", flush=True)
    trainer.train(resume_from_checkpoint=check_checkpoint(args.output_dir) if args.resume else None)
    logits = predict_logits(trainer, validation)
    if keep_start and at_start["auroc"] >= validation_metrics(logits, targets, head)["auroc"]:
        print("No epoch is better than the start, which is kept.")
        network.load_state_dict(start)
        return before
    return logits


def predict_logits(trainer: Trainer, batches: Any) -> np.ndarray:
    """Logits of the records, of several windows their mean, float64 `(records, labels)`."""
    return pool(np.asarray(trainer.predict(batches).predictions), batches.windows)


def check_checkpoint(output_dir: Path) -> str:
    """The checkpoint to go on from.

    Raises:
        OptionError: If there is none.
    """
    found = newest_checkpoint(output_dir)
    if found is None:
        raise OptionError(
            f"--resume: {output_dir} holds no checkpoint; one is written after each epoch. Start without --resume."
        )
    return found
