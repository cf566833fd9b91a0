"""A normal ECG, or sinus rhythm, that a prompt describes by its waves and intervals."""

import re
from dataclasses import dataclass

from .prompt_normal_words_etp import (
    ABNORMAL,
    AFTER_THE_DENIED,
    BESIDE_AN_ABNORMALITY,
    DENIAL,
    DENIED_TOGETHER,
    FASTEST,
    IN_PLACE,
    LIMITS,
    LOWEST_BOUND,
    MEASURED,
    NAMED_NORMAL,
    NORMAL,
    OF_REPOLARIZATION,
    OF_RHYTHM,
    OTHER,
    OUT_OF_PLACE,
    PARTS,
    RATES,
    SAID_OF,
    SECONDS,
    SHOWN_BY_ST_T,
    SLOWEST,
    UNITS,
    WIDER,
    WORD,
    WRITTEN_AS,
)
from .prompt_words_etp import is_lead

_FEWEST = 5  # parts, and words that call one normal: fewer are a finding ("normal axis"), no description


def described_normality(text: str) -> str | None:
    """What a description says that names nothing but normal parts: "normal ECG", "sinus rhythm", or `None` if not for certain.

    Every word must be known to be said of a normal part, and every number to lie within its limits. A description of P waves, PR
    interval, rate and narrow QRS complexes alone is one of sinus rhythm; of three parts with the ST segment or the T wave
    among them, or of any beside the words "normal ECG", one of a normal ECG.

    Example:
        >>> described_normality("Upright P waves in I and II, PR 120-200 ms, narrow QRS, isoelectric ST segments, upright T waves.")
        'normal ECG'
        >>> described_normality("A P wave upright in II before every QRS at 60 to 100 per minute, constant PR interval")
        'sinus rhythm'
        >>> described_normality("Upright P waves in I and II, PR 240 ms, narrow QRS, isoelectric ST segments, upright T waves.") is None
        True
    """
    written = _plain(text)
    plain, asserted = IN_PLACE.subn(" ", written)
    if OUT_OF_PLACE.search(plain):
        return None
    for pattern, part in SAID_OF.items():
        plain, count = pattern.subn(part, plain)
        asserted += count
    undenied = _without_denials(plain)
    unmeasured = undenied and _without_numbers(undenied.text)
    if undenied is None or unmeasured is None:
        return None
    words = [word for word in WORD.findall(unmeasured.text) if word not in ".,;:"]
    if not all(word in PARTS or word in NORMAL or word in OTHER or is_lead(word) for word in words):
        return None
    asserted += undenied.count + unmeasured.count + sum(word in NORMAL for word in words)
    parts = {PARTS[word] for word in words if word in PARTS}
    if asserted < 2 or len(parts) < 2 or asserted + len(parts) < _FEWEST:
        return None
    if NAMED_NORMAL.search(written) or (len(parts) > 2 and parts & OF_REPOLARIZATION):
        return "normal ECG"
    return "sinus rhythm" if parts <= OF_RHYTHM and {"p", "sinus", "nsr"}.intersection(words) else None


@dataclass(frozen=True)
class _Rest:
    """What is left of a text, and how many things were taken out that call a part normal."""

    text: str
    count: int


def _plain(text: str) -> str:
    plain = re.sub(r"[\u2010-\u2015\u2212]", "-", text.lower())
    for written, read in WRITTEN_AS.items():
        plain = plain.replace(written, read)
    return re.sub(r"(?:^|(?<=[:;,.] ))\(\d\)|[()\[\]\"“”]", " ", plain)  # (1) begins an item of a list


def _without_denials(plain: str) -> _Rest | None:
    """The text without "no ST elevation"; `None` where what is denied may be normal: "no P waves"."""
    count = 0
    while match := DENIAL.search(plain):
        words = WORD.findall(match["denied"])
        denied = [text for text in DENIED_TOGETHER.split(match["denied"]) if text.strip()]
        if ABNORMAL.isdisjoint(words) or not all(map(_may_be_denied, denied)):
            return None
        parts = ["st-t" for word in words if PARTS.get(word) in OF_REPOLARIZATION or word in SHOWN_BY_ST_T]
        plain = f"{plain[: match.start()]} {' '.join(parts)} {plain[match.end() :]}"
        count += 1
    return _Rest(plain, count)


def _may_be_denied(text: str) -> bool:
    """Whether a normal ECG lacks this: one abnormality; or the "ST" of "ST or T wave changes"."""
    head, *rest = AFTER_THE_DENIED.split(text)
    words, others = WORD.findall(head), WORD.findall(" ".join(rest))
    known = ABNORMAL | BESIDE_AN_ABNORMALITY | OTHER | PARTS.keys()
    if not all(word in known or is_lead(word) for word in (*words, *others)):
        return False
    if rest and rest[0] != "of" and not ABNORMAL.isdisjoint(others):  # "no change in the ST elevation"
        return False
    shared = all(PARTS.get(word) in OF_REPOLARIZATION or word in BESIDE_AN_ABNORMALITY for word in words)
    return shared or not ABNORMAL.isdisjoint(words)


def _without_numbers(plain: str) -> _Rest | None:
    """The text without its measured values; `None` where one is outside its limits, or of nothing that is known."""
    plain = re.sub(r"\b12[- ]leads?\b", " ", plain)
    plain = re.sub(r"\bv\d(?:-v?\d| to v?\d| - v\d)?\b", "v1", plain)  # leads are no values
    kept, last, count = "", 0, 0
    values: dict[str, set[float]] = {
        "rhythm": set(),
        "pr": set(),
    }  # two of one are of beats that differ, or of P and of QRS
    for match in MEASURED.finditer(plain):
        kept += plain[last : match.start()]
        last, count = match.end(), count + 1
        part = _measured_part(kept, match["unit"])
        if part is None or not _is_normal(part, match):
            return None
        if match["and"] and not re.search(r"\bbetween\s*$", kept):  # "PR and QRS are 180 and 90 ms"
            return None
        if part == "rate":
            part, kept = "rhythm", kept + " rate "
        if part in values and not (match["high"] or match["under"]):
            values[part].add(float(match["low"]))
    return None if any(len(different) > 1 for different in values.values()) else _Rest(kept + plain[last:], count)


def _measured_part(before: str, unit: str | None) -> str | None:
    """What a number is of: by its unit, or the part that is named last before it."""
    if unit and unit not in UNITS:
        return "rate"
    parts = PARTS | {"complex": "qrs", "complexes": "qrs"}
    named = [parts[word] for word in WORD.findall(before) if word in parts]
    return named[-1] if named and named[-1] in LIMITS else None


def _is_normal(part: str, match: re.Match) -> bool:
    """Whether a measured value, or both ends of a range, lie within the limits of their part."""
    low, high = float(match["low"]), float(match["high"] or match["low"])
    unit = UNITS.get(match["unit"] or "", "bpm" if match["unit"] else "")
    if not unit and high < SECONDS and part in ("pr", "qrs", "qt"):
        unit = "s"
    if unit not in LIMITS[part]:
        return False
    lowest, highest = LIMITS[part][unit]
    is_rate, is_range = unit in RATES and part in ("rate", "rhythm"), match["high"] is not None
    is_bound = match["under"] is not None and not is_range
    if (is_rate and is_bound) or (part == "st" and not match["under"]):  # "below 80" is slow, "ST 1 mm" deviates
        return False
    if is_bound:
        lowest = LOWEST_BOUND * highest
    elif is_rate and high < FASTEST:
        lowest = SLOWEST
    return lowest <= low <= high <= highest * (WIDER.get(part, 1) if is_bound or is_range else 1)


__all__ = ["described_normality"]
