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

logger = get_logger(__name__)

SUMS_FILE = "SHA256SUMS.txt"
_ATTEMPTS = 5
_FIRST_PAUSE = 0.5  # seconds before the second attempt; doubles with each further one
_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 20
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
    """

    url: str
    path: str
    sha256: str | None = None


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
    fetch_files([RemoteFile(base_url + SUMS_FILE, SUMS_FILE)], folder)
    sums_path = folder / SUMS_FILE
    files = []
    for number, line in enumerate(sums_path.read_text(encoding="utf-8").splitlines(), start=1):
        match = _SUMS_LINE.fullmatch(line.strip())
        if match is None:
            sums_path.unlink()  # perhaps an error page: the next call asks again
            raise ArchiveError(
                f"{base_url + SUMS_FILE}, line {number}: expected a SHA256 and a path, got {line[:80]!r}."
            )
        digest, path = match.groups()
        if wanted(path):
            files.append(RemoteFile(base_url + path, path, digest))
    if not files:
        sums_path.unlink()
        raise ArchiveError(f"{base_url + SUMS_FILE} lists none of the archive's files. Is it the right release?")
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
            raise ArchiveError(f"{file.url}: refusing to write to {file.path!r}, which is no plain relative path.")
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
                sessions.session = requests.Session()  # keeps its connection open from file to file
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
    problem = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_FIRST_PAUSE * 2 ** (attempt - 1))
        try:
            _continue(file, part, session)
        except (_RetryError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            problem = error
            logger.info(f"{file.url}: {error}; attempt {attempt + 1} of {_ATTEMPTS}")
        else:
            os.replace(part, target)
            return
    kept = f" {part.stat().st_size} bytes are kept and the next call goes on from there." if part.exists() else ""
    raise ArchiveError(f"{file.url} could not be fetched in {_ATTEMPTS} attempts: {problem}.{kept} Check the network.")


def _continue(file: RemoteFile, part: Path, session: requests.Session) -> None:
    """Fetch what is missing of `part`, and check it.

    Raises:
        _RetryError: If the connection broke, the server is busy, or the content is wrong.
        ArchiveError: If the server doesn't have the file.
    """
    have = part.stat().st_size if part.exists() else 0
    # Compressed transfer would count bytes that aren't the file's.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(file.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code in _GONE:
            raise ArchiveError(
                f"{file.url}: the server answers {response.status_code} {response.reason}. The archive may have moved; "
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
        expected = response.headers.get("Content-Length")
        start = have if continues else 0
        with part.open("ab" if continues else "wb") as out:
            # `read1` hands over what has come; `iter_content` would lose the bytes before a cut.
            while chunk := response.raw.read1(_CHUNK):
                out.write(chunk)
    received = part.stat().st_size - start
    if expected is not None and received != int(expected):
        raise _RetryError(f"the connection ended after {received} of {expected} bytes")
    if file.sha256 is not None:
        found = _sha256(part)
        if found != file.sha256:
            part.unlink()
            raise _RetryError(f"its SHA256 is {found}, the publisher gives {file.sha256}")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
