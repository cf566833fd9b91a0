"""Which records are of one patient."""

from collections.abc import Sequence

import numpy as np


def patient_numbers(patient_ids: Sequence[str | None]) -> np.ndarray:
    """Number the patients of the records, shape `(records,)`; a record of unknown patient is a patient of its own."""
    names = [("record", row) if patient is None else ("patient", patient) for row, patient in enumerate(patient_ids)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)
