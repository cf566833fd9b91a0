"""What a prompt means: a list is its alternatives, a description its sentences, a negation the absence of its finding."""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from .prompt_frames_etp import without_frame
from .prompt_normality_etp import described_normality
from .prompt_words_etp import (
    ABOUT_AN_ECG,
    BARE_HEADS,
    CONTINUATIONS,
    FINITE_VERB,
    NO_MEMBERS,
    PREPOSITIONS,
    WAVES,
    bare_name,
    is_acronym,
    is_adjective,
    is_lead,
    is_number,
    names_a_finding,
    negated_finding,
    only_modifies,
    without_patient,
    words_of,
)

LONGEST_PROMPT = 2000  # characters; what is longer is no prompt, and stays one text


@dataclass(frozen=True)
class Prompt:
    """A candidate as it is scored.

    Attributes:
        stated: Texts that each state it; empty where it is nothing but an absence.
        negated: Findings that must be absent.
    """

    stated: tuple[str, ...]
    negated: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def read_prompt(text: str, *, alone: bool = True) -> Prompt:
    """Read a candidate label or phrase by rules; what no rule is certain of stays one text, letter by letter.

    What nomenclatures and carts put around a name goes: "Q wave abnormal (finding)", "*** Abnormal ECG ***"; so do age and sex
    in front of a finding: "72-year-old woman with atrial fibrillation".

    Args:
        text: Label or phrase, before any template.
        alone: Whether it is the only phrase of its label. Among several, which are alternatives already, only three
            parts and more make a list: "rSr' in V1, incomplete right bundle branch block" is a finding and its name.

    Example:
        >>> read_prompt("atrial fibrillation, AF, irregularly irregular rhythm").stated
        ('atrial fibrillation', 'AF', 'irregularly irregular rhythm')
        >>> read_prompt("Q waves in II, III and aVF").stated
        ('Q waves in II, III and aVF',)
        >>> read_prompt("sinus rhythm without ST elevation")
        Prompt(stated=('sinus rhythm',), negated=('ST elevation',))
    """
    if "\0" in text or len(text) > LONGEST_PROMPT:
        return Prompt((text,))
    text = without_patient(bare_name(text))
    if normality := described_normality(text):
        return Prompt((normality,))
    sentences = _split_sentences(text)
    if len(sentences) == 1:
        text = without_frame(text)
        sentences = [text]
    parts = sentences if len(sentences) > 1 else _read_list(text, alone=alone)
    stated: list[str] = []
    negated: list[str] = []
    for part in parts:
        own, without = _read_negation(part)
        stated += own
        negated += without
    if not negated and len(stated) < 2:
        return Prompt((text,))
    return Prompt(tuple(dict.fromkeys(stated)), tuple(dict.fromkeys(negated)))


# A point ends a sentence where a capital or a digit follows, unless it belongs to an abbreviation.
_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!\bvs\.)(?<!\bresp\.)(?<!\bapprox\.)(?<!\bca\.)(?<!\bincl\.)(?<!\b[Nn]o\.)\s+(?=[A-Z0-9(])"
)


def _split_sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE_END.split(text.strip()) if part.strip()]


_BREAK = re.compile(r"\s*(?:;|\n|\||•|,?\s+also (?:known|referred to) as\s|\s\(?(?:aka|a\.k\.a\.)\s)\s*")
_COMMA = re.compile(r",\s+")
_BUT = re.compile(r",?\s+(?=but\s|and\s+(?:no|not|without)\s)", re.I)
_EXPLANATION = re.compile(r":\s+|\s+[-\u2013\u2014]\s+")
_PREPOSITION = re.compile(r"\s(?:in|of|at|on|with|from|due to|after|by)\s")
_OR = re.compile(r"\s+(?:or|and/or)\s+")
_LEADING = re.compile(r"^(?:and/or|and|or|as well as|also|but also|but|either)\s+", re.I)
_OF_A_LIST = re.compile(r"\b(?:characteri[sz]ed by|defined by|consisting of|including|such as|e\.g\.)", re.I)


def _read_list(text: str, *, alone: bool = True) -> list[str]:
    """The members of a list; the text itself where it is none."""
    held, contents = _hold_parentheses(text)
    parts: list[str] = []
    for piece in filter(None, map(str.strip, _BREAK.split(held))):
        for member in _split(piece, _EXPLANATION, _no_explanation):
            parts += _members(member, alone=alone)
    parts = [_release(part, contents).strip() for part in parts]
    parts = [name.rstrip(" ,") for part in parts if part for name in _abbreviated(part)]
    parts = [part for part in parts if " ".join(words_of(part)) not in NO_MEMBERS]
    return parts if len(parts) > 1 else [text]


def _members(text: str, *, alone: bool) -> list[str]:
    """What commas, "or" and slashes separate; not what one negation reaches over, or may reach over."""
    if (_SCOPE.fullmatch(text) or _AFTER.fullmatch(text)) and _is_negation(text):
        return [text]
    clauses = [_LEADING.sub("", clause) for clause in _BUT.split(text)]
    if len(clauses) > 1 and any(map(_is_negation, clauses)):
        return [member for clause in clauses for member in _members(clause, alone=alone)]
    parts = _split(text, _COMMA, _joined)
    negations = [_is_negation(part) for part in parts]
    if any(first and not second for first, second in pairwise(negations)):
        return [text]  # "no ST elevation, T wave inversion": is the second negated too?
    if not alone and not any(negations):
        return parts if len(parts) > 2 else [text]
    # The "or" of "A, B or C" ends the list.
    *first, last = parts
    return [alternative for part in first for alternative in _split_or(part)] + _split_or(last, of_a_list=bool(first))


def _is_negation(text: str) -> bool:
    return bool(_read_negation(text)[1])


def _hold_parentheses(text: str) -> tuple[str, list[str]]:
    """The text with its parentheses put aside, so that nothing is split inside them."""
    if "\0" in text:  # they are already
        return text, []
    contents: list[str] = []

    def hold(match: re.Match) -> str:
        contents.append(match[0])
        return f"\0{len(contents) - 1}\0"

    return re.sub(r"\([^()]*\)|\[[^\[\]]*\]", hold, text), contents


def _release(text: str, contents: list[str]) -> str:
    return re.sub("\0(\\d+)\0", lambda match: contents[int(match[1])], text) if contents else text


def _split(text: str, separator: re.Pattern, joined) -> list[str]:
    """Parts between separators; a part that belongs to the one before it stays with it, separator and all."""
    if FINITE_VERB.search(text) and not _read_negation(text)[1]:
        return [text]  # prose
    parts: list[str] = []
    last = 0
    for match in separator.finditer(text):
        left, right = text[last : match.start()], text[match.end() :]
        following = separator.split(right, maxsplit=1)[0]
        if not joined(left.strip(), following.strip(), right.strip()):
            parts.append(left)
            last = match.end()
    parts.append(text[last:])
    parts = [_LEADING.sub("", part.strip()) if position else part.strip() for position, part in enumerate(parts)]
    return [part for part in parts if part]


def _joined(left: str, right: str, _rest: str) -> bool:
    """Whether a comma stands within one thing: leads, numbers, adjectives before their noun, what is added to a noun."""
    right = _LEADING.sub("", right)
    before, after = words_of(left), words_of(right)
    if not before or not after or _OF_A_LIST.search(left) or set(before) <= WAVES:
        return True
    if (is_lead(left.split()[-1]) and is_lead(after[0])) or (is_number(before[-1]) and is_number(after[0])):
        return True
    if only_modifies(left) or only_modifies(_PREPOSITION.split(right)[0]):
        return True
    if is_adjective(before[-1]) and is_adjective(after[0]) and set(before) & PREPOSITIONS:
        return True
    if (len(after) == 1 and after[0] in BARE_HEADS) or (
        after[0] in ("no", "not", "never", "without") and not _is_negation(right)
    ):
        return True
    return after[0] in CONTINUATIONS and not (after[0] in ("type", "grade", "lead") and names_a_finding(right))


def _no_explanation(left: str, right: str, _rest: str) -> bool:
    """Whether a colon or dash stands elsewhere than between a finding and what it looks like."""
    return (
        not names_a_finding(left) or len(right.split()) < 2 or only_modifies(right) or _is_negation(f"{left}: {right}")
    )


def _split_or(text: str, *, of_a_list: bool = False) -> list[str]:
    """Alternatives between "or" and slashes."""
    parts = _split(
        re.sub(r"^either\s+", "", text, flags=re.I) if _OR.search(text) else text,
        _OR,
        _one_word if of_a_list else _one_thing,
    )
    parts = [alternative for part in parts for alternative in _split(part, _SPACED_SLASH, _no_alternatives)]
    return [alternative for part in parts for alternative in _split(part, _SLASH, _one_thing)]


_SPACED_SLASH = re.compile(r"\s+/\s+")
_SLASH = re.compile(r"(?<=[A-Za-z]{2})(?<!\band)/(?=[A-Za-z]{2})(?!or\b)")


def _one_thing(left: str, right: str, rest: str) -> bool:
    """Whether "or" or a slash stands within one thing: "low or flat T waves", "due to A or B", "ST elevation or depression"."""
    both = all(names_a_finding(side) or ABOUT_AN_ECG.search(side) for side in (left, right))
    return not both or _one_word(left, right, rest)


def _one_word(left: str, right: str, rest: str) -> bool:
    """Whether a word beside "or" belongs to both sides: "atrial fibrillation or flutter", "scar or damage in the wall"."""
    single = len(words_of(right)) == 1 and len(words_of(left)) > 1 and not is_acronym(right.strip())
    shared = (set(words_of(left)) | set(words_of(rest))) & PREPOSITIONS
    return bool(shared) or single or left.strip().lower() in BARE_HEADS or _no_alternatives(left, right, rest)


def _no_alternatives(left: str, right: str, _rest: str) -> bool:
    """Whether one side is no text of its own: an adjective, a lead, a wave, a number."""
    before, after = words_of(left), words_of(right)
    if not before or not after or only_modifies(left) or only_modifies(right):
        return True
    return (
        is_adjective(before[-1])
        or is_lead(before[-1])
        or before[-1] in WAVES
        or is_number(after[0])
        or set(after) <= WAVES
    )


def _abbreviated(text: str) -> list[str]:
    """A name and its abbreviation as two names: "AF (atrial fibrillation)"."""
    match = None if _is_negation(text) else re.fullmatch(r"(.+?)\s+[(\[]([^()\[\]]+)[)\]]", text.strip())
    if not match:
        return [text]
    outside, inside = match[1].strip(), match[2].strip()
    abbreviation = is_acronym(inside.split()[0]) if len(inside.split()) == 1 else is_acronym(outside)
    return [outside, inside] if abbreviation else [text]


_EVIDENCE = r"(?:[\w-]+ ){0,2}(?:evidence|signs?|indications?|suggestion|hint)s? (?:of|for)"
_ABSENCE = (
    rf"(?:there (?:is|are|was|were) )?no(?: {_EVIDENCE})?|without(?: any)?(?: {_EVIDENCE})?|w/o"
    r"|(?:the )?(?:absence|exclusion) of(?: any)?|free (?:of|from)|negative for"
)
_BEFORE = re.compile(
    rf"(?:{_ABSENCE}|absent|(?:excluded|ruled out):|not(?: (?:consistent|compatible) with| suggestive of)?)\s+(?P<finding>.+)",
    re.I | re.S,
)
_AFTER = re.compile(
    r"(?P<finding>.+?)(?:\s*:\s*(?:no|none|absent|negative|excluded|ruled out|not present)|\s+\((?:absent|excluded|ruled out)\)"
    r"|,?\s+(?:(?:is|are|was|were|has been|have been|can be)\s+)?(?:ruled out|excluded|absent|not (?:present|seen|detected|found"
    r"|evident|identified|observed|demonstrated|visible|shown)))",
    re.I | re.S,
)
_BETWEEN = re.compile(
    rf"(?P<stated>.+?),?\s+(?:(?:with |and |but |in the |shows? |showing |has |have )?(?:{_ABSENCE})|(?:does|do) not (?:show|have))"
    r"\s+(?P<finding>.+)",
    re.I | re.S,
)
_TOGETHER = re.compile(r",?\s+(?:or|nor)\s+|,\s+|\s*(?<!\bw)/\s*")
_ANY_OF = re.compile(r"\s(?:or|nor)\s|(?<!\bw)/")
_SCOPE = re.compile(rf"(?:^|.*\s)(?:no|without|neither|w/o)\s+.+?(?:{_ANY_OF.pattern}).+", re.I | re.S)
# A second negation in the same text, or a word that takes it back: nothing about it is certain.
_DOUBT = re.compile(
    r"\b(?:no|not|without|never|neither|cannot|can't|absence|absent|excluded?|ruled? out|unless|except|other than|only|w/o)(?![\w-])",
    re.I,
)


def _read_negation(text: str) -> tuple[list[str], list[str]]:
    """What a text states and what it negates."""
    bare = re.sub(r"^neither\s+", "no ", text.strip().rstrip(".").strip(), flags=re.I)
    if re.fullmatch(r"not (?:a )?normal(?: (?:ecg|ekg|electrocardiogram))?", bare, re.I):
        return [], ["normal ECG"]
    for pattern in (_AFTER, _BEFORE):
        match = pattern.fullmatch(bare)
        if match and not _DOUBT.search(match["finding"]):
            strict = re.match(r"not\b", bare, re.I) is not None
            findings = _findings(match["finding"], strict=strict)
            if findings:
                return [], findings
    match = _BETWEEN.fullmatch(bare)
    if match and not _DOUBT.search(match["finding"]) and not _DOUBT.search(match["stated"]):
        stated = match["stated"].strip(" ,")
        about_any = ABOUT_AN_ECG.fullmatch(stated) is not None
        findings = _findings(match["finding"], strict=not about_any)
        if findings and (about_any or (not FINITE_VERB.search(stated) and not only_modifies(stated))):
            return [] if about_any else _read_list(stated), findings
    return [text], []


def _findings(text: str, *, strict: bool) -> list[str]:
    """The findings that are negated together: "A, B or C"; empty if one of them is none for certain."""
    held, contents = _hold_parentheses(text)
    parts = [_release(part, contents) for part in _TOGETHER.split(held)]
    if not all(names_a_finding(part) for part in parts) or any(part.strip() in BARE_HEADS for part in parts[1:]):
        parts = [text]
        added = words_of(text.partition(",")[2])
        if not all(is_lead(word) or word in ("and", "or") for word in added):
            return []
    elif len(parts) > 1 and not _ANY_OF.search(held):
        return []
    findings = [negated_finding(part) for part in parts]
    names = [name for finding in findings if finding for name in _abbreviated(finding)]
    if not all(findings) or (strict and not all(map(names_a_finding, names))):
        return []
    return names


__all__ = ["Prompt", "read_prompt"]
