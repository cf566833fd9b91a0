"""Names of the SNOMED CT codes in headers of the PhysioNet/CinC Challenges, and which codes they count as one class."""

import csv
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("snomed_ecg.csv")


@cache
def _table() -> dict[str, tuple[str, str]]:
    """Code -> its name, and the code of the class it counts as."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        return {row["code"]: (row["name"], row["counts_as"] or row["code"]) for row in csv.DictReader(file)}


@cache
def class_names() -> tuple[str, ...]:
    """The classes, in the order of the table; codes that the Challenges scored as equal are one class."""
    table = _table()
    return tuple(dict.fromkeys(table[counts_as][0] for _, counts_as in table.values()))


def labels_of_codes(codes: Iterable[str]) -> list[int]:
    """Class indices of SNOMED CT codes, ascending, each once; codes without a name here have none."""
    table, classes = _table(), class_names()
    known = (table[table[code][1]][0] for code in codes if code in table)
    return sorted({classes.index(name) for name in known})


def is_named(code: str) -> bool:
    """Whether a code has a name here."""
    return code in _table()
