"""Real ECGs to try things on: a dozen records of PTB-XL with their reports, see ATTRIBUTION.md."""

import json
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

SAMPLES = Path(__file__).parent
INDEX = SAMPLES / "samples.json"
PREFIX = "sample:"  # what the command line calls a sample by: sample:atrial-fibrillation


@dataclass(frozen=True)
class Sample:
    """A 12-lead ECG of 10 s and what its archive says of it.

    Attributes:
        path: Of the WFDB header, for `read_ecg`, the pipeline and the commands.
        record_id: PTB-XL's `ecg_id`.
        strat_fold: 9 or 10; the shipped models were trained on others.
        age: As in the archive, years.
        report: As in the archive, in the language of its reader.
        statements: The report as English statements, by `datasets_scripts.ptb_xl_reports`.
    """

    name: str
    path: Path
    record_id: int
    strat_fold: int
    age: float
    sex: str
    report: str
    statements: tuple[str, ...]


def list_samples() -> list[Sample]:
    """All samples, the normal ECG first."""
    entries = json.loads(INDEX.read_text(encoding="utf-8"))
    return [
        Sample(**{**entry, "path": SAMPLES / f"{entry['name']}.hea", "statements": tuple(entry["statements"])})
        for entry in entries
    ]


def sample_path(name: str) -> Path:
    """The WFDB header of a sample.

    Args:
        name: Such as "atrial-fibrillation"; "sample:atrial-fibrillation" is the same.

    Raises:
        ValueError: There is no such sample; names those that there are.
    """
    wanted = name.removeprefix(PREFIX)
    samples = {sample.name: sample.path for sample in list_samples()}
    if wanted not in samples:
        close = get_close_matches(wanted, samples, n=1)
        hint = f"Did you mean {PREFIX}{close[0]}? " if close else ""
        raise ValueError(f"there is no sample {wanted!r}. {hint}There are {', '.join(samples)}.")
    return samples[wanted]


def match_samples(argument: str) -> list[str]:
    """Words of a command line for the samples that one word means: `sample:NAME`, or a glob such as `sample:*`.

    Raises:
        ValueError: It means none.
    """
    pattern = argument.removeprefix(PREFIX)
    found = [sample.name for sample in list_samples() if fnmatchcase(sample.name, pattern)]
    return [f"{PREFIX}{name}" for name in found or [sample_path(pattern).stem]]


def located(argument: str) -> str:
    """The path behind `sample:NAME`; anything else, and a file of that very name, as it is.

    Raises:
        ValueError: There is no such sample.
    """
    return str(sample_path(argument)) if is_sample(argument) else argument


def is_sample(argument: str) -> bool:
    """Whether a word of a command line means a sample."""
    return argument.startswith(PREFIX) and not Path(argument).exists()
