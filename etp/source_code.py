"""Hash of the package's own code: what computed a result or a run, whether it is installed or checked out."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_ENDINGS = {".py", ".json", ".csv", ".tsv"}


def source_sha256(parts: Iterable[str]) -> str:
    """sha256 of code and data files, names and contents.

    Args:
        parts: Folders, with all below them, and single files, relative to the folder that holds the packages.
    """
    digest = hashlib.sha256()
    for part in parts:
        path = ROOT / part
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in _ENDINGS:
                digest.update(file.relative_to(ROOT).as_posix().encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()
