"""Which format the first bytes of a file belong to, and what the bytes of known other files are."""

import re
import struct

from .ecg_recording_etp import EcgCorruptError, EcgFormatError

HEAD_BYTES = 4096

KNOWN = (
    "WFDB, EDF/BDF, DICOM, NumPy, CSV, MATLAB, HDF5, HL7 aECG, GE MUSE and Philips XML, SCP-ECG, ISHNE, MFER, and PDF and "
    "SVG with traces that are vectors"
)

# Storage formats of WFDB signals (header(5)).
_WFDB_FORMATS = {0, 8, 16, 24, 32, 61, 80, 160, 212, 310, 311, 508, 516, 524}
_WFDB_FIRST_LINE = re.compile(
    rb"(?:#[^\n]*(?:\n|\Z)|\s)*(?P<name>[^\s/#<>{}\",;]+)(?:/(?P<segments>\d+))?[ \t]+(?P<leads>\d+)"
    rb"(?:[ \t]+(?P<rate>[\d.]+)(?:/[\d.-]+)?(?:\([-\d.]+\))?(?:[ \t]+\d+(?:[ \t]+[\d:.]+(?:[ \t]+[\d/]+)?)?)?)?[ \t\r]*(?:\n|\Z)"
)
_WFDB_SIGNAL = re.compile(
    rb"(?P<file>[^\s#,;\"]+)[ \t]+(?P<format>\d+)(?:x\d+)?(?::\d+)?(?:\+\d+)?(?:[ \t]|\r?\n|\r?\Z)"
)
_WFDB_SEGMENT = re.compile(rb"[^\s#,;\"]+[ \t]+\d+[ \t\r]*(?:\n|\Z)")
_BETWEEN_LINES = re.compile(rb"(?:[ \t\r]*(?:#[^\n]*)?(?:\n|\Z))*[ \t]*")

# What people hand over that is no ECG file, and what to do about it.
_PICTURE = "a picture ({}): scans and photographs of ECGs aren't read. Export the ECG as WFDB, DICOM, XML or CSV."
_PACKED = "packed by {}. Unpack it and pass the file inside."
_OTHERS = (
    (b"\x89PNG\r\n", _PICTURE.format("PNG")),
    (b"\xff\xd8\xff", _PICTURE.format("JPEG")),
    (b"GIF8", _PICTURE.format("GIF")),
    (b"II*\0", _PICTURE.format("TIFF")),
    (b"MM\0*", _PICTURE.format("TIFF")),
    (b"BM", _PICTURE.format("BMP")),
    (b"RIFF", _PICTURE.format("WebP, or sound")),
    (b"\x1f\x8b", _PACKED.format("gzip")),
    (b"BZh", _PACKED.format("bzip2")),
    (b"\xfd7zXZ", _PACKED.format("xz")),
    (b"7z\xbc\xaf", _PACKED.format("7-Zip")),
    (b"\x28\xb5\x2f\xfd", _PACKED.format("zstd")),
    (b"Rar!", _PACKED.format("RAR")),
    (b"\xd0\xcf\x11\xe0", "an old Office document. Save the table as CSV."),
    (b"PAR1", "a Parquet table. Read it with pandas and pass the data frame, or save it as CSV."),
    (b"ARROW1", "an Arrow table. Read it with pandas and pass the data frame, or save it as CSV."),
    (b"SQLite format", "a database. Export the ECG as CSV."),
    (b"{\\rtf", "a rich text document. Save the table as plain text."),
    (b"ALIVE", "an AliveCor recording (.atc). Export it as PDF from the app; its traces are vectors."),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05][\x95}\x8cc(]")


def recognise(head: bytes, name: str) -> str:
    """Which reader the first bytes of a file, or of the content of one, belong to.

    Raises:
        EcgCorruptError: If there are none.
        EcgFormatError: If it is no reader's; says what it is instead, if that is known.
    """
    if not head:
        raise EcgCorruptError(name, "it is empty. Fetch or export it again.")
    for kind, looks_like in _DETECTORS.items():
        if looks_like(head):
            if kind == "WFDB":
                break
            return kind
    else:
        raise EcgFormatError(name, _why_not(head))
    raise EcgFormatError(name, "a WFDB header, whose samples are in another file. Pass the path of the header.")


def _why_not(head: bytes) -> str:
    for magic, problem in _OTHERS:
        if head.startswith(magic):
            return problem
    if _PICKLE.match(head):
        return "Python objects (pickle), which are never loaded. Save the ECG with numpy.save."
    if head[4:8] == b"ftyp":
        return _PICTURE.format("HEIC, or a film")
    if _is_text(head):
        start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
        if start[:1] in b"{[":
            return "JSON. Load it with Python's json and pass the numbers as an array, or save them as CSV."
        return "a web page. Save what it links to, not the page."
    return f"no known ECG format. Known are {KNOWN}; a .dat needs its .hea beside it."


def looks_like_wfdb(head: bytes) -> bool:
    """Whether these bytes, or the first of them, are a WFDB header's."""
    head = head[:HEAD_BYTES]
    first = _WFDB_FIRST_LINE.match(head)
    if first is None or b"\0" in head:
        return False
    position = _next_line(head, first.end())
    if first["segments"] is not None:
        return _WFDB_SEGMENT.match(head, position) is not None
    count, found = int(first["leads"]), 0
    while found < count and position < len(head):
        line = _WFDB_SIGNAL.match(head, position)
        if line is None or int(line["format"]) not in _WFDB_FORMATS or not _is_file_name(line["file"]):
            # The last line of the bytes at hand may be cut.
            return found > 0 and b"\n" not in head[position:] and len(head) == HEAD_BYTES
        end = head.find(b"\n", position)
        position, found = _next_line(head, end + 1 if end >= 0 else len(head)), found + 1
    return found > 0


def _next_line(head: bytes, position: int) -> int:
    match = _BETWEEN_LINES.match(head, position)
    return match.end() if match else position


def _is_file_name(name: bytes) -> bool:
    """Whether it is more than a number: `100.dat`, `~`, `-`; a table's cell is `0` or `-0.5`."""
    if name in (b"~", b"-"):
        return True
    try:
        float(name)
    except ValueError:
        return True
    return False


def _is_edf(head: bytes) -> bool:
    if head[:8] not in (b"0       ", b"\xffBIOSEMI"):
        return False
    fixed = head[:256]
    # A table of numbers in fixed columns may start like EDF, whose header has no lines and isn't all numbers.
    return not re.fullmatch(rb"[-+\d.,;eE\s]*", fixed[:168]) if len(fixed) >= 168 else b"\n" not in fixed


def _is_scp(head: bytes) -> bool:
    """Section 0 comes at byte 7 and its first pointer is to itself; not all devices write `SCPECG` into it."""
    if head[16:22] == b"SCPECG":
        return not _is_text(head)
    return len(head) >= 32 and head[8:10] == head[22:24] == b"\0\0" and head[28:32] == b"\7\0\0\0"


def _is_matlab(head: bytes) -> bool:
    return (head[:6] == b"MATLAB" and b"MAT-file" in head[:116] and not _is_hdf5(head)) or _is_matlab4(head)


def _is_matlab4(head: bytes) -> bool:
    """Version 4 files have no signature: a type, two lengths, a flag and the length of a name come first."""
    if len(head) < 22:
        return False
    for order in "<>":
        kind, _, _, is_complex, name_length = struct.unpack_from(f"{order}5i", head)
        is_big = order == ">"
        if kind // 1000 == is_big and kind % 1000 in (0, 10, 20, 30, 40, 50) and is_complex in (0, 1):
            name = head[20 : 20 + name_length]
            if 2 <= name_length <= 64 and name[-1:] == b"\0" and name[:-1].decode("latin-1").isidentifier():
                return True
    return False


def _is_hdf5(head: bytes) -> bool:
    """A user block of 512, 1024 … bytes may stand before the signature; MATLAB 7.3 writes one."""
    return any(head[at : at + 8] == b"\x89HDF\r\n\x1a\n" for at in (0, 512, 1024, 2048)) or (
        head[:10] == b"MATLAB 7.3"
    )


def _xml_root(head: bytes) -> bytes | None:
    """The name of the root element in lower case, `None` if it isn't XML or starts later."""
    text = head
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = head.decode("utf-16", "ignore").encode("utf-8", "ignore")
    text = text.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] != b"<":
        return None
    text = re.sub(
        rb"<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|<!DOCTYPE[^>\[]*(?:\[.*?\])?[^>]*>", b"", text, flags=re.S | re.I
    )
    match = re.search(rb"<(?:[\w.-]+:)?([\w.-]+)", text)
    return match[1].lower() if match else b""


def _is_pdf(head: bytes) -> bool:
    """The signature may stand behind other lines that are comments to PostScript."""
    return b"%PDF-" in head[:1024] and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"%"


def _is_html(head: bytes) -> bool:
    return _xml_root(head) == b"html" or (
        head.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].lower() == b"<!doctype" and b"html" in head[:64].lower()
    )


def _is_table(head: bytes) -> bool:
    if not _is_text(head) or _xml_root(head) is not None:
        return False
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if _is_pdf(head):
        return False
    return start[:1] not in (b"{", b"[") and not start.startswith((b"{\\rtf", b"%PDF-", b"ISHNE", b"SQLite format"))


def _is_text(head: bytes) -> bool:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    return not any(byte < 9 or 13 < byte < 32 for byte in head)


# In this order, so that what is told by a signature comes before what is told by its looks.
_DETECTORS = {
    "npy": lambda head: head[:6] == b"\x93NUMPY",
    "npz": lambda head: head[:4] in (b"PK\x03\x04", b"PK\x05\x06"),
    "DICOM": lambda head: head[128:132] == b"DICM",
    "HDF5": _is_hdf5,
    "PDF": _is_pdf,
    "EDF": _is_edf,
    "ISHNE": lambda head: head[:8] in (b"ISHNE1.0", b"ANN  1.0"),
    "MFER": lambda head: head[:2] == b"@\x20" and head[2:6] == b"MFR ",
    "SCP-ECG": _is_scp,
    "MATLAB": _is_matlab,
    "Kardia JSON": lambda head: _is_text(head) and head.lstrip()[:1] == b"{" and b'"recordedAt"' in head,
    "SVG": lambda head: _xml_root(head) == b"svg",
    "Philips XML": lambda head: _xml_root(head) in (b"restingecgdata", b"ecgdata"),
    "XML": lambda head: _xml_root(head) is not None and not _is_html(head),
    "WFDB": looks_like_wfdb,
    "table": _is_table,
}

__all__ = ["HEAD_BYTES", "KNOWN", "looks_like_wfdb", "recognise"]
