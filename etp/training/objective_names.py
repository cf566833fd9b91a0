"""Names of the training objectives, and what each needs of the records."""

from collections.abc import Iterable

WINDOWS, PATIENT = "windows", "patient"
OF_STATEMENTS = ("vocabulary", "negation", "absence")  # of the statements of the training split
OBJECTIVES = ("batch", *OF_STATEMENTS, WINDOWS, PATIENT)


def uses_texts(objectives: Iterable[str]) -> bool:
    """Whether an objective compares ECGs with texts."""
    return bool(set(objectives) - {WINDOWS})
