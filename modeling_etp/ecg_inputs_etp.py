"""Whatever a user hands over as an ECG, or as several -> signal, sampling rate, lead names and unit."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import GeneratorType
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from .ecg_files_etp import EcgFileError, EcgFileNotFoundError, EcgRecording, read_ecg
from .ecg_urls_etp import is_url, read_ecg_url
from .leads_etp import STANDARD_LEADS

NO_SAMPLE = -32768  # in the int16 µV of the dataset builders, as in WFDB


@dataclass
class EcgInput:
    """One ECG, ready for the feature extractor.

    Attributes:
        name: What errors call it.
        signal: Shape `(leads, samples)`, in `units`.
        sampling_rate: Hz.
        lead_names: Names of the rows; `None` if they are the model's leads in order.
        units: A unit of voltage.
        notes: What its reader left out or assumed.
    """

    name: str
    signal: np.ndarray
    sampling_rate: int | float
    lead_names: tuple[str, ...] | None
    units: str
    notes: tuple[str, ...] = ()


def open_ecg(
    ecg: Any,
    *,
    name: str = "ECG",
    sampling_rate: int | float | None = None,
    lead_names: Sequence[str] | None = None,
    units: str | None = None,
    verify_checksum: bool = True,
) -> EcgInput:
    """Make one of the many things that are an ECG into an [`EcgInput`].

    Args:
        ecg: A path, an http(s) URL, the bytes of a file or one opened to read, an [`EcgRecording`], an array, tensor or nested list of shape
            `(leads, samples)`, a dict with "array" and "sampling_rate" (and "lead_names", "units" where they differ
            from the arguments), or a row of a dataset with "ecg" in int16 µV and "sampling_rate".
        name: What errors call an ECG that has no name of its own.
        sampling_rate: Hz, of what does not state its own.
        lead_names: Names of the rows, of what does not state its own; of a file, those of its channels.
        units: Of arrays, mV if omitted; of files that do not state it.
        verify_checksum: Whether the samples of a WFDB record must add up to the checksum in its header.

    Raises:
        ValueError: If it is none of these, its rate is not stated, or its own rate differs from the argument.
        EcgFileError: If a file cannot be read or downloaded.
    """
    if _is_file(ecg):
        stated = {"sampling_rate": sampling_rate, "lead_names": lead_names, "units": units}
        name, recording = _read(ecg, name, **stated, verify_checksum=verify_checksum)
        return EcgInput(
            name, recording.signal, recording.sampling_rate, recording.lead_names, "mV", tuple(recording.notes)
        )
    if isinstance(ecg, EcgRecording):
        rate = _one_rate(name, ecg.sampling_rate, sampling_rate)
        return EcgInput(name, ecg.signal, rate, tuple(lead_names or ecg.lead_names), "mV", tuple(ecg.notes))
    if isinstance(ecg, Mapping):
        return _from_mapping(ecg, name, sampling_rate, lead_names, units)
    signal = _as_signal(ecg, name)
    return EcgInput(name, signal, _one_rate(name, None, sampling_rate), _as_names(lead_names), units or "mV")


def _from_mapping(ecg: Mapping, name: str, sampling_rate, lead_names, units) -> EcgInput:
    if "record_id" in ecg:
        if np.ndim(ecg["record_id"]):
            raise ValueError(
                "ECG: expected one row of a dataset, got several as a dict of columns. Pass the dataset itself, e.g. "
                "`dataset.select(range(2))` in place of `dataset[:2]`."
            )
        name = f"record {ecg['record_id']}"
    if "array" not in ecg and "ecg" not in ecg:
        raise ValueError(
            f'{name}: expected a dict with "array" (mV) or a dataset row with "ecg" (int16 µV), got the keys '
            f"{sorted(map(str, ecg))}. Rename the column of the signal."
        )
    rate = _one_rate(name, ecg.get("sampling_rate"), sampling_rate)
    lead_names = _as_names(ecg.get("lead_names", lead_names))
    units = ecg.get("units", units)
    if "array" in ecg:
        return EcgInput(name, _as_signal(ecg["array"], name), rate, lead_names, units or "mV")
    signal = _as_signal(ecg["ecg"], name)
    lead_names = lead_names or STANDARD_LEADS
    if signal.dtype.kind in "iu" and units is None:
        return EcgInput(name, np.where(signal == NO_SAMPLE, np.nan, signal).astype(np.float32), rate, lead_names, "uV")
    if units is None:
        raise ValueError(
            f'{name}: a dataset row holds "ecg" as integers in µV, got {signal.dtype}. Pass the unit, e.g. units="mV".'
        )
    return EcgInput(name, signal, rate, lead_names, units)


def _one_rate(name: str, own: Any, given: Any) -> Any:
    if own is not None and given is not None and float(own) != float(given):
        raise ValueError(
            f"{name}: it states a sampling rate of {own} Hz itself, `sampling_rate` says {given}. Leave the argument out."
        )
    if own is None and given is None:
        raise ValueError(
            f"{name}: `sampling_rate` (Hz) of the ECG is missing. Pass it, e.g. `sampling_rate=500`, or a dict "
            '{"array": …, "sampling_rate": 500}.'
        )
    return given if own is None else own


def _as_names(lead_names: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(lead_names, str):
        raise ValueError(f"`lead_names` must be a sequence of names, got the string {lead_names!r}.")
    return None if lead_names is None else tuple(lead_names)


def _as_signal(values: Any, name: str) -> np.ndarray:
    if hasattr(values, "detach"):  # a tensor, on any device
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()
    try:
        signal = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name}: expected shape (leads, samples), got rows of different lengths.") from error
    if signal.dtype.kind not in "iuf":
        raise ValueError(
            f"{name}: expected an ECG as path, bytes, http(s) URL, array of shape (leads, samples), dict or dataset row, "
            f"got {type(values).__name__}."
        )
    if signal.ndim != 2:
        raise ValueError(f"{name}: expected shape (leads, samples), got {signal.shape}.")
    return signal


def _is_file(ecg: Any) -> bool:
    return isinstance(ecg, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(ecg, "read")


def _read(source: Any, name: str, **stated) -> tuple[str, EcgRecording]:
    """Name and content of a path, a URL, or a file in memory."""
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        return name, read_path_or_url(name, **stated)
    try:
        return name, read_ecg(source, **stated)
    except EcgFileError as error:  # which knows the content only, not which ECG it is
        raise type(error)(name, error.problem) from error


def read_path_or_url(source: str, **stated: Any) -> EcgRecording:
    """Read the ECG file at a path or an http(s) URL.

    Args:
        stated: `sampling_rate`, `lead_names`, `units`, `verify_checksum`, as `read_ecg` takes them.

    Raises:
        EcgFileError: If it cannot be fetched or read.
    """
    if is_url(source):
        return read_ecg_url(source, **stated)
    try:
        return read_ecg(source, **stated)
    except EcgFileNotFoundError as error:
        scheme, separator, _ = source.partition("://")
        if not (separator and scheme.isalnum()):
            raise
        problem = f"{scheme} addresses aren't fetched, only http and https. Download the file and pass its path."
        raise EcgFileNotFoundError(source, problem) from error


def is_one_ecg(ecg: Any) -> bool:
    """Whether this is one ECG, rather than several."""
    if _is_file(ecg) or isinstance(ecg, (Mapping, EcgRecording)):
        return True
    if isinstance(ecg, (list, tuple)):
        return _depth(ecg) == 2  # numbers, lead by lead
    return isinstance(ecg, (np.ndarray, Tensor)) and ecg.ndim != 3


def _depth(values: Any) -> int:
    """Number of axes of nested lists around numbers, arrays or tensors, judged by the first element."""
    if isinstance(values, (list, tuple)):
        return 1 + (_depth(values[0]) if values else 0)
    return values.ndim if isinstance(values, (np.ndarray, Tensor)) else 0


def as_inputs(ecg: Any) -> Any:
    """One ECG as it is, several as a list, a generator or a `torch` dataset, which is what pipelines know.

    Raises:
        ValueError: If it is neither.
    """
    if is_one_ecg(ecg):
        return _as_signal(ecg, "ECG") if isinstance(ecg, (list, tuple)) else ecg
    if isinstance(ecg, (GeneratorType, Dataset)):
        return ecg
    if isinstance(ecg, (list, tuple, np.ndarray, Tensor)):
        return list(ecg)
    if hasattr(ecg, "with_format") and getattr(ecg, "format", {"type": None})["type"] is None:
        ecg = ecg.with_format("numpy")  # rows as lists of Python numbers would take longer than the model
    if isinstance(ecg, Iterable):
        return (item for item in ecg)
    raise ValueError(f"expected an ECG or several, got {type(ecg).__name__}. Pass a path, an array or a list of them.")


class NumberedEcgs(Dataset):
    """Pairs of position and ECG, for errors to say which of many it was."""

    def __init__(self, ecgs: Sequence):
        self.ecgs = ecgs

    def __len__(self) -> int:
        return len(self.ecgs)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        return index, self.ecgs[index]


def open_numbered(numbered: tuple[int, Any], **source: Any) -> EcgInput:
    """`open_ecg` of a pair of position and ECG."""
    index, ecg = numbered
    return open_ecg(ecg, name=f"ECG {index}", **source)


def batched(items: Iterable, size: int) -> Iterator[list]:
    """Lists of `size` items, the last one with the rest."""
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


__all__ = [
    "EcgInput",
    "NumberedEcgs",
    "as_inputs",
    "batched",
    "is_one_ecg",
    "open_ecg",
    "open_numbered",
    "read_path_or_url",
]
