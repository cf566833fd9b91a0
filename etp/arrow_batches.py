"""Signals of a prepared data set as NumPy arrays, without a copy per record and without Python objects per sample."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from datasets import Dataset
from datasets.formatting import query_table

NO_SAMPLE = -32768  # WFDB's mark in format 16
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
        ValueError: If the data set has no such column.
    """
    if SIGNAL_COLUMN not in dataset.column_names:
        raise ValueError(f"The data set needs a column `{SIGNAL_COLUMN}`, it has {', '.join(dataset.column_names)}.")
    rows = range(len(dataset))[indices] if isinstance(indices, slice) else np.asarray(indices, dtype=np.int64)
    column = query_table(dataset.data.select([SIGNAL_COLUMN]), rows, indices=dataset._indices)[SIGNAL_COLUMN]
    if len(column) == 0:
        raise IndexError("No rows were asked for.")
    if pa.types.is_fixed_size_list(column.type.value_type):
        chunks = [_fixed(chunk) for chunk in column.chunks]
        return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)
    records = [record for chunk in column.chunks for record in _ragged(chunk)]
    if len({record.shape[1] for record in records}) == 1:
        return np.stack(records)
    return records


def to_millivolts(signals: np.ndarray) -> np.ndarray:
    """Convert int16 µV of any shape to float32 mV; NaN where there is no sample."""
    millivolts = signals * np.float32(1e-3)
    millivolts[signals == NO_SAMPLE] = np.nan
    return millivolts


def _fixed(chunk: pa.FixedSizeListArray) -> np.ndarray:  # -> (rows, leads, samples)
    per_lead = chunk.flatten()  # respects the offset of a slice, unlike `.values`
    samples = per_lead.flatten().to_numpy(zero_copy_only=True)
    return samples.reshape(len(chunk), chunk.type.list_size, per_lead.type.list_size)


def _ragged(chunk: pa.FixedSizeListArray) -> list[np.ndarray]:  # -> one (leads, samples) per row
    per_lead = chunk.flatten()
    ends = per_lead.offsets.to_numpy()
    samples = per_lead.values.to_numpy(zero_copy_only=True)
    leads = chunk.type.list_size
    return [samples[ends[row * leads] : ends[(row + 1) * leads]].reshape(leads, -1) for row in range(len(chunk))]
