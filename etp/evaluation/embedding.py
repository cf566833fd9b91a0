"""ECG embeddings of a data set under given recording conditions (leads, length, windows)."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import xxhash
from datasets import Dataset, DatasetDict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from etp.arrow_batches import read_signals, signal_lengths
from etp.atomic_files import NotWrittenError, whole_file, writing
from etp.progress import Progress
from modeling_etp.classification_etp import ETPForEcgClassification
from modeling_etp.ecg_files_etp import STANDARD_LEADS, to_millivolts
from modeling_etp.ecg_windows_etp import WINDOW_OVERLAP, WINDOWS_AT_A_TIME, window_bounds
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.modeling_etp import ETPModel
from modeling_etp.zero_shot_etp import evaluation_mode

from .provenance import identity_sha256, source_sha256
from .splits import content_sha256

logger = logging.getLogger(__name__)

WINDOWS = ("one", "mean", "max")
_CHECKED_AT_ONCE = 64
_SAMPLES_PER_ROW = 60_000  # of a lead, in the mean over the rows that are read at a time: a minute at 1000 Hz
_HASH = "xxh3"  # name, in a stored file, of the hash of what it holds
_NAMED = 5  # records that a warning about many names


@dataclass(frozen=True)
class Conditions:
    """What of each recording the model gets to see.

    Attributes:
        leads: Leads that are kept; None keeps all. The rest is missing, as if never recorded.
        seconds: Length that is kept from the start; None keeps all.
        windows: `"one"` reads what the feature extractor keeps of a longer recording; `"mean"` and `"max"` read all of
            it in the windows of the pipeline, whose label scores are then pooled that way.
    """

    leads: tuple[str, ...] | None = None
    seconds: float | None = None
    windows: str = "one"

    def __post_init__(self):
        if self.leads is not None:
            unknown = [lead for lead in self.leads if lead not in STANDARD_LEADS]
            if unknown or not self.leads or len(set(self.leads)) < len(self.leads):
                raise ValueError(
                    f"--leads takes distinct leads of {', '.join(STANDARD_LEADS)}, got {' '.join(self.leads)}."
                )
        if self.seconds is not None and self.seconds <= 0:
            raise ValueError(f"--seconds must be above 0, got {self.seconds}.")
        if self.windows not in WINDOWS:
            raise ValueError(f"--windows must be one of {', '.join(WINDOWS)}, got {self.windows!r}.")

    def as_needed(self, splits: DatasetDict, extractor: ETPFeatureExtractor) -> "Conditions":
        """With a single window where no recording is longer than that: then it is the same, and said so."""
        for dataset in splits.values():
            rates = np.asarray(dataset["sampling_rate"][:])
            seconds = signal_lengths(dataset) / rates
            if self.seconds is not None:
                seconds = np.minimum(seconds, self.seconds)
            if (seconds * rates > np.ceil(extractor.num_samples * rates / extractor.sampling_rate)).any():
                return self
        return replace(self, windows="one")


@dataclass(frozen=True)
class EcgEmbeddings:
    """What one pass gives; float32 on the CPU.

    Attributes:
        features: Pooled output of the ECG tower, `(windows, pooled_size)`: what a linear probe reads.
        embeds: L2-normalised in the shared space, `(windows, projection_dim)`: what texts are compared with; of a
            classifier its logits `(windows, labels)`.
        record: Row of the data set that each window is of, `(windows,)`; every row has at least one.
    """

    features: Tensor
    embeds: Tensor
    record: Tensor

    def pool_scores(self, scores: Tensor, windows: str) -> np.ndarray:
        """Scores of the windows `(windows, labels)` -> of the records `(records, labels)`, float64."""
        num_records = int(self.record.max()) + 1
        reduce = "amax" if windows == "max" else "mean"
        index = self.record[:, None].expand_as(scores)
        pooled = torch.zeros(num_records, scores.shape[1], dtype=torch.float64)
        return pooled.scatter_reduce(0, index, scores.double(), reduce=reduce, include_self=False).numpy()

    def keep(self, records: np.ndarray) -> "EcgEmbeddings":
        """Those of some of the records, boolean `(records,)`, which are numbered anew."""
        kept = torch.from_numpy(records)
        windows = kept[self.record]
        number = kept.long().cumsum(0) - 1
        return EcgEmbeddings(self.features[windows], self.embeds[windows], number[self.record[windows]])

    def record_features(self) -> Tensor:
        """Mean of the features of each record's windows, float32 `(records, pooled_size)`."""
        return torch.from_numpy(self.pool_scores(self.features, "mean")).float()


def embed_ecgs(
    model: ETPModel | ETPForEcgClassification,
    feature_extractor: ETPFeatureExtractor,
    dataset: Dataset,
    *,
    conditions: Conditions,
    batch_size: int = 64,
    bf16: bool = False,
    description: str = "Embedding ECGs",
) -> EcgEmbeddings:
    """Embed every record of a data set, the last incomplete batch included.

    Args:
        model: In evaluation mode meanwhile: batch statistics or dropout would make a record depend on its batch.
        dataset: Rows as the builders make them.
        bf16: Whether to run under bfloat16 autocast.

    Raises:
        ValueError: If a record can't be used; names it.
    """
    device = next(model.parameters()).device
    features: list[Tensor] = []
    embeds: list[Tensor] = []
    record: list[Tensor] = []
    with (
        Progress(description, total=len(dataset), unit="ECG") as bar,
        torch.inference_mode(),
        evaluation_mode(model),
    ):
        for rows, input_values in _batches(dataset, feature_extractor, conditions, batch_size):
            for windows in input_values.split(batch_size):
                with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                    pooled = model.ecg_model(windows.to(device)).pooler_output
                    embeds.append(_head_of(model)(pooled).float().cpu())
                features.append(pooled.float().cpu())
            continued = len(record) > 0 and rows[0] == record[-1][-1]
            record.append(rows)
            bar.update(len(rows.unique()) - int(continued))
    return EcgEmbeddings(torch.cat(features), torch.cat(embeds), torch.cat(record))


def _head_of(model: ETPModel | ETPForEcgClassification) -> torch.nn.Module:
    """What follows the ECG tower: a projection, or a classifier that gives logits."""
    return model.classifier if isinstance(model, ETPForEcgClassification) else model.ecg_projection


@dataclass(frozen=True)
class Embedder:
    """Embeds data sets with one feature extractor under one set of conditions, and remembers what it embedded.

    Attributes:
        cache_dir: Folder of embeddings kept between runs; they are found by the content of model, signals,
            conditions and code, never by position. None keeps nothing.
    """

    feature_extractor: ETPFeatureExtractor
    conditions: Conditions = field(default_factory=Conditions)
    batch_size: int = 64
    bf16: bool = False
    cache_dir: Path | None = None

    def __call__(
        self, model: ETPModel | ETPForEcgClassification, dataset: Dataset, *, model_name: str, description: str
    ) -> EcgEmbeddings:
        """Embed a data set, or read from the cache what the same model made of the same signals.

        Args:
            model_name: What tells the model from every other one, such as the hash of its files.
        """
        path = None
        if self.cache_dir is not None:
            key = identity_sha256(
                model_name, content_sha256(dataset), asdict(self.conditions), self.bf16, source_sha256()
            )
            path = Path(self.cache_dir) / f"{key}.safetensors"
            if (stored := _read_stored(path)) is not None:
                return stored
        result = embed_ecgs(
            model,
            self.feature_extractor,
            dataset,
            conditions=self.conditions,
            batch_size=self.batch_size,
            bf16=self.bf16,
            description=description,
        )
        if path is not None:
            _store(path, result)
        return result


def _read_stored(path: Path) -> EcgEmbeddings | None:
    """What an earlier run stored; None if it stored nothing, or the file is damaged."""
    if not path.is_file():
        return None
    try:
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            stated = (file.metadata() or {}).get(_HASH)
        if stated != _hash(tensors):
            raise ValueError("its content does not match its hash")
        return EcgEmbeddings(**tensors)
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        logger.warning("%s is damaged and passed over (%s); its ECGs are embedded again.", path, error)
        return None


def _store(path: Path, result: EcgEmbeddings) -> None:
    """Store embeddings for further runs; where that is impossible, this run goes on without."""
    try:
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.contiguous() for name, tensor in vars(result).items()}
        with whole_file(path, shared=True) as unfinished:
            save_file(tensors, unfinished, {_HASH: _hash(tensors)})
    except NotWrittenError as error:
        logger.warning("Embeddings are not kept for further runs: %s", error)


def _hash(tensors: Mapping[str, Tensor]) -> str:
    """XXH3 of what is stored: against damage, not against malice."""
    digest = xxhash.xxh3_128()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()


def without_unusable(
    splits: DatasetDict, extractor: ETPFeatureExtractor, conditions: Conditions
) -> tuple[DatasetDict, list[dict[str, str]]]:
    """The splits without the records that the feature extractor refuses, and those, each with split and reason."""
    kept, refused = {}, []
    for name, dataset in splits.items():
        faults = unusable_rows(dataset, extractor, conditions)
        ids = dataset["record_id"][:] if faults else []
        refused += [{"record_id": ids[row], "split": name, "error": fault} for row, fault in faults.items()]
        kept[name] = dataset.select([row for row in range(len(dataset)) if row not in faults]) if faults else dataset
    if refused:
        named = ", ".join(row["record_id"] for row in refused[:_NAMED])
        logger.warning(
            "%d records can't be used and are left out (%s%s); the results list them with the reasons.",
            len(refused),
            named,
            ", …" if len(refused) > _NAMED else "",
        )
    return DatasetDict({name: dataset for name, dataset in kept.items() if len(dataset)}), refused


def unusable_rows(dataset: Dataset, extractor: ETPFeatureExtractor, conditions: Conditions) -> dict[int, str]:
    """Row -> why the feature extractor refuses it; the test that embedding makes, without a model."""
    faults = {}
    for batch in _read(dataset, conditions, _CHECKED_AT_ONCE):
        if batch.fault(extractor, conditions) is not None:
            of_row = {int(one.rows[0]): one.fault(extractor, conditions) for one in batch.one_by_one()}
            faults.update({row: reason for row, reason in of_row.items() if reason is not None})
    return faults


def _batches(
    dataset: Dataset, extractor: ETPFeatureExtractor, conditions: Conditions, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and `input_values` of their windows, for every row of the data set."""
    for batch in _read(dataset, conditions, batch_size):
        yield from batch.features(extractor, conditions)


def _read(dataset: Dataset, conditions: Conditions, most: int) -> Iterator["_Signals"]:
    """The signals of a data set, so many rows at a time, and fewer where recordings are long."""
    lengths = signal_lengths(dataset)
    for start in range(0, len(dataset), most):
        rows = np.arange(start, min(start + most, len(dataset)))
        group = lengths[rows].cumsum() // (most * _SAMPLES_PER_ROW)
        for number in np.unique(group):
            yield _Signals.read(dataset, rows[group == number], conditions)


@dataclass(frozen=True)
class _Signals:
    """Signals of some rows as they are stored, in the leads of the conditions.

    Args:
        signals: Microvolts, each of shape `(leads, samples)`.
        rates: Hz.
    """

    rows: np.ndarray
    signals: list[np.ndarray]
    rates: np.ndarray
    names: list[str]
    leads: Sequence[str]

    @classmethod
    def read(cls, dataset: Dataset, rows: np.ndarray, conditions: Conditions) -> "_Signals":
        leads = conditions.leads or STANDARD_LEADS
        kept = [STANDARD_LEADS.index(lead) for lead in leads]
        of_rows = slice(int(rows[0]), int(rows[-1]) + 1)
        signals = [signal[kept] for signal in read_signals(dataset, rows)]
        return cls(rows, signals, np.asarray(dataset["sampling_rate"][of_rows]), dataset["record_id"][of_rows], leads)

    def one_by_one(self) -> Iterator["_Signals"]:
        for at in range(len(self.rows)):
            one = slice(at, at + 1)
            yield replace(
                self, rows=self.rows[one], signals=self.signals[one], rates=self.rates[one], names=self.names[one]
            )

    def features(self, extractor: ETPFeatureExtractor, conditions: Conditions) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows and `input_values` of their windows, rate by rate, of long recordings so many windows at a time."""
        most = max(WINDOWS_AT_A_TIME, len(self.rows))
        for rate in np.unique(self.rates):
            windows: list[np.ndarray] = []
            owners: list[int] = []
            for at in np.flatnonzero(self.rates == rate):
                for window in _windows(to_millivolts(self.signals[at]), rate, extractor, conditions):
                    windows.append(window)
                    owners.append(int(at))
                    if len(windows) == most:
                        yield self._extract(windows, owners, rate, extractor)
                        windows, owners = [], []
            if windows:
                yield self._extract(windows, owners, rate, extractor)

    def _extract(
        self, windows: list[np.ndarray], owners: list[int], rate: float, extractor: ETPFeatureExtractor
    ) -> tuple[Tensor, Tensor]:
        equal = len({window.shape for window in windows}) == 1
        features = extractor(
            np.stack(windows) if equal else windows,
            sampling_rate=float(rate),
            lead_names=list(self.leads),
            record_ids=[f"record {self.names[at]}" for at in owners],
            return_tensors="pt",
        )
        return torch.from_numpy(self.rows[owners]), features["input_values"]

    def fault(self, extractor: ETPFeatureExtractor, conditions: Conditions) -> str | None:
        """What the feature extractor says against them, if it refuses."""
        try:
            for _ in self.features(extractor, conditions):
                pass
        except ValueError as error:
            return str(error)
        return None


def _windows(
    signal: np.ndarray, rate: float, extractor: ETPFeatureExtractor, conditions: Conditions
) -> list[np.ndarray]:
    """Cut `(leads, samples)` into the windows of the pipeline."""
    if conditions.seconds is not None:
        signal = signal[:, : max(1, round(conditions.seconds * rate))]
    if conditions.windows == "one":
        return [signal]
    bounds = window_bounds(signal.shape[1], float(rate), extractor, overlap=WINDOW_OVERLAP)
    return [signal[:, start:stop] for start, stop in bounds]
