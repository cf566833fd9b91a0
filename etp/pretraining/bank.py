"""The statement bank: every statement of a split as a column of its own, and which records it is true of."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from .randomness import Purpose, generator
from .wordings import broader_statements, in_sentences, is_clause, paraphrases, umbrella_terms


class StatementBank:
    """Statements of the records, with what follows from them, in wordings that change from step to step.

    Args:
        statements: The statements of each record.
        min_count: A statement enters the bank once this many records have it.
        size: At most this many statements, the commonest; none takes all.
        broader: Whether a record also has the statements that follow from its own with less detail.
        umbrellas: Whether it also has the general terms that its findings fall under.
        rewording: Chance that a statement stands in another wording at a step.
        wordings: Other standard wordings of a statement to draw from, at most.
        sentences: Sentences around wordings to draw from as well, as a share of the wordings.
        seed: Decides the wordings.

    Attributes:
        statements: The commonest first, ties by their letters.
        counts: Records that have each statement.
    """

    def __init__(
        self,
        statements: Sequence[Sequence[str]],
        *,
        min_count: int = 1,
        size: int | None = None,
        broader: bool = False,
        umbrellas: bool = False,
        rewording: float = 0.0,
        wordings: int = 6,
        sentences: float = 0.0,
        seed: int,
    ):
        self._seed, self._rewording = seed, rewording
        implied = {
            statement: {
                statement,
                *(broader_statements(statement) if broader else ()),
                *(umbrella_terms(statement) if umbrellas else ()),
            }
            for statement in dict.fromkeys(statement for record in statements for statement in record)
        }
        records = [set().union(*(implied[statement] for statement in record)) for record in statements]
        counts = Counter(statement for record in records for statement in record)
        ranked = sorted(counts, key=lambda statement: (-counts[statement], statement))
        self.statements = [statement for statement in ranked if counts[statement] >= min_count][:size]
        column = {statement: index for index, statement in enumerate(self.statements)}
        rows = [sorted(column[statement] for statement in record if statement in column) for record in records]
        starts = np.cumsum([0, *map(len, rows)])
        indices = np.fromiter((index for row in rows for index in row), dtype=np.int64)
        self.counts = [counts[statement] for statement in self.statements]
        self._incidence = sp.csr_matrix(
            (np.ones(len(indices), dtype=np.float32), indices, starts), shape=(len(rows), len(self.statements))
        )
        self._phrases, self._wordings = [], []
        for statement in self.statements:
            texts = [statement, *paraphrases(statement, limit=wordings if rewording else 0)]
            phrases = [text for text in texts if not is_clause(text)]
            count = round(sentences * len(texts)) if rewording and phrases else 0
            self._phrases.append(phrases)
            self._wordings.append(texts + (in_sentences(phrases, count=count) if count else []))

    def __len__(self) -> int:
        return len(self.statements)

    def wordings(self) -> list[str]:
        """Every text that the bank may ever show."""
        return list(dict.fromkeys(text for texts in self._wordings for text in texts))

    def phrases_of(self, column: int) -> list[str]:
        """The wordings of one statement that a "no" can stand before: no sentences."""
        return list(self._phrases[column])

    def texts(self, *, epoch: int, step: int) -> list[str]:
        """The wording of every statement at one step, the same whenever it is asked for."""
        if not self._rewording:
            return list(self.statements)
        random = generator(self._seed, Purpose.WORDINGS, epoch, step)
        reworded = random.random(len(self)) < self._rewording
        picks = random.random(len(self))
        return [
            texts[1 + int(pick * (len(texts) - 1))] if change and len(texts) > 1 else texts[0]
            for texts, change, pick in zip(self._wordings, reworded, picks, strict=True)
        ]

    def positives(self, records: np.ndarray) -> np.ndarray:
        """Which statements each record has, float32 `(records, statements)`, 1 or 0."""
        return self._incidence[records].toarray()
