"""Denials of statements: "no atrial fibrillation" is true of a record whose report does not state it."""

import re

import numpy as np

from .bank import StatementBank
from .randomness import Purpose, generator

DENIALS = ("no {}", "without {}", "absence of {}", "no evidence of {}", "{} is absent", "no sign of {}")
WORDINGS_DENIED = 3
MIN_COUNT, MOST = 20, 400  # a finding that few records have is denied by nearly all: little to learn from
# What is itself a denial or a statement of normality has no denial that a reader would write.
_NOT_DENIED = re.compile(r"\b(no|not|without|absent|normal|otherwise|limit|unlikely)\b")


class DenialBank:
    """Pairs of a statement and its denial, and which of the two is true of a record.

    That a report does not state a finding is taken as its denial: right for most findings of most records, and the only
    source there is, since reports rarely deny.

    Args:
        bank: The commonest of its statements are denied.
        seed: Decides the wordings.

    Attributes:
        statements: What is denied.
    """

    def __init__(self, bank: StatementBank, *, seed: int):
        self._bank, self._seed = bank, seed
        self._columns = [
            column
            for column, statement in enumerate(bank.statements)
            if bank.counts[column] >= MIN_COUNT and not _NOT_DENIED.search(statement) and bank.phrases_of(column)
        ][:MOST]
        self.statements = [bank.statements[column] for column in self._columns]
        self._denials = [
            [denial.format(wording) for wording in bank.phrases_of(column)[:WORDINGS_DENIED] for denial in DENIALS]
            for column in self._columns
        ]

    def __len__(self) -> int:
        return len(self.statements)

    def wordings(self) -> list[str]:
        """Every text that `texts` may ever show."""
        return list(dict.fromkeys([*self.statements, *(text for texts in self._denials for text in texts)]))

    def texts(self, *, epoch: int, step: int) -> list[str]:
        """A denial of every statement at one step, then the statements, the same whenever it is asked for."""
        picks = generator(self._seed, Purpose.DENIALS, epoch, step).random(len(self))
        denials = [texts[int(pick * len(texts))] for texts, pick in zip(self._denials, picks, strict=True)]
        return [*denials, *self.statements]

    def weights(self, records: np.ndarray) -> np.ndarray:
        """What each record of a global batch says of each pair, float32 `(records, statements)`.

        Positive where the denial is true, negative where the statement is; of equal sum for both within a statement, so
        that the rare finding counts as much as its common absence, and one over all. A statement that all records of
        the batch have, or none, is left out.
        """
        stated = self._bank.positives(records)[:, self._columns]
        present, absent = stated.sum(axis=0), (1 - stated).sum(axis=0)
        balance = np.divide(present, absent, out=np.zeros_like(present), where=absent > 0)
        weights = np.where(stated > 0, -np.ones_like(stated), balance) * ((present > 0) & (absent > 0))
        return (weights / max(np.abs(weights).sum(), 1.0)).astype(np.float32)
