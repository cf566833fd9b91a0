"""A normal ECG, or sinus rhythm, that a prompt describes by its waves and intervals."""

import re
from dataclasses import dataclass

from .prompt_words_etp import is_lead

# Limits of adults (AHA/ACCF/HRS 2009, parts III to VI): part of the ECG -> unit -> lowest and highest normal number.
_RATES: dict[str, tuple[float, float]] = {"": (50, 100), "bpm": (50, 100)}
_LIMITS: dict[str, dict[str, tuple[float, float]]] = {
    "rate": _RATES,
    "rhythm": _RATES | {"ms": (600, 1200), "s": (0.6, 1.2)},  # of an RR interval
    "p": {"ms": (40, 120), "s": (0.04, 0.12), "mm": (0, 2.5), "mv": (0, 0.25)},
    "pr": {"": (120, 200), "ms": (110, 200), "s": (0.11, 0.2)},
    "qrs": {"": (60, 120), "ms": (60, 120), "s": (0.06, 0.12)},
    "axis": {"": (-30, 105), "degrees": (-30, 105)},
    "st": {"mm": (0, 1), "mv": (0, 0.1)},
    "qt": {"": (340, 470), "ms": (340, 470), "s": (0.34, 0.47)},
}
_SLOWEST = 60  # of a single rate; a range may begin at 50, where some draw the border
_HIGHEST = 0.8  # share of the upper limit that "under …" must reach: "PR under 120 ms" is short
_SECONDS = 2  # a number of an interval without a unit is in seconds below this, else in milliseconds

# Word -> the part that it names.
_PARTS = {
    **dict.fromkeys(("rhythm", "sinus", "rr", "r-r", "pp", "p-p", "nsr", "sr"), "rhythm"),
    **dict.fromkeys(("rate", "frequency", "hr", "v-rate"), "rate"),
    **dict.fromkeys(("p", "p-wave", "p-waves"), "p"),
    **dict.fromkeys(("pr", "pq", "p-r", "p-q", "av", "atrioventricular"), "pr"),
    **dict.fromkeys(("qrs", "intraventricular", "p-qrs-t"), "qrs"),
    "axis": "axis",
    **dict.fromkeys(("r", "r-wave", "r-waves", "r/s"), "r"),
    **dict.fromkeys(("st", "st-segment", "st-segments", "j"), "st"),
    **dict.fromkeys(("t", "t-wave", "t-waves"), "t"),
    **dict.fromkeys(("st-t", "st/t", "repolarization", "repolarisation"), "st-t"),
    **dict.fromkeys(("qt", "qtc", "qt/qtc"), "qt"),
}
_OF_RHYTHM = {"rhythm", "rate", "p", "pr", "qrs"}
_OF_REPOLARIZATION = {"st", "t", "st-t"}

# Words by which a part is called normal, whichever it is.
_NORMAL = frozenset(
    """normal normally unremarkable physiological physiologic regular regularly constant steady stable even evenly uniform identical
    same isoelectric baseline level upright positive narrow slender slim narrow-complex asymmetric asymmetrical rounded smooth wnl nl
    reg good timely undisturbed concordant fixed unaltered intact sinus nsr healthy visible consistent clear distinct equal equals preserved
    appropriate intermediate ordinary alike crisp orderly unimpaired uninterrupted smoothly const adequate textbook undelayed normocardic""".split()
)
# Words that call no part abnormal, whatever they stand beside.
_OTHER = frozenset(
    """a an the and or with in on at of for from to by as is are was were be has have shows show showing there it its this that these
    each every all both one before precedes precede preceding preceded followed follows follow per lead leads limb chest
    precordial frontal plane lateral left-sided inferior anterior throughout across wave waves complex complexes segment segments
    interval intervals duration amplitude amplitudes height width size form shape morphology contour time conduction conducts
    conducted progression transition zone point points voltage voltages deflection direction main node sinoatrial heart ventricular
    ventricles beat beats sequence relation adult adults patient person's men women ecg ekg electrocardiogram tracing trace recording
    recorded strip monitor telemetry 12-lead twelve-lead resting rest pre-op control reviewed done interpretation impression criteria
    features findings further limits limit range within about approximately roughly around between usually typically sometimes most
    mainly overall also here seen present standard electrical vent mean their where what you see because lies lie remains remain run
    runs line corrected bazett fridericia usual respectively onset expected lasts starts last arises arise arising comes come gently nil
    spaced origin mechanism activity cardiac typical driven impulse heartbeat begins axes conclusion read
    systematic automated volunteer single-lead anterolateral pattern other measures measured
    measure stays spacing length lengths reference falls inside gives cycle atria polarity twelve configuration activation which proceeds
    look looks appear appears minute vector precordium response quadrant they them directed shaped value values amounts reaches
    originates reveals sets analysis contains demonstrates consecutive distance distances beat-to-beat ventricle electrically times
    depolarisation depolarization""".split()
)
# What is said not to be there, in a description of what is normal.
_ABNORMAL = frozenset(
    """abnormal abnormality abnormalities pathological pathologic pathology ischemia ischaemia ischemic ischaemic infarction infarct hypertrophy
    enlargement disease disturbance disturbances delay block blocks bundle branch fascicular lvh rvh lbbb rbbb elevation depression
    elevated raised depressed displaced displacement deviation inversion inverted shift change changes arrhythmia arrhythmias
    fibrillation flutter ectopy ectopic ectopics extrasystoles premature dropped pauses delta pre-excitation preexcitation tachycardia
    bradycardia prolongation prolonged shortened widened slurring notching injury strain necrosis defect defects enlarged low short
    early tall peaked peaking notched flattening poor late rotation shortening fragmentation irregularity irregularities irregular
    supraventricular junctional escape aberrant dysrhythmia overload pvcs pacs pvc pac vebs svebs q""".split()
)
_SHOWN_BY_ST_T = frozenset("ischemia ischaemia ischemic ischaemic injury".split())
_OF_A_DENIAL = frozenset(
    "any evidence sign signs acute significant detected found finding previous prior old other note atrial left right chamber".split()
)

_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_PER_MINUTE = r"bpm|beats (?:per|a) minute|beats/min|/ ?min(?:ute)?|per minute"
_UNITS = {"ms": "ms", "s": "s", "sec": "s", "seconds": "s", "mm": "mm", "mv": "mv", "degrees": "degrees"}
_MEASURED = re.compile(
    r"(?P<under>(?:under|below|(?:less|narrower|shorter) than|up to|at most|not more than|within|<=?)\s*)?"
    rf"(?<![\w.])(?P<low>{_NUMBER})(?:\s*(?:-|/|to|and)\s*(?P<high>{_NUMBER}))?"
    rf"\s*(?P<unit>(?:{'|'.join(_UNITS)}|{_PER_MINUTE})(?![\w/-]))?(?:\s(?:tall|wide|high|long))?"
)
_WORD = re.compile(r"[a-z][a-z'/-]*\d?|\S")
_DENIED = r"(?:(?!\sand (?:no|without)\b)[^.;:,])+"
_DENIAL = re.compile(
    r"\b(?:no|without|absence of|free of|free from)\s+"
    rf"(?P<scope>{_DENIED}(?:,(?!\s*(?:no|without)\b){_DENIED})*,?\sor\s{_DENIED}|{_DENIED})"
)
# What says that R grows over the chest, and that beats come evenly.
_R_GROWS = re.compile(
    r"\b(?:(?:steady|gradual|regular|normal) )?(?:growth of |increase of )?r(?:[- ]waves?)? (?:height |amplitude )?"
    r"(?:steadily |gradually )?(?:gr[eo]w\w*|ris(?:e|es|ing)|increas(?:e|es|ing)|progress(?:es)?|becom\w+ taller)\b(?: steadily| gradually)?"
)
_EVENLY_SPACED = re.compile(r"\b(?:evenly|regularly|equally) spaced (?:r waves|beats|qrs complexes)\b")
# What is normal in its place only: P and T point down in aVR, S shrinks over the chest, a septal q is small, a baseline is flat.
_IN_PLACE = re.compile(
    r"\b(?:inverted|negative|neg)\.?(?: (?:p|t)(?: waves?)?)? in avr\b|\b(?:except|apart from) (?:in )?avr(?: and v1)?\b|\b1:1\b"
    r"|\b(?:ectop\w+|premature (?:beats|complexes)|delta waves?|pathological q waves?)(?::| are| is)? (?:absent|none)\b"
    r"|\batrial (?=depolari|activ|and ventricular depolari)|\bbiphasic in v1\b|\brs (?:pattern |complex )?in v1\b|\bqr (?:pattern |complex )?in v6\b"
    r"|\bs waves? (?:becom\w+ smaller|decreas\w+|shrink\w*|diminish\w*)(?: towards?)?\b"
    r"|\bflat(?= (?:st|baseline|isoelectric|on the baseline)\b)|(?<=\bst )flat\b|(?<=\bst segments )flat\b"
    r"|\b(?:(?:small|narrow|physiological|normal) )*septal q(?:[- ]waves?)?\b"
    r"|\bin an? (?:healthy |young )?(?:\d+-year-old )?(?:woman|man|adult|patient|person)\b"
)
_OUT_OF_PLACE = re.compile(
    r"[>≥?]|(?:upright|positive)[^.;]*\bavr\b|\bpositive (?:qrs|r)\b|\bqrs[^.;,]*\bpositive(?! in (?:leads? )?i and ii\b)"
)
_NAMED = re.compile(
    r"\bnormal (?:(?:adult|resting|12-lead) )*(?:ecg|ekg|electrocardiogram|tracing|recording)\b|\b(?:ecg|tracing) is normal\b"
)
_WRITTEN_AS = {
    "°": " degrees",
    "≤": "<=",
    "msec": "ms",
    "neither ": "no ",
    "nothing ": "no ",
    " nor ": " or ",
    " not ": " no ",
}


def described_normality(text: str) -> str | None:
    """What a description says that names nothing but normal parts: "normal ECG", "sinus rhythm", or `None` if not for certain.

    Every word must be known to be said of a normal part, and every number to lie within its limits. A description of rhythm, P
    waves and PR interval alone is one of sinus rhythm; of three parts with the ST segment or the T wave among them, or of any
    beside the words "normal ECG", one of a normal ECG.

    Example:
        >>> described_normality("Upright P waves in I and II, PR 120-200 ms, narrow QRS, isoelectric ST segments, upright T waves.")
        'normal ECG'
        >>> described_normality("A P wave upright in II before every QRS at 60 to 100 per minute, constant PR interval")
        'sinus rhythm'
        >>> described_normality("Upright P waves in I and II, PR 240 ms, narrow QRS, isoelectric ST segments, upright T waves.") is None
        True
    """
    written = _plain(text)
    plain, asserted = _IN_PLACE.subn(" ", written)
    if _OUT_OF_PLACE.search(plain):
        return None
    for pattern, part in ((_R_GROWS, " r "), (_EVENLY_SPACED, " rhythm ")):
        plain, count = pattern.subn(part, plain)
        asserted += count
    undenied = _without_denials(plain)
    unmeasured = undenied and _without_numbers(undenied.text)
    if undenied is None or unmeasured is None:
        return None
    words = [word for word in _WORD.findall(unmeasured.text) if word not in ".,;:"]
    if not all(word in _PARTS or word in _NORMAL or word in _OTHER or is_lead(word) for word in words):
        return None
    asserted += undenied.count + unmeasured.count + sum(word in _NORMAL for word in words)
    parts = {_PARTS[word] for word in words if word in _PARTS}
    if asserted < 2 or len(parts) < 2 or asserted + len(parts) < 5:
        return None
    if _NAMED.search(written) or (len(parts) > 2 and parts & _OF_REPOLARIZATION):
        return "normal ECG"
    return "sinus rhythm" if parts <= _OF_RHYTHM and {"p", "sinus", "nsr"}.intersection(words) else None


@dataclass(frozen=True)
class _Rest:
    """What is left of a text, and how many things were taken out that call a part normal."""

    text: str
    count: int


def _plain(text: str) -> str:
    plain = re.sub(r"[\u2010-\u2015\u2212]", "-", text.lower())
    for written, read in _WRITTEN_AS.items():
        plain = plain.replace(written, read)
    return re.sub(r"\(\d\)|[()\[\]\"“”]", " ", plain)


def _without_denials(plain: str) -> _Rest | None:
    """The text without "no ST elevation"; `None` where what is denied may be normal: "no P waves"."""
    count = 0
    known = _ABNORMAL | _OF_A_DENIAL | _OTHER | _PARTS.keys()
    while match := _DENIAL.search(plain):
        words = [word for word in _WORD.findall(match["scope"]) if word != ","]
        if not (all(word in known or is_lead(word) for word in words) and _ABNORMAL.intersection(words)):
            return None
        of_repolarization = [
            "st-t" for word in words if _PARTS.get(word) in _OF_REPOLARIZATION or word in _SHOWN_BY_ST_T
        ]
        plain = f"{plain[: match.start()]} {' '.join(of_repolarization)} {plain[match.end() :]}"
        count += 1
    return _Rest(plain, count)


def _without_numbers(plain: str) -> _Rest | None:
    """The text without its measured values; `None` where one is outside its limits, or of nothing that is known."""
    plain = re.sub(
        r"\bv\d(?:\s?(?:-|to)\s?v?\d)?", "v1", re.sub(r"\b12[- ]leads?\b", " ", plain)
    )  # leads are no values
    kept, last, count = "", 0, 0
    for match in _MEASURED.finditer(plain):
        kept += plain[last : match.start()]
        last, count = match.end(), count + 1
        part = _measured_part(kept, match["unit"])
        if part is None or not _is_normal(part, match):
            return None
        if part == "rate":
            kept += " rate "
    return _Rest(kept + plain[last:], count)


def _measured_part(before: str, unit: str | None) -> str | None:
    """What a number is of: by its unit, or the part that is named last before it."""
    if unit and unit not in _UNITS:
        return "rate"
    named = [_PARTS[word] for word in _WORD.findall(before) if word in _PARTS]
    return named[-1] if named and named[-1] in _LIMITS else None


def _is_normal(part: str, match: re.Match) -> bool:
    """Whether a measured value, or both ends of a range, lie within the limits of their part."""
    low, high = float(match["low"]), float(match["high"] or match["low"])
    unit = _UNITS.get(match["unit"] or "", "bpm" if match["unit"] else "")
    if not unit and high < _SECONDS and part in ("pr", "qrs", "qt"):
        unit = "s"
    if unit not in _LIMITS[part]:
        return False
    lowest, highest = _LIMITS[part][unit]
    if match["high"] is None:
        if match["under"]:
            lowest = _HIGHEST * highest
        elif unit in _RATES and part in ("rate", "rhythm"):
            lowest = _SLOWEST
    return lowest <= low <= high <= highest


__all__ = ["described_normality"]
