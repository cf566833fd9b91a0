"""Whatever a user hands over as an ECG, or as several -> signal, sampling rate, lead names and unit."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import GeneratorType
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from .ecg_addresses_etp import printable_url
from .ecg_channels_etp import check_names
from .ecg_facts_etp import (
    are_counts,
    as_texts,
    fact_key,
    hertz,
    size_in_millivolts,
    stated_rate,
    stated_unit,
    without_marks,
)
from .ecg_files_etp import EcgFileError, EcgFileNotFoundError, EcgRecording, read_ecg
from .ecg_frames_etp import is_frame, recording_from_frame
from .ecg_hdf5_etp import arrays_in_memory
from .ecg_named_arrays_etp import SIGNAL_KEYS, recording_from_arrays
from .ecg_units_etp import millivolts_per
from .ecg_urls_etp import is_url, read_ecg_url
from .leads_etp import STANDARD_LEADS

# Records of an array on disk that are read at once; more are read as they are used.
_MOST_AT_ONCE = 64


@dataclass
class EcgInput:
    """One ECG, ready for the feature extractor.

    Attributes:
        name: What errors call it.
        signal: Shape `(leads, samples)`, in `units`.
        sampling_rate: Hz.
        lead_names: Names of the rows; `None` if they are the model's leads in order.
        units: A unit of voltage.
        notes: What was left out, assumed or masked, as of [`EcgRecording`].
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
    allow_private_addresses: bool | None = None,
    verify_checksum: bool = True,
) -> EcgInput:
    """Make one of the many things that are an ECG into an [`EcgInput`].

    Args:
        ecg: A path, an http(s) URL, the bytes of a file or one opened to read, an [`EcgRecording`], an array, tensor or
            nested list of shape `(leads, samples)`, a dict with "array" and "sampling_rate" (and "lead_names", "units" and
            whatever else `.npz` files state), a data frame with a column per lead, an h5py data set or group, or a row of a
            dataset with "ecg" in int16 µV and "sampling_rate".
        name: What errors call an ECG that has no name of its own.
        sampling_rate: Hz, of what does not state its own.
        lead_names: Names of the rows, of what does not state its own; of a file, those of its channels.
        units: Of arrays, mV if omitted, which whole numbers are not; of files that do not state it.
        allow_private_addresses: Of URLs, see `read_ecg_url`.
        verify_checksum: Whether the samples of a WFDB record must add up to the checksum in its header.

    Raises:
        ValueError: If it is none of these, its rate is not stated, or its own rate differs from the argument.
        EcgFileError: If a file cannot be read or downloaded.
    """
    if _is_file(ecg):
        stated_of_file: dict[str, Any] = {"sampling_rate": sampling_rate, "lead_names": lead_names, "units": units}
        name, recording = _read(ecg, name, allow_private_addresses, **stated_of_file, verify_checksum=verify_checksum)
        return _from_recording(name, recording)
    names = _as_names(lead_names)
    if isinstance(ecg, EcgRecording):
        check_names(ecg.lead_names, names, name)
        rate = _one_rate(name, ecg.sampling_rate, sampling_rate)
        return EcgInput(name, ecg.signal, rate, names or ecg.lead_names, "mV", ecg.notes)
    stated: dict[str, Any] = {"sampling_rate": sampling_rate, "lead_names": names, "units": units}
    if is_frame(ecg):
        return _from_recording(name, recording_from_frame(ecg, name, **stated))
    arrays = arrays_in_memory(ecg)
    if arrays is not None or isinstance(ecg, Mapping):
        return _from_mapping(ecg if arrays is None else arrays, name, **stated)
    return _from_array(ecg, name, **stated)


def _from_recording(name: str, recording: EcgRecording) -> EcgInput:
    return EcgInput(name, recording.signal, recording.sampling_rate, recording.lead_names, "mV", recording.notes)


def _from_array(ecg: Any, name: str, *, sampling_rate: Any, lead_names, units: str | None) -> EcgInput:
    signal = _as_signal(ecg, name)
    rate = _one_rate(name, None, sampling_rate)
    notes = []
    if isinstance(ecg, np.ma.MaskedArray) and np.ma.is_masked(ecg):
        signal = np.ma.filled(ecg.astype(np.float64), np.nan)
        notes.append(f"{int(np.ma.count_masked(ecg))} values are masked and count as no sample.")
    scale = size_in_millivolts(None, stated_unit(units, name), name, counts=are_counts(signal))
    signal, marked = without_marks(signal)
    if marked:
        notes.append(f"{marked} values that are the lowest of their type count as no sample.")
    if units is not None and millivolts_per(units) is None:  # the size of a count, which the extractor doesn't know
        signal, units = signal * scale, "mV"
    return EcgInput(name, signal, rate, lead_names, units or "mV", tuple(notes))


def _from_mapping(ecg: Mapping, name: str, *, sampling_rate: Any, lead_names, units: str | None) -> EcgInput:
    if "record_id" in ecg:
        if np.ndim(ecg["record_id"]):
            raise ValueError(
                "ECG: expected one row of a dataset, got several as a dict of columns. Pass the dataset itself, e.g. "
                "`dataset.select(range(2))` in place of `dataset[:2]`."
            )
        name = f"record {ecg['record_id']}"
    arrays = {str(key): _plain(value) for key, value in ecg.items() if value is not None}
    found = next(
        (key for key in ("array", "ecg", *arrays) if key in arrays and _may_be_signal(key, arrays[key])), None
    )
    if found is None:
        raise ValueError(
            f'{name}: expected a dict with "array" (mV) or a dataset row with "ecg" (int16 µV), got the keys '
            f"{sorted(map(str, ecg))}. Rename the column of the signal."
        )
    value = arrays.pop(found)
    signal = value if isinstance(value, np.ma.MaskedArray) else _as_signal(value, name)
    is_row = found == "ecg" and units is None and not any(fact_key(key) in ("units", "unit") for key in arrays)
    if is_row and signal.dtype.kind in "iu":
        arrays["units"] = "uV"  # what the dataset builders write
    elif is_row:
        raise ValueError(
            f'{name}: a dataset row holds "ecg" as integers in µV, got {signal.dtype}. Pass the unit, e.g. `units="mV"`.'
        )
    others = {key: value for key, value in arrays.items() if key not in ("record_id", "report", "labels")}
    unnamed = (
        lead_names is None and len(signal) <= len(STANDARD_LEADS) and not any(map(_may_be_names, others.values()))
    )
    if sampling_rate is None and not _may_state_rate(others, signal):
        _one_rate(name, None, None)  # which says how to pass it to what is in memory
    recording = recording_from_arrays(
        {"signal": signal, **others}, name, "memory", sampling_rate=sampling_rate, units=units,
        # Rows without names are the model's leads in order, whichever these are.
        lead_names=STANDARD_LEADS[: len(signal)] if unnamed else lead_names,
    )  # fmt: skip
    opened = _from_recording(name, recording)
    if unnamed:
        opened.lead_names = STANDARD_LEADS if found == "ecg" else None
    return opened


def _plain(value: Any) -> Any:
    """Lists and tensors of numbers as arrays; what else there is as it is."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        return (value.float() if value.is_floating_point() else value).numpy()
    if isinstance(value, (list, tuple)) and value and not isinstance(value[0], (str, bytes)):
        try:
            array = np.asarray(value)
        except ValueError:  # rows of different lengths, which is said where the signal is looked at
            return value
        return array if array.dtype.kind in "fiub" else value
    return value


def _may_be_signal(key: str, value: Any) -> bool:
    return key in ("array", "ecg") or (fact_key(key) in SIGNAL_KEYS and np.ndim(value) == 2)


def _may_be_names(value: Any) -> bool:
    return not isinstance(value, str) and as_texts(value) is not None


def _may_state_rate(others: Mapping[str, Any], signal: np.ndarray) -> bool:
    return any(hertz(value) is not None or np.size(value) == signal.shape[-1] for value in others.values())


def _one_rate(name: str, own: Any, given: Any) -> Any:
    rate = stated_rate(given, name)
    if own is not None and rate is not None and float(own) != rate:
        raise ValueError(
            f"{name}: it states a sampling rate of {own} Hz itself, `sampling_rate` says {given}. Leave `sampling_rate` out."
        )
    if own is None and rate is None:
        raise ValueError(
            f"{name}: `sampling_rate` (Hz) of the ECG is missing. Pass it, e.g. `sampling_rate=500`, or a dict "
            '{"array": …, "sampling_rate": 500}.'
        )
    return rate if own is None else own


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


def _read(source: Any, name: str, allow_private_addresses: bool | None, **stated) -> tuple[str, EcgRecording]:
    """Name and content of a path, a URL, or a file in memory."""
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        return printable_url(path), read_path_or_url(path, allow_private_addresses=allow_private_addresses, **stated)
    try:
        return name, read_ecg(source, **stated)
    except EcgFileError as error:  # which knows the content only, not which ECG it is
        raise type(error)(name, error.problem) from error


def read_path_or_url(source: str, *, allow_private_addresses: bool | None = None, **stated: Any) -> EcgRecording:
    """Read the ECG file at a path or an http(s) URL.

    Args:
        allow_private_addresses: Of URLs, see `read_ecg_url`.
        stated: `sampling_rate`, `lead_names`, `units`, `verify_checksum`, as `read_ecg` takes them.

    Raises:
        EcgFileError: If it cannot be fetched or read.
    """
    if is_url(source):
        return read_ecg_url(source, allow_private_addresses=allow_private_addresses, **stated)
    try:
        return read_ecg(source, **stated)
    except EcgFileNotFoundError:
        scheme, separator, _ = source.partition("://")
        if not (separator and scheme.isalnum()):
            raise
        problem = f"{scheme} addresses aren't fetched, only http and https. Download the file and pass its path."
        raise EcgFileNotFoundError(printable_url(source), problem) from None  # whose words hold what isn't to be shown


def is_one_ecg(ecg: Any) -> bool:
    """Whether this is one ECG, rather than several."""
    if _is_file(ecg) or isinstance(ecg, (Mapping, EcgRecording)):
        return True
    if isinstance(ecg, (list, tuple)):
        return _depth(ecg) == 2  # numbers, lead by lead
    if is_frame(ecg):
        return True
    return _is_array(ecg) and ecg.ndim != 3 and getattr(ecg.dtype, "kind", "f") not in "OUS"


def _is_array(value: Any) -> bool:
    """Whether it is an array of any library, on disk too."""
    return isinstance(value, (np.ndarray, Tensor)) or (
        hasattr(value, "__array__") and hasattr(value, "ndim") and hasattr(value, "dtype")
    )


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
    if isinstance(ecg, (list, tuple, np.ndarray, Tensor)) or (_is_array(ecg) and len(ecg) <= _MOST_AT_ONCE):
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
