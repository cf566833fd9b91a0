"""The sentences of MIMIC-IV-ECG's machine reports that say something of the heart, and those that don't."""

import re
from collections.abc import Iterable, Sequence

_ORNAMENT = re.compile(r"^[\s*\-\u2013\u2014=]+|[\s*\-\u2013\u2014=.]+$")
_HEADING = re.compile(r"^(?:summary|interpretation|conclusion|impression)\s*:\s*", re.IGNORECASE)
# What stands behind a finding and is none: the finding stays.
_TAIL = re.compile(
    r"[\s,;:\-\u2013\u2014]*\b(?:"
    r"no further (?:rhythm |morphology )?analysis|(?:suggest |recommend |consider )?clinical correlation|"
    r"(?:with|and) [\w\- ]*\bdemand\b"
    r").*$",
    re.IGNORECASE,
)
# Names and titles follow, whose full stops end no sentence.
_SIGNED = re.compile(
    r"[\s,;:\-]*\b(?:confirmed|reviewed|interpreted|read|edited|signed|over-?read|reported) by\b.*$", re.IGNORECASE
)
_NO_FINDING = re.compile(
    "|".join(
        (
            # the recording
            r"\bdata quality\b|\b(?:poor|bad|low|marginal|suboptimal) (?:quality|tracing|recording|signal)",
            r"\bquality (?:of|is|may|was)\b|\btechnically\b|\btechnical (?:difficult|error|problem)",
            r"\bart[ei]facts?\b|\bbaseline (?:wander|drift|instability|shift|noise)|\b(?:electrode|muscle) noise\b|\bnoisy\b",
            r"\bleads? (?:\S+ )?(?:reversal|reversed|misplace\w*|off|missing|absent|disconnected)\b|\bmissing leads?\b",
            r"\b(?:arm|limb|precordial|chest|electrode)s? (?:leads?|electrodes?)? ?(?:reversal|reversed|misplace\w*)",
            r"\bmay (?:be|have been) (?:reversed|misplaced)\b|\bleads?(?:\(s\))? (?:[\w,\-]+ )*(?:were|was|are|is) (?:not|un)",
            r"\binterpretation (?:is|may|made|not)\b|\b(?:analysis|report|ecg|interpretation) (?:is )?(?:not )?(?:available|possible)",
            r"\bonly\b.*\banaly[sz]ed\b|\b(?:analysis|interpretation) (?:is )?based (?:up)?on\b|\bunsuitable for\b",
            # how a pacemaker is set
            r"\bdemand\b|\bpac(?:er|ing|emaker) (?:spikes?|detection|mode)\b",
            # who read it, and what it was compared with
            r"\b(?:un)?confirmed\b|\bunedited\b",
            r"\bcompar(?:ed|ison) (?:to|with)\b|\b(?:no|since) (?:the )?(?:last|previous|prior|earlier|old)\b|\bno significant change\b",
            r"\bcorrelate clinically\b|\bplease (?:repeat|review)\b|\brepeat (?:ecg|tracing)\b",
        )
    ),
    re.IGNORECASE,
)


def report_text(lines: Iterable[str]) -> str:
    """The report as one text, its sentences as the device wrote them."""
    return ". ".join(line.strip().removesuffix(".") for line in lines if line.strip())


def statements_of(lines: Sequence[str]) -> list[str]:
    """The findings among the sentences of a report, in their order, each once.

    Sentences about the quality of the recording, demand pacing, and who confirmed the report or what it was compared with are no
    findings of the heart.

    Example:
        >>> statements_of(["Sinus rhythm", "*** Poor data quality, interpretation may be affected ***", "Summary: Normal ECG"])
        ['Sinus rhythm', 'Normal ECG']
    """
    found: dict[str, None] = {}
    for line in lines:
        for sentence in re.split(r"[;\n]|\.(?=\s|$)", _SIGNED.sub("", line)):
            text = _ORNAMENT.sub("", sentence)
            text = _ORNAMENT.sub("", _TAIL.sub("", _HEADING.sub("", text)))
            if text and not _NO_FINDING.search(text):
                found.setdefault(" ".join(text.split()))
    return list(found)
