"""Unpack the records of a zip file atomically, with checks."""

import os
import shutil
import zipfile
import zlib
from pathlib import Path

from filelock import FileLock

from datasets_scripts.archive_errors import ArchiveError

_MAX_MEMBER_BYTES = 1 << 28  # the longest record of CPSC2018 has 7 MB
_MAX_MEMBERS = 100_000  # each costs an entry of the disk, even if it is empty
_MAX_BYTES = 1 << 33  # its 6,877 records together have 3 GB at most


def unzip_flat(archive: Path, folder: Path, *, endings: tuple[str, ...]) -> None:
    """Unpack the files with some endings into one folder, without the folders of the archive.

    Args:
        archive: The zip file.
        folder: Made by this call; if it exists, nothing is done. A lock keeps other processes from unpacking too.
        endings: E.g. `(".mat", ".csv")`; other files are left.

    Raises:
        ArchiveError: If the archive is damaged, holds a name twice, or a file of absurd size, or the disk is full.
    """
    unfinished = folder.with_name(folder.name + ".unpacking")
    try:
        with FileLock(f"{folder}.lock"):
            if folder.exists():
                return
            try:
                _unpack_into(unfinished, archive, endings)
                os.replace(unfinished, folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise ArchiveError(
            f"{archive} can't be unpacked to {folder}: {error.strerror or error}. Make room there or give another "
            "`cache_dir`."
        ) from error
    # Of a wrong byte, an unknown method, a password.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ArchiveError(f"{archive} is damaged ({error}). Delete it and fetch it again.") from error


def _unpack_into(unfinished: Path, archive: Path, endings: tuple[str, ...]) -> None:
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    unfinished.mkdir(parents=True)
    with zipfile.ZipFile(archive) as source:
        for member in _members(source, archive, endings):
            # zipfile checks each member's CRC, and reads no more than its stated size.
            with source.open(member) as content, (unfinished / _flat(member)).open("wb") as out:
                shutil.copyfileobj(content, out)


def _members(source: zipfile.ZipFile, archive: Path, endings: tuple[str, ...]) -> list[zipfile.ZipInfo]:
    """The members with those endings, whose names and sizes are those of records."""
    members = [member for member in source.infolist() if not member.is_dir() and member.filename.endswith(endings)]
    if len(members) > _MAX_MEMBERS:
        raise ArchiveError(f"{archive} holds {len(members)} records; no archive of CPSC2018 does.")
    names: set[str] = set()
    for member in members:
        if member.file_size > _MAX_MEMBER_BYTES:
            raise ArchiveError(f"{archive}: {member.filename!r} unfolds to {member.file_size} bytes; no record does.")
        if _flat(member) in names:
            raise ArchiveError(f"{archive} holds {_flat(member)!r} twice.")
        names.add(_flat(member))
    total = sum(member.file_size for member in members)
    if total > _MAX_BYTES:
        raise ArchiveError(f"{archive} unfolds to {total} bytes; no archive of CPSC2018 does.")
    return members


def _flat(member: zipfile.ZipInfo) -> str:
    return member.filename.replace("\\", "/").rpartition("/")[2]
