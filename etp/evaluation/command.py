"""What the evaluation commands share: opening model and data, and embedding records."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from datasets import Dataset, DatasetDict
from torch import Tensor

from etp.archives import skipped_records
from etp.devices import choose_device, use_bf16
from etp.loading import Checkpoint, ClassifierCheckpoint, load_checkpoint, load_classifier
from etp.options import OptionError
from etp.run_files import training_seconds

from .arguments import DataArguments, RunArguments
from .baselines import random_ecg_side
from .embedding import Conditions, EcgEmbeddings, Embedder, without_unusable
from .results import ResultsFile, check_writable
from .splits import EvaluationRecords, content_sha256, open_splits

FINE_TUNED = "fine_tuned"


@dataclass(frozen=True)
class Evaluation:
    """Model, records and results file of a run."""

    checkpoint: Checkpoint | ClassifierCheckpoint
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

    def features(self, dataset: Dataset | None = None, *, untrained: bool = False) -> Tensor:
        """Features of the ECG tower, `(records, pooled_size)`; arguments as of [`Evaluation.embed`]."""
        return self.embed(dataset, untrained=untrained).record_features()


def open_evaluation(kind: str, data: DataArguments, run: RunArguments, options: Mapping[str, Any]) -> Evaluation:
    """Open everything a run needs, cheapest checks first, so that bad input is said before anything is computed.

    Args:
        kind: "zero_shot", "linear_probe", "retrieval" or "fine_tuned", whose model is a classifier.
        options: What else decides the metrics; JSON values.
    """
    conditions = Conditions(tuple(data.leads) if data.leads else None, data.seconds, data.windows)
    check_writable(run.output)
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
    skipped = skipped_records(splits) if data.on_error == "skip" else []
    if data.on_error == "skip":
        splits, refused = without_unusable(splits, extractor, conditions)
        skipped += refused
    records = EvaluationRecords.select(splits, data.split)
    identity = {
        "name": run.name or checkpoint.folder.name,
        "model": run.model,
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
