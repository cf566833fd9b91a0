"""Text views of a record: the whole report, one statement, or some statements."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp

from etp.randomness import Purpose, generator

TextKey = tuple[int, ...]
"""A text as the statements it joins, by their position in the vocabulary, in order."""


class TextViews:
    """Draws the text of every record for an epoch and tells what is true of whom.

    Args:
        statements: The statements of each record, in the order of its report.
        weights: Weights of the views `report`, `statement` and `subset`.
        seed: Decides what is drawn.

    Raises:
        ValueError: A record without statements; leave such records out before.
    """

    def __init__(self, statements: Sequence[Sequence[str]], *, weights: Mapping[str, float], seed: int):
        empty = [position for position, record in enumerate(statements) if not record]
        if empty:
            raise ValueError(f"Record {empty[0]} of the split has no statement; leave such records out.")
        self._seed = seed
        self._kinds = sorted(weights)
        self._fractions = np.array([weights[kind] for kind in self._kinds], dtype=np.float64)
        self._fractions /= self._fractions.sum()
        counts = Counter(statement for record in statements for statement in dict.fromkeys(record))
        # Commonest first, ties by their letters: the order must not depend on that of the records.
        self.vocabulary = sorted(counts, key=lambda statement: (-counts[statement], statement))
        position = {statement: index for index, statement in enumerate(self.vocabulary)}
        self._records: list[TextKey] = [
            tuple(dict.fromkeys(position[statement] for statement in record)) for record in statements
        ]
        self._incidence = _incidence(self._records, len(self.vocabulary))

    def __len__(self) -> int:
        return len(self._records)

    def text(self, key: TextKey) -> str:
        """The text that a tower reads."""
        return ". ".join(self.vocabulary[statement] for statement in key)

    def reports(self) -> list[TextKey]:
        """The whole report of every record."""
        return list(self._records)

    def draw(self, epoch: int) -> list[TextKey]:
        """One text for every record, the same whenever the same epoch is asked for."""
        random = generator(self._seed, Purpose.TEXT_VIEWS, epoch)
        kinds = random.choice(len(self._kinds), size=len(self), p=self._fractions)
        picks = random.random(len(self))
        longest = max(map(len, self._records))
        keeps = random.random((len(self), longest)) < 0.5
        drawn = []
        for index, record in enumerate(self._records):
            kind = self._kinds[kinds[index]]
            one = record[int(picks[index] * len(record))]
            if kind == "report":
                drawn.append(record)
            elif kind == "statement":
                drawn.append((one,))
            else:
                kept = tuple(statement for statement, keep in zip(record, keeps[index], strict=False) if keep)
                drawn.append(kept or (one,))
        return drawn

    def positives(self, records: np.ndarray, texts: Sequence[TextKey]) -> np.ndarray:
        """Which text could have been drawn for which record.

        A text is known by its content: a report that says the same in another order is the same text, and a single
        statement is true of every record that has it, once single statements are texts at all.

        Args:
            records: Positions of records, `(ecgs,)`.
            texts: Distinct texts.

        Returns:
            float32 `(ecgs, texts)`, 1 where the text is one of the record's, else 0.
        """
        said = _incidence(texts, len(self.vocabulary))
        ours = self._incidence[records]
        overlap = (ours @ said.T).toarray()
        text_sizes = np.asarray(said.sum(axis=1)).reshape(1, -1)
        record_sizes = np.asarray(ours.sum(axis=1)).reshape(-1, 1)
        contained = overlap == text_sizes
        possible = np.zeros_like(contained)
        if "subset" in self._kinds:
            possible |= contained
        if "statement" in self._kinds:
            possible |= contained & (text_sizes == 1)
        if "report" in self._kinds:
            possible |= contained & (text_sizes == record_sizes)
        return possible.astype(np.float32)


def _incidence(keys: Sequence[TextKey], num_statements: int) -> sp.csr_matrix:
    indices = np.fromiter((statement for key in keys for statement in key), dtype=np.int64)
    starts = np.cumsum([0, *map(len, keys)])
    return sp.csr_matrix((np.ones(len(indices), dtype=np.float32), indices, starts), shape=(len(keys), num_statements))
