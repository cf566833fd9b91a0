"""Signals of a prepared data set as NumPy arrays, without a copy per record and without Python objects per sample."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset

SIGNAL_COLUMN = "ecg"


def read_signals(dataset: Dataset, indices: Sequence[int] | np.ndarray | slice) -> np.ndarray | list[np.ndarray]:
    """Read the signals of some rows.

    Args:
        dataset: With a column `ecg` of int16 µV, as the builders make it. Its format and other columns don't matter.
        indices: Rows, in any order, repetitions allowed.

    Returns:
        int16 of shape `(rows, leads, samples)`, or a list of arrays of shape `(leads, samples)` where the rows differ
        in length. Read-only where it is a view of the Arrow file.

    Raises:
        IndexError: If a row is out of range.
        ValueError: If the data set has no such column, or no row is asked for.
    """
    if SIGNAL_COLUMN not in dataset.column_names:
        raise ValueError(f"The data set needs a column `{SIGNAL_COLUMN}`, it has {', '.join(dataset.column_names)}.")
    rows = np.arange(len(dataset))[indices] if isinstance(indices, slice) else np.asarray(indices, dtype=np.int64)
    if len(rows) == 0:
        raise ValueError("No rows were asked for.")
    rows = _stored_rows(dataset, rows)
    # Record batches and their offsets, which `datasets` keeps for its own look-ups.
    stored, offsets = dataset.data._batches, dataset.data._offsets
    batch_of = np.searchsorted(offsets, rows, side="right") - 1
    if pa.types.is_fixed_size_list(dataset.data.schema.field(SIGNAL_COLUMN).type.value_type):
        return _read_equal(stored, batch_of, rows - offsets[batch_of])
    return _read_ragged(stored, batch_of, rows - offsets[batch_of])


def signal_lengths(dataset: Dataset) -> np.ndarray:
    """Samples of each lead of every row, `(rows,)`, without reading a signal."""
    lengths = []
    for batch in dataset.data._batches:
        per_record = batch.column(SIGNAL_COLUMN)
        per_lead = per_record.flatten()
        if pa.types.is_fixed_size_list(per_lead.type):
            lengths.append(np.full(len(batch), per_lead.type.list_size))
        else:
            lengths.append(np.diff(per_lead.offsets.to_numpy())[:: per_record.type.list_size])
    return np.concatenate(lengths)[_stored_rows(dataset, np.arange(len(dataset)))]


def column_values(dataset: Dataset, name: str) -> list:
    """All values of a column as Python objects; row by row, as `datasets` iterates, takes ten times as long."""
    return dataset.select_columns([name]).with_format("arrow")[:].column(name).to_pylist()


def content_key(dataset: Dataset) -> str:
    """What tells the rows of a data set from any others: its files (names, sizes, times) and the rows taken of them.

    Returns:
        sha256; of a data set in memory, which has no files, of the fingerprint that `datasets` gives it.
    """
    files = [Path(file["filename"]) for file in dataset.cache_files]
    found = [[path.parent.name, path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    digest = hashlib.sha256(json.dumps([len(dataset), found or dataset._fingerprint]).encode())
    if dataset._indices is not None:
        digest.update(dataset._indices.column(0).to_numpy().tobytes())
    return digest.hexdigest()


def _stored_rows(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Positions in the Arrow table of rows of a data set that may be a selection or shuffled."""
    rows = np.where(rows < 0, rows + len(dataset), rows)
    outside = rows[(rows < 0) | (rows >= len(dataset))]
    if len(outside):
        raise IndexError(f"Row {outside[0]} is out of range for a data set of {len(dataset)} rows.")
    if dataset._indices is None:
        return rows
    return dataset._indices.column(0).take(pa.array(rows)).to_numpy().astype(np.int64)


def _read_equal(batches: Sequence[pa.RecordBatch], batch_of: np.ndarray, row_of: np.ndarray) -> np.ndarray:
    first, last = row_of[0], row_of[-1]
    if batch_of[0] == batch_of[-1] and np.array_equal(row_of, np.arange(first, last + 1)):
        return _equal_view(batches[batch_of[0]])[first : last + 1]
    shape = _equal_view(batches[batch_of[0]]).shape[1:]
    signals = np.empty((len(row_of), *shape), dtype=np.int16)
    for batch in np.unique(batch_of):
        view = _equal_view(batches[batch])
        wanted = np.flatnonzero(batch_of == batch)
        signals[wanted] = view[row_of[wanted]]
    return signals


def _equal_view(batch: pa.RecordBatch) -> np.ndarray:  # -> (rows, leads, samples)
    per_record = batch.column(SIGNAL_COLUMN)
    per_lead = per_record.flatten()  # respects the offset of a slice, unlike `.values`
    samples = per_lead.flatten().to_numpy(zero_copy_only=True)
    return samples.reshape(len(batch), per_record.type.list_size, per_lead.type.list_size)


def _read_ragged(
    batches: Sequence[pa.RecordBatch], batch_of: np.ndarray, row_of: np.ndarray
) -> np.ndarray | list[np.ndarray]:
    signals: list[np.ndarray] = [np.empty(0)] * len(row_of)
    for batch in np.unique(batch_of):
        per_record = batches[batch].column(SIGNAL_COLUMN)
        per_lead = per_record.flatten()
        starts = per_lead.offsets.to_numpy()
        samples = per_lead.values.to_numpy(zero_copy_only=True)
        leads = per_record.type.list_size
        for index in np.flatnonzero(batch_of == batch):
            first = row_of[index] * leads
            signals[index] = samples[starts[first] : starts[first + leads]].reshape(leads, -1)
    if len({signal.shape[1] for signal in signals}) == 1:
        return np.stack(signals)
    return signals
