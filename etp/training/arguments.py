"""The options of `etp train`, by subject, with the contradictions that can be said before anything is computed."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from etp.common_options import (
    OVERWRITE_HELP,
    PRECISION_HELP,
    SEED_HELP,
    AugmentationArguments,
    BadRecordArguments,
    DatasetArguments,
    Precision,
)
from etp.options import option, require
from etp.texts.held_out import check_patterns

from .objective_names import OBJECTIVES, OF_STATEMENTS

TEXT_MODEL_HELP = (
    "Text tower: a folder or Hub name of an encoder or sentence-transformers model; `minilm` is all-MiniLM-L6-v2."
)
NUM_THREADS_HELP = (
    "CPU threads of each process; none: OMP_NUM_THREADS, or its share of the cores where a launcher set that to 1."
)
TEXT_VIEWS = ("report", "statement", "subset")
RATES = ("list_rate", "description_rate", "rare_term_rate", "beside_rate")


@dataclass(kw_only=True)
class TextsArguments:
    """Which text of a record."""

    text_source: Literal["statements", "label_derived"] = option(
        "statements: what the report says. label_derived: phrases of the record's labels, for a ceiling row only.",
        "statements",
    )
    text_views: dict[str, float] = option(
        "Weights of a record's texts: report (all statements), statement (one), subset (some).",
        {"report": 0.5, "statement": 0.5},
        weights=True,
    )
    held_out_findings: list[str] | None = option(
        "Words of a finding that no training text may name, as regular expressions; statements with them go.", None
    )


@dataclass(kw_only=True)
class DataArguments(TextsArguments, BadRecordArguments, DatasetArguments):
    """Which records, and which text of a record."""

    def __post_init__(self):
        check_weights("text_views", self.text_views, TEXT_VIEWS)
        check_patterns(self.held_out_findings or [])


@dataclass(kw_only=True)
class ModelArguments:
    """The two towers and what joins them."""

    text_model: str = option(
        TEXT_MODEL_HELP,
        "minilm",
        common=True,
    )
    text_pooling: Literal["model", "cls", "mean", "pooler"] = option(
        "How tokens become one vector; model: as its sentence-transformers files say, otherwise cls.", "model"
    )
    ecg_model: str | None = option(
        "ECG tower to start from: folder or Hub name of a tower or an ETP checkpoint; none: a new one by --ecg_config.",
        None,
        common=True,
    )
    freeze_ecg_model: bool = option(
        "Keep the tower of --ecg_model as it is: its features are computed once, only projections are trained.", False
    )
    text_max_tokens: int = option("Longest text in tokens; what is longer is cut.", 256)
    ecg_config: dict[str, Any] = option("Settings of ETPEcgConfig.", {}, replaced_by="ecg_model")
    model_config: dict[str, Any] = option("Settings of ETPConfig, e.g. projection_dim, loss_type.", {})
    sampling_rate: int = option("Rate of the ECG tower's input in Hz; records of another rate are resampled.", 100)
    num_samples: int = option("Length of the ECG tower's input in samples per lead.", 1000)
    unfreeze_text_from: int | None = option(
        "Train the text tower from this layer on (0 is the first); none keeps it frozen.", None
    )
    text_learning_rate: float = option("Learning rate of the last text layer where the tower is trained.", 2e-5)
    text_layer_decay: float = option("Factor on the learning rate per text layer further down.", 0.8)
    gradient_checkpointing: bool = option("Recompute activations in the backward pass: less memory, more time.", False)

    def __post_init__(self):
        require(self.text_max_tokens >= 8, f"--text_max_tokens must be at least 8, got {self.text_max_tokens}.")
        require(self.sampling_rate > 0, f"--sampling_rate must be positive, got {self.sampling_rate}.")
        require(self.num_samples >= 32, f"--num_samples must be at least 32, got {self.num_samples}.")
        require(0 < self.text_layer_decay <= 1, f"--text_layer_decay must be in (0, 1], got {self.text_layer_decay}.")
        require(
            self.ecg_model is None or not self.ecg_config,
            "--ecg_model brings its own settings: leave --ecg_config out.",
        )
        require(
            self.ecg_model is not None or not self.freeze_ecg_model,
            "--freeze_ecg_model keeps a trained tower as it is: name it with --ecg_model.",
        )
        require(
            self.unfreeze_text_from is None or self.unfreeze_text_from >= 0,
            f"--unfreeze_text_from must be 0 or more, got {self.unfreeze_text_from}.",
        )
        rates = (self.text_learning_rate, self.text_layer_decay)
        require(
            self.unfreeze_text_from is not None or rates == (2e-5, 0.8),
            "--text_learning_rate and --text_layer_decay are of a text tower that is trained: add --unfreeze_text_from, "
            "or leave them out.",
        )


@dataclass(kw_only=True)
class RunArguments:
    """Where the run is kept, and how it goes on."""

    output_dir: Path = option("Receives checkpoints, logs and the final model.", common=True)
    resume: str | None = option(
        "Continue from a checkpoint folder, or `auto` for the newest whole one.", None, common=True
    )
    accept_changes: list[Literal["data", "code", "versions"]] = option(
        "What may differ from the checkpoint of --resume: data (records, signals or texts of a split), code (of this "
        "package), versions (another minor or major release of torch, transformers, datasets, accelerate or numpy).",
        [],
    )
    overwrite: bool = option(OVERWRITE_HELP, False, common=True)
    checkpoint_every: int | None = option("Steps between checkpoints; none: once per epoch.", None)
    keep_checkpoints: int = option("Newest checkpoints that are kept.", 2)
    log_every: int = option("Steps between lines of metrics.jsonl.", 10)
    report_to: list[str] = option(
        "Trackers beside metrics.jsonl, any that accelerate knows: tensorboard, wandb, mlflow, trackio …; all: those installed.",
        [],
    )
    push_to_hub: str | None = option(
        "Hub repository, user/name, that receives the finished model; private if new.", None
    )
    feature_cache: Path | None = option("Where text features are kept; none: ~/.cache/etp/text_features.", None)
    seed: int = option(SEED_HELP, 0, common=True)


@dataclass(kw_only=True)
class ObjectiveArguments:
    """What ECGs and texts are compared by."""

    objectives: dict[str, float] = option(
        "Weights of the losses: batch (texts of the batch), vocabulary (all statements of the training split), negation "
        "(each statement of the vocabulary against its negation), absence (ECGs with a finding against those without, by "
        "its negation), windows (two windows of an ECG against those of other ECGs; alone, no report is needed), patient (age and sex, where "
        "the archive has them).",
        {"batch": 1.0},
        weights=True,
        common=True,
    )
    vocabulary_size: int | None = option("Statements in the vocabulary, the commonest first; none takes all.", None)
    vocabulary_min_count: int = option("A statement enters the vocabulary once this many records have it.", 1)
    vocabulary_generalisations: bool = option(
        "A record also has what follows from its statements with less detail: old inferior infarction, infarction.",
        False,
    )
    vocabulary_hypernyms: bool = option(
        "A record also has the general terms its findings fall under: first-degree AV block, conduction disturbance.",
        False,
    )
    paraphrase_rate: float = option("Chance that a statement of the vocabulary stands in a paraphrase at a step.", 0.0)
    max_paraphrases: int = option("Standard paraphrases of a statement to draw from, at most.", 6)
    sentence_fraction: float = option(
        "Sentences around paraphrases to draw from too, as a fraction of the paraphrases.", 0.0
    )
    list_rate: float = option(
        "Chance that a statement of the vocabulary stands in a comma list of its paraphrases and narrower statements.",
        0.0,
    )
    description_rate: float = option(
        "Chance that it stands in a description of what it looks like, where there is one.", 0.0
    )
    rare_term_rate: float = option(
        "Chance that it stands in a narrower term that reports hardly have: early repolarization for normal ECG.", 0.0
    )
    beside_rate: float = option(
        "Chance that it stands beside the negation of another statement: sinus rhythm, no ST elevation.", 0.0
    )


@dataclass(kw_only=True)
class OptimizationArguments:
    """How long, how fast and how exactly."""

    num_epochs: int = option("Passes over the training split.", 20, common=True)
    max_steps: int | None = option("Stop after this many steps; the schedule is laid for them.", None)
    batch_size: int = option("ECGs per step over all processes together.", 256, common=True)
    drop_last: bool = option("Leave out the last, smaller batch of an epoch.", True)
    grad_cache_chunk: int | None = option(
        "ECGs per forward pass of a process (GradCache); none: the whole batch.", None
    )
    learning_rate: float = option("Peak learning rate of AdamW.", 2e-3, common=True)
    weight_decay: float = option("AdamW weight decay of matrices and kernels; biases and norms have none.", 0.05)
    warmup_ratio: float = option("Fraction of all steps spent warming up; then a cosine to zero.", 0.05)
    max_grad_norm: float = option("Gradient clipping threshold; 0 switches it off.", 1.0)
    ema_decay: float = option("Decay of the averaged weights that are validated and saved; 0 switches them off.", 0.0)
    precision: Precision = option(PRECISION_HELP, "auto", common=True)
    num_threads: int | None = option(
        NUM_THREADS_HELP,
        None,
    )
    select_best: Literal["last", "loss", "recall"] = option(
        "Save the last epoch, or the one that is best on the validation split by loss or recall.", "last"
    )
    validate_every: int = option("Epochs between validations; the last one is always followed by one.", 1)


@dataclass(kw_only=True)
class TrainingArguments(OptimizationArguments, ObjectiveArguments, RunArguments):
    """How to train."""

    def __post_init__(self):
        check_weights("objectives", self.objectives, OBJECTIVES)
        require(self.num_epochs >= 1, f"--num_epochs must be at least 1, got {self.num_epochs}.")
        require(
            self.batch_size >= 2,
            f"--batch_size must be at least 2, got {self.batch_size}: the other records of a batch are the negatives.",
        )
        require(0 <= self.warmup_ratio < 1, f"--warmup_ratio must be in [0, 1), got {self.warmup_ratio}.")
        require(0 <= self.ema_decay < 1, f"--ema_decay must be in [0, 1), got {self.ema_decay}.")
        rates = {name: getattr(self, name) for name in RATES}
        for name in ("paraphrase_rate", "sentence_fraction", *rates):
            require(0 <= getattr(self, name) <= 1, f"--{name} must be in [0, 1], got {getattr(self, name)}.")
        require(self.max_paraphrases >= 0, f"--max_paraphrases can't be negative, got {self.max_paraphrases}.")
        require(
            self.paraphrase_rate > 0
            or (self.max_paraphrases, self.sentence_fraction, sum(rates.values())) == (6, 0, 0),
            f"--max_paraphrases, --sentence_fraction and --{', --'.join(rates)} need --paraphrase_rate: without it "
            "no paraphrase is drawn.",
        )
        require(
            sum(rates.values()) <= 1,
            f"--{', --'.join(rates)} must not exceed 1 together, got {', '.join(map(str, rates.values()))}.",
        )
        require(self.learning_rate > 0, f"--learning_rate must be positive, got {self.learning_rate}.")
        for name in ("weight_decay", "max_grad_norm"):
            require(getattr(self, name) >= 0, f"--{name} can't be negative, got {getattr(self, name)}.")
        for name in ("max_steps", "vocabulary_size", "grad_cache_chunk", "num_threads", "checkpoint_every"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"--{name} must be at least 1, got {value}.")
        for name in ("validate_every", "keep_checkpoints", "log_every", "vocabulary_min_count"):
            require(getattr(self, name) >= 1, f"--{name} must be at least 1, got {getattr(self, name)}.")
        require(
            not (self.resume and self.overwrite),
            "--resume continues a run and --overwrite replaces it: give one of them.",
        )
        require(
            self.resume is not None or not self.accept_changes,
            "--accept_changes is about the checkpoint a run continues from: add --resume.",
        )
        require(self.seed >= 0, f"--seed must be 0 or more, got {self.seed}.")
        require(
            bool(set(OF_STATEMENTS) & set(self.objectives))
            or (
                self.vocabulary_size,
                self.vocabulary_min_count,
                self.vocabulary_generalisations,
                self.vocabulary_hypernyms,
                self.paraphrase_rate,
            )
            == (None, 1, False, False, 0),
            "--vocabulary_size, --vocabulary_min_count, --vocabulary_generalisations, --vocabulary_hypernyms and --paraphrase_rate need the objective vocabulary or "
            "negation: add it with --objectives batch=1 vocabulary=1.",
        )


@dataclass(frozen=True)
class Arguments:
    """All groups of one run."""

    data: DataArguments
    model: ModelArguments
    augmentation: AugmentationArguments
    training: TrainingArguments

    def __post_init__(self):
        for name, value in self.to_dict().items():
            finite = not isinstance(value, float) or math.isfinite(value)
            require(finite, f"--{name} must be a finite number, got {value}.")
        require(
            self.model.unfreeze_text_from is None or not set(OF_STATEMENTS) & set(self.training.objectives),
            "--unfreeze_text_from and the objectives vocabulary and negation contradict each other: every statement of the vocabulary would run "
            "through the text tower at every step. Leave one of them out.",
        )
        require(
            not self.model.freeze_ecg_model or "windows" not in self.training.objectives,
            "--freeze_ecg_model and the objective windows contradict each other: windows train the ECG tower. Leave one of "
            "them out.",
        )
        require(
            "windows" not in self.training.objectives or self.augmentation != AugmentationArguments(),
            "--objectives windows compares two windows of each ECG, which are the same one here: add --initial_crop 0.3, "
            "--max_shift 0.2 or another augmentation.",
        )
        untouched = asdict(AugmentationArguments())
        active = [name for name, value in asdict(self.augmentation).items() if value != untouched[name]]
        require(
            not self.model.freeze_ecg_model or not active,
            f"--freeze_ecg_model computes the features of every ECG once, so --{', --'.join(active)} can't change it: "
            "leave one of them out.",
        )

    def to_dict(self) -> dict[str, Any]:
        """Every option by its name, as YAML and JSON can hold it; a preset that repeats the run.

        How this part of the run was started, `resume`, `accept_changes` and `overwrite`, is no part of it.
        """
        options = {}
        for group in (self.data, self.model, self.augmentation, self.training):
            options.update(asdict(group))
        del options["resume"], options["accept_changes"], options["overwrite"]
        return {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}


GROUPS = (DataArguments, ModelArguments, AugmentationArguments, TrainingArguments)


def check_weights(name: str, weights: dict[str, float], known: tuple[str, ...]) -> None:
    for key, weight in weights.items():
        require(key in known, f"--{name}: unknown {key!r}, choose from {', '.join(known)}.")
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        require(
            number and 0 < weight < math.inf,
            f"--{name}: the weight of {key} must be a number above 0, got {weight!r}.",
        )
    require(bool(weights), f"--{name} is empty: give at least one of {', '.join(known)}.")
