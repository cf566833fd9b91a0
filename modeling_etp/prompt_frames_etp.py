"""The finding in a question, an instruction or a sentence about a patient, whose other words every such text shares."""

import re

from .prompt_words_etp import FINITE_VERB, PREPOSITIONS, is_adjective, names_a_finding, words_of

_ECG = r"(?:(?:the|this|that|an?) )?(?:(?:12|twelve)-lead )?(?:ecg|ekg|electrocardiogram|tracing|trace|recording|record|patient|person|subject)"
_HAS = (
    r"(?:(?:shows?|ha(?:s|ve)(?: had)?|had|reveals?|demonstrates?|displays?|exhibits?|contains?|suggests?|indicates?)"
    r"|(?:is|are) (?:consistent|compatible) with|(?:is|are) suggestive of)"
)
_BE = r"(?:is|are|was|were|has been|have been)"
_SEEN = r"(?:present|seen|visible|found|evident|detected|identifiable|recogni[sz]able)"
_ON_IT = rf"(?: (?:in|on|from) {_ECG})?"
_FINDING = r"(?P<finding>[^?!,;:\n]+?)"
_CLAUSES = (
    rf"there {_BE} {_FINDING}{_ON_IT}",
    rf"(?:{_ECG}|this|it) {_HAS} {_FINDING}",
    rf"{_FINDING} {_BE} {_SEEN}{_ON_IT}",
)
_VERB = r"(?:identify|determine|decide|detect|assess|evaluate|check|look|search|find|tell|say|state|report|verify|confirm|recogni[sz]e)"
_FRAMES = (
    rf"(?:does|do|did) {_ECG} {_HAS} {_FINDING}",
    rf"ha(?:s|ve) {_ECG} had {_FINDING}",
    rf"{_BE} there {_FINDING}{_ON_IT}",
    rf"{_BE} {_FINDING} {_SEEN}{_ON_IT}",
    rf"{_BE} (?:{_ECG}|this|it) (?:(?:consistent|compatible) with|suggestive of|an?) {_FINDING}",
    rf"(?:can|do|could) you (?:see|find|detect|identify) {_FINDING}{_ON_IT}",
    *(rf"(?:please )?{_VERB}(?: for)? (?:if|whether) {clause}" for clause in _CLAUSES),
    rf"(?:please )?{_VERB}(?: for)? (?:the presence of )?{_FINDING}{_ON_IT}",
    rf"{_ECG} (?:{_HAS}|showing|with) {_FINDING}",
)
_PATTERNS = [re.compile(rf"{frame}\s*[.?!]?", re.I) for frame in _FRAMES]
# What a frame has before the finding.
_ARTICLE = r"(?:(?:an?|the|any|some) )?"
_AROUND = re.compile(
    rf"{_ARTICLE}(?:(?:clear |definite )?(?:evidence|signs?|features?|findings?|indications?) (?:of|for) )?{_ARTICLE}",
    re.I,
)
_HOW_IT_IS = re.compile(r"(?:is|are) (?!there\b|this\b|it\b)(?:the |any )?(?P<finding>[^?!,;:\n]+?)\?", re.I)


def without_frame(text: str) -> str:
    """The finding that a question or instruction asks for, or that a sentence says a patient or an ECG has; else the text.

    Example:
        >>> without_frame("Does this ECG show a left bundle branch block?"), without_frame("Is the QT interval prolonged?")
        ('left bundle branch block', 'QT interval prolonged')
    """
    bare = text.strip()
    for pattern in _PATTERNS:
        match = pattern.fullmatch(bare)
        if match:
            finding = _AROUND.sub("", match["finding"], count=1)
            is_noun = PREPOSITIONS.intersection(words_of(finding)[:1])  # "report of", and not what is to be reported
            if not is_noun and names_a_finding(finding) and not FINITE_VERB.search(finding):
                return finding
    match = _HOW_IT_IS.fullmatch(bare)
    if match and len(words_of(match["finding"])) > 1 and is_adjective(words_of(match["finding"])[-1]):
        return match["finding"]
    return text


__all__ = ["without_frame"]
