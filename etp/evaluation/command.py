"""What the evaluation commands share: opening model and data, and embedding records."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from torch import Tensor

from etp.archives import skipped_records
from etp.cures import as_flags
from etp.devices import choose_device, use_bf16
from etp.loading import Checkpoint, ClassifierCheckpoint, load_checkpoint, load_classifier
from etp.options import OptionError
from etp.output_lock import file_lock
from etp.pretrained import DEFAULT_MODEL
from etp.progress import log_beside_bars
from etp.run_files import training_seconds

from .arguments import DataArguments, RunArguments, refusing_bad_input
from .baselines import random_ecg_side
from .embedding import Conditions, EcgEmbeddings, Embedder, without_unusable
from .prompts import LabelPrompts, PromptOptions, score_labels
from .results import ResultsFile, check_writable
from .splits import EvaluationRecords, content_sha256, open_splits

FINE_TUNED = "fine_tuned"


@dataclass(frozen=True)
class Evaluation:
    """Model, records and results file of a run."""

    checkpoint: Any  # a Checkpoint, of kind "fine_tuned" a ClassifierCheckpoint
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
        try:
            return self.embedder(
                model,
                dataset,
                model_name=name,
                description="Embedding ECGs, random encoder" if untrained else "Embedding ECGs",
            )
        except ValueError as error:
            raise OptionError(f"{error} Pass --on_error skip to leave out all records that can't be used.") from error

    def scores(
        self,
        prompts: LabelPrompts,
        sources: Sequence[EcgEmbeddings],
        options: PromptOptions,
        *,
        descriptions: Sequence[str] | None = None,
    ) -> list[np.ndarray]:
        """Zero-shot scores `(records, labels)` of all records by each source of embeddings; every text is embedded once.

        Args:
            descriptions: Text put before each phrase, one for each window of all sources; none if omitted.
        """
        embeds = torch.cat([source.embeds for source in sources])
        model, tokenizer = self.checkpoint.model, self.checkpoint.processor.tokenizer
        scores = score_labels(model, tokenizer, prompts, embeds, options, descriptions=descriptions)
        parts = scores.split([len(source.embeds) for source in sources])
        windows = self.embedder.conditions.windows
        return [source.pool_scores(part, windows) for source, part in zip(sources, parts, strict=True)]

    def features(self, dataset: Dataset | None = None, *, untrained: bool = False) -> Tensor:
        """Features of the ECG tower, `(records, pooled_size)`; arguments as of [`Evaluation.embed`]."""
        return self.embed(dataset, untrained=untrained).record_features()


def alone_in_its_output(main: Callable[..., None]) -> Callable[..., None]:
    """An evaluation command that holds its `--output` from its first check to its last line.

    Two runs that write one file would take away each other's unfinished file, and the slower one the other's tasks.
    """

    @wraps(main)
    def locked(data: DataArguments, run: RunArguments, args: Any) -> None:
        with refusing_bad_input():
            check_writable(run.output)
        log_beside_bars(logging.WARNING)
        with file_lock(run.output):
            main(data, run, args)

    return locked


def open_evaluation(kind: str, data: DataArguments, run: RunArguments, options: Mapping[str, Any]) -> Evaluation:
    """Open everything a run needs, cheapest checks first, so that bad input is said before anything is computed.

    Args:
        kind: "zero_shot", "linear_probe", "retrieval" or "fine_tuned", whose model is a classifier.
        options: What else decides the metrics; JSON values.
    """
    conditions = Conditions(tuple(data.leads) if data.leads else None, data.seconds, data.windows)
    device = choose_device(run.device)
    bf16 = use_bf16(run.precision, device=device)
    checkpoint: Checkpoint | ClassifierCheckpoint
    checkpoint = (load_classifier if kind == FINE_TUNED else load_checkpoint)(run.model, device=device)
    extractor = checkpoint.feature_extractor
    if data.max_gap_seconds is not None:
        extractor.max_gap_seconds = data.max_gap_seconds
    splits = open_splits(
        data.dataset, data.data_dir, config=data.dataset_config, cache_dir=data.cache_dir, on_error=data.on_error
    )
    conditions = conditions.as_needed(splits, extractor)
    skipped = skipped_records(splits) if data.on_error == "skip" else []
    if data.on_error == "skip":
        splits, refused = without_unusable(splits, extractor, conditions)
        skipped = [{**row, "error": as_flags(row["error"], vars(data))} for row in (*skipped, *refused)]
    records = EvaluationRecords.select(splits, data.split)
    identity = {
        "name": run.name or checkpoint.folder.name,
        "model": run.model or DEFAULT_MODEL,
        "checkpoint_sha256": checkpoint.weights_sha256,
        "checkpoint_files": checkpoint.files,
        "dataset": data.dataset,
        "config": data.dataset_config,
        "split": data.split,
        "data_sha256": content_sha256(records.dataset),
        "conditions": {
            **asdict(conditions),
            "leads": data.leads,
            "bf16": bf16,
            **({} if data.max_gap_seconds is None else {"max_gap_seconds": data.max_gap_seconds}),
        },
        "options": {"num_resamples": run.num_resamples, **options},
    }
    results = ResultsFile(run.output, kind=kind, identity=identity, seed=run.seed, overwrite=run.overwrite)
    # Beside the metrics and no part of what they hang on, so that tables can say what a model cost.
    results.content["training_seconds"] = training_seconds(checkpoint.folder)
    results.content["skipped_records"] = skipped
    embedder = Embedder(extractor, conditions, run.batch_size, bf16, run.embedding_cache)
    return Evaluation(checkpoint, splits, records, results, embedder, run.seed)
