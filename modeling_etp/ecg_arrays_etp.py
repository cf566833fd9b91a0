"""NumPy (`.npy`, `.npz`) and MATLAB (`.mat`) files: named arrays, of which one is the signal."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .ecg_recording_etp import (
    MAX_UNPACKED_VALUES,
    EcgContentError,
    EcgCorruptError,
    EcgFormatError,
    EcgRecording,
    EcgUnsafeError,
    age_in_years,
    errors_named,
    make_recording,
    millivolts_per,
    sex_name,
)
from .matlab_files_etp import MAX_UNPACKED_BYTES, load_matlab

# What people call these things, in the order in which they are looked for; compared in lower case.
_SIGNAL_NAMES = ("signal", "ecg", "val", "data", "p_signal")
_RATE_NAMES = ("sampling_rate", "fs", "sample_rate", "sampling_frequency", "samplerate")
_LEAD_NAMES = ("lead_names", "leads", "sig_name", "channel_names", "channels")
_UNIT_NAMES = ("units", "unit")


def read_npy(content: bytes, source: str, **stated: Any) -> EcgRecording:
    """Read an array of shape `(leads, samples)`; `stated` as of `recording_from_arrays`."""
    return recording_from_arrays({"signal": _load_npy(content, source)}, source, "NumPy", **stated)


def read_npz(content: bytes, source: str, **stated: Any) -> EcgRecording:
    """Read a signal with whatever else the archive names; `stated` as of `recording_from_arrays`."""
    with errors_named(source, "zipfile"), zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        if not members:
            raise EcgFormatError(
                source, "a zip archive without NumPy arrays. Save with numpy.savez, or CSV for Excel."
            )
        # `zipfile` reads no more of a member than its declared size, so this also bounds one that lies.
        declared = sum(member.file_size for member in members)
        if declared > MAX_UNPACKED_BYTES or len(members) > 100:
            raise EcgUnsafeError(
                source,
                f"{len(members)} arrays that unfold to {declared:,} bytes, expected at most 100 and "
                f"{MAX_UNPACKED_BYTES:,}. Save the ECG alone.",
            )
        arrays = {member.filename.removesuffix(".npy"): archive.read(member) for member in members}
    loaded = {name: _load_npy(packed, f"{source}:{name}.npy") for name, packed in arrays.items()}
    _check_counts(loaded, source)
    return recording_from_arrays(loaded, source, "NumPy", **stated)


def _load_npy(content: bytes, source: str) -> np.ndarray:
    stream = io.BytesIO(content)
    with errors_named(source, "numpy"):
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise EcgFormatError(source, f"expected a plain array, got .npy version {version}. Save plain numbers.")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read_header(stream)
    if dtype.hasobject or dtype.names:
        raise EcgUnsafeError(source, f"expected numbers, got {dtype}; Python objects are never loaded. Save numbers.")
    start = stream.tell()
    # Python integers: the product of a lying shape overflows no type and allocates nothing.
    count = 1
    for length in shape:
        count *= length
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(content) - start:
        raise EcgCorruptError(
            source,
            f"an array of shape {shape} and {dtype} takes {count * dtype.itemsize:,} bytes, the file has "
            f"{len(content) - start:,}. Fetch or save it again.",
        )
    with errors_named(source, "numpy"):
        return np.frombuffer(content, dtype, count, start).reshape(shape, order="F" if fortran_order else "C")


def read_matlab(content: bytes, source: str, **stated: Any) -> EcgRecording:
    """Read a MATLAB file: the struct `ECG` of CPSC2018, or a matrix `val` and the like.

    A `.mat` of the PhysioNet Challenges doesn't say its rate, unit or leads; its `.hea` does, and where that lies
    beside it, `read_ecg` reads it instead.
    """
    variables = {name: value for name, value in load_matlab(content, source).items() if value is not None}
    _check_counts(variables, source)
    ecg = variables.get("ECG")
    if isinstance(ecg, dict) and "data" in ecg:
        return _read_cpsc2018(ecg, source, **stated)
    return recording_from_arrays(variables, source, "MATLAB", **stated)


def _check_counts(arrays: Mapping[str, Any], source: str) -> None:
    """Refuse compressed bytes that would become eight times as many as numbers."""
    values = sum(value.size for value in arrays.values() if isinstance(value, np.ndarray))
    if values > MAX_UNPACKED_VALUES:
        raise EcgUnsafeError(
            source, f"it unfolds to {values:,} numbers, expected at most {MAX_UNPACKED_VALUES:,}. Cut the recording."
        )


def _read_cpsc2018(ecg: dict[str, Any], source: str, *, sampling_rate, lead_names, units) -> EcgRecording:
    """The struct of the CPSC2018 archive: `data` is 12 leads in mV at 500 Hz by the definition of that archive."""
    metadata: dict[str, Any] = {"format": "CPSC2018"}
    if sex := sex_name(ecg.get("sex")):
        metadata["sex"] = sex
    if (age := age_in_years(_number(ecg.get("age")))) is not None:
        metadata["age"] = age
    signal = _check_signal(np.asarray(ecg["data"]), source, 12 if lead_names is None else len(lead_names))
    if sampling_rate not in (None, 500) or units not in (None, "mV"):
        raise EcgContentError(
            source, f"the CPSC2018 archive is in mV at 500 Hz, got {sampling_rate} and {units}. Leave both out."
        )
    return make_recording(source, signal, [500] * len(signal), None, metadata, lead_names=lead_names)


def recording_from_arrays(
    arrays: Mapping[str, Any],
    source: str,
    file_format: str,
    *,
    sampling_rate: float | None,
    lead_names: Sequence[str] | None,
    units: str | None,
) -> EcgRecording:
    """Make a recording of named arrays.

    Args:
        arrays: The signal, `(leads, samples)`, under one of the usual names or as the only matrix, and with it perhaps
            `sampling_rate` (Hz), `lead_names` and `units` under theirs.
        sampling_rate, lead_names, units: What the caller states where the file doesn't.

    Raises:
        EcgContentError: If there isn't one signal, or its rate or unit stays unknown.
    """
    by_name = {name.lower(): value for name, value in arrays.items()}
    matrices = [name for name, value in by_name.items() if _is_matrix(value)]
    name = next((name for name in _SIGNAL_NAMES if name in by_name), matrices[0] if len(matrices) == 1 else None)
    if name is None:
        raise EcgContentError(
            source, f"expected one matrix called {', '.join(_SIGNAL_NAMES)}, it has {sorted(arrays)[:20]}. Rename it."
        )
    signal = np.asarray(by_name.pop(name))
    names = _text_list(_first(by_name, _LEAD_NAMES))
    expected = next((len(given) for given in (lead_names, names) if given is not None), 12)
    signal = _check_signal(signal, source, expected)
    stored_rate = _number(_first(by_name, _RATE_NAMES))
    rates = [] if stored_rate is None else [stored_rate]
    rates += [sampling_rate] if sampling_rate is not None else []
    if not rates:
        raise EcgContentError(source, "the sampling rate isn't in the file. Pass it, e.g. `sampling_rate=500` (Hz).")
    if len(set(rates)) > 1:
        raise EcgContentError(
            source, f"its sampling rate is {rates[0]:g} Hz, `sampling_rate` says {rates[1]}. Leave it out."
        )
    stored_units = _text_list(_first(by_name, _UNIT_NAMES))
    unit = (stored_units[0] if stored_units else None) or units
    scale = unit_scale(unit, source, whole_numbers=signal.dtype.kind in "iu")
    metadata = {"format": file_format}
    return make_recording(source, signal * scale, rates[:1] * len(signal), names, metadata, lead_names=lead_names)


def unit_scale(unit: str | None, source: str, *, whole_numbers: bool) -> float:
    """How many mV one unit of the file is.

    Numbers without a unit are mV, as in [`ETPFeatureExtractor`], which refuses amplitudes that can't be. Whole numbers
    are no mV but counts of a converter, and nothing but the user knows their size.
    """
    if unit is None and whole_numbers:
        raise EcgContentError(
            source, 'whole numbers without a unit: they may be µV or counts of any size. Pass e.g. `units="uV"`.'
        )
    scale = 1.0 if unit is None else millivolts_per(unit)
    if scale is None:
        raise EcgContentError(source, f'{unit!r} is no unit of voltage. Pass `units="mV"`, `"uV"` or `"V"`.')
    return scale


def _check_signal(signal: np.ndarray, source: str, num_leads: int) -> np.ndarray:
    if signal.ndim != 2 or signal.dtype.kind not in "fiu":
        raise EcgContentError(
            source, f"expected numbers of shape (leads, samples), got {signal.dtype} of shape {signal.shape}."
        )
    if signal.shape[0] != num_leads and signal.shape[1] == num_leads:
        raise EcgContentError(
            source,
            f"expected shape ({num_leads}, samples), got {signal.shape}. It looks transposed: save its transpose.",
        )
    return signal


def _first(arrays: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((arrays[name] for name in names if name in arrays), None)


def _is_matrix(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2 and value.size > 1 and value.dtype.kind in "fiu"


def _number(value: Any) -> float | None:
    """The value of an array of one number."""
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "fiu":
        return float(value.item())
    return None


def _text_list(value: Any) -> list[str] | None:
    """Strings from a string, an array of them, or a MATLAB cell of them."""
    texts = value.ravel().tolist() if isinstance(value, np.ndarray) else [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        return None
    return [text.strip() for text in texts]
