"""Read many plain WFDB records (format 16, 12 leads, 1000 units per mV) at once, straight into one array."""

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets_scripts.archive_errors import RecordError
from modeling_etp.ecg_files_etp import STANDARD_LEADS

# A pipe must not block a build, and a link must not lead it out of the archive.
_OF_THE_FILE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENXIO)
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_MAX_HEADER_BYTES = 1 << 16
_MAX_SAMPLES = 1 << 23  # of a record, per lead: 2 h at 1000 Hz; no resting or exercise ECG is longer


def _header_pattern() -> re.Pattern:
    """Pattern of a whole header whose samples are µV already: then the file's samples can be taken as they are."""
    signal = r" 16%s 1000(?:\.0)?(?:\(0\))?/mV 16 0 -?\d+ (-?\d+) 0 (?i:%s)[ \t]*\r?\n"
    first = r"(?P<file>\S+)" + signal % (r"(?P<offset>(?:\+24)?)", STANDARD_LEADS[0])
    others = [r"(?P=file)" + signal % ("(?P=offset)", lead) for lead in STANDARD_LEADS[1:]]
    top = r"(?P<record>\S+) 12 (?P<rate>\d+)(?:\.0+)? (?P<samples>\d+)(?: [^\n]*)?\r?\n"
    return re.compile(top + first + "".join(others) + r"(?P<comments>(?:[ \t]*(?:#[^\n]*)?\r?\n)*)")


_HEADER = _header_pattern()
# Numbers of the groups that hold checksums: after record, rate, samples, file and offset.
_CHECKSUMS = range(6, 6 + len(STANDARD_LEADS))


@dataclass(frozen=True)
class PlainHeader:
    """What the header of a plain record says.

    Args:
        file: Name of the signal file, without a folder.
        offset: Bytes before the first sample.
        sampling_rate: In Hz.
        num_samples: Samples of each lead.
        checksums: Sum of the samples of each lead modulo 65536.
        comments: Lines from the first `#` on, as they are.
    """

    file: str
    offset: int
    sampling_rate: int
    num_samples: int
    checksums: tuple[int, ...]
    comments: str


def parse_plain_header(text: str, record: str) -> PlainHeader | None:
    """Parse the header of `record`, or return None if it is not plain, names another file, or is absurdly long."""
    match = _HEADER.fullmatch(text if text.endswith("\n") else text + "\n")
    if (
        match is None
        or match["record"].removesuffix(".mat") != record
        or match["file"] not in (record + ".dat", record + ".mat")
    ):
        return None
    num_samples = int(match["samples"])
    if not 0 < num_samples <= _MAX_SAMPLES:
        return None
    checksums = tuple(int(value) & 0xFFFF for value in match.group(*_CHECKSUMS))
    offset = 24 if match["offset"] else 0
    return PlainHeader(match["file"], offset, int(match["rate"]), num_samples, checksums, match["comments"])


def read_text(path: str | Path) -> str:
    """Read a small text file of an archive.

    Raises:
        RecordError: If it is missing, a symbolic link, no regular file, or too long for a header.
    """
    fd = _open(path)
    try:
        content = os.read(fd, _MAX_HEADER_BYTES + 1)
    finally:
        os.close(fd)
    if len(content) > _MAX_HEADER_BYTES:
        raise RecordError(f"{path}: a WFDB header has some hundred bytes, this file more than {_MAX_HEADER_BYTES}.")
    return content.decode("latin-1")


def read_samples_into(path: str | Path, out: np.ndarray, offset: int = 0) -> None:
    """Read a whole format-16 file into `out`.

    Args:
        path: The signal file.
        out: Writable int16 of shape `(samples, leads)`, as the samples lie in the file.
        offset: Bytes of the file before the first sample.

    Raises:
        RecordError: If the file is missing, a symbolic link, or not of exactly the size that `out` needs.
    """
    fd = _open(path)
    try:
        wanted = offset + out.nbytes
        content = os.read(fd, wanted + 1)  # the spare byte tells a file that is too long
        if len(content) != wanted:
            found = os.fstat(fd).st_size
            kind = "truncated" if found < wanted else "longer than its header says"
            raise RecordError(
                f"{path} is {kind}: {out.shape[0]} samples of {out.shape[1]} leads need {wanted} bytes, it has {found}. "
                "Fetch the file again and compare its SHA256 with the publisher's."
            )
        out[:] = np.frombuffer(content, dtype="<i2", offset=offset).reshape(out.shape)
    finally:
        os.close(fd)


def find_wrong_checksums(signals: np.ndarray, checksums: Sequence[Sequence[int]] | np.ndarray) -> np.ndarray:
    """Tell which leads differ from their header's checksum.

    Args:
        signals: int16, shape `(records, leads, samples)`.
        checksums: Of the headers, 0 … 65535, shape `(records, leads)`.

    Returns:
        bool, shape `(records, leads)`; True where the sum is wrong.
    """
    # An int16 sum wraps around, which is the modulo of the format.
    return signals.sum(axis=-1, dtype=np.int16).view(np.uint16) != np.asarray(checksums, dtype=np.uint16)


def checksum_error(path: str | Path, wrong: np.ndarray) -> RecordError:
    """Make the error for a record whose leads `wrong`, bool of shape `(leads,)`, differ from their checksums."""
    leads = ", ".join(lead for lead, bad in zip(STANDARD_LEADS, wrong, strict=True) if bad)
    return RecordError(
        f"{path}: the samples of lead(s) {leads} don't add up to the checksum in the header: signal or header is "
        "damaged. Fetch both files again and compare their SHA256 with the publisher's."
    )


def _open(path: str | Path) -> int:
    try:
        return os.open(path, _OPEN_FLAGS)
    except FileNotFoundError:
        raise RecordError(
            f"{path} is missing. Unpack or fetch the archive again; it may be only half there."
        ) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RecordError(
                f"{path} is a symbolic link, and links inside an archive are not followed. "
                "Copy the file itself there, or give the folder where the real files are."
            ) from None
        if error.errno not in _OF_THE_FILE:
            raise  # of the system, such as too many open files: the record may be good, and is not to be left out
        raise RecordError(f"{path} can't be opened: {error.strerror}. Check its permissions.") from error
