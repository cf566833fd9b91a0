"""The statement vocabulary: every statement of a split, its paraphrases, and the records it holds for."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp

from etp.randomness import Purpose, generator
from etp.texts.descriptions import descriptions_of
from etp.texts.held_out import compile_finding
from etp.texts.lists import make_lists
from etp.texts.paraphrases import (
    BESIDE,
    can_be_negated,
    find_paraphrases,
    generalisations,
    grades_of,
    hypernyms_of,
    in_sentences,
    is_clause,
    is_modifier,
    term_groups,
)

RARE_WORDINGS = 6
OFTEN, BESIDES = 20, 4
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
        rare_term_rate: Chance that it stands in a narrower term that no statement says instead, where there is one.
        beside_rate: Chance that it stands beside the negation of another statement instead: "sinus rhythm, no ST elevation".
        held_out_findings: Patterns that no description and no rare term may match; of the statements they are left out
            before.
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
        rare_term_rate: float = 0.0,
        beside_rate: float = 0.0,
        held_out_findings: Sequence[str] = (),
        seed: int,
    ):
        self._seed, self._paraphrase_rate = seed, paraphrase_rate
        self._rates = (description_rate, list_rate, rare_term_rate, beside_rate)
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
        self.counts = [counts[statement] for statement in self.statements]
        self._column = {statement: index for index, statement in enumerate(self.statements)}
        self._incidence = self._weigh(records, grades=hypernyms)
        self._phrases, self._paraphrases = [], []
        for statement in self.statements:
            texts = [statement, *find_paraphrases(statement, limit=max_paraphrases if paraphrase_rate else 0)]
            phrases = [text for text in texts if not is_clause(text)]
            count = round(sentence_fraction * len(texts)) if paraphrase_rate and phrases else 0
            self._phrases.append(phrases)
            self._paraphrases.append(texts + (in_sentences(phrases, count=count) if count else []))
        held_out = [compile_finding(pattern) for pattern in held_out_findings]
        self._descriptions = [
            _without(descriptions_of(statement), held_out) if description_rate else [] for statement in self.statements
        ]
        self._lists = self._make_lists(implied, seed=seed) if list_rate else [[] for _ in self.statements]
        rare = self._find_rare_terms() if rare_term_rate else [[] for _ in self.statements]
        self._rare_terms = [_without(terms, held_out) for terms in rare]
        self._beside = self._put_beside(implied, seed=seed) if beside_rate else [[] for _ in self.statements]

    def _weigh(self, records: Sequence[set[str]], *, grades: bool) -> sp.csr_matrix:
        """How far each record has each statement: 1, or less where it has another grade of it."""
        rows: list[dict[int, float]] = []
        for record in records:
            weights = (
                {other: weight for own in sorted(record) for other, weight in grades_of(own).items()} if grades else {}
            )
            weights |= dict.fromkeys(record, 1.0)
            rows.append({self._column[text]: weights[text] for text in weights if text in self._column})
        starts = np.cumsum([0, *map(len, rows)])
        indices = np.fromiter((index for row in rows for index in sorted(row)), dtype=np.int64)
        values = np.fromiter((row[index] for row in rows for index in sorted(row)), dtype=np.float32)
        return sp.csr_matrix((values, indices, starts), shape=(len(rows), len(self.statements)))

    def _make_lists(self, implied: Mapping[str, set[str]], *, seed: int) -> list[list[str]]:
        """Lists of the paraphrases of each statement and of narrower statements."""
        narrower: list[list[str]] = [[] for _ in self.statements]
        for statement in self.statements:
            for broader in implied.get(statement, {statement}) - {statement}:
                if broader in self._column:
                    narrower[self._column[broader]].append(statement)
        return [make_lists(*texts, count=LISTS, seed=seed) for texts in zip(self._phrases, narrower, strict=True)]

    def _find_rare_terms(self) -> list[list[str]]:
        """For each statement the terms that fall under it and that no statement says or holds: what reports hardly have."""
        said = {wording for own in term_groups() if self._is_held(own[0]) for wording in own}
        found: list[list[str]] = [[] for _ in self.statements]
        for term, *synonyms in term_groups():
            if said & {term, f"{term}s", f"{term}es", *synonyms} or is_modifier(term):
                continue
            wordings = [term, *(text for text in synonyms if not is_clause(text))]
            for broader in dict.fromkeys([*generalisations(term), *hypernyms_of(term)]):
                if broader in self._column:
                    found[self._column[broader]] += wordings[:RARE_WORDINGS]
        return found

    def _is_held(self, term: str) -> bool:
        """Whether a statement is a term or has it as a part."""
        pattern = re.compile(rf"(?<![\w-]){re.escape(term)}(?![\w-])")
        return any(pattern.search(statement) for statement in self.statements if term in statement)

    def _put_beside(self, implied: Mapping[str, set[str]], *, seed: int) -> list[list[str]]:
        """Each statement beside negations of some that neither follow from it nor imply it."""
        others = [
            index
            for index, statement in enumerate(self.statements)
            if self.counts[index] >= OFTEN and can_be_negated(statement) and not is_modifier(statement)
        ]
        found: list[list[str]] = []
        for index, statement in enumerate(self.statements):
            random = generator(seed, Purpose.BESIDE, index)
            related = implied.get(statement, {statement})
            texts = []
            for form in random.permutation(len(BESIDE))[:BESIDES] if self._phrases[index] and others else ():
                other = self.statements[others[int(random.integers(len(others)))]]
                if other in related or statement in implied.get(other, ()):
                    continue
                own = self._phrases[index][int(random.integers(len(self._phrases[index])))]
                texts.append(BESIDE[form].format(own, other))
            found.append(texts)
        return found

    def __len__(self) -> int:
        return len(self.statements)

    def paraphrases(self) -> list[str]:
        """Every text that the vocabulary may ever show."""
        sources = (self._paraphrases, self._descriptions, self._lists, self._rare_terms, self._beside)
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
        borders = np.cumsum(self._rates)
        sources = (self._descriptions, self._lists, self._rare_terms, self._beside)
        for index, kind in enumerate(np.searchsorted(borders, kinds, side="right")):
            others = sources[kind][index] if kind < len(sources) else []
            if others:
                drawn[index] = others[int(picks[index] * len(others))]
        return drawn

    def positives(self, records: np.ndarray) -> np.ndarray:
        """How far each record has each statement, float32 `(records, statements)`: 1, 0, or between for another grade."""
        return self._incidence[records].toarray()


def _without(texts: Sequence[str], patterns: Sequence[re.Pattern]) -> list[str]:
    return [text for text in texts if not any(pattern.search(text) for pattern in patterns)]
