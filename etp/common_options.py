"""Options that several commands have, defined once: the same name, default and help everywhere."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from etp.options import OptionError, option, require
from etp.pretrained import DEFAULT_MODEL

Precision = Literal["auto", "bf16", "fp32"]
Split = Literal["train", "validation", "test", "all"]
CACHE_DIR_HELP = "Where prepared data sets are kept; the cache of `datasets` if omitted."
DATA_DIR_HELP = "Folder of the unpacked data set, in its publisher's layout."
FETCHED_HELP = f"{DATA_DIR_HELP[:-1]}; if omitted, it is fetched from there, where it is free to fetch."
DEVICE_HELP = "cpu, cuda, cuda:1 …; auto takes a GPU if there is one."
INDEX_HELP = "Folder that `etp index` made: a search finds in it, the app shows its nearest reports."
REPO_HELP = "Repository on the Hub, user/name."
MODEL_HELP = "Checkpoint folder (model and processor), or its name on the Hub."
DEFAULT_MODEL_HELP = f"{MODEL_HELP[:-1]}; {DEFAULT_MODEL}, which comes with the package, if omitted."
PRECISION_HELP = "Number format of the ECG tower; auto: bf16 where the machine computes it natively, otherwise fp32."
RESULTS_HELP = "Results of `etp evaluate` on this model, JSON files; those in its folder results/ if omitted."
NAME_HELP = "What tables call this run; the folder's name if omitted."
RESAMPLES_HELP = "Bootstrap resamples behind the intervals; 0: none."
EMBEDDING_CACHE_HELP = "Folder where ECG embeddings are kept for further runs."
SEED_HELP = "Seed of everything random."
TASKS_HELP = "Label tasks of the data set, e.g. superclass rhythm; the usual ones if omitted."
PROMPTS_HELP = (
    "JSON file of your own phrases: {task: {label: [phrases]}}, {label: [phrases]}, {label: phrase} or [label, …]."
)
PROMPT_NAMES_HELP = (
    "What names and codes of --prompts are called here: JSON {name: label}, or a CSV with the columns name and label."
)
TEMPLATES_HELP = 'Sentences around each phrase, which goes where {} is, e.g. "ECG showing {}".'
INTERPRET_HELP = (
    "Whether phrases are read as they are meant: lists and descriptions as alternatives, 'no X' as the absence of X."
)
OVERWRITE_HELP = "Replace what the output holds already: a file, a run, or results of another model, code or option."
JSON_HELP = "Print JSON, one object a line."


def dataset_names() -> tuple[str, ...]:
    from datasets_scripts.archives import ARCHIVES

    return tuple(ARCHIVES)


def label_set_names() -> tuple[str, ...]:
    from datasets_scripts.label_sets import LABEL_TASKS

    return tuple(LABEL_TASKS)


@dataclass(kw_only=True)
class DatasetArguments:
    """Which records."""

    data_dir: Path | None = option(FETCHED_HELP, None, common=True)
    dataset: str = option("Which data set that is.", "ptb_xl", choices=dataset_names, common=True)
    dataset_config: str | None = option(
        "Configuration of the data set, e.g. 500hz; its default if omitted.", None, replaced_by="dataset", common=True
    )
    cache_dir: Path | None = option(CACHE_DIR_HELP, None)


@dataclass(kw_only=True)
class MissingSamplesArguments:
    """What becomes of samples that are missing."""

    max_gap_seconds: float | None = option(
        "Longest run of missing samples, in seconds, that a straight line bridges; as the model has it if omitted.",
        None,
        minimum=0,
    )


@dataclass(kw_only=True)
class BadRecordArguments(MissingSamplesArguments):
    """What becomes of records that can't be used."""

    on_error: Literal["raise", "skip"] = option(
        "What records that can't be read or used do: raise stops before anything is computed and names them; skip leaves "
        "them out, counted and listed.",
        "raise",
    )


@dataclass(kw_only=True)
class ModelArguments:
    """Which model, and where it computes."""

    model: str | None = option(DEFAULT_MODEL_HELP, None)
    device: str = option(DEVICE_HELP, "auto")


@dataclass(kw_only=True)
class BatchArguments:
    """How many at a time."""

    batch_size: int = option("ECGs that pass through the model at a time.", 64, minimum=1)


@dataclass(kw_only=True)
class ReadingArguments(MissingSamplesArguments):
    """What ECG files do not state themselves (.npy, .csv, .mat …)."""

    sampling_rate: float | None = option("Sampling rate in Hz.", None)
    lead_names: list[str] | None = option("Leads, in the order of the file.", None, metavar="LEAD")
    units: str | None = option("Unit of the values, or the size of a count: mV, uV, V, 4.88 uV …", None)
    verify_checksum: bool = option("Whether samples of a WFDB record must add up to the checksum in its header.", True)


def check_prompt_names(prompts: Path | None, names: Path | None) -> None:
    if names is not None and prompts is None:
        raise OptionError("--prompt_names says what the names of a file are called here: give the file by --prompts.")


@dataclass(kw_only=True)
class LabelArguments:
    """What the ECGs are scored against, by one of --labels, --task and --prompts; a fine-tuned model has its own."""

    labels: list[str] | None = option('Labels, e.g. "atrial fibrillation" "sinus rhythm".', None, metavar="LABEL")
    task: str | None = option(
        "A label set that comes with the package, or the task of --prompts.", None, metavar="NAME"
    )
    prompts: Path | None = option(PROMPTS_HELP, None)
    prompt_names: Path | None = option(PROMPT_NAMES_HELP, None)
    templates: list[str] = option(TEMPLATES_HELP, ["{}"], metavar="TEXT")
    multi_label: bool = option("Score labels one by one, not against each other.", False)
    interpret_labels: bool = option(INTERPRET_HELP, True)

    def __post_init__(self):
        if self.labels is not None and (self.task is not None or self.prompts is not None):
            raise OptionError("--labels, --task and --prompts each say what the labels are: give one of them.")
        check_prompt_names(self.prompts, self.prompt_names)

    @property
    def given(self) -> bool:
        """Whether there are labels at all."""
        return (self.labels, self.task, self.prompts) != (None, None, None)


@dataclass(kw_only=True)
class AugmentationArguments:
    """What may happen to a training ECG; every default leaves it as it is."""

    initial_crop: float = option(
        "Fraction of each ECG that the first epoch sees, cut out at random; it grows evenly to all of it in the last.",
        1.0,
    )
    max_shift: float = option("Largest shift in time, as a fraction of the length; what is uncovered is zero.", 0.0)
    amplitude_range: float = option("Largest change of amplitude: 0.2 scales by 0.8 to 1.2.", 0.0)
    wander_mv: float = option("Largest amplitude of baseline wander (0.05-0.5 Hz) in mV.", 0.0)
    noise_mv: float = option("Largest standard deviation of white noise in mV.", 0.0)
    lead_dropout: float = option("Chance that a lead is silenced; at least one lead stays.", 0.0)
    limb_only: float = option("Chance that all chest leads are silenced, as in a wearable recording.", 0.0)
    single_lead: float = option("Chance that all leads but one limb lead are silenced, as in a watch.", 0.0)
    handheld: float = option(
        "Chance that an ECG looks as from a handheld recorder: lead I or II alone, 0.5 to 40 Hz, noise of muscles, "
        "upside down now and then.",
        0.0,
    )
    time_mask: float = option("Longest stretch that is silenced in all leads, as a fraction of the length.", 0.0)
    augment_fraction: float = option("Fraction of the records that is augmented.", 1.0)

    def __post_init__(self):
        require(0.1 <= self.initial_crop <= 1, f"--initial_crop must be in [0.1, 1], got {self.initial_crop}.")
        for name in ("max_shift", "amplitude_range", "lead_dropout", "time_mask"):
            require(0 <= getattr(self, name) < 1, f"--{name} must be in [0, 1), got {getattr(self, name)}.")
        for name in ("wander_mv", "noise_mv"):
            require(getattr(self, name) >= 0, f"--{name} can't be negative, got {getattr(self, name)}.")
        for name in ("limb_only", "single_lead", "handheld", "augment_fraction"):
            require(0 <= getattr(self, name) <= 1, f"--{name} must be in [0, 1], got {getattr(self, name)}.")
        changes = [name for name in asdict(self) if name not in ("augment_fraction", "initial_crop")]
        require(
            self.augment_fraction == 1 or any(getattr(self, name) for name in changes),
            f"--augment_fraction {self.augment_fraction} without an augmentation: add one of --{', --'.join(changes)}.",
        )
