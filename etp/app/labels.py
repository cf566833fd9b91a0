"""Labels in a text box: one per line, with the phrases that state it after an equals sign where there are any."""

from collections.abc import Mapping, Sequence

from datasets_scripts.label_sets import load_label_set
from modeling_etp.zero_shot_etp import check_labels

from .sources import AppError

MAX_LABELS, MAX_PHRASES, MAX_CHARACTERS = 100, 500, 40_000

DEFAULT_LABELS = (
    "normal ECG",
    "sinus bradycardia",
    "sinus tachycardia",
    "atrial fibrillation",
    "premature ventricular contractions",
    "first-degree AV block",
    "left bundle branch block",
    "right bundle branch block",
    "left ventricular hypertrophy",
    "anterior myocardial infarction",
    "inferior myocardial infarction",
    "ST depression",
)


def parse_labels(text: str) -> dict[str, tuple[str, ...]]:
    """Label -> phrases that state it; a label without phrases is its own.

    Raises:
        AppError: If there is no label, one is repeated, or there are too many; names the line.

    Example:
        >>> parse_labels("normal ECG\\nAF = atrial fibrillation; no P waves")
        {'normal ECG': ('normal ECG',), 'AF': ('atrial fibrillation', 'no P waves')}
    """
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


def format_labels(labels: Mapping[str, Sequence[str]]) -> str:
    """The text that [`parse_labels`] reads as these labels."""
    return "\n".join(
        label if list(phrases) == [label] else f"{label} = {'; '.join(phrases)}" for label, phrases in labels.items()
    )


def label_set_text(task: str) -> str:
    """A task's label set as text."""
    return format_labels(load_label_set(task))


def _check_counts(labels: Mapping[str, Sequence[str]]) -> None:
    if not labels:
        raise AppError("There is no label. Write one per line, e.g. “atrial fibrillation”.")
    num_phrases = sum(map(len, labels.values()))
    if len(labels) > MAX_LABELS or num_phrases > MAX_PHRASES:
        raise AppError(
            f"{len(labels)} labels with {num_phrases} phrases came, this page takes up to {MAX_LABELS} with "
            f"{MAX_PHRASES}. Take some away."
        )
