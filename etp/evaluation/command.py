"""What the evaluation commands share: their common options, refusing bad input early, and opening model and data."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset, DatasetDict
from torch import Tensor
from tqdm.auto import tqdm
from transformers import HfArgumentParser

from datasets_scripts.archives import ARCHIVES
from etp.loading import Checkpoint, load_checkpoint
from etp.run_files import training_seconds

from .baselines import random_ecg_side
from .embedding import Conditions, EcgEmbeddings, Embedder
from .results import ResultsFile, check_writable
from .splits import EvaluationRecords, content_sha256, open_splits


@dataclass
class DataArguments:
    """What is evaluated on."""

    data_dir: Path = field(metadata={"help": "Folder of the unpacked archive, in its publisher's layout."})
    dataset: str = field(default="ptb_xl", metadata={"help": f"Which archive that is: {', '.join(ARCHIVES)}."})
    config: str | None = field(default=None, metadata={"help": "Form of the archive, e.g. 500hz for PTB-XL."})
    split: Literal["train", "validation", "test", "all"] = field(
        default="test", metadata={"help": "Records that are evaluated; thresholds come from validation in any case."}
    )
    cache_dir: Path | None = field(default=None, metadata={"help": "Where prepared archives are kept."})
    leads: list[str] | None = field(
        default=None, metadata={"help": "Leads the model gets to see, e.g. I II V2; all if omitted."}
    )
    seconds: float | None = field(
        default=None, metadata={"help": "Seconds of each recording that are read; all if omitted."}
    )
    windows: Literal["one", "mean", "max"] = field(
        default="one",
        metadata={
            "help": "one: a single window of each recording; mean, max: all of it, scores of its windows pooled."
        },
    )


@dataclass
class RunArguments:
    """Which model, and where the results go."""

    model: str = field(metadata={"help": "Checkpoint folder (model and processor), or its name on the Hub."})
    output: Path = field(metadata={"help": "JSON file that receives the results; an unfinished run goes on."})
    name: str | None = field(
        default=None, metadata={"help": "What tables call this run; the folder's name if omitted."}
    )
    num_resamples: int = field(default=1000, metadata={"help": "Bootstrap resamples behind the intervals; 0: none."})
    batch_size: int = field(default=64, metadata={"help": "ECGs per forward pass."})
    bf16: bool = field(default=False, metadata={"help": "bfloat16 autocast: several times faster where supported."})
    device: str = field(
        default="cuda" if torch.cuda.is_available() else "cpu", metadata={"help": "cpu, cuda, cuda:1 …"}
    )
    embedding_cache: Path | None = field(
        default=None, metadata={"help": "Folder where ECG embeddings are kept for further runs."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of everything random."})

    def __post_init__(self):
        if self.num_resamples < 0 or self.batch_size < 1:
            raise ValueError(
                f"--num_resamples must be 0 or more and --batch_size 1 or more, got {self.num_resamples} and "
                f"{self.batch_size}."
            )


def parse_arguments(groups: Sequence[Any], *, description: str, argv: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Fill dataclasses from the command line."""
    with refusing_bad_input():
        return HfArgumentParser(list(groups), description=description).parse_args_into_dataclasses(argv)


@contextmanager
def refusing_bad_input() -> Iterator[None]:
    """Turn what a user can cause into one line and exit status 2; anything else keeps its traceback."""
    try:
        yield
    except (ValueError, OSError) as error:
        tqdm.write(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)  # on a line beside any progress bar
        raise SystemExit(2) from error


@dataclass(frozen=True)
class Evaluation:
    """Model, records and results file of a run."""

    checkpoint: Checkpoint
    splits: DatasetDict
    records: EvaluationRecords
    results: ResultsFile
    embedder: Embedder
    seed: int

    def embed(self, dataset: Dataset | None = None, *, untrained: bool = False) -> EcgEmbeddings:
        """Embed a data set, by default the evaluated and the validation records, with the model or its untrained twin."""
        dataset = self.records.dataset if dataset is None else dataset
        model, name = self.checkpoint.model, self.checkpoint.sha256
        if untrained:
            model, name = random_ecg_side(model, seed=self.seed), f"{name} untrained, seed {self.seed}"
        with refusing_bad_input():
            return self.embedder(
                model,
                dataset,
                model_name=name,
                description="Embedding ECGs, random encoder" if untrained else "Embedding ECGs",
            )

    def features(self, dataset: Dataset | None = None, *, untrained: bool = False) -> Tensor:
        """Features of the ECG tower, `(records, pooled_size)`; arguments as of [`Evaluation.embed`]."""
        return self.embed(dataset, untrained=untrained).record_features()


def open_evaluation(kind: str, data: DataArguments, run: RunArguments, options: Mapping[str, Any]) -> Evaluation:
    """Open everything a run needs, cheapest checks first, so that bad input is said before anything is computed.

    Args:
        kind: "zero_shot", "linear_probe" or "retrieval".
        options: What else decides the metrics; JSON values.
    """
    conditions = Conditions(tuple(data.leads) if data.leads else None, data.seconds, data.windows)
    check_writable(run.output)
    checkpoint = load_checkpoint(run.model, device=run.device)
    splits = open_splits(data.dataset, data.data_dir, config=data.config, cache_dir=data.cache_dir)
    records = EvaluationRecords.select(splits, data.split)
    identity = {
        "name": run.name or checkpoint.folder.name,
        "model": run.model,
        "checkpoint_sha256": checkpoint.weights_sha256,
        "checkpoint_files": checkpoint.files,
        "dataset": data.dataset,
        "config": data.config,
        "split": data.split,
        "data_sha256": content_sha256(records.dataset),
        "conditions": {**asdict(conditions), "leads": data.leads, "bf16": run.bf16},
        "options": {"num_resamples": run.num_resamples, **options},
    }
    results = ResultsFile(run.output, kind=kind, identity=identity, seed=run.seed)
    # Beside the metrics and no part of what they hang on, so that tables can say what a model cost.
    results.content["training_seconds"] = training_seconds(checkpoint.folder)
    embedder = Embedder(
        checkpoint.processor.feature_extractor, conditions, run.batch_size, run.bf16, run.embedding_cache
    )
    return Evaluation(checkpoint, splits, records, results, embedder, run.seed)
