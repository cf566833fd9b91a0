"""Unpack the records of a zip file, checked and never half there."""

import os
import shutil
import zipfile
from pathlib import Path

from datasets_scripts.archive_errors import ArchiveError

_MAX_MEMBER_BYTES = 1 << 28  # the longest record of CPSC2018 has 7 MB


def unzip_flat(archive: Path, folder: Path, *, endings: tuple[str, ...]) -> None:
    """Unpack the files with some endings into one folder, without the folders of the archive.

    Args:
        archive: The zip file.
        folder: Made by this call; if it exists, nothing is done.
        endings: E.g. `(".mat", ".csv")`; other files are left.

    Raises:
        ArchiveError: If the archive is damaged, holds a name twice, or a file of absurd size.
    """
    if folder.exists():
        return
    unfinished = folder.with_name(folder.name + ".unpacking")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as source:
            for member in source.infolist():
                name = member.filename.replace("\\", "/").rpartition("/")[2]
                if member.is_dir() or not name.endswith(endings):
                    continue
                if member.file_size > _MAX_MEMBER_BYTES:
                    raise ArchiveError(
                        f"{archive}: {member.filename} unfolds to {member.file_size} bytes; no record does."
                    )
                if (unfinished / name).exists():
                    raise ArchiveError(f"{archive} holds {name} twice.")
                # zipfile checks each member's CRC, and reads no more than its stated size.
                with source.open(member) as content, (unfinished / name).open("wb") as out:
                    shutil.copyfileobj(content, out)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise ArchiveError(f"{archive} is damaged ({error}). Delete it and fetch it again.") from error
    except ArchiveError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    os.replace(unfinished, folder)
