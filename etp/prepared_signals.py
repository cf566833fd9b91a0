"""Signals of a split at the model's rate and length: prepared once, kept on disk, read by all processes of a machine."""

import hashlib
import inspect
import json
import logging
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from datasets import Dataset
from filelock import FileLock

from etp.arrow_batches import content_key, read_signals
from etp.atomic_files import whole_file, writing
from etp.progress import Progress
from modeling_etp.ecg_microvolts_etp import MICROVOLTS_PER_MILLIVOLT, NO_SAMPLE, to_millivolts

logger = logging.getLogger(__name__)

ROWS_PER_CHUNK = 1024
FORMAT_VERSION = 3
# Code that decides the values; a change of it makes the store anew.
_CODE = (
    "feature_extraction_etp.py",
    "ecg_checks_etp.py",
    "resampling_etp.py",
    "leads_etp.py",
    "lead_offsets_etp.py",
    "ecg_microvolts_etp.py",
)


@dataclass(frozen=True)
class PreparedSignals:
    """ECGs as the model takes them.

    Attributes:
        signals: int16 µV, `(records, leads, samples)`, zero where a lead is missing and for unusable records; a map of
            the file, so that processes share one copy in the system's page cache.
        unusable: Row -> why the feature extractor refuses the record.
        source_sha256: Of sampling rates and signals as the data set has them, in the order of the rows.
    """

    signals: np.ndarray
    unusable: dict[int, str]
    source_sha256: str


def prepare_signals(
    dataset: Dataset, feature_extractor, *, folder: Path, num_proc: int = 1, progress: bool = False
) -> PreparedSignals:
    """Find the prepared signals of a data set, or make them.

    The file is named by what it is made of: the data set's files and rows, the feature extractor's settings and its code.
    An interrupted preparation goes on with the chunks that are missing; a second process waits for the first. Signals
    that are no longer what was written, for they were cut or damaged, are made anew.

    Args:
        dataset: Rows with `ecg` (int16 µV) and `sampling_rate`.
        feature_extractor: An `ETPFeatureExtractor`.
        folder: Where prepared signals are kept.
        num_proc: Processes that prepare chunks of records; with 1 it is done here.

    Raises:
        NotWrittenError: The folder can't be written or its disk is full.
    """
    shape = (len(dataset), len(feature_extractor.lead_names), feature_extractor.num_samples)
    store = _Store(folder / f"signals-{_key(dataset, feature_extractor)}", shape)
    found = store.read()
    if found is None:
        with writing(f"--cache_dir, prepared signals in {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(store.path(".lock")):
                found = store.read() or _make(store, dataset, feature_extractor, num_proc=num_proc, progress=progress)
    return found


@dataclass(frozen=True)
class _Store:
    """Files of one set of prepared signals, in `base.*`."""

    base: Path
    shape: tuple[int, int, int]

    def path(self, suffix: str) -> Path:
        return self.base.with_name(self.base.name + suffix)

    @property
    def num_chunks(self) -> int:
        return -(-self.shape[0] // ROWS_PER_CHUNK)

    @property
    def num_bytes(self) -> int:
        return 2 * int(np.prod(self.shape))

    def rows(self, chunk: int) -> np.ndarray:
        return np.arange(chunk * ROWS_PER_CHUNK, min((chunk + 1) * ROWS_PER_CHUNK, self.shape[0]))

    def read(self) -> PreparedSignals | None:
        """The signals; None where they are not there, or are not what the description says."""
        data, description = self.path(".int16"), self.path(".json")
        if not data.is_file() or not description.is_file():
            return None
        try:
            content = json.loads(description.read_text(encoding="utf-8"))
            unusable = {int(row): reason for row, reason in content["unusable"].items()}
            hashes, source = content["chunks"], content["source_sha256"]
        except (ValueError, KeyError, TypeError, AttributeError):
            logger.warning("%s is damaged: its signals are prepared again.", description)
            return None
        if data.stat().st_size != self.num_bytes or hashes != _hashes(data, self):
            logger.warning("%s is damaged and prepared again.", data)
            return None
        return PreparedSignals(np.memmap(data, np.int16, "r", shape=self.shape), unusable, source)


def _hashes(data: Path, store: _Store) -> list[str]:
    """XXH3 of each chunk of a file, at the speed of the disk: against damage, not against malice."""
    signals = np.memmap(data, np.int16, "r", shape=store.shape)
    return [
        xxhash.xxh3_128_hexdigest(signals[store.rows(chunk)[0] :][:ROWS_PER_CHUNK].data)
        for chunk in range(store.num_chunks)
    ]


@dataclass(frozen=True)
class _Chunk:
    """A chunk that is on disk: its unusable rows with reasons, and the hashes of it and of what it was made of."""

    number: int
    unusable: dict[str, str]
    source_sha256: str
    xxh3: str


def _make(store: _Store, dataset: Dataset, feature_extractor, *, num_proc: int, progress: bool) -> PreparedSignals:
    """Fill the unfinished file chunk by chunk; what is done is noted beside it, so that it is not done again."""
    unfinished, notes = store.path(".unfinished"), store.path(".chunks")
    store.path(".int16").unlink(missing_ok=True)  # without its description, or damaged
    done = _take_up(store, unfinished, notes)
    left = [chunk for chunk in range(store.num_chunks) if chunk not in done]
    with (
        notes.open("a", encoding="utf-8") as log,
        Progress(
            "Preparing ECGs",
            total=store.shape[0],
            initial=store.shape[0] - sum(len(store.rows(chunk)) for chunk in left),
            unit="ECG",
            shown=progress,
        ) as bar,
    ):
        for chunk in _prepare_chunks(left, store, dataset, feature_extractor, num_proc):
            log.write(json.dumps(asdict(chunk)) + "\n")
            log.flush()
            os.fsync(log.fileno())
            done[chunk.number] = chunk
            bar.update(len(store.rows(chunk.number)))
    chunks = [done[number] for number in sorted(done)]
    reasons = {row: reason for chunk in chunks for row, reason in chunk.unusable.items()}
    source = hashlib.sha256("".join(chunk.source_sha256 for chunk in chunks).encode()).hexdigest()
    with whole_file(store.path(".json")) as description:
        content = {
            "format_version": FORMAT_VERSION,
            "shape": store.shape,
            "unusable": reasons,
            "source_sha256": source,
            "chunks": [chunk.xxh3 for chunk in chunks],
        }
        description.write_text(json.dumps(content), encoding="utf-8")
    unfinished.replace(
        store.path(".int16")
    )  # last: as long as it is missing, notes and unfinished file belong together
    notes.unlink()
    return PreparedSignals(
        np.memmap(store.path(".int16"), np.int16, "r", shape=store.shape),
        {int(row): reason for row, reason in reasons.items()},
        source,
    )


def _take_up(store: _Store, unfinished: Path, notes: Path) -> dict[int, _Chunk]:
    """Make the unfinished file, or find out which chunks of the one that is there are whole."""
    if unfinished.exists() and unfinished.stat().st_size == store.num_bytes:
        hashes = dict(enumerate(_hashes(unfinished, store)))
        done = {chunk.number: chunk for chunk in _read_notes(notes) if chunk.xxh3 == hashes.get(chunk.number)}
    else:
        notes.unlink(missing_ok=True)
        unfinished.unlink(missing_ok=True)
        _reserve(unfinished, store.num_bytes)
        done = {}
    with whole_file(notes) as file:  # without a last line that was cut off, which the next one would be appended to
        file.write_text("".join(json.dumps(asdict(chunk)) + "\n" for chunk in done.values()), encoding="utf-8")
    return done


def _reserve(path: Path, num_bytes: int) -> None:
    """Make a file with room on the disk for all of it: writing a map of it where there is none ends the process."""
    with path.open("wb") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, num_bytes)
            else:
                file.truncate(num_bytes)
        except OSError:
            path.unlink()
            raise


def _read_notes(path: Path) -> Iterator[_Chunk]:
    """Chunks that were noted; lines that were cut off or damaged count as not written."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        try:
            yield _Chunk(**json.loads(line))
        except (ValueError, TypeError):
            continue


def _prepare_chunks(
    chunks: list[int], store: _Store, dataset: Dataset, feature_extractor, num_proc: int
) -> Iterator[_Chunk]:
    if num_proc <= 1 or len(chunks) < 2 * num_proc:
        for chunk in chunks:
            yield _prepare_chunk(chunk, store, dataset, feature_extractor)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process that computes with threads may hang
    with ProcessPoolExecutor(num_proc, context, _start_worker, (store, dataset, feature_extractor)) as pool:
        yield from pool.map(_work, chunks)


_worker: tuple = ()  # what a process of the pool works on, given once


def _start_worker(*state: Any) -> None:
    global _worker
    _worker = state


def _work(chunk: int) -> _Chunk:
    return _prepare_chunk(chunk, *_worker)


def _prepare_chunk(chunk: int, store: _Store, dataset: Dataset, feature_extractor) -> _Chunk:
    """Prepare the records of one chunk and force them to disk."""
    rows = store.rows(chunk)
    record = 2 * store.shape[1] * store.shape[2]
    out = np.memmap(store.path(".unfinished"), np.int16, "r+", int(rows[0]) * record, (len(rows), *store.shape[1:]))
    rates = np.asarray(dataset.with_format("numpy", columns=["sampling_rate"])[rows]["sampling_rate"])
    signals = read_signals(dataset, rows)
    faults = dict(_prepare_rows(signals, rates, feature_extractor, out))
    out.flush()
    digest = hashlib.sha256(rates.astype(np.float64).tobytes())
    for signal in signals:
        digest.update(str(signal.shape).encode())
        digest.update(np.ascontiguousarray(signal).data)
    unusable = {str(rows[position]): reason for position, reason in faults.items()}
    return _Chunk(chunk, unusable, digest.hexdigest(), xxhash.xxh3_128_hexdigest(out.data))


def _prepare_rows(
    signals: Sequence[np.ndarray] | np.ndarray, rates: np.ndarray, feature_extractor, out: np.ndarray
) -> Iterator[tuple[int, str]]:
    """Write records into `out`; yields the position and the fault of each one that can't be used."""
    fits = [
        position
        for position, (signal, rate) in enumerate(zip(signals, rates, strict=True))
        if rate == feature_extractor.sampling_rate and signal.shape == out.shape[1:] and signal.min() > NO_SAMPLE
    ]
    left = range(len(out))
    values = _all_at_once(np.stack([signals[position] for position in fits]), feature_extractor) if fits else None
    if values is not None:
        out[fits] = _microvolts(values)
        left = np.setdiff1d(left, fits).tolist()
    for position in left:
        try:
            millivolts = to_millivolts(signals[position])
            (values,) = feature_extractor(millivolts, sampling_rate=float(rates[position]))["input_values"]
        except ValueError as error:
            out[position] = 0
            yield position, str(error).removeprefix("ECG 0: ")
        else:
            out[position] = _microvolts(values)


def _all_at_once(signals: np.ndarray, feature_extractor) -> np.ndarray | None:
    """Records of the feature extractor's rate and length as it makes them; None if it refuses one of them."""
    try:
        prepared = feature_extractor(to_millivolts(signals), sampling_rate=feature_extractor.sampling_rate)
    except ValueError:
        return None
    return prepared["input_values"]


def _microvolts(millivolts: np.ndarray) -> np.ndarray:
    limit = np.iinfo(np.int16).max
    return np.clip(np.rint(millivolts * MICROVOLTS_PER_MILLIVOLT), -limit, limit).astype(np.int16)


def _key(dataset: Dataset, feature_extractor) -> str:
    """sha256 of what decides the signals."""
    code = Path(inspect.getfile(type(feature_extractor))).parent
    parts = {
        "format": FORMAT_VERSION,
        "rows": content_key(dataset),
        "extractor": feature_extractor.to_dict(),
        "code": [hashlib.sha256((code / name).read_bytes()).hexdigest() for name in _CODE],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]
