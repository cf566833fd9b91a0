"""WFDB header files (`.hea`): the text, and the safe opening of the signal files that it names."""

import errno
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .ecg_recording_etp import EcgContentError, EcgCorruptError, EcgFileError, EcgFileNotFoundError, EcgUnsafeError

# Header files are a few kB; a multi-segment record of days has about 100 kB of segment lines.
MAX_HEADER_BYTES = 4_000_000
# No archive has records of more channels; polysomnography comes nearest with about 60.
MAX_CHANNELS = 1024

_FILE_NAME = re.compile(r"[A-Za-z0-9_~][\w.~-]*\Z", re.ASCII)
_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?\Z", re.ASCII)
_GAIN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:\(([+-]?\d+)\))?(?:/(\S+))?\Z", re.ASCII)


@dataclass(slots=True)
class WfdbHeader:
    """A parsed header; the lists have one entry per signal, in file order.

    Attributes:
        record_name: As the first line has it, without `.hea`, `.dat` or `.mat`.
        sampling_rate: Frames per second, Hz.
        num_samples: Frames; `None` if the header doesn't say.
        segments: `(name, number of samples)` of a multi-segment record, else empty.
        file_names: Signal file of each signal, inside the header's folder.
        formats: WFDB storage format, e.g. "16".
        samples_per_frame, skews, byte_offsets: The other parts of the format field.
        gains: Units of the analogue-digital converter (ADC) per physical unit.
        baselines: ADC value that is 0 in physical units.
        units: Physical unit, usually "mV".
        checksums: 16-bit checksum of the samples, `None` where not stated.
        lead_names: The descriptions, as written.
        comments: Lines after `#`, stripped.
    """

    record_name: str
    sampling_rate: float
    num_samples: int | None
    segments: list[tuple[str, int]]
    file_names: list[str]
    formats: list[str]
    samples_per_frame: list[int]
    skews: list[int]
    byte_offsets: list[int]
    gains: list[float]
    baselines: list[int]
    units: list[str]
    checksums: list[int | None]
    lead_names: list[str]
    comments: list[str]


def read_small_file(path: str | os.PathLike, limit: int = MAX_HEADER_BYTES) -> bytes:
    """The bytes of a file that has to be small."""
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read(limit + 1)
    except FileNotFoundError as error:
        raise EcgFileNotFoundError(path, "there is no such file. Check the path.") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise EcgFileError(path, f"can't be read ({error}).") from error
    if len(content) > limit:
        raise EcgUnsafeError(path, f"expected at most {limit:,} bytes of text, it has more. It is no header.")
    return content


def read_wfdb_header(header_path: str | os.PathLike) -> WfdbHeader:
    """Read and parse one `.hea` file."""
    # Latin-1 never fails, and the fields that matter are ASCII; comments may hold any encoding.
    return parse_wfdb_header(read_small_file(header_path).decode("latin-1"), header_path)


def parse_wfdb_header(text: str, path: str | os.PathLike) -> WfdbHeader:
    """Parse the text of a header.

    Accepts what archives write beside the standard, such as a first line `JS00001.mat 12 500 5000`.

    Args:
        path: Where the text comes from, for messages.

    Raises:
        EcgCorruptError: If a line breaks the syntax, naming the line.
        EcgUnsafeError: If a signal file would lie outside the header's folder.
    """
    lines, comments = [], []
    for line in text.splitlines() if "\r" in text or "\x0b" in text else text.split("\n"):
        if line.startswith("#"):
            comments.append(line[1:].strip())
        elif line and not line.isspace():
            lines.append(line)
    if not lines:
        raise EcgCorruptError(path, "it is empty. A WFDB header starts with a line such as '00001_lr 12 100 1000'.")

    record_name, num_segments, num_signals, rate, num_samples = _parse_record_line(lines[0], path)
    header = WfdbHeader(
        record_name, rate, num_samples, [], [], [], [], [], [], [], [], [], [], [], comments
    )  # fmt: skip
    expected = num_signals if num_segments is None else num_segments
    if len(lines) - 1 < expected:
        what = "signals" if num_segments is None else "segments"
        raise EcgCorruptError(
            path, f"its first line declares {expected} {what}, {len(lines) - 1} lines follow. Fetch the file again."
        )
    parse_line = _parse_signal_line if num_segments is None else _parse_segment_line
    for line in lines[1 : 1 + expected]:
        parse_line(line, header, path)
    return header


def _parse_record_line(line: str, path) -> tuple[str, int | None, int, float, int | None]:
    fields = line.split()
    try:
        name, slash, segments = fields[0].partition("/")
        num_segments = int(segments) if slash else None
        num_signals = int(fields[1])
        # "360/5000(0)" is the sampling rate, then a counter's rate and base; 250 Hz is the standard's default.
        rate = float(fields[2].partition("/")[0].partition("(")[0]) if len(fields) > 2 else 250.0
        num_samples = int(fields[3]) if len(fields) > 3 else None
    except (IndexError, ValueError) as error:
        raise EcgCorruptError(
            path, f"expected a first line such as '00001_lr 12 100 1000', got {line[:80]!r}. It is no WFDB header."
        ) from error
    if not 0 < rate < float("inf"):
        raise EcgContentError(path, f"its first line states a sampling rate of {rate} Hz. Correct it in the header.")
    if not 0 < num_signals <= MAX_CHANNELS or (num_segments is not None and not 0 < num_segments <= 100_000):
        raise EcgCorruptError(
            path, f"expected 1 to {MAX_CHANNELS} signals, its first line declares {line[:80]!r}. It holds no ECG."
        )
    if num_samples is not None and num_samples < 0:
        raise EcgCorruptError(path, f"its first line declares {num_samples} samples. Correct the header.")
    return name.removesuffix(".mat").removesuffix(".dat"), num_segments, num_signals, rate, num_samples or None


def _parse_signal_line(line: str, header: WfdbHeader, path) -> None:
    fields = line.split(None, 8)
    try:
        file_name, file_format = fields[0], fields[1]
        storage, per_frame, skew, offset = _parse_format(file_format)
        if not _is_plain_name(file_name):
            raise EcgUnsafeError(
                path,
                f"it names the signal file {file_name[:80]!r}. Only a file beside the header is opened: "
                "put the signal file there and its bare name in the header.",
            )
        gain, baseline, unit = _parse_gain(fields[2]) if len(fields) > 2 else (0.0, None, "mV")
        if baseline is None:
            baseline = int(fields[4]) if len(fields) > 4 else 0
        checksum = int(fields[6]) if len(fields) > 6 else None
    except (IndexError, ValueError) as error:
        if isinstance(error, EcgFileError):
            raise
        raise EcgCorruptError(
            path,
            f"expected a signal line such as '00001_lr.dat 16 1000(0)/mV 16 0 -119 1508 0 I', got {line[:120]!r}.",
        ) from error
    lead_name = fields[8].rstrip() if len(fields) > 8 else ""
    header.file_names.append(file_name)
    header.formats.append(storage)
    header.samples_per_frame.append(per_frame)
    header.skews.append(skew)
    header.byte_offsets.append(offset)
    header.gains.append(gain)
    header.baselines.append(baseline)
    header.units.append(unit)
    header.checksums.append(checksum)
    header.lead_names.append(lead_name)


def gain_faults(header: WfdbHeader) -> dict[int, str]:
    """Why the amplitude of a signal is unknown, by position; a gain of 0 is WFDB's way to write "uncalibrated"."""
    return {
        row: f"the gain of lead {header.lead_names[row] or row} is {gain}: its amplitude in mV is unknown. "
        "Put the converter's units per mV in the header."
        for row, gain in enumerate(header.gains)
        if not 1e-9 < abs(gain) < 1e15
    }


def signal_names(header: WfdbHeader) -> list[str] | None:
    """What the header calls its signals, `None` where it names none of them."""
    return header.lead_names if any(header.lead_names) else None


def _parse_segment_line(line: str, header: WfdbHeader, path) -> None:
    fields = line.split()
    if len(fields) < 2 or not fields[1].isdecimal():
        raise EcgCorruptError(path, f"expected a segment line such as '100s_0001 3600', got {line[:120]!r}.")
    if not _is_plain_name(fields[0]):
        raise EcgUnsafeError(
            path, f"it names the segment {fields[0][:80]!r}. Only a record beside the header is opened: move it there."
        )
    header.segments.append((fields[0], int(fields[1])))


# An archive repeats the same few fields in every header; parsing each once takes half of the time off.
@lru_cache(maxsize=1024)
def _parse_format(field: str) -> tuple[str, int, int, int]:
    match = _FORMAT.match(field)
    if not match or len(field) > 40:
        raise ValueError(field)
    storage, per_frame, skew, offset = match.groups()
    if per_frame is not None and not 0 < int(per_frame) <= 10_000:
        raise ValueError(field)
    return storage, int(per_frame or 1), int(skew or 0), int(offset or 0)


@lru_cache(maxsize=1024)
def _parse_gain(field: str) -> tuple[float, int | None, str]:
    match = _GAIN.match(field)
    if not match or len(field) > 80:
        raise ValueError(field)
    gain, baseline, unit = match.groups()
    return float(gain), None if baseline is None else int(baseline), unit or "mV"


@lru_cache(maxsize=1024)
def _is_plain_name(name: str) -> bool:
    """Whether a name can only mean a file in the header's own folder: no separator, drive, URL or leading dot."""
    return bool(_FILE_NAME.match(name)) and len(name) <= 255


def open_beside(header_path: str | os.PathLike, name: str) -> int:
    """Open a file that a header names, as a descriptor to be closed by the caller.

    A symbolic link is followed only to a file in the same folder. The link is refused by the kernel while opening, so
    the check can't be raced.

    Raises:
        EcgUnsafeError: If the file is a link out of the folder, or isn't a regular file.
        EcgFileNotFoundError: If there is no such file.
    """
    folder = os.path.dirname(os.fspath(header_path)) or "."
    path = f"{folder}/{name}"
    try:
        try:
            return os.open(path, _OPEN_FLAGS)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            target = Path(path).resolve()
            if target.parent != Path(folder).resolve():
                raise EcgUnsafeError(
                    header_path,
                    f"the file {name} that it names is a link out of its folder. Copy the file itself beside the header.",
                ) from error
            return os.open(target, _OPEN_FLAGS)
    except FileNotFoundError as error:
        raise EcgFileNotFoundError(
            header_path,
            f"the file {name} that it names is missing. Put it beside the header, or fetch the record again.",
        ) from error
    except OSError as error:
        raise EcgFileError(header_path, f"the file {name} that it names can't be read ({error.strerror}).") from error


# O_NONBLOCK: a named pipe in place of a signal file mustn't hang the reader.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
