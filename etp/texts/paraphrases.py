"""Paraphrases, generalisations and hypernyms of statements."""

import json
import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

PARAPHRASES = Path(__file__).with_name("paraphrases.json")
HYPERNYMS = Path(__file__).with_name("hypernyms.json")

SENTENCES = (
    "ECG showing {}",
    "this ECG shows {}",
    "findings consistent with {}",
    "{} is present",
    "electrocardiogram of a patient with {}",
    "evidence of {}",
    "the 12-lead ECG demonstrates {}",
    "does this ECG show {}?",
    "is there {}?",
)
TERM_VIEWS = ("synonym", "sentence", "list", "description", "beside")
# What one may say of a finding beside it: it is there, and another one is not.
BESIDE = ("{} without {}", "{}, no {}", "{} in the absence of {}", "{} and no evidence of {}", "{}, {} excluded")

_QUALIFIER = re.compile(
    r"^(acute|borderline|complete|extensive|frequent|interpolated|marked|minor|moderate|nonspecific|old|possible|possibly"
    r"|probable|probably|recent|subacute) (?=\w)"
)
_RESERVATION = re.compile(r" (cannot be excluded|of undetermined age)$|, (?!aV)[a-z].*$| or (?!.*T waves).*$")
_WHERE = re.compile(r" (?:in|throughout) (?:leads? .*|[a-z ]*leads?)$| throughout$")
_WALL = re.compile(
    r"^(?:(?:infero|antero|high |postero)?(?:postero)?(?:anterior|apical|inferior|lateral|posterior|septal)) "
    r"(?=myocardial (?:damage|infarction|injury|ischemia)|subendocardial injury)"
)
# Verbs by which a paraphrase is a sentence of its own: "every second beat is premature", but not "beats that come early".
_CLAUSE = re.compile(r"(?<!\bthat )\b(is|are|comes|fail|grow|shows|do|beats too)\b")
# What is itself a negation or a statement of normality has no negation that a reader would write.
_NOT_NEGATED = re.compile(r"\b(no|not|without|absent|normal|otherwise|limit|unlikely)\b")
# Where or how a finding is: nothing that is present or absent by itself.
_MODIFIER = re.compile(
    r"(in|with|of) |(acute|borderline|cannot be excluded|definite|marked|minor|moderate|nonspecific|old|possible|probable"
    r"|probable old|probably .*|recent|slight|throughout|widespread)$"
)
# What is negated, normal or about another finding says nothing broader about the heart.
_CLOSED = re.compile(r"\b(no|not|without|normal|otherwise|limit)\b")
_EMPTY = {"ECG", "abnormality", "changes"}


def generalisations(statement: str) -> list[str]:
    """Statements that follow from an English statement of a report when detail is left out, in order of breadth.

    Doubt, age and extent go first, then leads and wall: "probable old inferior myocardial infarction" gives "inferior
    myocardial infarction" and "myocardial infarction". Doubt is left out knowingly: what a reader thinks possible is a
    better example of a finding than of its absence; of two alternatives the first stays. Negations and statements of
    normality give nothing.
    """
    if _CLOSED.search(statement):
        return []
    plain = _RESERVATION.sub("", statement)
    while (shorter := _QUALIFIER.sub("", plain)) != plain:
        plain = shorter
    anywhere = _WHERE.sub("", plain)
    return [
        text for text in dict.fromkeys([plain, anywhere, _WALL.sub("", anywhere)]) if text not in {statement, *_EMPTY}
    ]


def hypernyms_of(statement: str) -> list[str]:
    """The general terms that the finding of a statement falls under: "AV block" and "conduction disturbance".

    Of two alternatives the first counts, as in `generalisations`; negations and statements of normality give nothing.
    """
    if _CLOSED.search(statement):
        return []
    finding = _RESERVATION.sub("", statement)
    terms = [term for pattern, terms in _hypernyms() if pattern.search(finding) for term in terms]
    return [term for term in dict.fromkeys(terms) if term != statement]


def grades_of(statement: str) -> dict[str, float]:
    """Statements of another grade of the same quantity, and how far a record with `statement` has them, below 1.

    Example:
        >>> grades_of("leftward axis")
        {'left axis deviation': 0.3}
    """
    return {other: weight for own, other, weight in _table()["graded"] if own == statement}


def find_paraphrases(statement: str, *, limit: int) -> list[str]:
    """Standard paraphrases of a statement, at most `limit`, the same at every call.

    Every known term in the statement is replaced by each of its synonyms in turn, one at a time.
    """
    if limit == 0:
        return []
    found: list[str] = []
    taken: list[tuple[int, int]] = []
    for term, (pattern, synonyms) in _terms().items():
        match = pattern.search(statement) if term in statement else None
        # A term inside a longer one says something else: "right bundle branch block" in "incomplete right …".
        if match is None or any(start < match.end() and match.start() < end for start, end in taken):
            continue
        taken.append(match.span())
        found += [statement[: match.start()] + synonym + statement[match.end() :] for synonym in synonyms]
    distinct = [text for text in dict.fromkeys(found) if text != statement]
    # Evenly over what there is: the first synonyms of a term must not crowd out the other terms.
    step = max(1, len(distinct) / max(1, limit))
    return [distinct[int(index * step)] for index in range(min(limit, len(distinct)))]


def is_clause(paraphrase: str) -> bool:
    """Whether a paraphrase is a sentence of its own, which no other sentence, no "no" and no "evidence of" takes in.

    Example:
        >>> is_clause("conduction through the left bundle is blocked"), is_clause("left bundle branch block")
        (True, False)
    """
    return _CLAUSE.search(paraphrase) is not None


def is_modifier(term: str) -> bool:
    """Whether a term says where or how a finding is, and so is nothing that is present or absent by itself."""
    return _MODIFIER.match(term) is not None


def can_be_negated(statement: str) -> bool:
    """Whether a reader would write the negation of a statement: not of a negation, nor of what is normal."""
    return _NOT_NEGATED.search(statement) is None


def in_sentences(paraphrases: Sequence[str], *, count: int) -> list[str]:
    """`count` of the paraphrases of a statement in sentences around them, the same at every call.

    The first paraphrase decides where among paraphrases and sentences it starts, so that statements differ in both.
    """
    start = zlib.crc32(paraphrases[0].encode())
    return [
        SENTENCES[(start + index) % len(SENTENCES)].format(
            paraphrases[(start // len(SENTENCES) + index) % len(paraphrases)]
        )
        for index in range(count)
    ]


@lru_cache
def term_groups() -> list[list[str]]:
    """The terms of the table, each as the wordings that say it; first the one that reports use."""
    return json.loads(PARAPHRASES.read_text(encoding="utf-8"))["groups"]


@lru_cache
def _terms() -> dict[str, tuple[re.Pattern, list[str]]]:
    """Term as reports use it -> where it stands as a word, and its synonyms; longer terms first."""
    return {
        term: (re.compile(rf"(?<![\w-]){re.escape(term)}(?![\w-])"), synonyms)
        for term, *synonyms in sorted(term_groups(), key=lambda group: -len(group[0]))
    }


@lru_cache
def _hypernyms() -> list[tuple[re.Pattern, list[str]]]:
    """What a statement must hold, and the terms it then falls under."""
    return [(re.compile(pattern), terms) for pattern, terms in _table()["hypernyms"]]


@lru_cache
def _table() -> dict[str, Any]:
    return json.loads(HYPERNYMS.read_text(encoding="utf-8"))
