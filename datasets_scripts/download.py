"""Download the files of an archive over HTTP: resumable, verified by SHA256."""

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3
from datasets.utils import tqdm
from datasets.utils.logging import get_logger
from filelock import FileLock

from datasets_scripts.archive_errors import ArchiveError
from datasets_scripts.sessions import make_session
from modeling_etp.ecg_addresses_etp import printable_url, without_secrets

logger = get_logger(__name__)

SUMS_FILE = "SHA256SUMS.txt"
_ATTEMPTS = 5
_FIRST_PAUSE = 0.5  # seconds before the second attempt; doubles with each further one
_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 20
_PROGRESS_BYTES = 1 << 24  # an attempt that brought so much doesn't count as failed
_MAX_BYTES = 1 << 34  # no archive has larger files
_MAX_SUMS_BYTES = 1 << 27  # a million files
_CONNECTIONS = 8  # more makes PhysioNet answer 429
_SUMS_LINE = re.compile(r"([0-9a-f]{64})[ \t]+\*?(\S.*)")
_SAFE_PATH = re.compile(r"[\w.+-]+(?:/[\w.+-]+)*")
_GONE = (400, 401, 403, 404, 410, 451)  # asking again changes nothing


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Args:
        url: Where it is.
        path: Where it goes, relative to the archive's folder, with `/`.
        sha256: Of its content; None where the publisher gives none.
        max_bytes: Beyond which it is refused.
    """

    url: str
    path: str
    sha256: str | None = None
    max_bytes: int = _MAX_BYTES

    @property
    def shown(self) -> str:
        """The URL as errors show it, without user and password."""
        return printable_url(self.url)


class _RetryError(Exception):
    """An attempt failed in a way that may not happen again."""


def fetch_listed_files(base_url: str, folder: Path, *, wanted: Callable[[str], bool]) -> None:
    """Fetch files of a PhysioNet project, as its SHA256SUMS.txt lists them.

    Args:
        base_url: Of the project's files, e.g. `https://physionet.org/files/ptb-xl/1.0.3/`.
        folder: Where they go; made if missing. What is there already isn't fetched again.
        wanted: Tells by a file's path whether to fetch it.

    Raises:
        ArchiveError: If a file can't be fetched, or its content is wrong; the message names it.
    """
    base_url = base_url.rstrip("/") + "/"
    sums = RemoteFile(base_url + SUMS_FILE, SUMS_FILE, max_bytes=_MAX_SUMS_BYTES)
    fetch_files([sums], folder)
    sums_path = folder / SUMS_FILE
    files = []
    for number, line in enumerate(sums_path.read_text(encoding="utf-8").splitlines(), start=1):
        match = _SUMS_LINE.fullmatch(line.strip())
        if match is None:
            sums_path.unlink()  # perhaps an error page: the next call asks again
            raise ArchiveError(f"{sums.shown}, line {number}: expected a SHA256 and a path, got {line[:80]!r}.")
        digest, path = match.groups()
        if wanted(path):
            files.append(RemoteFile(base_url + path, path, digest))
    if not files:
        sums_path.unlink()
        raise ArchiveError(f"{sums.shown} lists none of the archive's files. Is it the right release?")
    fetch_files(files, folder)


def fetch_files(files: Sequence[RemoteFile], folder: Path) -> None:
    """Fetch files over several connections, those that are missing only.

    Args:
        files: What to fetch.
        folder: Where they go; made if missing. A lock keeps other processes from fetching into it at the same time.

    Raises:
        ArchiveError: If a path leads out of the folder, or a file can't be fetched or has the wrong content.
    """
    for file in files:
        if not _SAFE_PATH.fullmatch(file.path) or ".." in file.path.split("/"):
            raise ArchiveError(f"{file.shown}: refusing to write to {file.path!r}, which is no plain relative path.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            # A file gets its name only when it is complete and checked, so what is there is good.
            missing = [file for file in files if not (folder / file.path).exists()]
            if missing:
                _fetch_missing(missing, folder)
    except OSError as error:  # of the disk: those of the network are turned into one that names the file
        raise ArchiveError(
            f"{folder} can't be written: {error.strerror or error}. Make room there or give another `cache_dir`; what "
            "has been fetched is kept."
        ) from error


def _fetch_missing(files: Sequence[RemoteFile], folder: Path) -> None:
    sessions = threading.local()
    stopped = threading.Event()
    with tqdm(total=len(files), unit=" files", desc=f"Fetching {folder.name}") as progress:

        def fetch(file: RemoteFile) -> None:
            if stopped.is_set():
                return
            if not hasattr(sessions, "session"):
                sessions.session = make_session()
            try:
                _fetch(file, folder / file.path, sessions.session)
            except BaseException:
                stopped.set()  # the other connections finish their file and stop
                raise
            progress.update()

        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            list(pool.map(fetch, files))


def _fetch(file: RemoteFile, target: Path, session: requests.Session) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    problem, failed = "", 0
    while failed < _ATTEMPTS:
        if failed:
            time.sleep(_FIRST_PAUSE * 2 ** (failed - 1))
        before = _size(part)
        try:
            _continue(file, part, session)
        except (_RetryError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            problem = _why(error)
            failed += _size(part) < before + _PROGRESS_BYTES  # a large file may take more than a few connections
            logger.info(f"{file.shown}: {problem}; attempt {failed} of {_ATTEMPTS}")
        else:
            os.replace(part, target)
            return
    kept = f" {_size(part)} bytes are kept and the next call goes on from there." if part.exists() else ""
    raise ArchiveError(
        f"{file.shown} could not be fetched in {_ATTEMPTS} attempts: {problem}.{kept} Check the network."
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _why(error: Exception) -> str:
    """What went wrong, without the URL as it was given."""
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return "the address isn't http(s)://host/path"
    return without_secrets(str(error))


def _continue(file: RemoteFile, part: Path, session: requests.Session) -> None:
    """Fetch what is missing of `part`, and check it.

    Raises:
        _RetryError: If the connection broke, the server is busy, or the content is wrong.
        ArchiveError: If the server doesn't have the file.
    """
    have = _size(part)
    # Compressed transfer would count bytes that aren't the file's.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(file.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code in _GONE:
            raise ArchiveError(
                f"{file.shown}: the server answers {response.status_code} {response.reason}. The archive may have moved; "
                "fetch it by hand and give its folder as `data_dir`, or give a mirror as `url`."
            )
        if response.status_code == 416:  # what we have isn't a beginning of what is there
            part.unlink()
            raise _RetryError("the partial file is longer than the server's")
        if response.status_code not in (200, 206):
            raise _RetryError(f"the server answers {response.status_code} {response.reason}")
        continues = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
            f"bytes {have}-"
        )
        if response.status_code == 206 and not continues:
            raise _RetryError(f"asked for bytes from {have}, got {response.headers.get('Content-Range')!r}")
        expected = _announced(file, response)
        size = have if continues else 0
        with part.open("ab" if continues else "wb") as out:
            # `read1` hands over what has come; `iter_content` would lose the bytes before a cut.
            while chunk := response.raw.read1(_CHUNK):
                size += len(chunk)
                if size > file.max_bytes:
                    raise ArchiveError(f"{file.shown}: more than {file.max_bytes:,} bytes, which no archive has.")
                out.write(chunk)
    total = None if expected is None else expected + (have if continues else 0)
    if continues and (stated := response.headers["Content-Range"].rpartition("/")[2]).isdecimal():
        total = int(stated)
    if total is not None and size != total:
        raise _RetryError(f"the connection ended after {size} of {total} bytes")
    if file.sha256 is not None:
        found = _sha256(part)
        if found != file.sha256:
            part.unlink()
            raise _RetryError(f"its SHA256 is {found}, the publisher gives {file.sha256}")


def _announced(file: RemoteFile, response: requests.Response) -> int | None:
    """How many bytes the server says will come; `None` where they come in pieces, the last of which says so.

    Raises:
        _RetryError: If nothing would tell a part of the file from all of it.
    """
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise _RetryError(f"the server sends it as {encoding[:40]!r}, though the file as it is was asked for")
    stated = response.headers.get("Content-Length")
    if response.headers.get("Transfer-Encoding", "").lower() == "chunked":
        return None
    if stated is None and file.sha256 is None:
        raise _RetryError("neither the server nor the publisher says when it is whole")
    if stated is not None and not (stated.isascii() and stated.isdecimal()):
        raise _RetryError(f"its Content-Length is {stated[:40]!r}, expected a number")
    return None if stated is None else int(stated)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
