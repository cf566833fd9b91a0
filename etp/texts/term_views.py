"""Terms of ECG language and what else says the same: the texts that a text tower is adapted to the field with."""

import json
import re
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

import numpy as np

from etp.randomness import Purpose, generator

from .descriptions import descriptions_of
from .negations import NEGATIONS
from .paraphrases import (
    BESIDE,
    SENTENCES,
    TERM_VIEWS,
    can_be_negated,
    generalisations,
    hypernyms_of,
    is_clause,
    is_modifier,
    term_groups,
)

CONTRASTS = Path(__file__).with_name("contrasts.json")
MAX_LISTED, MAX_NARROWER = 3, 1


class TermViews:
    """Batches of terms, each in two views, with siblings side by side.

    A term is a group of the table of paraphrases, or the negation of one. Its views are a wording, a wording in a sentence,
    a list of wordings and narrower terms, a description, or a wording beside the negation of another term.

    Args:
        weights: How often each of `TERM_VIEWS` is drawn; a term without descriptions shows its wordings instead.
        negated_fraction: Of the terms of a batch that can be negated, how many are there in the negative too.
        seed: Decides all that is drawn.

    Attributes:
        terms: Wordings of each term, its name first.
    """

    def __init__(self, *, weights: dict[str, float], negated_fraction: float, seed: int):
        self._seed, self._negated_fraction = seed, negated_fraction
        self._kinds = [kind for kind in TERM_VIEWS if weights.get(kind)]
        shares = np.array([weights[kind] for kind in self._kinds], dtype=np.float64)
        self._shares = shares / shares.sum()
        self.terms = term_groups()
        self._descriptions = [descriptions_of(own[0]) for own in self.terms]
        self._is_modifier = [is_modifier(own[0]) for own in self.terms]
        self._can_be_negated = [
            not modifier and can_be_negated(own[0])
            for own, modifier in zip(self.terms, self._is_modifier, strict=True)
        ]
        self._siblings = siblings([own[0] for own in self.terms])
        self._same, self._narrower = _relations(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    def batch(self, step: int, *, size: int) -> tuple[list[str], list[str], np.ndarray]:
        """Two different views of each of `size` terms or negations, the same whenever a step is asked for.

        Returns:
            First and second views, and which pairs `(size, size)` say the same or one includes the other, so that neither
            is a negative of the other; bool, true on the diagonal.
        """
        random = generator(self._seed, Purpose.TERM_VIEWS, step)
        drawn = self._draw(random, size=size)
        pairs = [self._two_views(term, negated, random) for term, negated in drawn]
        term, negated = (np.array(column) for column in zip(*drawn, strict=True))
        same = self._same[np.ix_(term, term)] & (negated[:, None] == negated[None, :])
        return [first for first, _ in pairs], [second for _, second in pairs], same

    def _draw(self, random: np.random.Generator, *, size: int) -> list[tuple[int, bool]]:
        """Terms in random order, each followed by its siblings and some by their negations."""
        drawn: dict[tuple[int, bool], None] = {}
        for first in random.permutation(len(self)):
            for term in (first, *random.permutation(self._siblings[first])):
                key = (int(term), False)
                if key in drawn:
                    continue
                drawn[key] = None
                if self._can_be_negated[term] and random.random() < self._negated_fraction:
                    drawn[int(term), True] = None
            if len(drawn) >= size:
                break
        return list(drawn)[:size]

    def _two_views(self, term: int, negated: bool, random: np.random.Generator) -> tuple[str, str]:
        first = self._view(term, negated, random)
        for _ in range(8):
            second = self._view(term, negated, random)
            if second != first:
                break
        return first, second

    def _view(self, term: int, negated: bool, random: np.random.Generator) -> str:
        wordings = self.terms[term]
        phrases = [text for text in wordings if not is_clause(text)]
        if negated:
            return str(random.choice(NEGATIONS)).format(random.choice(phrases))
        kind = random.choice(self._kinds, p=self._shares)
        if kind == "description" and self._descriptions[term]:
            return str(random.choice(self._descriptions[term]))
        if kind == "sentence" and phrases and not self._is_modifier[term]:
            return str(random.choice(SENTENCES)).format(random.choice(phrases))
        if kind == "list":
            return self._list(term, random)
        if kind == "beside" and phrases and not self._is_modifier[term]:
            return self._beside(term, str(random.choice(phrases)), random)
        return str(random.choice(wordings))

    def _beside(self, term: int, phrase: str, random: np.random.Generator) -> str:
        """A wording beside the negation of a term that neither says the same nor includes it."""
        others = np.flatnonzero(self._can_be_negated & ~self._same[term])
        wordings = [text for text in self.terms[int(random.choice(others))] if not is_clause(text)]
        return str(random.choice(BESIDE)).format(phrase, random.choice(wordings))

    def _list(self, term: int, random: np.random.Generator) -> str:
        """Two to four wordings, of the term itself and of up to two narrower ones."""
        own = list(random.permutation(self.terms[term]))
        count = int(random.integers(2, MAX_LISTED + 1))
        narrower = random.permutation(self._narrower[term])[: int(random.integers(0, MAX_NARROWER + 1))]
        others = [str(random.choice(self.terms[other])) for other in narrower]
        listed = [*own[: max(1, count - len(others))], *others]
        return ", ".join(dict.fromkeys(listed))


def siblings(terms: list[str]) -> list[list[int]]:
    """For each term those that differ from it in the words of one set of contrasts only."""
    by_skeleton: dict[str, set[int]] = defaultdict(set)
    skeletons = [_skeletons(term) for term in terms]
    for index, own in enumerate(skeletons):
        for skeleton in own:
            by_skeleton[skeleton].add(index)
    return [
        sorted(set().union(*(by_skeleton[skeleton] for skeleton in own)) - {index})
        for index, own in enumerate(skeletons)
    ]


def _skeletons(term: str) -> list[str]:
    """The term with the words of each set of contrasts blotted out."""
    blotted = ((number, pattern.sub("*", term)) for number, pattern in enumerate(_contrasts()))
    return [f"{number} {skeleton}" for number, skeleton in blotted if skeleton != term]


@lru_cache
def _contrasts() -> list[re.Pattern]:
    sets = json.loads(CONTRASTS.read_text(encoding="utf-8"))["contrasts"]
    return [
        re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(words, key=len, reverse=True)))})(?![\w-])")
        for words in sets
    ]


def _relations(terms: list[list[str]]) -> tuple[np.ndarray, list[list[int]]]:
    """Which terms say the same or one includes the other, bool `(terms, terms)`, and the narrower ones of each."""
    number = {own[0]: index for index, own in enumerate(terms)}
    same = np.eye(len(terms), dtype=bool)
    narrower: list[list[int]] = [[] for _ in terms]
    by_wording: dict[str, list[int]] = defaultdict(list)
    for index, own in enumerate(terms):
        for wording in dict.fromkeys(text.casefold() for text in own):
            by_wording[wording].append(index)
        for broader in dict.fromkeys([*generalisations(own[0]), *hypernyms_of(own[0])]):
            if broader in number:
                narrower[number[broader]].append(index)
                same[index, number[broader]] = same[number[broader], index] = True
    for sharing in by_wording.values():
        same[np.ix_(sharing, sharing)] = True
    return same, narrower
