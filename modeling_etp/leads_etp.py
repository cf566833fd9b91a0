"""Names of ECG leads, their spellings, and how limb leads follow from each other."""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

# Leads that a recording may hold beside the twelve: Frank (X, Y, Z), posterior, right-sided, EASI and the inverted
# aVR of the Cabrera sequence. They are recognised, so that they can be left out by name.
OTHER_LEADS = (
    "X", "Y", "Z", "V7", "V8", "V9", "V2R", "V3R", "V4R", "V5R", "V6R", "V7R", "V8R", "V9R", "ES", "AS", "AI", "-aVR",
)  # fmt: skip

# Spellings that name the same pair of electrodes. ML* are the limb leads with the electrodes on the trunk
# (Mason and Likar, Am Heart J 1966), which every stress test and Holter writes; D* is the Romance spelling, also with
# digits; C* are the chest leads of the IEC's colour code (IEC 60601-2-25), R for the right side as in V3R.
_ALIASES = {
    **{name: name for name in (*STANDARD_LEADS, *OTHER_LEADS)},
    **{f"{prefix}{name}": name for prefix in ("ML", "D") for name in ("I", "II", "III")},
    **{f"D{digit}": name for digit, name in zip("123", STANDARD_LEADS, strict=False)},
    **{f"C{name[1:]}": name for name in (*STANDARD_LEADS, *OTHER_LEADS) if name[0] == "V"},
    **{f"V{axis}": axis for axis in "XYZ"},
    "invertedaVR": "-aVR",
}
_BY_KEY = {alias.lower(): name for alias, name in _ALIASES.items()}
# Behind the word "Lead" a digit is the numeral; "ECG 1" and a bare "1" count channels.
_NUMERALS = {"1": "I", "2": "II", "3": "III"}

# What devices and standards write before the name: "ECG I", "Lead II", "MDC_ECG_LEAD_V1" (HL7 aECG, ISO 11073-10102),
# "MDC_ECG_ELEC_POTL_V1" (IEEE 11073-10101), and after it: "Lead I (Einthoven)", "aVR, augmented voltage, right"
# (DICOM PS3.16, context group 3001).
_PREFIX = re.compile(r"^(?:mdc[\s_]*)?(?:(?:ecg|ekg)[\s_:-]+)?(?:elec_potl[\s_]+)?(?P<lead>lead[\s_:-]+)?")
_SUFFIX = re.compile(
    r"\s*(?:\((?:einthoven|goldberger|wilson|bipolar|unipolar)\)|,\s*augmented voltage,\s*(?:right|left|foot))$"
)
_SPACED = re.compile(r"[\s_-]+")
_SPACED_LEAD = re.compile(r"(?:v[\s_-]+[1-9]r?|a[\s_-]*v[\s_-]*[rlf])$")  # "V 1", "V-2", "aV R"
_NUMBERED = re.compile(r"[Cc](\d{1,3})$")
_SCALP = re.compile(
    r"(?:eeg[\s_:-]*)?(?:fp[12z]|fz|f[3478]|t[3-8]|p[34z]|o[12z]|cz|a[12]|m[12])(?:\W|$)", re.IGNORECASE
)

# The limb leads in terms of I and II: Einthoven's law III = II - I and Goldberger's definitions of the augmented leads.
LIMB_LEADS = {
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}


@lru_cache(maxsize=4096)
def canonical_lead(name: str) -> str | None:
    """The name of a lead in the spelling of `STANDARD_LEADS` or `OTHER_LEADS`, `None` if it isn't one.

    Example:
        >>> canonical_lead("AVR"), canonical_lead("MDC_ECG_LEAD_V1"), canonical_lead("MLII"), canonical_lead("RESP")
        ('aVR', 'V1', 'II', None)
    """
    text = name.strip().lower()
    prefix = _PREFIX.match(text)
    key = _SUFFIX.sub("", text[prefix.end() :] if prefix else text)
    key = _SPACED.sub("", key) if _SPACED_LEAD.match(key) else key
    return _BY_KEY.get(key) or (_NUMERALS.get(key) if prefix and prefix["lead"] else None)


def leads_of(names: Sequence[str]) -> list[str | None]:
    """The lead that each channel of one file is, `None` for those that are none.

    C1 to C6 are chest leads, except beside electrodes of the scalp (Fp1, O2), where C3 and C4 are two more of them,
    and where the names only count the channels (C0, C1, … or C1 to C8 and nothing else).
    """
    numbers = [int(match[1]) for name in names if (match := _NUMBERED.match(name.strip()))]
    counted = any(number in (0, *range(10, 1000)) for number in numbers) or len(numbers) == len(names) > 6
    if numbers and (counted or any(_SCALP.match(name.strip()) for name in names)):
        return [None if _NUMBERED.match(name.strip()) else canonical_lead(name) for name in names]
    return [canonical_lead(name) for name in names]


def limb_lead_weights(lead: str, known: Sequence[str]) -> np.ndarray | None:
    """Weights that give a limb lead as a sum over known limb leads, `None` where fewer than two are known.

    More than two known limb leads are used together (least squares), so the rounding of each counts less.

    Args:
        lead: A key of `LIMB_LEADS`.
        known: Distinct keys of `LIMB_LEADS`. Any two of the six determine the others.

    Returns:
        Shape `(len(known),)`: `lead = weights @ signals` in whatever unit the signals have.
    """
    if len(known) < 2:
        return None
    return np.array(LIMB_LEADS[lead]) @ np.linalg.pinv(np.array([LIMB_LEADS[name] for name in known]))


# Einthoven and Goldberger as sums that are zero: leads and their weights.
_ZERO_SUMS = (
    {"I": 1.0, "III": 1.0, "II": -1.0},
    {"aVR": 1.0, "I": 0.5, "II": 0.5},
    {"aVL": 1.0, "I": -1.0, "II": 0.5},
    {"aVF": 1.0, "II": -1.0, "I": 0.5},
    {"aVR": 1.0, "aVL": 1.0, "aVF": 1.0},
)


def contradicting_limb_leads(names: Sequence[str], signals: Sequence[np.ndarray], gains: Sequence[float]) -> list[str]:
    """Limb leads that break Einthoven's or Goldberger's law as scaled, and keep it to 1% if all had one gain.

    Then a gain is wrong, not an electrode.

    Args:
        signals: One array of samples per lead, scaled.
        gains: What one stored unit of each is worth, in the unit of `signals`.
    """
    for weights in _ZERO_SUMS:
        rows = [names.index(name) for name in weights if name in names]
        if len(rows) < len(weights) or len({gains[row] for row in rows}) == 1:
            continue
        scaled = np.array([signals[row] for row in rows], np.float64)
        scaled = scaled[:, np.isfinite(scaled).all(axis=0)]
        if not scaled.shape[1]:
            continue
        scaled -= scaled.mean(axis=1, keepdims=True)
        stored = scaled / np.array([gains[row] for row in rows])[:, None]
        broken, kept = (
            (np.array(list(weights.values())) @ leads).std() / max(leads.std(axis=1).max(), 1e-30)
            for leads in (scaled, stored)
        )
        if broken > 0.02 and kept < 0.01:
            return list(weights)
    return []
