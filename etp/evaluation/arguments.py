"""The options of `etp evaluate`, by subject."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from etp.common_options import (
    CACHE_DIR_HELP,
    DATA_DIR_HELP,
    DEFAULT_MODEL_HELP,
    DEVICE_HELP,
    EMBEDDING_CACHE_HELP,
    INTERPRET_HELP,
    NAME_HELP,
    OVERWRITE_HELP,
    PRECISION_HELP,
    PROMPT_NAMES_HELP,
    PROMPTS_HELP,
    RESAMPLES_HELP,
    SEED_HELP,
    TASKS_HELP,
    TEMPLATES_HELP,
    BadRecordArguments,
    BatchArguments,
    DatasetArguments,
    ModelArguments,
    Precision,
    Split,
    check_prompt_names,
)
from etp.options import OptionError, option

PHRASES = Path(__file__).parents[2] / "datasets_scripts" / "label_sets" / "open_vocabulary"
UNSEEN, NEGATIONS = PHRASES / "unseen.json", PHRASES / "negations.json"
Style = Literal["lists", "descriptions", "questions", "names", "denials"]
STYLES: tuple[str, ...] = get_args(Style)
NUM_SEEDS_HELP = "Draws of each fraction below 1, and random encoders."


@contextmanager
def refusing_bad_input() -> Iterator[None]:
    """Mark what a user can cause: it becomes one line and exit status 2, anything else keeps its traceback."""
    try:
        yield
    except OptionError:
        raise
    except (ValueError, OSError) as error:
        raise OptionError(str(error)) from error


@dataclass(kw_only=True)
class DataArguments(DatasetArguments, BadRecordArguments):
    """Which of the records, and how much of each is seen."""

    data_dir: Path = option(DATA_DIR_HELP)
    split: Split = option("Records that are evaluated; thresholds come from validation in any case.", "test")
    leads: list[str] | None = option(
        "Leads the model gets to see, e.g. I II V2; all if omitted.", None, metavar="LEAD"
    )
    seconds: float | None = option("Seconds of each recording that are read; all if omitted.", None)
    windows: Literal["one", "mean", "max"] = option(
        "Of recordings longer than the model's window, mean, max: all of them, scores pooled over windows as by the "
        "pipeline; one: a single window.",
        "mean",
    )


@dataclass(kw_only=True)
class ChosenOnArguments(DataArguments):
    """As of the other protocols, but evaluated where choices are made."""

    split: Split = option("Records that are evaluated; look at test once choices are made.", "validation")


@dataclass(kw_only=True)
class RunArguments(BatchArguments, ModelArguments):
    """Where the results go, and how they are computed."""

    output: Path = option("JSON file that receives the results; an unfinished run goes on.", short="-o")
    overwrite: bool = option(OVERWRITE_HELP, False)
    name: str | None = option(NAME_HELP, None)
    num_resamples: int = option(RESAMPLES_HELP, 1000, minimum=0)
    precision: Precision = option(PRECISION_HELP, "auto")
    embedding_cache: Path | None = option(EMBEDDING_CACHE_HELP, None)
    seed: int = option(SEED_HELP, 0)


@dataclass(kw_only=True)
class ZeroShotArguments:
    """Which labels, and the phrases that state them."""

    tasks: list[str] | None = option(
        f"{TASKS_HELP[:-1]}; also sex and age, from the patient's own.", None, metavar="TASK"
    )
    prompts: Path | None = option(PROMPTS_HELP, None)
    prompt_names: Path | None = option(PROMPT_NAMES_HELP, None)
    templates: list[str] = option(TEMPLATES_HELP, ["{}"], metavar="TEXT")
    pooling: Literal["logsumexp", "mean", "max"] = option("How the phrases of a label become one score.", "logsumexp")
    contrast: Literal["none", "neutral", "negated"] = option(
        "What a label is compared with: nothing, neutral phrases, or its negation.", "none"
    )
    interpret_labels: bool = option(INTERPRET_HELP, True)
    describe_patient: bool = option("Put age and sex before each phrase: '72-year-old woman. …'", False)
    anomaly: bool = option("Also tell normal from anything else; embeds normal training ECGs too.", False)

    def __post_init__(self):
        check_prompt_names(self.prompts, self.prompt_names)


@dataclass(kw_only=True)
class LinearArguments:
    """Which labels, and how many of them are known."""

    tasks: list[str] | None = option(TASKS_HELP, None, metavar="TASK")
    label_fractions: list[float] = option(
        "Fractions of the training records whose labels are used.", [0.01, 0.1, 1.0], metavar="X"
    )
    num_seeds: int = option(NUM_SEEDS_HELP, 3)

    def __post_init__(self):
        if not all(0 < fraction <= 1 for fraction in self.label_fractions) or self.num_seeds < 1:
            raise OptionError(
                f"--label_fractions are above 0 and at most 1 and --num_seeds 1 or more, got {self.label_fractions} and "
                f"{self.num_seeds}."
            )


@dataclass(kw_only=True)
class FineTunedArguments:
    """Which of the classifier's labels."""

    tasks: list[str] | None = option("Tasks of the classifier; all of them if omitted.", None, metavar="TASK")


@dataclass(kw_only=True)
class RetrievalArguments:
    """What counts as the text of an ECG."""

    text_kinds: list[Literal["statements", "report"]] = option(
        "statements: the English statements of the report, joined; report: the text as published.", ["statements"]
    )


@dataclass(kw_only=True)
class OpenVocabularyArguments:
    """Which labels, and the paraphrases of them."""

    tasks: list[str] | None = option(TASKS_HELP, None, metavar="TASK")
    unseen: Path = option("JSON file {task: {label: [phrases]}} of paraphrases in no training text.", UNSEEN)
    negations: Path = option("JSON file of negations and contradictions.", NEGATIONS)
    styles: list[Style] | None = option(
        "Styles in which others write prompts; all that have texts of the tasks if omitted.", None
    )
    interpret_labels: bool = option(INTERPRET_HELP, True)


@dataclass(kw_only=True)
class PlanArguments:
    """How each command of several is run."""

    overwrite: bool = option(OVERWRITE_HELP, False)
    name: str | None = option(NAME_HELP, None)
    device: str = option(DEVICE_HELP, "auto")
    precision: Precision = option(PRECISION_HELP, "auto")
    num_resamples: int = option(RESAMPLES_HELP, 1000, minimum=0)
    num_seeds: int = option(NUM_SEEDS_HELP, 3)
    cache_dir: Path | None = option(CACHE_DIR_HELP, None)
    embedding_cache: Path | None = option(EMBEDDING_CACHE_HELP, None)
    dry_run: bool = option("Print the commands and run none.", False)


@dataclass(kw_only=True)
class AllArguments(PlanArguments):
    """What is evaluated, on which data sets."""

    model: str | None = option(DEFAULT_MODEL_HELP, None)
    ptb_xl: Path = option("Folder of the unpacked PTB-XL.")
    cpsc2018: Path | None = option("Folder of CPSC2018; left out if omitted.", None)
    cpsc2018_config: str | None = option("Configuration of CPSC2018, challenge or original; both if omitted.", None)
    output: Path = option("Folder that receives one JSON file a command.", short="-o")
    page: Path | None = option("Markdown page of all tables; beside it its picture and a folder of CSVs.", None)
    split: Split = option("Split of PTB-XL; paraphrases are evaluated on validation in any case.", "test")


@dataclass(kw_only=True)
class ProtocolArguments(PlanArguments):
    """Whose protocol, of which model, on data sets in one folder."""

    protocol: Literal["merl"] = option("Whose protocol: merl, six label sets of three data sets.", positional=True)
    model: str | None = option(DEFAULT_MODEL_HELP, None)
    data: Path = option("Folder that holds ptb-xl/, cpsc2018/ and csn/; what is not there is left out and named.")
    output: Path = option("Folder that receives one JSON file a command, and the page.", short="-o")
    prompts: Path | None = option(PROMPTS_HELP, None)
    prompt_names: Path | None = option(PROMPT_NAMES_HELP, None)
    interpret_labels: bool = option(INTERPRET_HELP, True)
    fine_tune: list[float] = option(
        "Fractions of the training labels that a classifier is also fine-tuned with, e.g. 0.01 0.1 1; takes hours.", []
    )

    def __post_init__(self):
        check_prompt_names(self.prompts, self.prompt_names)
        if not all(0 < fraction <= 1 for fraction in self.fine_tune):
            raise OptionError(f"--fine_tune takes fractions above 0 and up to 1, got {self.fine_tune}.")


@dataclass(kw_only=True)
class TablesArguments:
    """Which results, and what is made of them."""

    results: list[Path] = option(
        "Results of `etp evaluate`, JSON files; ablations compare with the first one's run.",
        positional=True,
        metavar="JSON",
    )
    output: Path | None = option("Markdown file; printed if omitted.", None, short="-o")
    picture: Path | None = option("Picture file, .png, .svg or .pdf.", None)
    overwrite: bool = option(OVERWRITE_HELP, False)
    rows: Path | None = option("Folder that receives a CSV of each file of results.", None, metavar="DIR")


ZERO_SHOT = (DataArguments, RunArguments, ZeroShotArguments)
LINEAR = (DataArguments, RunArguments, LinearArguments)
FINE_TUNED = (DataArguments, RunArguments, FineTunedArguments)
RETRIEVAL = (DataArguments, RunArguments, RetrievalArguments)
OPEN_VOCABULARY = (ChosenOnArguments, RunArguments, OpenVocabularyArguments)
ALL = (AllArguments,)
PROTOCOL = (ProtocolArguments,)
TABLES = (TablesArguments,)
