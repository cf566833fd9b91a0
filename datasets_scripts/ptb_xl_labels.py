"""The label tasks of PTB-XL: which classes each SCP statement counts for, and the parser of the `scp_codes` column."""

import ast
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from datasets_scripts.archive_errors import ArchiveError

# Statement -> (diagnostic superclass, diagnostic subclass, is a form statement, is a rhythm statement), in the order of
# the publisher's scp_statements.csv, which `check_statements` compares it with. Sci Data 7, 154, table 4 and figure 3.
_STTC, _MI, _CD, _HYP = "STTC", "MI", "CD", "HYP"
STATEMENTS: dict[str, tuple[str | None, str | None, bool, bool]] = {
    "NDT": (_STTC, "STTC", True, False),
    "NST_": (_STTC, "NST_", True, False),
    "DIG": (_STTC, "STTC", True, False),
    "LNGQT": (_STTC, "STTC", True, False),
    "NORM": ("NORM", "NORM", False, False),
    "IMI": (_MI, "IMI", False, False),
    "ASMI": (_MI, "AMI", False, False),
    "LVH": (_HYP, "LVH", False, False),
    "LAFB": (_CD, "LAFB/LPFB", False, False),
    "ISC_": (_STTC, "ISC_", False, False),
    "IRBBB": (_CD, "IRBBB", False, False),
    "1AVB": (_CD, "_AVB", False, False),
    "IVCD": (_CD, "IVCD", False, False),
    "ISCAL": (_STTC, "ISCA", False, False),
    "CRBBB": (_CD, "CRBBB", False, False),
    "CLBBB": (_CD, "CLBBB", False, False),
    "ILMI": (_MI, "IMI", False, False),
    "LAO/LAE": (_HYP, "LAO/LAE", False, False),
    "AMI": (_MI, "AMI", False, False),
    "ALMI": (_MI, "AMI", False, False),
    "ISCIN": (_STTC, "ISCI", False, False),
    "INJAS": (_MI, "AMI", False, False),
    "LMI": (_MI, "LMI", False, False),
    "ISCIL": (_STTC, "ISCI", False, False),
    "LPFB": (_CD, "LAFB/LPFB", False, False),
    "ISCAS": (_STTC, "ISCA", False, False),
    "INJAL": (_MI, "AMI", False, False),
    "ISCLA": (_STTC, "ISCA", False, False),
    "RVH": (_HYP, "RVH", False, False),
    "ANEUR": (_STTC, "STTC", False, False),
    "RAO/RAE": (_HYP, "RAO/RAE", False, False),
    "EL": (_STTC, "STTC", False, False),
    "WPW": (_CD, "WPW", False, False),
    "ILBBB": (_CD, "ILBBB", False, False),
    "IPLMI": (_MI, "IMI", False, False),
    "ISCAN": (_STTC, "ISCA", False, False),
    "IPMI": (_MI, "IMI", False, False),
    "SEHYP": (_HYP, "SEHYP", False, False),
    "INJIN": (_MI, "IMI", False, False),
    "INJLA": (_MI, "AMI", False, False),
    "PMI": (_MI, "PMI", False, False),
    "3AVB": (_CD, "_AVB", False, False),
    "INJIL": (_MI, "IMI", False, False),
    "2AVB": (_CD, "_AVB", False, False),
    **dict.fromkeys(
        "ABQRS PVC STD_ VCLVH QWAVE LOWT NT_ PAC LPR INVT LVOLT HVOLT TAB_ STE_ PRC(S)".split(),
        (None, None, True, False),
    ),
    **dict.fromkeys(
        "SR AFIB STACH SARRH SBRAD PACE SVARR BIGU AFLT SVTAC PSVT TRIGU".split(), (None, None, False, True)
    ),
}

SUPERCLASSES = ("NORM", _MI, _STTC, _CD, _HYP)


def _task_classes() -> dict[str, tuple[str, ...]]:
    rows = STATEMENTS.items()
    return {
        "superclass": SUPERCLASSES,
        "subclass": tuple(dict.fromkeys(subclass for _, (_, subclass, _, _) in rows if subclass)),
        "diagnostic": tuple(code for code, (superclass, _, _, _) in rows if superclass),
        "form": tuple(code for code, (_, _, form, _) in rows if form),
        "rhythm": tuple(code for code, (_, _, _, rhythm) in rows if rhythm),
        "all": tuple(STATEMENTS),
    }


# Label column -> class names, in class order.
TASK_CLASSES = _task_classes()


def _class_indices() -> dict[str, dict[str, int]]:
    names = {"superclass": 0, "subclass": 1}  # the other tasks' classes are the statements themselves
    return {
        task: {
            code: classes.index(row[names[task]] if task in names else code)
            for code, row in STATEMENTS.items()
            if (row[names[task]] if task in names else code) in classes
        }
        for task, classes in TASK_CLASSES.items()
    }


_CLASS_OF = _class_indices()  # task -> statement -> index of the class it counts for


def labels_of(task: str, codes: Iterable[str]) -> list[int]:
    """Class indices of a record with these SCP statements, ascending and without repetition.

    Every code counts whatever its likelihood is, because 0 means that the likelihood wasn't stated; published counts and
    benchmarks do the same.
    """
    class_of = _CLASS_OF[task]
    return sorted({class_of[code] for code in codes if code in class_of})


@lru_cache(maxsize=1 << 16)  # PTB-XL has some thousand different combinations
def parse_scp_codes(cell: str) -> tuple[tuple[str, float], ...]:
    """Parse a cell such as `{'NORM': 100.0, 'SR': 0.0}` into pairs of code and likelihood (percent, 0 = not stated).

    Raises:
        ValueError: If it is no dictionary of numbers, or has an unknown code.
    """
    try:
        codes = ast.literal_eval(cell)
        pairs = tuple((str(code), float(likelihood)) for code, likelihood in codes.items())
    except (SyntaxError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"expected a dictionary such as {{'NORM': 100.0}}, got {cell[:80]!r}") from error
    unknown = [code for code, _ in pairs if code not in STATEMENTS]
    if unknown:
        raise ValueError(
            f"unknown SCP statement(s) {', '.join(unknown)}; scp_statements.csv of PTB-XL has {len(STATEMENTS)}"
        )
    return pairs


def check_statements(rows: Mapping[str, Mapping[str, str]], path: Path) -> None:
    """Compare a folder's own scp_statements.csv with `STATEMENTS`.

    Args:
        rows: Statement -> its row of the file.
        path: The file, for the error.

    Raises:
        ArchiveError: If a statement counts for other classes there, so that labels would not mean what their name says.
    """
    for code, row in rows.items():
        found = (
            row["diagnostic_class"] or None,
            row["diagnostic_subclass"] or None,
            row["form"] in ("1", "1.0"),
            row["rhythm"] in ("1", "1.0"),
        )
        if found != STATEMENTS.get(code):
            raise ArchiveError(
                f"{path}: statement {code} is {found} there (superclass, subclass, form, rhythm), in PTB-XL 1.0.3 it is "
                f"{STATEMENTS.get(code)}. Take the file of release 1.0.3."
            )
