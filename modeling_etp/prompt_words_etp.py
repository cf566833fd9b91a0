"""The words by which a prompt is read: leads and waves, adjectives, findings, and what a negation of is no finding."""

import re

from .leads_etp import canonical_lead

# Of the waves and intervals, which every ECG has: "no P waves" describes a rhythm, it doesn't negate a finding.
WAVES = frozenset("p q r s t u j f pr pq qrs qt qtc st rr pp st-t".split())

# Parts of the heart and of the recording, which stand for no finding.
_NO_ACRONYMS = WAVES | frozenset("av sa rv lv ra la ecg ekg".split())
_PLACES = frozenset(
    "ventricle ventricles atrium atria wall walls septum apex leads lead limb chest degree type grade".split()
)

_ADJECTIVES = frozenset(
    """acute old recent new chronic remote age undetermined indeterminate possible probable likely suspected borderline
    left right high low first second third first-degree second-degree third-degree 1st 2nd 3rd complete incomplete wide
    narrow broad tall deep small large fast slow rapid short long early late mild moderate severe marked minor major slight
    flat peaked bizarre irregular regular frequent occasional intermittent prominent absent present bifid inverted upright
    anterior inferior posterior superior lateral septal anteroseptal anterolateral inferolateral inferoposterior apical
    transient persistent paroxysmal premature unspecified nonspecific non-specific diffuse unknown uncertain unclear
    otherwise mixed isolated subacute definite certain equivocal lower upper back front side middle two three junctional nodal unifocal multifocal single multiple sinus left-sided right-sided""".split()
)
_ADJECTIVE_ENDINGS = ("al", "ar", "ic", "ous", "ive", "ed", "ior", "ory", "ly")
_NOUNS = frozenset("interval signal speed electrocardiogram hospital".split())
_LITTLE_WORDS = frozenset(
    "a an the and or of but very more most not quite rather still both either rate mm mv ms s bpm degrees".split()
)

PREPOSITIONS = frozenset("in of on at with by from after before during for to due over under across following".split())

# What begins a part that belongs to the one before it.
CONTINUATIONS = PREPOSITIONS | frozenset(
    """as which that where who when while if because consistent compatible suggesting suggestive suggests indicating
    indicative possibly probably likely perhaps mostly usually often sometimes typically particularly especially including
    e.g i.e such resulting leading caused seen best although though age cause significance type grade degree lead leads
    than cannot can probable possible suspected otherwise consider""".split()
)

# What a list ends with and a cart adds, which is no member.
NO_MEMBERS = frozenset(("etc", "et cetera", "and so on", "and others", "among others", "and more", "consider"))

# A word that needs the one before it: in "ST elevation or depression" the second is none by itself.
BARE_HEADS = frozenset(
    """elevation depression inversion deviation enlargement prolongation shortening change changes abnormality
    abnormalities wave waves segment segments interval""".split()
)

FINDINGS = BARE_HEADS - frozenset("wave waves segment segments interval".split()) | frozenset(
    """block blocks hemiblock infarction infarctions infarct infarcts ischemia ischaemia injury injuries necrosis scar strain fibrillation
    flutter tachycardia bradycardia arrhythmia arrhythmias dysrhythmia rhythm hypertrophy dilation dilatation overload
    contraction contractions extrasystole extrasystoles ectopy ectopics bigeminy trigeminy couplet couplets beat beats
    complexes pacing pacemaker preexcitation pre-excitation aberrancy aneurysm pericarditis syndrome delay disturbance
    disturbances disease defect defects voltage attack angina hyperkalemia hypokalemia hyperkalaemia hypokalaemia effect
    repolarization repolarisation asystole arrest afib aflutter tamponade embolism alternans""".split()
)
_QUALIFIED = re.compile(
    r"\b(pathologic(al)?|abnormal|delta|epsilon|osborn|inverted|peaked|negative|flat|biphasic|u|j)\b|(?<!septal )\bq[- ]waves?\b"
)

# What is said of an ECG as a whole: "no abnormality" is a statement of its own, and reports make it.
_GENERIC_HEADS = frozenset(
    """abnormality abnormalities pathology pathologies finding findings change changes disease diseases problem problems
    irregularity irregularities anything""".split()
)
# … unless it says of what.
_SPECIFIC = WAVES | frozenset(
    """wave waves segment conduction rhythm repolarization repolarisation axis atrial ventricular ischemic ischaemic coronary
    myocardial valvular septal inferior anterior lateral posterior voltage""".split()
)
_WAVE_NOUNS = frozenset("wave waves complex complexes segment segments interval intervals".split())
_NOT_NEGATED = frozenset(
    """activity association baseline cause conduction correlation pattern progression relation relationship response value
    variability reason axis increase growth rise pause pauses particular specific doubt symptoms""".split()
)
_HEDGES = frozenset(
    """a an any the significant definite definitive obvious clear clearly evident apparent relevant convincing overt detectable
    visible discernible distinct identifiable recognizable recognisable consistent organized organised true preceding
    associated concomitant concurrent""".split()
)

# What nomenclatures and carts put around a name: the semantic tags of SNOMED CT, its heading, and asterisks.
_TAG = re.compile(
    r"\s*\((?:finding|disorder|situation|observable entity|procedure|morphologic abnormality|qualifier value)\)$", re.I
)
_HEADING = re.compile(
    r"^(?:(?:ab)?normal )?(?:electrocardiogram|electrocardiographic|ecg|ekg)(?: (?:ab)?normal| finding)?:\s+(?=\S)",
    re.I,
)
ABOUT_AN_ECG = re.compile(
    r"(a|an|the|this)?\s*((12|twelve)-lead\s+)?(ecg|ekg|electrocardiogram|tracing|recording|patient|record)(\s+recording|\s+tracing)?",
    re.I,
)
_PLACE = re.compile(
    r"(\s+(is |are |was |were )?(present|seen|detected|found|noted|identified|evident|observed|visible|demonstrated|shown))?"
    r"(\s+(on|in|at) (the|this|a) (ecg|ekg|electrocardiogram|tracing|recording))?\s*$",
    re.I,
)
FINITE_VERB = re.compile(
    r"\b(is|are|was|were|has|have|had|shows?|demonstrates?|indicates?|suggests?|occurs?|appears?|exceeds?|represents?|means?"
    r"|reveals?|displays?|does|do|can|may|must|should|comes?|follows?|reaches|varies|vary|starts?|there)\b",
    re.I,
)


def words_of(text: str) -> list[str]:
    """Its words in lower case, without the punctuation around them."""
    return [word for word in (raw.strip(".,;:()[]\"'“”").lower() for raw in text.split()) if word]


def is_lead(word: str) -> bool:
    """Whether a word is a lead, or several such as "V1-V3" or "II/III"."""
    parts = re.split(r"[-\u2013/]", word.strip(".,;:()"))
    return (
        all(part and canonical_lead(part) is not None for part in parts)
        or re.fullmatch(r"[Vv]\d[-\u2013]\d", word) is not None
    )


def is_number(word: str) -> bool:
    return re.match(r"[<>≥≤=~]?\s*\d", word) is not None


def is_adjective(word: str) -> bool:
    return word in _ADJECTIVES or (
        word.endswith(_ADJECTIVE_ENDINGS) and word not in _NOUNS and word not in FINDINGS and len(word) > 4
    )


def only_modifies(text: str) -> bool:
    """Whether a text names nothing by itself: "old", "left ventricle", "not diagnostic", "> 120"."""
    return all(
        is_adjective(word) or word in _LITTLE_WORDS or word in _PLACES or is_number(word) or not re.search(r"\w", word)
        for word in words_of(text)
    )


def is_acronym(word: str) -> bool:
    """Whether a word stands for several, as "AF" and "LBBB" do and "ST" and "V1" do not."""
    return (
        re.fullmatch(r"[A-Z][A-Za-z]{0,4}[A-Z]s?|[A-Z]{2,}[a-z]{1,3}", word) is not None
        and word.lower() not in _NO_ACRONYMS
        and not is_lead(word)
    )


def names_a_finding(text: str) -> bool:
    """Whether a text is certainly a finding, by the words that end the names of findings."""
    words = words_of(re.split(r"\s(?:in|of|at|due|on|with)\s", text)[0])
    if not words:
        return False
    if words[-1] == "rhythm":
        return len(words) > 1
    return (
        is_acronym(text.split()[len(words) - 1].strip(".,;:()"))
        or words[-1] in FINDINGS
        or _QUALIFIED.search(" ".join(words)) is not None
    )


def bare_name(text: str) -> str:
    """A name without what nomenclatures and carts put around it; any other text as it is.

    Example:
        >>> bare_name("*** Atrial fibrillation ***"), bare_name("Electrocardiogram abnormal: Q wave abnormal (finding)")
        ('Atrial fibrillation', 'Q wave abnormal')
    """
    bare = text.strip()
    if bare.startswith("*") or bare.endswith("*"):
        bare = bare.strip("* ")
    bare = _HEADING.sub("", _TAG.sub("", bare))
    return bare if bare and bare != text.strip() else text


_PERSON = r"(?:man|woman|male|female|boy|girl|lady|gentleman)"
_AGE = r"(?:over |under )?\d{1,3}[ -]?(?:years?|yrs?|y)(?:[ -](?:old|of age)|/o|o)?|\d{1,3}[ ]?(?:yo|y/o)|aged? (?:over )?\d{1,3}(?: years?)?"
_OF_AGE = rf"(?:an? )?(?:(?:{_AGE})[ -]?,? ?(?:{_PERSON}|patient|person)?|(?:{_PERSON}|patient|person)(?: patient)?,? (?:{_AGE}))(?: patient)?"
_WITH = r"\s+(?:with|who has|presenting with)\s+"
# A sex alone and a comma may begin a list: "male, female".
_PATIENT = re.compile(
    rf"(?:{_OF_AGE}(?:,?{_WITH}|[.,:]\s+)|(?:an? )?{_PERSON}(?: patient)?(?:,?{_WITH}|[.:]\s+))(?=\S*[^\W\d])", re.I
)


def without_patient(text: str) -> str:
    """A finding without the age and sex in front of it, which tell patients apart and not findings; else the text.

    Example:
        >>> without_patient("72-year-old woman with atrial fibrillation"), without_patient("72-year-old woman")
        ('atrial fibrillation', '72-year-old woman')
    """
    found = _PATIENT.match(text)
    return text[found.end() :] if found else text


def negated_finding(text: str) -> str | None:
    """The finding that a negation of `text` negates; `None` if it negates none, or not certainly.

    Example:
        >>> negated_finding("any significant ST elevation"), negated_finding("visible P waves"), negated_finding("abnormality")
        ('ST elevation', None, None)
    """
    text = _PLACE.sub("", f" {text.strip().rstrip('.')}").strip()
    while text and words_of(text)[:1] and words_of(text)[0] in _HEDGES:
        text = text.partition(" ")[2].strip()
    words = words_of(text)
    if not words or FINITE_VERB.search(text) or {"than", "but"} & set(words) or ":" in text:
        return None
    if words[0] in ("longer", "more", "less", "other", "only", "so", "such", "further") or is_number(words[0]):
        return None
    if only_modifies(text):
        return None
    head = words_of(re.split(r"\s(?:in|of|at|on|before|between|for|to|since|from|compared)\s", text)[0])
    if not head or (head[-1] in _GENERIC_HEADS and not set(head) & _SPECIFIC):
        return None
    if not _QUALIFIED.search(text.lower()):
        of_every_ecg = head[-1] in _WAVE_NOUNS and set(head[:-1]) <= WAVES | _HEDGES | {"normal", "sinus"}
        if of_every_ecg or head[-1] in WAVES or head[-1] in _NOT_NEGATED:
            return None
    return text
