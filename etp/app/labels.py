"""Labels as text: one per line, with the phrases that state it after an equals sign where there are any."""

from collections.abc import Mapping, Sequence

from datasets_scripts.archives import title_of
from datasets_scripts.label_sets import LABEL_TASKS, load_label_set
from modeling_etp.zero_shot_etp import check_labels

from .sources import AppError

MAX_LABELS, MAX_PHRASES, MAX_CHARACTERS = 100, 500, 40_000

# What an empty page asks, in words that people use -> the class of the label set whose phrases state it.
COMMON_FINDINGS = {
    "normal ECG": "NORM",
    "atrial fibrillation": "AFIB",
    "atrial flutter": "AFLT",
    "paced rhythm": "PACE",
    "premature ventricular contractions": "PVC",
    "first-degree AV block": "1AVB",
    "left bundle branch block": "CLBBB",
    "right bundle branch block": "CRBBB",
    "left ventricular hypertrophy": "LVH",
    "anteroseptal myocardial infarction": "ASMI",
    "inferior myocardial infarction": "IMI",
    "ST depression": "STD_",
}
COMMON_TASK = "all"  # of the label set that has all of them


def parse_labels(text: str | Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """Label -> phrases that state it; a label without phrases is its own.

    Args:
        text: Lines, joined or one by one, each a label or “label = phrase; phrase”.

    Raises:
        AppError: If there is no label, one is repeated, or there are too many; names the line.

    Example:
        >>> parse_labels("normal ECG\\nAF = atrial fibrillation; no P waves")
        {'normal ECG': ('normal ECG',), 'AF': ('atrial fibrillation', 'no P waves')}
    """
    if not isinstance(text, str):
        if not all(isinstance(line, str) for line in text or ()):
            raise AppError("Something else than text came as labels. Load the page again.")
        text = "\n".join(text or ())
    if len(text) > MAX_CHARACTERS:
        raise AppError(f"{len(text):,} characters of labels came, this page takes up to {MAX_CHARACTERS:,}.")
    labels: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        label, equals, rest = (part.strip() for part in line.partition("="))
        if not label and not rest:
            continue
        phrases = [phrase.strip() for phrase in rest.split(";") if phrase.strip()] if equals else [label]
        if not label or not phrases:
            raise AppError(
                f"Line {number} of the labels is {line.strip()!r}, expected “label” or “label = phrase; phrase”."
            )
        if label in labels:
            raise AppError(f"The label {label!r} comes twice, again in line {number}. Keep one of them.")
        labels[label] = phrases
    _check_counts(labels)
    try:
        return check_labels(labels)
    except ValueError as error:
        raise AppError(str(error)) from error


def label_lines(labels: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Label -> the line that [`parse_labels`] reads as this label and its phrases."""
    return {
        label: label if list(phrases) == [label] else f"{label} = {'; '.join(phrases)}"
        for label, phrases in labels.items()
    }


def label_set(task: str | None) -> dict[str, list[str]]:
    """Label -> phrases of a task; without one, of the common findings.

    Raises:
        ValueError: If there is no such task.
    """
    if task:
        return load_label_set(task)
    phrases = load_label_set(COMMON_TASK)
    return {label: phrases[code] for label, code in COMMON_FINDINGS.items()}


def label_set_titles() -> dict[str, str]:
    """Task -> what the page calls its label set; "" are the common findings."""
    return {"": f"Common findings ({len(COMMON_FINDINGS)})"} | {
        task: f"{title_of(archive)}: {task} ({len(load_label_set(task))})"
        for task, (archive, _) in LABEL_TASKS.items()
    }


def _check_counts(labels: Mapping[str, Sequence[str]]) -> None:
    if not labels:
        raise AppError("There is no label. Write one, e.g. “atrial fibrillation”.")
    num_phrases = sum(map(len, labels.values()))
    if len(labels) > MAX_LABELS or num_phrases > MAX_PHRASES:
        raise AppError(
            f"{len(labels)} labels with {num_phrases} phrases came, this page takes up to {MAX_LABELS} with "
            f"{MAX_PHRASES}. Take some away."
        )
