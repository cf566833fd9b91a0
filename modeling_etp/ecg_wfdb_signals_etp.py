"""Samples of one WFDB segment: plain 16-bit signal files directly, every other format through `wfdb`."""

import itertools
import os
import stat
from collections.abc import Sequence

import numpy as np

from .ecg_recording_etp import (
    MAX_UNPACKED_VALUES,
    EcgCorruptError,
    EcgFormatError,
    EcgUnsafeError,
    errors_named,
    optional_module,
)
from .ecg_wfdb_header_etp import WfdbHeader, open_beside

NO_SAMPLE = -32768  # WFDB's "no sample" of format 16

# Long recordings are scaled in parts: float64 numbers of a whole day at 500 Hz would take 4 GB, twice.
_SAMPLES_AT_A_TIME = 100_000

_PLAIN = {"16": "<i2", "61": ">i2"}

# Bits per sample of the uncompressed formats; the others are FLAC.
_BITS = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12, "310": 32 / 3, "311": 32 / 3}
_FLAC = ("508", "516", "524")


def is_plain(header: WfdbHeader) -> bool:
    """Whether every signal is in 16 bits of one byte order, one sample per frame, unskewed, and the signals of a file stand together."""
    files = header.file_names
    changes = sum(a != b for a, b in itertools.pairwise(files))
    return (
        header.formats[0] in _PLAIN
        and len(set(header.formats)) == 1
        and set(header.samples_per_frame) == {1}
        and not any(header.skews)
        and changes + 1 == len(set(files))
    )


def read_plain(header_path, header: WfdbHeader, verify_checksum: bool) -> np.ndarray:
    """Stored units, int16 `(leads, samples)`, of a header for which `is_plain`."""
    groups, start = [], 0
    files = header.file_names
    for stop in range(1, len(files) + 1):
        if stop == len(files) or files[stop] != files[start]:
            frames = _read_frames(
                header_path,
                files[start],
                stop - start,
                header.byte_offsets[start],
                header.num_samples,
                _PLAIN[header.formats[0]],
            )
            groups.append(frames.T)
            start = stop
    if len({group.shape[1] for group in groups}) > 1:
        raise EcgCorruptError(header_path, "its signal files differ in length. Fetch the record again.")
    stored = np.ascontiguousarray(groups[0] if len(groups) == 1 else np.concatenate(groups), np.int16)
    if verify_checksum:
        _verify_checksums(header_path, header, stored.sum(axis=1, dtype=np.int64).tolist())
    return stored


def _read_frames(
    header_path, name: str, num_signals: int, offset: int, num_samples: int | None, dtype: str
) -> np.ndarray:
    """Samples of one file, int16 `(samples, signals)`."""
    with open(open_beside(header_path, name), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise EcgUnsafeError(header_path, f"its signal file {name} isn't a regular file. Put the data there.")
        present = max(status.st_size - offset, 0)
        frame_bytes = 2 * num_signals
        expected = present - present % frame_bytes if num_samples is None else num_samples * frame_bytes
        # Compared before anything is allocated: a header may declare 10^12 samples.
        if present != expected or not present:
            raise EcgCorruptError(
                header_path,
                f"its signal file {name} should have {expected:,} bytes of samples ({num_signals} signals x "
                f"{expected // frame_bytes:,}) and has {present:,}. Fetch the record again, or correct the number of "
                "samples in the header.",
            )
        file.seek(offset)
        content = file.read(present)
    if len(content) != present:
        raise EcgCorruptError(header_path, f"its signal file {name} changed while it was read. Read it again.")
    return np.frombuffer(content, dtype).reshape(-1, num_signals)


def _verify_checksums(header_path, header: WfdbHeader, sums: Sequence[int]) -> None:
    for name, stated, actual in zip(header.lead_names, header.checksums, sums, strict=True):
        # Archives write the 16 bits signed or unsigned; both are the same number modulo 2^16.
        if stated is not None and (stated - actual) & 0xFFFF:
            raise EcgCorruptError(
                header_path,
                f"the samples of lead {name} have checksum {actual & 0xFFFF}, the header says {stated & 0xFFFF}. "
                "Fetch the record again; if the header is known to be wrong, read with `verify_checksum=False`.",
            )


def read_channels(
    header_path, header: WfdbHeader, rows: Sequence[int], millivolts: Sequence[float], *, verify_checksum: bool
) -> tuple[np.ndarray | list[np.ndarray], list[str]]:
    """Samples of some signals of a single segment, mV, and notes.

    Args:
        rows: The signals, as positions in the header.
        millivolts: mV per unit of each of them.
    """
    if not is_plain(header):
        return _read_through_wfdb(header_path, header, rows, millivolts, verify_checksum)
    stored = read_plain(header_path, header, verify_checksum)
    if len(rows) < len(stored):
        stored = stored[list(rows)]
    # As wfdb: subtract and divide in float64, round to float32 once.
    baselines = np.array([header.baselines[row] for row in rows], np.float64)[:, None]
    gains = np.array([header.gains[row] for row in rows]) / np.array(millivolts)
    units_per_mv = gains[:, None]
    signal = np.empty(stored.shape, np.float32)
    for start in range(0, stored.shape[1], _SAMPLES_AT_A_TIME):
        part, scaled = (samples[:, start : start + _SAMPLES_AT_A_TIME] for samples in (stored, signal))
        np.copyto(scaled, (part - baselines) / units_per_mv, casting="same_kind")
        if (missing := part == NO_SAMPLE).any():
            scaled[missing] = np.nan
    return signal, []


def _read_through_wfdb(
    header_path, header: WfdbHeader, rows: Sequence[int], millivolts: Sequence[float], verify_checksum: bool
) -> tuple[list[np.ndarray], list[str]]:
    _check_declared_sizes(header_path, header)
    wfdb = optional_module("wfdb", header_path)
    record_name = os.path.abspath(os.fspath(header_path)).removesuffix(".hea")
    if "://" in record_name:  # wfdb would take it for an address to download from
        raise EcgUnsafeError(header_path, "expected a path without '://'. Rename the folder.")
    with errors_named(header_path, "wfdb"):
        seen_by_wfdb = wfdb.rdheader(record_name)
    if seen_by_wfdb.file_name != header.file_names or seen_by_wfdb.samps_per_frame != header.samples_per_frame:
        raise EcgCorruptError(
            header_path, "its signal lines can be read in two ways. Separate their fields by one space."
        )
    with errors_named(header_path, "wfdb"):
        # Without smoothing: a channel stored at a higher rate must not be averaged silently. And as stored: the
        # checksum is of all samples in the file, before those of a skewed signal are moved.
        record = wfdb.rdrecord(record_name, physical=False, smooth_frames=False, ignore_skew=True)
        checksums = record.calc_checksum(expanded=True)
        record.adc_gain = [gain or 1.0 for gain in record.adc_gain]
        channels = record.dac(expanded=True)
    if verify_checksum:
        _verify_checksums(header_path, header, checksums)
    scaled = [(channels[row] * scale).astype(np.float32) for row, scale in zip(rows, millivolts, strict=True)]
    skews = [header.skews[row] * header.samples_per_frame[row] for row in rows]
    if not any(skews):
        return scaled, []
    return _unskewed(scaled, skews, [header.samples_per_frame[row] for row in rows])


def _unskewed(
    signals: list[np.ndarray], skews: list[int], samples_per_frame: list[int]
) -> tuple[list[np.ndarray], list[str]]:
    """Each signal moved to the front by its skew, NaN at its end; frames that no signal has at the end are cut off."""
    missing = min(skew // count for skew, count in zip(skews, samples_per_frame, strict=True))
    moved = []
    for signal, skew, count in zip(signals, skews, samples_per_frame, strict=True):
        aligned = np.full(len(signal) - missing * count, np.nan, np.float32)
        aligned[: len(signal) - skew] = signal[skew:]
        moved.append(aligned)
    longest = max(skew // count for skew, count in zip(skews, samples_per_frame, strict=True))
    return moved, [
        f"Its leads are skewed by {missing} to {longest} samples, which is undone; the last ones are missing."
    ]


def _check_declared_sizes(header_path, header: WfdbHeader) -> None:
    """Hold a record to its folder and to its real size before `wfdb`, which checks neither, opens it."""
    unknown = set(header.formats) - {*_BITS, *_FLAC}
    if unknown:
        raise EcgFormatError(header_path, f"its signal format {', '.join(sorted(unknown))} isn't one of WFDB's.")
    for name in dict.fromkeys(header.file_names):
        signals = [index for index, other in enumerate(header.file_names) if other == name]
        per_frame = sum(header.samples_per_frame[index] for index in signals)
        storage = header.formats[signals[0]]
        with open(open_beside(header_path, name), "rb") as file:
            status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise EcgUnsafeError(header_path, f"its signal file {name} isn't a regular file. Put the data there.")
        present = max(status.st_size - header.byte_offsets[signals[0]], 0)
        if storage in _FLAC:
            values = per_frame * (header.num_samples or 0)
            if not 0 < values <= MAX_UNPACKED_VALUES:
                raise EcgUnsafeError(
                    header_path, f"it declares {values:,} compressed samples, expected 1 to {MAX_UNPACKED_VALUES:,}."
                )
            continue
        capacity = int(present * 8 / _BITS[storage])
        num_samples = header.num_samples or capacity // per_frame
        if not 0 < num_samples * per_frame <= capacity:
            raise EcgCorruptError(
                header_path,
                f"its signal file {name} should hold {num_samples:,} x {per_frame} samples and has room for "
                f"{capacity:,}. Fetch the record again, or correct the number of samples in the header.",
            )
        if any(header.skews[index] >= num_samples for index in signals):
            raise EcgCorruptError(header_path, f"a skew is longer than the {num_samples:,} samples of {name}.")
