"""ECG files behind http(s) addresses, WFDB records of several files too."""

from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib import request
from urllib.parse import urljoin, urlsplit

from .ecg_files_etp import (
    EcgFileError,
    EcgFormatError,
    EcgRecording,
    EcgUnsafeError,
    looks_like_wfdb,
    parse_wfdb_header,
    read_ecg,
)
from .ecg_wfdb_header_etp import decode_header

MAX_DOWNLOAD_BYTES = 100_000_000  # 12 leads at 500 Hz for two hours
DOWNLOAD_TIMEOUT_SECONDS = 30


def is_url(source: str) -> bool:
    """Whether it is fetched rather than opened."""
    return source.lower().startswith(("http://", "https://"))


def read_ecg_url(url: str, **stated: Any) -> EcgRecording:
    """Read the ECG file at an http(s) URL; of a WFDB header, the signal files beside it are fetched too.

    Args:
        stated: `sampling_rate`, `lead_names`, `units`, as `read_ecg` takes them.

    Raises:
        EcgFileError: If it cannot be fetched, is larger than `MAX_DOWNLOAD_BYTES` in all, or cannot be read.
    """
    content = download(url)
    if urlsplit(url).path.endswith(".hea") or looks_like_wfdb(content):
        return _read_wfdb(url, content, **stated)
    return _read(url, content, **stated)


def _read_wfdb(url: str, content: bytes, **stated: Any) -> EcgRecording:
    header = parse_wfdb_header(decode_header(content), url)
    if header.segments:
        raise EcgFormatError(url, "a WFDB record of several segments. Download its files and pass the header's path.")
    with TemporaryDirectory() as folder:
        path = Path(folder, "record.hea")
        path.write_bytes(content)
        left = MAX_DOWNLOAD_BYTES
        for name in dict.fromkeys(header.file_names):  # names of files beside the header: the parser takes no others
            if name == path.name:
                raise EcgUnsafeError(url, f"it names {name}, a header, as its signal file. Correct the header.")
            signal = download(urljoin(url, name), max_bytes=left)
            left -= len(signal)
            Path(folder, name).write_bytes(signal)
        return _read(url, path, **stated)


def _read(url: str, source: bytes | Path, **stated: Any) -> EcgRecording:
    try:
        return read_ecg(source, **stated)
    except EcgFileError as error:  # which doesn't know where it is from
        raise type(error)(url, error.problem) from error


def download(url: str, *, max_bytes: int = MAX_DOWNLOAD_BYTES) -> bytes:
    """Content of an http(s) URL.

    Raises:
        EcgFileError: If it cannot be fetched or is larger than `max_bytes`.
    """
    # Without the handlers of the standard opener that a redirection could lead to: local files, FTP.
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPRedirectHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPErrorProcessor,
        request.UnknownHandler,
    ):
        opener.add_handler(handler())
    try:
        with opener.open(url, timeout=DOWNLOAD_TIMEOUT_SECONDS) as response:
            content = response.read(max_bytes + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise EcgFileError(url, f"could not be downloaded ({error}). Check the address, or pass a path.") from error
    if len(content) > max_bytes:
        raise EcgFileError(url, f"larger than {max_bytes / 1e6:g} MB. Download it and pass its path.")
    return content


__all__ = ["MAX_DOWNLOAD_BYTES", "download", "is_url", "read_ecg_url"]
