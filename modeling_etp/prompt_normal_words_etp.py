"""The words, numbers and patterns by which a description calls the parts of an ECG normal."""

import re

# Limits of adults (AHA/ACCF/HRS 2009, parts III to VI): part of the ECG -> unit -> lowest and highest normal number.
RATES: dict[str, tuple[float, float]] = {"": (50, 100), "bpm": (50, 100)}
LIMITS: dict[str, dict[str, tuple[float, float]]] = {
    "rate": RATES,
    "rhythm": RATES | {"ms": (600, 1000), "s": (0.6, 1.0)},  # of an RR interval
    "p": {"ms": (40, 120), "s": (0.04, 0.12), "mm": (0, 2.5), "mv": (0, 0.25)},
    "pr": {"": (120, 200), "ms": (120, 200), "s": (0.12, 0.2)},
    "qrs": {"": (60, 110), "ms": (60, 110), "s": (0.06, 0.11)},
    "axis": {"": (-30, 90), "degrees": (-30, 90)},
    "st": {"mm": (0, 1), "mv": (0, 0.1)},
    "qt": {"": (350, 450), "ms": (350, 450), "s": (0.35, 0.45)},
}
SLOWEST, FASTEST = (
    60,
    90,
)  # of a single rate; a range may begin at 50, where some draw the border, if it ends at 90 or above
# By how much a bound or the end of a range may pass the limit: "QRS under 120 ms", "QTc up to 460 ms".
WIDER = {"qrs": 1.1, "qt": 1.03}
LOWEST_BOUND = 0.9  # share of the limit that "under …" must reach: "PR under 120 ms" is short
SECONDS = 2  # a number of an interval without a unit is in seconds below this, else in milliseconds

# Word -> the part that it names.
PARTS = {
    **dict.fromkeys(("rhythm", "sinus", "rr", "r-r", "pp", "p-p", "nsr", "sr"), "rhythm"),
    **dict.fromkeys(("rate", "frequency", "hr", "v-rate"), "rate"),
    **dict.fromkeys(("p", "p-wave", "p-waves"), "p"),
    **dict.fromkeys(("pr", "pq", "p-r", "p-q", "av", "atrioventricular"), "pr"),
    **dict.fromkeys(("qrs", "intraventricular", "p-qrs-t"), "qrs"),
    "axis": "axis",
    **dict.fromkeys(("r", "r-wave", "r-waves", "r/s"), "r"),
    **dict.fromkeys(("st", "st-segment", "st-segments"), "st"),
    **dict.fromkeys(("t", "t-wave", "t-waves"), "t"),
    **dict.fromkeys(("st-t", "st/t", "repolarization", "repolarisation"), "st-t"),
    **dict.fromkeys(("qt", "qtc", "qt/qtc"), "qt"),
}
OF_RHYTHM = frozenset(("rhythm", "rate", "p", "pr", "qrs"))
OF_REPOLARIZATION = frozenset(("st", "t", "st-t"))

# Words by which a part is called normal; `OUT_OF_PLACE` has the parts of which one of them says something else.
NORMAL = frozenset(
    """normal normally unremarkable physiological physiologic regular regularly constant steady stable even evenly uniform identical
    same isoelectric baseline level upright positive narrow slender slim narrow-complex asymmetric asymmetrical rounded smooth smoothly
    wnl nl reg const good timely undisturbed concordant fixed unaltered intact sinus nsr healthy visible consistent clear distinct equal
    equals preserved appropriate intermediate ordinary alike crisp orderly unimpaired uninterrupted adequate textbook undelayed
    normocardic""".split()
)
# Words that call no part abnormal, whatever they stand beside.
OTHER = frozenset(
    """a an the and or with in on at of for from to by as is are was were be has have shows show showing there it its this that these
    they them each every all both one before precedes precede preceding preceded followed follows follow per lead leads limb chest
    precordial precordium frontal plane lateral left-sided inferior anterior anterolateral quadrant throughout across wave waves complex
    complexes segment segments interval intervals duration length lengths amplitude amplitudes height width size form shape shaped
    morphology contour configuration polarity vector time times conduction conducts conducted progression proceeds transition zone point
    points voltage voltages deflection direction directed main node sinoatrial heart heartbeat cardiac atria ventricular ventricle
    ventricles depolarisation depolarization activation activity impulse mechanism origin originates driven cycle spacing spaced
    distance distances consecutive beat beats beat-to-beat sequence relation pattern response adult adults patient person's men women
    volunteer ecg ekg electrocardiogram tracing trace recording recorded strip monitor telemetry single-lead 12-lead twelve twelve-lead
    resting rest pre-op control systematic automated reviewed done analysis read interpretation impression conclusion criteria features
    findings limits limit reference range within inside about approximately roughly around between usually typically typical sometimes
    mainly overall also here seen present standard electrical electrically vent mean minute their where which what you see because lies
    lie stays remains remain run line corrected bazett fridericia usual respectively onset expected begins starts last lasts arises
    arise arising comes come falls gives reaches appear appears look looks reveals contains demonstrates sets measure measures measured
    value values amounts axes gently""".split()
)
# What is said not to be there, in a description of what is normal.
ABNORMAL = frozenset(
    """abnormal abnormality abnormalities pathological pathologic pathology ischemia ischaemia ischemic ischaemic infarction infarct hypertrophy
    enlargement enlarged disease defect defects disturbance disturbances delay block blocks bundle branch fascicular lvh rvh lbbb rbbb
    elevation depression elevated raised depressed displaced displacement deviation inversion inverted shift change changes low short
    early tall peaked peaking notched notching slurring fragmentation flattening poor late rotation arrhythmia arrhythmias dysrhythmia
    irregularity irregularities irregular fibrillation flutter ectopy ectopic ectopics extrasystoles premature supraventricular junctional
    escape aberrant dropped pauses pvc pvcs pac pacs vebs svebs delta pre-excitation preexcitation tachycardia bradycardia prolongation
    prolonged shortened shortening widened overload injury strain necrosis q""".split()
)
SHOWN_BY_ST_T = frozenset("ischemia ischaemia ischemic ischaemic injury".split())
BESIDE_AN_ABNORMALITY = frozenset(
    "acute significant detected found finding previous prior old note atrial left right chamber".split()
)

_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_PER_MINUTE = r"bpm|beats (?:per|a) minute|beats/min|/ ?min(?:ute)?|per minute"
UNITS = {"ms": "ms", "s": "s", "sec": "s", "seconds": "s", "mm": "mm", "mv": "mv", "degrees": "degrees"}
MEASURED = re.compile(
    r"(?P<under>(?:under|below|(?:less|narrower|shorter) than|up to|at most|not more than|within|<=?)\s*)?"
    rf"(?<![\w.])(?P<low>{_NUMBER})(?:\s*(?:-|/|to|(?P<and>and))\s*(?P<high>{_NUMBER}))?"
    rf"\s*(?P<unit>(?:{'|'.join(UNITS)}|{_PER_MINUTE})(?![\w/-]))?(?:\s(?:tall|wide|high|long))?"
)
WORD = re.compile(r"[a-z][a-z'/-]*\d?|\S")
_ITEM = r"(?:(?!\sand\b)[^.;:,])+"
DENIAL = re.compile(
    r"\b(?:no|without|absence of|free of|free from)\s+(?:any )?(?:(?:evidence|signs?|criteria|indication) (?:of|for) )?"
    rf"(?P<denied>{_ITEM}(?:,(?!\s*(?:no|without|and)\b){_ITEM})*,?\sor\s{_ITEM}|{_ITEM})"
)
DENIED_TOGETHER = re.compile(r",\s*|\s*\bor\b\s*")
AFTER_THE_DENIED = re.compile(r"\b(in|on|at|with|from|by|because|before|after|for|of)\b")

# What says that R grows over the chest, and that beats come evenly: pattern -> the part that it speaks of.
SAID_OF = {
    re.compile(
        r"\b(?:(?:steady|gradual|regular|normal) )?(?:growth of |increase of )?r(?:[- ]waves?)? (?:height |amplitude )?"
        r"(?:steadily |gradually )?(?:gr[eo]w\w*|ris(?:e|es|ing)|increas(?:e|es|ing)|progress(?:es)?|becom\w+ taller)\b"
        r"(?: steadily| gradually)?"
    ): " r ",
    re.compile(r"\b(?:evenly|regularly|equally) spaced (?:r waves|beats|qrs complexes)\b"): " rhythm ",
}
_LEAD = r"(?:leads? )?(?:i{1,3}|av[rlf]|v\d)\b"
# What is normal in its place only: P and T point down in aVR, S shrinks over the chest, a septal q is small, a baseline is flat.
IN_PLACE = re.compile(
    r"\b(?:(?:inverted|negative|neg)\.?(?: (?:p|t)(?: waves?)?)? in|(?:except|apart from)(?: in)?) avr(?: and v1)?\b"
    rf"(?!(?:,| and| or| to| as in) (?:in )?{_LEAD})"
    r"|\b(?:in )?most leads\b|\b1:1\b|\bbiphasic in v1\b|\batrial (?=depolari|activ|and ventricular depolari)"
    r"|\b(?:ectop\w+|premature (?:beats|complexes)|delta waves?|pathological q waves?)(?::| are| is)? (?:absent|none)\b"
    r"|\bs waves? (?:becom\w+ smaller|decreas\w+|shrink\w*|diminish\w*)(?: towards?)?\b"
    r"|\bflat(?= (?:st|baseline|isoelectric|on the baseline)\b)|(?<=\bst )flat\b(?! t\b)|(?<=\bst segments )flat\b"
    r"|\b(?:(?:small|narrow|physiological|normal) )*septal q(?:[- ]waves?)?\b(?![^.;,]*\bv[1-4]\b)"
    r"|\bin an? (?:healthy |young )?(?:\d+-year-old )?(?:woman|man|adult|patient|person)\b"
)
# The same words where they are not normal, and relations of P and QRS that no sinus rhythm has.
OUT_OF_PLACE = re.compile(
    r"[>≥?]|(?:upright|positive)[^.;]*\bavr\b|\bavr\b[^.;,]*\b(?:upright|positive)\b"
    r"|\b(?:positive|upright) (?:qrs|r|st)\b|\bqrs[^.;,]*\b(?:positive|upright|concordant)\b(?! in (?:leads? )?i and ii\b)"
    r"|(?<![\w-])t(?:[- ]waves?)?(?: (?:is|are|at|on|the|level|of)){0,5} (?:isoelectric|level|baseline)\b|\b(?:isoelectric|level) t\b"
    r"|\bp(?:[- ]waves?)? follow|\bqrs(?: complex(?:es)?)?(?: is| are)? followed by (?:an? |each |every |the |one )?p\b"
    r"|\bpreced(?:es?|ing) (?:each |every |all |the |an? )?p\b|\bp(?:[- ]waves?)?(?: is| are)? preceded\b|\bcomes? last\b"
    r"|\bp(?:[- ]waves?)? (?:in|on|within) (?:the )?(?:st|t|qrs)\b"
    r"|\b(?:av|atrioventricular) (?:node |nodal )?(?:rhythm|beats)|\b(?:aris|originat|start)\w* (?:in|from) the ventric"
    r"|\btransition[^.;,]*\bv[126]\b|\bfrom v6 to v1\b"
)
NAMED_NORMAL = re.compile(
    r"\bnormal (?:(?:adult|resting|12-lead) )*(?:ecg|ekg|electrocardiogram|tracing|recording)\b|\b(?:ecg|tracing) is normal\b"
)
WRITTEN_AS = {
    **{"\n": "; ", "|": ";", "•": ";", "°": " degrees", "≤": "<=", "msec": "ms", "j point": "st", "j-point": "st"},
    **{"neither ": "no ", "nothing ": "no ", "nil ": "no ", " nor ": " or ", " not ": " no "},
}

__all__ = [
    "ABNORMAL",
    "AFTER_THE_DENIED",
    "BESIDE_AN_ABNORMALITY",
    "DENIAL",
    "DENIED_TOGETHER",
    "FASTEST",
    "IN_PLACE",
    "LIMITS",
    "LOWEST_BOUND",
    "MEASURED",
    "NAMED_NORMAL",
    "NORMAL",
    "OF_REPOLARIZATION",
    "OF_RHYTHM",
    "OTHER",
    "OUT_OF_PLACE",
    "PARTS",
    "RATES",
    "SAID_OF",
    "SECONDS",
    "SHOWN_BY_ST_T",
    "SLOWEST",
    "UNITS",
    "WIDER",
    "WORD",
    "WRITTEN_AS",
]
