"""The phrases of the report translator, read from the tables in `glossary/`."""

import csv
import functools
import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

GLOSSARY = Path(__file__).parent / "glossary"

#: What a phrase can be besides a finding. `before` attaches to the next finding, `after` to the last one;
#: without either the language of the report decides.
MODIFIER_KINDS = (
    "negation-before",
    "negation-after",
    "certainty-before",
    "certainty-after",
    "extent-before",
    "extent-after",
    "extent",
    "age-before",
    "age-after",
    "age",
    "region-before",
    "region-after",
    "region",
    "leads",
    "note-after",
    "and",
    "or",
)

#: Words that are left out: a filler binds what stands around it, a remark (a drug, an exercise test) parts it.
RESIDUE_KINDS = ("filler", "remark")

#: Reports write `Ä` inside lower-case words, or `ae`, or "#" for "ü": one spelling for all of them.
FOLDED = str.maketrans({"#": "ue", "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "é": "e"})

#: Ends an entry of `negation.tsv` that is only the beginning of a word.
STEM_MARK = "*"
#: What a word does to the scope of a negation; see `report_negation`.
NEGATION_ROLES = (
    "negator",
    "negator-before",
    "doubt",
    "answer",
    "absence",
    "excluded",
    "excludes",
    "exclude",
    "to-exclude",
    "can",
    "must",
    "evidence",
    "detection",
    "change",
    "pseudo",
    "end",
    "history",
    "history-after",
    "elsewhere",
    "became",
    "likewise",
    "barrier",
    "cause",
    "or",
    "bridge",
    "function",
)

NONSPECIFIC = re.compile(r"\bnon[\s-]+specific")
#: An umlaut spelled out, as `fold` leaves it.
UMLAUT = re.compile("([aou])e|(?<=a)a")
WORD = re.compile(r"[^\W\d_]+")
TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")


@dataclass(frozen=True)
class Phrase:
    """A source phrase of known meaning: `kind` is "finding", one of `MODIFIER_KINDS` or one of `RESIDUE_KINDS`."""

    kind: str
    target: str


@dataclass
class TrieNode:
    """Phrases that share the words so far; `phrase` is set where one of them ends."""

    children: "dict[str, TrieNode]" = field(default_factory=dict)
    phrase: Phrase | None = None


class GlossaryError(ValueError):
    """A line of a glossary table is malformed, out of order or doubled."""


def fold(text: str) -> str:
    """Lower case, with umlauts and Swedish letters spelled out."""
    return unicodedata.normalize("NFC", text).lower().translate(FOLDED)


def read_table(name: str, columns: int) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a tab-separated table after its header line.

    Raises:
        GlossaryError: A row has not `columns` cells, has an empty source, or is not in order of its source.
    """
    path = GLOSSARY / name
    previous = ""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows)
        for number, row in enumerate(rows, start=2):
            if len(row) != columns or not row[0]:
                raise GlossaryError(f"{path.name} line {number}: expected {columns} cells, got {row}.")
            if row[0] <= previous:
                raise GlossaryError(f"{path.name} line {number}: {row[0]!r} must come after {previous!r}, once.")
            previous = row[0]
            yield tuple(row)


@functools.cache
def spellings() -> dict[str, str]:
    """Folded word as some report has it -> the words meant, folded."""
    listed = {fold(wrong): fold(right) for wrong, right in read_table("spelling.tsv", columns=2)}
    known = {*listed, *itertools.chain.from_iterable(right.split() for right in listed.values())}
    for name, columns in (("findings.tsv", 2), ("modifiers.tsv", 3), ("residue.tsv", 2), ("negation.tsv", 2)):
        for source, *_ in read_table(name, columns):
            known.update(WORD.findall(fold(source)))
    # Umlauts left out by keyboards that lack them: "formaksflimmer", "ischamie".
    bare = {bare_word: word for word in sorted(known) if (bare_word := UMLAUT.sub(r"\1", word)) not in known}
    return {wrong: listed.get(right, right) for wrong, right in bare.items() if len(wrong) > 4} | listed


def tokenize(text: str) -> list[str]:
    """Split a text into folded, correctly spelled words, numbers and punctuation marks."""
    corrections = spellings()
    tokens: list[str] = []
    for token in TOKEN.findall(NONSPECIFIC.sub("nonspecific", fold(text))):
        tokens += corrections[token].split() if token in corrections else [token]
    return tokens


def words_of(text: str) -> list[str]:
    """Split a text into folded, correctly spelled words and numbers; punctuation does not count."""
    return [token for token in tokenize(text) if token.isalnum()]


def phrases() -> Iterator[tuple[str, Phrase]]:
    """Yield every source phrase with its meaning.

    Raises:
        GlossaryError: A phrase has an unknown kind.
    """
    for source, target in read_table("findings.tsv", columns=2):
        yield source, Phrase("finding", target)
    for source, kind, target in read_table("modifiers.tsv", columns=3):
        if kind not in MODIFIER_KINDS:
            raise GlossaryError(f"modifiers.tsv, {source!r}: kind must be one of {MODIFIER_KINDS}, got {kind!r}.")
        yield source, Phrase(kind, target)
    for source, kind in read_table("residue.tsv", columns=2):
        if kind not in RESIDUE_KINDS:
            raise GlossaryError(f"residue.tsv, {source!r}: kind must be one of {RESIDUE_KINDS}, got {kind!r}.")
        yield source, Phrase(kind, "")


def own_phrases() -> Iterator[tuple[str, Phrase]]:
    """Yield the English that the tables translate to as phrases that mean themselves."""
    for _, phrase in phrases():
        if phrase.kind == "finding":
            for finding in phrase.target.split(" | "):
                yield finding, Phrase("finding", finding)
        elif phrase.kind.startswith(("age", "extent", "negation")) and not phrase.target.startswith("of "):
            yield phrase.target, Phrase(f"{phrase.kind.partition('-')[0]}-before", phrase.target)
        elif phrase.kind.startswith(("leads", "note")):
            yield phrase.target, phrase


@functools.cache
def phrase_trie() -> TrieNode:
    """All phrases by their words: those of the tables, and where they leave room the English they translate to.

    Raises:
        GlossaryError: Two entries, of one or two tables, are the same words.
    """
    root = TrieNode()
    for source, phrase in phrases():
        node = trie_node(root, source)
        if node.phrase is not None:
            raise GlossaryError(f"{source!r} is in the glossary twice (umlauts and punctuation do not count).")
        node.phrase = phrase
    for source, phrase in own_phrases():
        node = trie_node(root, source)
        node.phrase = node.phrase or phrase
    return root


def negation_rows() -> Iterator[tuple[str, str]]:
    """Yield every entry of `negation.tsv` with its role.

    Raises:
        GlossaryError: An entry has an unknown role.
    """
    for source, role in read_table("negation.tsv", columns=2):
        if role not in NEGATION_ROLES:
            raise GlossaryError(f"negation.tsv, {source!r}: role must be one of {NEGATION_ROLES}, got {role!r}.")
        yield source, role


@functools.cache
def negation_stems() -> dict[str, str]:
    """Beginnings of words that negation bends ("ausgeschloss*") and their roles, the longest first."""
    stems = {fold(source.rstrip(STEM_MARK)): role for source, role in negation_rows() if source.endswith(STEM_MARK)}
    return dict(sorted(stems.items(), key=lambda item: -len(item[0])))


@functools.cache
def negation_trie() -> TrieNode:
    """The words of `negation.tsv` but for the stems; the kind of each phrase is its role.

    Raises:
        GlossaryError: An entry has an unknown role, or two are the same words.
    """
    root = TrieNode()
    for source, role in negation_rows():
        if source.endswith(STEM_MARK):
            continue
        node = trie_node(root, source)
        if node.phrase is not None:
            raise GlossaryError(f"negation.tsv: {source!r} is there twice (umlauts and punctuation do not count).")
        node.phrase = Phrase(role, "")
    return root


def trie_node(root: TrieNode, source: str) -> TrieNode:
    """The node where the words of `source` end, made if need be."""
    node = root
    for word in words_of(source):
        node = node.children.setdefault(word, TrieNode())
    return node


def longest_phrase(trie: TrieNode, tokens: Sequence[str], start: int, end_mark: str = "") -> tuple[Phrase | None, int]:
    """Find the longest phrase of `trie` at `start`, looking through punctuation but for `end_mark`.

    Returns:
        The phrase, or None, and the position after it.
    """
    node: TrieNode | None = trie
    found, end = None, start
    for position in range(start, len(tokens)):
        if not tokens[position].isalnum():
            if tokens[position] == end_mark:
                break
            continue
        node = node.children.get(tokens[position]) if node else None
        if node is None:
            break
        if node.phrase is not None:
            found, end = node.phrase, position + 1
    return found, end
