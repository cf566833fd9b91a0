"""Negations of statements: "no atrial fibrillation" holds for a record whose report does not state it."""

import numpy as np

from etp.randomness import Purpose, generator

from .paraphrases import can_be_negated
from .statement_vocabulary import StatementVocabulary

NEGATIONS = ("no {}", "without {}", "absence of {}", "no evidence of {}", "{} is absent", "no sign of {}")
PARAPHRASES_NEGATED = 3
MIN_COUNT, MOST = 20, 400  # a finding that few records have is negated by nearly all: little to learn from


class NegationVocabulary:
    """Pairs of a statement and its negation, and which of the two is true of a record.

    That a report does not state a finding is taken as its negation: right for most findings of most records, and the only
    source there is, since reports rarely negate.

    Args:
        vocabulary: The commonest of its statements are negated.
        seed: Decides the paraphrases.

    Attributes:
        statements: What is negated.
    """

    def __init__(self, vocabulary: StatementVocabulary, *, seed: int):
        self._vocabulary, self._seed = vocabulary, seed
        self._columns = [
            column
            for column, statement in enumerate(vocabulary.statements)
            if vocabulary.counts[column] >= MIN_COUNT and can_be_negated(statement) and vocabulary.phrases_of(column)
        ][:MOST]
        self.statements = [vocabulary.statements[column] for column in self._columns]
        self._negations = [
            [
                negation.format(paraphrase)
                for paraphrase in vocabulary.phrases_of(column)[:PARAPHRASES_NEGATED]
                for negation in NEGATIONS
            ]
            for column in self._columns
        ]

    def __len__(self) -> int:
        return len(self.statements)

    def paraphrases(self) -> list[str]:
        """Every text that `texts` may ever show."""
        return list(dict.fromkeys([*self.statements, *(text for texts in self._negations for text in texts)]))

    def texts(self, *, epoch: int, step: int) -> list[str]:
        """A negation of every statement at one step, then the statements, the same whenever it is asked for."""
        picks = generator(self._seed, Purpose.NEGATIONS, epoch, step).random(len(self))
        negations = [texts[int(pick * len(texts))] for texts, pick in zip(self._negations, picks, strict=True)]
        return [*negations, *self.statements]

    def weights(self, records: np.ndarray) -> np.ndarray:
        """What each record of a global batch says of each pair, float32 `(records, statements)`.

        Positive where the negation is true, negative where the statement is; of equal sum for both within a statement, so
        that the rare finding counts as much as its common absence, and one over all. A statement that all records of
        the batch have, or none, is left out.
        """
        stated = (self._vocabulary.positives(records)[:, self._columns] >= 1).astype(np.float32)
        present, absent = stated.sum(axis=0), (1 - stated).sum(axis=0)
        balance = np.divide(present, absent, out=np.zeros_like(present), where=absent > 0)
        weights = np.where(stated > 0, -np.ones_like(stated), balance) * ((present > 0) & (absent > 0))
        return (weights / max(np.abs(weights).sum(), 1.0)).astype(np.float32)
