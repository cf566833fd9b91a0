"""The statement vocabulary: every statement of a split, its paraphrases, and the records it holds for."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from etp.randomness import Purpose, generator
from etp.texts.descriptions import descriptions_of
from etp.texts.lists import make_lists
from etp.texts.paraphrases import find_paraphrases, generalisations, hypernyms_of, in_sentences, is_clause

LISTS = 5  # of each statement: more of them would be more texts to embed than all paraphrases


class StatementVocabulary:
    """Statements of the records, with what follows from them, in paraphrases that change from step to step.

    Args:
        statements: The statements of each record.
        min_count: A statement enters the vocabulary once this many records have it.
        size: At most this many statements, the commonest; none takes all.
        generalise: Whether a record also has the statements that follow from its own with less detail.
        hypernyms: Whether it also has the general terms that its findings fall under.
        paraphrase_rate: Chance that a statement stands in a paraphrase at a step.
        max_paraphrases: Standard paraphrases of a statement to draw from, at most.
        sentence_fraction: Sentences around paraphrases to draw from as well, as a fraction of the paraphrases.
        list_rate: Chance that a statement stands in a list of its paraphrases and narrower statements instead.
        description_rate: Chance that a statement stands in a description instead, where there is one.
        seed: Decides the paraphrases.

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
        generalise: bool = False,
        hypernyms: bool = False,
        paraphrase_rate: float = 0.0,
        max_paraphrases: int = 6,
        sentence_fraction: float = 0.0,
        list_rate: float = 0.0,
        description_rate: float = 0.0,
        seed: int,
    ):
        self._seed, self._paraphrase_rate = seed, paraphrase_rate
        self._list_rate, self._description_rate = list_rate, description_rate
        implied = {
            statement: {
                statement,
                *(generalisations(statement) if generalise else ()),
                *(hypernyms_of(statement) if hypernyms else ()),
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
        self._phrases, self._paraphrases = [], []
        for statement in self.statements:
            texts = [statement, *find_paraphrases(statement, limit=max_paraphrases if paraphrase_rate else 0)]
            phrases = [text for text in texts if not is_clause(text)]
            count = round(sentence_fraction * len(texts)) if paraphrase_rate and phrases else 0
            self._phrases.append(phrases)
            self._paraphrases.append(texts + (in_sentences(phrases, count=count) if count else []))
        self._descriptions = [descriptions_of(statement) if description_rate else [] for statement in self.statements]
        self._lists: list[list[str]] = [[] for _ in self.statements]
        if list_rate:
            narrower: list[list[str]] = [[] for _ in self.statements]
            for statement in self.statements:
                for broader in implied.get(statement, {statement}) - {statement}:
                    if broader in column:
                        narrower[column[broader]].append(statement)
            self._lists = [
                make_lists(self._phrases[index], narrower[index], count=LISTS, seed=seed)
                for index in range(len(self.statements))
            ]

    def __len__(self) -> int:
        return len(self.statements)

    def paraphrases(self) -> list[str]:
        """Every text that the vocabulary may ever show."""
        sources = (self._paraphrases, self._lists, self._descriptions)
        return list(dict.fromkeys(text for source in sources for texts in source for text in texts))

    def phrases_of(self, column: int) -> list[str]:
        """The paraphrases of one statement that a "no" can stand before: no sentences."""
        return list(self._phrases[column])

    def texts(self, *, epoch: int, step: int) -> list[str]:
        """The paraphrase of every statement at one step, the same whenever it is asked for."""
        if not self._paraphrase_rate:
            return list(self.statements)
        random = generator(self._seed, Purpose.PARAPHRASES, epoch, step)
        reworded = random.random(len(self)) < self._paraphrase_rate
        picks = random.random(len(self))
        drawn = [
            texts[1 + int(pick * (len(texts) - 1))] if change and len(texts) > 1 else texts[0]
            for texts, change, pick in zip(self._paraphrases, reworded, picks, strict=True)
        ]
        kinds = random.random(len(self))
        for index, (kind, pick) in enumerate(zip(kinds, picks, strict=True)):
            described = kind < self._description_rate
            others = self._descriptions[index] if described else self._lists[index]
            if others and kind < self._description_rate + self._list_rate:
                drawn[index] = others[int(pick * len(others))]
        return drawn

    def positives(self, records: np.ndarray) -> np.ndarray:
        """Which statements each record has, float32 `(records, statements)`, 1 or 0."""
        return self._incidence[records].toarray()
