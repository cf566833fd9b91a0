"""Tables of an archive: read as they are written, and checked for what no archive may hold."""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from datasets_scripts.archive_errors import ArchiveError

SPLITS = ("train", "validation", "test")
NUM_FOLDS = 10
MAX_AGE = 150


def read_columns(
    path: Path, columns: Sequence[str], *, what: str, cure: str, optional: Sequence[str] = ()
) -> pa.Table:
    """Read columns of a CSV file, every cell as the text that stands there.

    Args:
        path: The file, in UTF-8.
        columns: Names that its first line must have.
        what: Whose table it is, for errors.
        cure: Sentence on how to get a good one, for errors.

    Raises:
        ArchiveError: If the file is missing, is not in UTF-8, lacks a column, or a row has too many or too few cells;
            names the file and the row.
    """
    if not path.is_file():
        raise ArchiveError(f"There is no {path}, {what}. {cure}")
    spelled = _header(path)  # as pyarrow knows the columns, which keeps spaces around a name
    present = [name.strip() for name in spelled]
    if missing := [name for name in columns if name not in present]:
        raise ArchiveError(
            f"{path}, row 1: {what} has the columns {', '.join(columns)}; {', '.join(missing)} is missing. {cure}"
        )
    if doubled := sorted({name for name in present if name and present.count(name) > 1}):
        raise ArchiveError(f"{path}, row 1: the column {', '.join(doubled)} is there twice. {cure}")
    wanted = [spelled[present.index(name)] for name in columns]
    try:
        table = pa_csv.read_csv(
            path,
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        read_text(path, cure=cure)  # says so if it is the encoding
        raise ArchiveError(f"{path} is not {what} ({error}). {cure}") from error
    return table.rename_columns(list(columns))


def read_text(path: Path, *, cure: str) -> str:
    """The text of a file.

    Raises:
        ArchiveError: If it is not in UTF-8; names the row.
    """
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise ArchiveError(
            f"{path}, row {row}: {content[error.start : error.start + 1]!r} is not UTF-8. Save the table as CSV UTF-8. {cure}"
        ) from error


def _header(path: Path) -> list[str]:
    with path.open("rb") as file:
        line = file.readline(1 << 20)
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArchiveError(
            f"{path}, row 1: the names of its columns are not in UTF-8. Save it as CSV UTF-8."
        ) from error
    return next(csv.reader([text.rstrip("\r\n")]), [])


def fold_of(name: str) -> int:
    """Fold 1 to 10 of a patient, the same whatever else is in the archive, so that it may grow."""
    return 1 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % NUM_FOLDS


def split_of_fold(fold: int) -> str:
    """Folds 1 to 8 are for training, 9 for validation, 10 for test, as in PTB-XL."""
    return SPLITS[max(fold - 8, 0)]


def age_of(cell: str) -> int | None:
    """Whole years from a cell; None where it is blank or says NaN.

    Raises:
        ValueError: If it is no age.
    """
    if cell.strip().lower() in ("", "nan"):
        return None
    age = float(cell)
    if not 0 <= age < MAX_AGE:
        raise ValueError(f"expected an age from 0 to {MAX_AGE} or a blank, got {cell!r}")
    return int(age)


def check_records(
    where: str | Path,
    *,
    record_ids: Sequence[str],
    files: Sequence[str] | None = None,
    patient_ids: Sequence[str | None] | None = None,
    splits: Sequence[str] | None = None,
    first_row: int | None = 2,
) -> None:
    """Check what holds for the records of every archive: each is there once, and each patient is in one split.

    Args:
        where: The table or folder they are of, for errors.
        record_ids: Of each record.
        files: Path of each record, where records are files.
        patient_ids: Of each record, None where it is unknown.
        splits: `train`, `validation` or `test` of each record.
        first_row: Row of the table that the first record stands in; None where there is no table.

    Raises:
        ArchiveError: Names the table, the rows and the cure.
    """

    def rows(*positions: int) -> str:
        numbers = " and ".join(str(first_row + position) for position in positions) if first_row is not None else ""
        return f" (row{'s' * (len(positions) > 1)} {numbers})" if numbers else ""

    for name, values in (("record", record_ids), ("file", files or ())):
        if (pair := _repeated(values)) is not None:
            first, second = pair
            other = "" if name == "record" else f", as record {record_ids[first]} and as record {record_ids[second]}"
            raise ArchiveError(
                f"{where}: {name} {values[first]} is there twice{rows(first, second)}{other}. Keep one of the rows."
            )
    if patient_ids is None or splits is None:
        return
    split_of: dict[str, str] = {}
    for index, (patient, split) in enumerate(zip(patient_ids, splits, strict=True)):
        # A model would be tested on a patient that it knows.
        if patient is not None and split_of.setdefault(patient, split) != split:
            raise ArchiveError(
                f"{where}: patient {patient} is in {split_of[patient]} and in {split}{rows(index)}. Put all records of a "
                "patient into one split."
            )


def _repeated(values: Sequence[str]) -> tuple[int, int] | None:
    """The first two positions of the first value that comes again; None if all are distinct."""
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        if value in seen:
            return seen[value], index
        seen[value] = index
    return None
