"""What else is true of a record when a statement is: the same in other words, and what it implies with less detail."""

import json
import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

PARAPHRASES = Path(__file__).with_name("paraphrases.json")
UMBRELLA_TERMS = Path(__file__).with_name("umbrella_terms.json")

SENTENCES = (
    "ECG showing {}",
    "this ECG shows {}",
    "findings consistent with {}",
    "{} is present",
    "electrocardiogram of a patient with {}",
    "evidence of {}",
    "the 12-lead ECG demonstrates {}",
)

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
# Verbs by which a wording is a sentence of its own: "every second beat is premature", but not "beats that come early".
_CLAUSE = re.compile(r"(?<!\bthat )\b(is|are|comes|fail|grow|shows|do|beats too)\b")
# What is denied, normal or about another finding says nothing broader about the heart.
_CLOSED = re.compile(r"\b(no|not|without|normal|otherwise|limit)\b")
_EMPTY = {"ECG", "abnormality", "changes"}


def broader_statements(statement: str) -> list[str]:
    """Statements that follow from an English statement of a report when detail is left out, in order of breadth.

    Doubt, age and extent go first, then leads and wall: "probable old inferior myocardial infarction" gives "inferior
    myocardial infarction" and "myocardial infarction". Doubt is left out knowingly: what a reader thinks possible is a
    better example of a finding than of its absence; of two alternatives the first stays. Denials and statements of
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


def umbrella_terms(statement: str) -> list[str]:
    """The general terms that the finding of a statement falls under: "AV block" and "conduction disturbance".

    Of two alternatives the first counts, as in `broader_statements`; denials and statements of normality give nothing.
    """
    if _CLOSED.search(statement):
        return []
    finding = _RESERVATION.sub("", statement)
    terms = [term for pattern, terms in _umbrellas() if pattern.search(finding) for term in terms]
    return [term for term in dict.fromkeys(terms) if term != statement]


def paraphrases(statement: str, *, limit: int) -> list[str]:
    """The statement in other standard wordings, at most `limit`, the same at every call.

    Every known term in the statement is replaced by each of its synonyms in turn, one at a time.
    """
    found: list[str] = []
    taken: list[tuple[int, int]] = []
    for term, synonyms in _terms().items():
        match = re.search(rf"(?<![\w-]){re.escape(term)}(?![\w-])", statement)
        # A term inside a longer one says something else: "right bundle branch block" in "incomplete right …".
        if match is None or any(start < match.end() and match.start() < end for start, end in taken):
            continue
        taken.append(match.span())
        found += [statement[: match.start()] + synonym + statement[match.end() :] for synonym in synonyms]
    distinct = [text for text in dict.fromkeys(found) if text != statement]
    # Evenly over what there is: the first synonyms of a term must not crowd out the other terms.
    step = max(1, len(distinct) / max(1, limit))
    return [distinct[int(index * step)] for index in range(min(limit, len(distinct)))]


def is_clause(wording: str) -> bool:
    """Whether a wording is a sentence of its own, which no other sentence, no "no" and no "evidence of" takes in.

    Example:
        >>> is_clause("conduction through the left bundle is blocked"), is_clause("left bundle branch block")
        (True, False)
    """
    return _CLAUSE.search(wording) is not None


def in_sentences(wordings: Sequence[str], *, count: int) -> list[str]:
    """`count` of the wordings of a statement in sentences around them, the same at every call.

    The first wording decides where among wordings and sentences it starts, so that statements differ in both.
    """
    start = zlib.crc32(wordings[0].encode())
    return [
        SENTENCES[(start + index) % len(SENTENCES)].format(wordings[(start // len(SENTENCES) + index) % len(wordings)])
        for index in range(count)
    ]


@lru_cache
def _terms() -> dict[str, list[str]]:
    """Term, the wording that reports use, -> its synonyms; longer terms first."""
    groups = json.loads(PARAPHRASES.read_text(encoding="utf-8"))["groups"]
    return {term: synonyms for term, *synonyms in sorted(groups, key=lambda group: -len(group[0]))}


@lru_cache
def _umbrellas() -> list[tuple[re.Pattern, list[str]]]:
    """What a statement must hold, and the terms it then falls under."""
    umbrellas = json.loads(UMBRELLA_TERMS.read_text(encoding="utf-8"))["umbrellas"]
    return [(re.compile(pattern), terms) for pattern, terms in umbrellas]
