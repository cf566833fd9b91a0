"""WFDB records: plain 16-bit signal files directly, everything else that the format allows through `wfdb`."""

import itertools
import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .ecg_microvolts_etp import NO_SAMPLE
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
    optional_module,
    sex_name,
)
from .ecg_wfdb_header_etp import WfdbHeader, open_beside, read_wfdb_header

# Long recordings are scaled in parts: float64 numbers of a whole day at 500 Hz would take 4 GB, twice.
_SAMPLES_AT_A_TIME = 100_000

_PLAIN = {"16": "<i2", "61": ">i2"}

# Bits per sample of the uncompressed formats; the others are FLAC.
_BITS = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12, "310": 32 / 3, "311": 32 / 3}
_FLAC = ("508", "516", "524")


def read_wfdb(
    header_path: str | os.PathLike, *, lead_names: Sequence[str] | None = None, verify_checksum: bool = True
) -> EcgRecording:
    """Read one record.

    Args:
        header_path: The `.hea` file.
        lead_names: Names for all channels, instead of those in the header.
        verify_checksum: Refuse samples that don't add up to the checksum in the header.

    Raises:
        EcgFileError: One of its kinds, naming the header.
    """
    header = read_wfdb_header(header_path)
    channels: np.ndarray | list[np.ndarray]
    if header.segments:
        channels, header = _join_segments(header_path, header, verify_checksum)
    else:
        channels = _read_channels(header_path, header, verify_checksum)
    rates = [header.sampling_rate * count for count in header.samples_per_frame]
    names = header.lead_names if any(header.lead_names) else None
    if names and lead_names is None:
        # What is measured in mmHg is no lead whatever its name.
        names = [
            name if millivolts_per(unit) else f"{name} [{unit}]"
            for name, unit in zip(names, header.units, strict=True)
        ]
    metadata = {"format": "WFDB", "record_id": header.record_name, **_comment_metadata(header.comments)}
    return make_recording(header_path, channels, rates, names, metadata, lead_names=lead_names)


def _is_plain(header: WfdbHeader) -> bool:
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


def _read_plain(header_path, header: WfdbHeader, verify_checksum: bool) -> np.ndarray:
    """Stored units, int16 `(leads, samples)`, of a header for which `_is_plain`."""
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


def _read_channels(header_path, header: WfdbHeader, verify_checksum: bool) -> np.ndarray | list[np.ndarray]:
    """Samples of each signal of a single segment: mV where the unit is a voltage, else the physical unit."""
    if not _is_plain(header):
        return _read_through_wfdb(header_path, header, verify_checksum)
    stored = _read_plain(header_path, header, verify_checksum)
    # As wfdb: subtract and divide in float64, round to float32 once.
    baselines = np.array(header.baselines, np.float64)[:, None]
    units_per_mv = (np.array(header.gains) / [millivolts_per(unit) or 1.0 for unit in header.units])[:, None]
    signal = np.empty(stored.shape, np.float32)
    for start in range(0, stored.shape[1], _SAMPLES_AT_A_TIME):
        part, scaled = (samples[:, start : start + _SAMPLES_AT_A_TIME] for samples in (stored, signal))
        np.copyto(scaled, (part - baselines) / units_per_mv, casting="same_kind")
        if (missing := part == NO_SAMPLE).any():
            scaled[missing] = np.nan
    return signal


def _read_through_wfdb(header_path, header: WfdbHeader, verify_checksum: bool) -> list[np.ndarray]:
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
        # Without smoothing: a channel stored at a higher rate must not be averaged silently.
        record = wfdb.rdrecord(record_name, physical=False, smooth_frames=False)
        checksums = record.calc_checksum(expanded=True)
        channels = record.dac(expanded=True)
    if verify_checksum:
        _verify_checksums(header_path, header, checksums)
    scales = [millivolts_per(unit) or 1.0 for unit in header.units]
    return [(channel * scale).astype(np.float32) for channel, scale in zip(channels, scales, strict=True)]


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


def _join_segments(header_path, header: WfdbHeader, verify_checksum: bool) -> tuple[np.ndarray, WfdbHeader]:
    """Samples of a multi-segment record, `(channels, samples)`, NaN in the gaps, and a header that describes them."""
    names = [name for name, _ in header.segments if name != "~"]
    if len(set(names)) < len(names):  # a small header could ask for one file a million times
        raise EcgUnsafeError(header_path, "it names a segment more than once. Read that segment by itself.")
    parts, start = [], 0
    layout = None
    for index, (name, length) in enumerate(header.segments):
        if name != "~":
            path = Path(header_path).parent / f"{name}.hea"
            os.close(open_beside(header_path, path.name))  # refuses a link out of the folder
            segment = read_wfdb_header(path)
            if segment.segments:
                raise EcgFormatError(header_path, f"its segment {name} has segments itself. Read that record instead.")
            if index == 0 and length == 0:
                layout = segment
            else:
                parts.append((start, length, path, segment))
        start += length
    if header.num_samples not in (None, start):
        raise EcgCorruptError(
            header_path,
            f"its first line declares {header.num_samples:,} samples, its segments {start:,}. Correct the wrong one.",
        )
    layout = layout or (parts[0][3] if parts else None)
    if layout is None:
        raise EcgContentError(header_path, "all of its segments are empty. It holds no ECG.")
    names = layout.lead_names
    if len(set(names)) < len(names):
        raise EcgContentError(header_path, f"lead names occur more than once in its segments: {', '.join(names)}.")
    held = sum(len(segment.lead_names) * length for _, length, _, segment in parts)
    if len(names) * start - held > MAX_UNPACKED_VALUES:
        raise EcgUnsafeError(
            header_path, f"it declares {start:,} samples, nearly all of them gaps. Read its segments."
        )

    read = [(at, length, segment, _read_segment(path, header, segment, length, names, verify_checksum))
            for at, length, path, segment in parts]  # fmt: skip
    joined = np.full((len(names), start), np.nan, dtype=np.float32)
    units = dict(zip(names, layout.units, strict=True))
    for at, length, segment, channels in read:
        for name, unit, channel in zip(segment.lead_names, segment.units, channels, strict=True):
            joined[names.index(name), at : at + length] = channel
            units[name] = unit
    joined_header = replace(
        layout,
        record_name=header.record_name,
        sampling_rate=header.sampling_rate,
        num_samples=start,
        samples_per_frame=[1] * len(names),
        units=list(units.values()),
        comments=header.comments,
    )
    return joined, joined_header


def _read_segment(path, header: WfdbHeader, segment: WfdbHeader, length: int, names, verify_checksum: bool):
    if segment.sampling_rate != header.sampling_rate or set(segment.samples_per_frame) != {1}:
        raise EcgContentError(path, f"its sampling rate isn't the {header.sampling_rate} Hz of the whole record.")
    if not set(segment.lead_names) <= set(names) or len(set(segment.lead_names)) < len(segment.lead_names):
        raise EcgContentError(path, f"its signals {segment.lead_names} aren't among those of the record, {names}.")
    channels = _read_channels(path, segment, verify_checksum)
    if len(channels[0]) != length:
        raise EcgCorruptError(path, f"expected a segment of {length:,} samples, it has {len(channels[0]):,}.")
    return channels


def _comment_metadata(comments: list[str]) -> dict:
    """Age and sex from comments such as `Age: 74`, `Sex: Male`, and all comments as they are."""
    metadata: dict[str, Any] = {"comments": comments} if comments else {}
    for comment in comments:
        key, colon, value = comment.lstrip("<").partition(":")
        key = key.strip(" >").lower()
        value = value.lstrip("> ")
        if colon and key == "age" and (age := age_in_years(value)) is not None:
            metadata["age"] = age
        elif colon and key in ("sex", "gender") and (sex := sex_name(value)):
            metadata["sex"] = sex
    return metadata
