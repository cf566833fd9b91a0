"""The options of `etp finetune`, by subject."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from etp.common_options import (
    DATA_DIR_HELP,
    DEVICE_HELP,
    OVERWRITE_HELP,
    PRECISION_HELP,
    SEED_HELP,
    AugmentationArguments,
    BadRecordArguments,
    DatasetArguments,
    Precision,
)
from etp.options import option, require

# Of AdamW, for how the head starts and what is trained: of the tower or its adapters, and of the head.
LEARNING_RATES = {
    "probe": {"full": (3e-4, 1e-4), "lora": (1e-3, 1e-4), "head": (1e-4, 1e-4)},
    "random": {"full": (3e-4, 3e-3), "lora": (1e-3, 3e-3), "head": (1e-2, 1e-2)},
}


@dataclass(kw_only=True)
class DataArguments(DatasetArguments, BadRecordArguments):
    """Which records, and which of their labels."""

    data_dir: Path = option(DATA_DIR_HELP, common=True)
    tasks: list[str] | None = option(
        "Label tasks of the data set, one head over all of them, e.g. superclass rhythm; the usual ones if omitted.",
        None,
        metavar="TASK",
        common=True,
    )
    problem_type: Literal["multi_label", "single_label"] = option(
        "multi_label: each label is there or not; single_label: each ECG has exactly one.", "multi_label", common=True
    )
    label_fraction: float = option(
        "Fraction of the training records whose labels are used, all or none of a patient's; the same ones for the same "
        "seed, drawn as `etp evaluate linear` draws them.",
        1.0,
        common=True,
    )

    def __post_init__(self):
        require(0 < self.label_fraction <= 1, f"--label_fraction is above 0 and at most 1, got {self.label_fraction}.")


@dataclass(kw_only=True)
class ModelArguments:
    """What is fine-tuned, and which of its weights."""

    model: str | None = option(
        "Checkpoint folder or its name on the Hub: of `etp train`, an ECG tower, or a classifier, whose head is replaced; "
        "the model that comes with the package if omitted.",
        None,
        common=True,
    )
    train: Literal["full", "head", "lora"] = option(
        "full: all weights of the ECG tower; head: the new linear head alone; lora: small adapters (PEFT) and the head.",
        "full",
        common=True,
    )
    head_start: Literal["probe", "random"] = option(
        "First weights of the head: probe, linear probes of the tower as it is, each of a strength that the validation "
        "records choose; random.",
        "probe",
        common=True,
    )
    lora_rank: int = option("Rank of the adapters of --train lora.", 16)
    lora_alpha: int = option("Adapters are scaled by this over their rank.", 32)
    classifier_dropout: float = option("Dropout probability before the head.", 0.1)
    window_seconds: float | None = option(
        "Seconds that the model reads at a time: random ones in training, all of them, pooled, later; those of the "
        "model if omitted.",
        None,
    )

    def __post_init__(self):
        require(self.lora_rank >= 1, f"--lora_rank must be at least 1, got {self.lora_rank}.")
        require(self.lora_alpha > 0, f"--lora_alpha must be above 0, got {self.lora_alpha}.")
        require(
            0 <= self.classifier_dropout < 1, f"--classifier_dropout must be in [0, 1), got {self.classifier_dropout}."
        )
        require(
            self.window_seconds is None or self.window_seconds > 0,
            f"--window_seconds must be above 0, got {self.window_seconds}.",
        )


@dataclass(kw_only=True)
class TrainingArguments:
    """How it is trained, by the `Trainer` of transformers."""

    num_epochs: int = option("Most passes over the training records.", 10, common=True)
    batch_size: int = option("ECGs per step.", 64, common=True)
    gradient_accumulation_steps: int = option("Batches whose gradients make one step.", 1)
    learning_rate: float | None = option(
        "Largest learning rate of the tower or its adapters; full 3e-4, lora 1e-3 if omitted.",
        None,
        common=True,
    )
    head_learning_rate: float | None = option(
        "Largest learning rate of the head; if omitted 1e-4 after a probe, else 3e-3, and 1e-2 where it learns alone.",
        None,
    )
    weight_decay: float = option("Weight decay of matrices and kernels.", 0.01)
    warmup_ratio: float = option(
        "Fraction of the steps in which the learning rates rise; then they fall as a cosine.", 0.1
    )
    patience: int = option("Epochs without a better validation AUROC after which training stops; 0: never.", 3)
    calibrate: bool = option("Fit calibration and thresholds of each label on the validation records.", True)
    precision: Precision = option(PRECISION_HELP, "auto")
    device: str = option(DEVICE_HELP, "auto")
    seed: int = option(SEED_HELP, 0, common=True)
    report_to: list[str] = option("Trackers that `Trainer` reports to, e.g. tensorboard trackio wandb.", [])
    output_dir: Path = option("Receives the classifier, and its checkpoints meanwhile.", common=True)
    resume: bool = option(
        "Go on from the newest checkpoint of --output_dir; a finished run is left as it is.", False, common=True
    )
    overwrite: bool = option(OVERWRITE_HELP, False, common=True)

    def __post_init__(self):
        for name in ("num_epochs", "batch_size", "gradient_accumulation_steps"):
            require(getattr(self, name) >= 1, f"--{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("learning_rate", "head_learning_rate"):
            rate = getattr(self, name)
            require(rate is None or rate > 0, f"--{name} must be above 0, got {rate}.")
        require(self.weight_decay >= 0, f"--weight_decay can't be negative, got {self.weight_decay}.")
        require(0 <= self.warmup_ratio < 1, f"--warmup_ratio must be in [0, 1), got {self.warmup_ratio}.")
        require(self.patience >= 0, f"--patience can't be negative, got {self.patience}.")
        require(
            not (self.resume and self.overwrite), "--resume goes on with what --overwrite would replace: give one."
        )


GROUPS = (DataArguments, ModelArguments, TrainingArguments, AugmentationArguments)
