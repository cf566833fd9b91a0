"""Output files of commands: nothing that exists is replaced unasked, and a command's own input never."""

from collections.abc import Iterable
from pathlib import Path


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[str | Path] = (), flag: str = "--output") -> None:
    """Refuse an output file that can't be, or that would cost something, before anything is computed.

    Args:
        path: The file.
        overwrite: Whether it may replace what is there.
        inputs: Files that the command reads; never replaced. Of a WFDB record that is its signal file too.
        flag: What gave the path, for the error.

    Raises:
        ValueError: It is a folder, one of the inputs, or exists and may not be replaced.
    """
    if path.is_dir():
        raise ValueError(f"{flag} {path} is a folder; name a file in it.")
    for given in inputs:
        if _belongs_to(path, Path(given)):
            raise ValueError(f"{flag} {path} is what the command reads ({given}). Name another file.")
    if path.exists() and not overwrite:
        raise ValueError(f"{flag} {path} exists already. Name another file, or add --overwrite to replace it.")


def _belongs_to(path: Path, given: Path) -> bool:
    """Whether writing the path would change what is read from another one, by whatever name, or of its record."""
    from modeling_etp.ecg_files_etp import ECG_SUFFIXES

    if path.exists() and given.exists() and path.samefile(given):
        return True
    same_record = path.resolve().with_suffix("") in (given.resolve().with_suffix(""), given.resolve())
    return path.exists() and same_record and path.suffix.lower() in ECG_SUFFIXES
