"""ECG files behind http(s) addresses, WFDB records of several files too."""

import base64
import io
import time
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib import request
from urllib.parse import urljoin, urlsplit

from .ecg_addresses_etp import (
    PublicHTTPConnection,
    PublicHTTPSConnection,
    allows_private_addresses,
    printable_url,
    without_login,
    without_secrets,
)
from .ecg_files_etp import (
    EcgCorruptError,
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
DOWNLOAD_TIMEOUT_SECONDS = 30  # without a byte
DOWNLOAD_TOTAL_SECONDS = 300  # for all files of a record, however they come
_MAX_REDIRECTIONS = 10
# Formats of which a part is no valid file; a table may end at any row, DICOM after any group of leads, EDF after any record.
_KNOW_THEIR_END = ("NumPy", "MATLAB", "CPSC2018", "aECG", "MUSE", "SCP-ECG")
_CHUNK = 1 << 20


def is_url(source: str) -> bool:
    """Whether it is fetched rather than opened."""
    return source.lower().startswith(("http://", "https://"))


def read_ecg_url(url: str, *, allow_private_addresses: bool | None = None, **stated: Any) -> EcgRecording:
    """Read the ECG file at an http(s) URL; of a WFDB header, the signal files beside it are fetched too.

    Args:
        url: With user and password, if the server asks for them: `https://user:password@host/…`. No error shows them.
        allow_private_addresses: Whether hosts may have addresses that are not of the public internet. If omitted, the
            variable `ETP_ALLOW_PRIVATE_ADDRESSES` decides, and without it they may.
        stated: `sampling_rate`, `lead_names`, `units`, as `read_ecg` takes them.

    Raises:
        EcgFileError: If it cannot be fetched whole within `DOWNLOAD_TOTAL_SECONDS`, is larger than
            `MAX_DOWNLOAD_BYTES` in all, or cannot be read.
    """
    fetch = partial(
        _fetch,
        deadline=time.monotonic() + DOWNLOAD_TOTAL_SECONDS,
        allow_private=allows_private_addresses(allow_private_addresses),
    )
    content, is_whole = fetch(url, max_bytes=MAX_DOWNLOAD_BYTES)
    if urlsplit(url).path.endswith(".hea") or looks_like_wfdb(content):
        _check_whole(url, is_whole or content.endswith(b"\n"))
        return _read_wfdb(url, content, fetch, **stated)
    recording = _read(url, content, **stated)
    _check_whole(url, is_whole or recording.metadata.get("format") in _KNOW_THEIR_END)
    return recording


def _read_wfdb(url: str, content: bytes, fetch, **stated: Any) -> EcgRecording:
    header = parse_wfdb_header(decode_header(content), printable_url(url))
    if header.segments:
        raise EcgFormatError(
            printable_url(url), "a WFDB record of several segments. Download its files and pass the header's path."
        )
    with TemporaryDirectory() as folder:
        path = Path(folder, "record.hea")
        path.write_bytes(content)
        left = MAX_DOWNLOAD_BYTES
        for name in dict.fromkeys(header.file_names):  # names of files beside the header: the parser takes no others
            if name == path.name:
                raise EcgUnsafeError(
                    printable_url(url), f"it names {name}, a header, as its signal file. Correct the header."
                )
            signal, is_whole = fetch(urljoin(url, name), max_bytes=left)
            _check_whole(urljoin(url, name), is_whole or header.num_samples is not None)
            left -= len(signal)
            Path(folder, name).write_bytes(signal)
        return _read(url, path, **stated)


def _check_whole(url: str, is_whole: bool) -> None:
    if not is_whole:
        raise EcgCorruptError(
            printable_url(url),
            "neither the server nor the file says how long it is, so that a part of it would be taken for all. Download "
            "it, see that it is whole, and pass its path.",
        )


def _read(url: str, source: bytes | Path, **stated: Any) -> EcgRecording:
    try:
        return read_ecg(source, **stated)
    except EcgFileError as error:  # which doesn't know where it is from
        raise type(error)(printable_url(url), error.problem) from error


def download(url: str, *, max_bytes: int = MAX_DOWNLOAD_BYTES, allow_private_addresses: bool | None = None) -> bytes:
    """Content of an http(s) URL.

    Args:
        allow_private_addresses: See `read_ecg_url`.

    Raises:
        EcgFileError: If it cannot be fetched whole within `DOWNLOAD_TOTAL_SECONDS` or is larger than `max_bytes`.
    """
    deadline = time.monotonic() + DOWNLOAD_TOTAL_SECONDS
    return _fetch(url, max_bytes, deadline, allows_private_addresses(allow_private_addresses))[0]


def _fetch(url: str, max_bytes: int, deadline: float, allow_private: bool) -> tuple[bytes, bool]:
    """Content of a URL, and whether the server said where it ends."""
    shown = printable_url(url)
    try:
        opener = _opener(deadline, allow_private)
        bare, login = _split(url)
        for _ in range(_MAX_REDIRECTIONS + 1):
            with opener.open(_request(bare, login), timeout=_seconds_left(deadline)) as response:
                location = response.headers.get("Location")
                if response.status not in (301, 302, 303, 307, 308) or location is None:
                    return _content(response, max_bytes)
            before, own = bare, login
            bare, login = _split(urljoin(before, location))
            if login is None and urlsplit(bare)[:2] == urlsplit(before)[:2]:  # and to no other server
                login = own
        raise _FetchError(f"more than {_MAX_REDIRECTIONS} redirections")
    except EcgFileError as error:
        raise type(error)(shown, error.problem) from None
    except _TooLargeError:
        raise EcgFileError(shown, f"larger than {max_bytes / 1e6:g} MB. Download it and pass its path.") from None
    except _BrokenOffError as error:
        raise EcgCorruptError(shown, f"could not be downloaded whole: {error}. Fetch it again.") from None
    except (OSError, HTTPException, ValueError) as error:
        # Without its cause, whose words hold the URL as it was given.
        problem = f"could not be downloaded ({without_secrets(str(error))}). Check the address, or pass a path."
        raise EcgFileError(shown, problem) from None


class _FetchError(ValueError):
    """An answer that is no file."""


class _TooLargeError(ValueError):
    """More than was asked for."""


class _BrokenOffError(ValueError):
    """Less than the server announced."""


def _split(url: str) -> tuple[str, tuple[str, str] | None]:
    """A URL that can be fetched, without login, and its login."""
    with suppress(ValueError):  # whose words hold what should not be shown
        bare, login = without_login(url)
        parts = urlsplit(bare)
        if is_url(bare) and parts.hostname and parts.port != 0:  # `port` raises where it is no number
            return bare, login
    raise _FetchError("the address, or one that it redirects to, isn't http(s)://host/path")


def _request(url: str, login: tuple[str, str] | None) -> request.Request:
    asked = request.Request(url, headers={"User-Agent": "etp-ecg", "Accept-Encoding": "identity"})
    if login is not None:
        token = base64.b64encode(":".join(login).encode()).decode()
        asked.add_unredirected_header("Authorization", f"Basic {token}")
    return asked


def _content(response: HTTPResponse, max_bytes: int) -> tuple[bytes, bool]:
    """The body of an answer, and whether the server said where it ends."""
    if response.status != 200:
        raise _FetchError(f"HTTP Error {response.status}: {response.reason}")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise _FetchError(f"the server sends it as {encoding[:40]!r}, though the file as it is was asked for")
    announced = _announced(response)
    if announced is not None and announced > max_bytes:
        raise _TooLargeError
    parts, size = [], 0
    try:
        while part := response.read1(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > max_bytes:
                raise _TooLargeError
    except HTTPException as error:  # the next piece of a body in pieces didn't come
        raise _BrokenOffError(f"the connection ended after {size:,} bytes, before the file did") from error
    if announced is not None and size != announced:
        raise _BrokenOffError(f"{size:,} of {announced:,} bytes came")
    return b"".join(parts), announced is not None or response.chunked


def _announced(response: HTTPResponse) -> int | None:
    """What the server says that the body's length is; `None` if nothing, or if the body comes in pieces."""
    stated = {value.strip() for line in response.headers.get_all("Content-Length", []) for value in line.split(",")}
    if response.chunked or not stated:
        return None
    value = stated.pop()
    if stated or not (value.isascii() and value.isdigit()):
        raise _FetchError("its Content-Length is no number")
    return int(value)


def _opener(deadline: float, allow_private: bool) -> request.OpenerDirector:
    """Opens http(s) only, follows nothing, and uses the proxies of the environment if private addresses are allowed: what
    a proxy connects to can't be checked."""
    opener = request.OpenerDirector()
    if allow_private:
        opener.add_handler(request.ProxyHandler())
    opener.add_handler(_TimedHTTPHandler(HTTPConnection if allow_private else PublicHTTPConnection, deadline))
    opener.add_handler(_TimedHTTPSHandler(HTTPSConnection if allow_private else PublicHTTPSConnection, deadline))
    opener.add_handler(request.UnknownHandler())
    return opener


class _TimedHTTPHandler(request.HTTPHandler):
    """Opens connections whose answers have to be complete at a certain time."""

    def __init__(self, kind: type[HTTPConnection], deadline: float):
        super().__init__()
        self._kind, self._deadline = kind, deadline

    def http_open(self, req: request.Request) -> HTTPResponse:
        return self.do_open(partial(_timed_connection, self._kind, self._deadline), req)


class _TimedHTTPSHandler(request.HTTPSHandler):
    """The same for encrypted connections."""

    def __init__(self, kind: type[HTTPConnection], deadline: float):
        super().__init__()
        self._kind, self._deadline = kind, deadline

    def https_open(self, req: request.Request) -> HTTPResponse:
        return self.do_open(partial(_timed_connection, self._kind, self._deadline), req)


def _timed_connection(kind: type[HTTPConnection], deadline: float, host: str, *, timeout: float) -> HTTPConnection:
    connection = kind(host, timeout=timeout)
    connection.response_class = partial(_TimedResponse, deadline=deadline)  # type: ignore[assignment]
    return connection


class _TimedResponse(HTTPResponse):
    """An answer whose headers and body together may take until a certain time, however slowly they drip."""

    def __init__(self, sock, *args, deadline: float, **kwargs):
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock, deadline))


class _TimedReader(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, sock, deadline: float):
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int | None:
        self._sock.settimeout(_seconds_left(self._deadline))
        try:
            return self._raw.readinto(buffer)
        except TimeoutError:
            _seconds_left(self._deadline)  # says so if it was the whole that took too long
            raise

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


def _seconds_left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"it took longer than {DOWNLOAD_TOTAL_SECONDS:g} s in all")
    return min(left, DOWNLOAD_TIMEOUT_SECONDS)


__all__ = ["MAX_DOWNLOAD_BYTES", "download", "is_url", "read_ecg_url"]
