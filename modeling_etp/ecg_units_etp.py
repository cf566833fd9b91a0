"""Units of voltage, in the spellings that files use."""

import re

_MILLIVOLTS = {"V": 1e3, "mV": 1.0, "uV": 1e-3, "nV": 1e-6}

# Words and letters in any case, except that MV is no way to write mV: M is mega.
_WORD = re.compile(r"(micro|milli|nano|u|m|n)?[ -]?(?:volts?|v)\Z")
_PREFIXES = {"micro": "uV", "u": "uV", "milli": "mV", "m": "mV", "nano": "nV", "n": "nV", None: "V"}

# The micro sign (U+00B5) and the Greek mu (U+03BC); their two bytes of UTF-8 taken for Latin-1; their byte of code
# page 437 or 850 taken for Latin-1; and a byte that the text's encoding has no character for. No other prefix of a
# volt lies outside ASCII, so the last can only be one of them.
_MICRO = re.compile("\u00c2\u00b5|\u00ce\u00bc|\u00b5|\u03bc|\u00e6|\ufffd{1,2}|[\udc80-\udcff]{1,2}")


def millivolts_per(unit: str | None) -> float | None:
    """How many mV one `unit` is, `None` if it isn't a unit of voltage.

    `MV` is none: it is either a megavolt or a misspelt mV, a factor of 10^9 apart.

    Example:
        >>> millivolts_per("µV"), millivolts_per("mmHg"), millivolts_per("MV")
        (0.001, None, None)
    """
    if not isinstance(unit, str):
        return None
    text = unit.strip(" \t\r\n\0[]()")
    text = _MICRO.sub("u", text, count=1) if _MICRO.match(text) else text
    if text not in _MILLIVOLTS:
        if text[:1] == "M" and text[1:2] in "Vv":
            return None
        word = _WORD.match(text.lower())
        text = _PREFIXES[word[1]] if word else text
    return _MILLIVOLTS.get(text)


# Quantities that a recorder stores beside ECGs, in the UCUM codes of DICOM and as people write them.
_OTHER_UNITS = frozenset(
    """mmhg mm[hg] cmh2o cm[h2o] kpa hpa pa mbar bar
    bpm /min 1/min {beats}/min {h.b.}/min rpm br/min breaths/min hz khz 1/s
    % pct percent degc deg_c cel °c \ufffdc k degf °f
    l ml l/s l/min ml/min ml/s lpm ohm ohms kohm mohm ω s us ns/cm us/cm siemens
    g mg m/s2 m/s^2 m/s² m/s deg rad deg/s rad/s m cm mm n nm kg w watt ma ua a lux lx db dba
    boolean bool sec secs ms min""".split()
)


def is_other_quantity(unit: str | None) -> bool:
    """Whether a unit is known to measure something else than a voltage, such as a pressure."""
    return isinstance(unit, str) and unit.strip(" \t\r\n\0").lower() in _OTHER_UNITS
