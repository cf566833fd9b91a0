"""Names of ECG leads, their spellings, and how limb leads follow from each other."""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

# Leads that a recording may hold beside the twelve: Frank (X, Y, Z), posterior, right-sided, EASI and the inverted
# aVR of the Cabrera sequence. They are recognised, so that they can be left out by name.
OTHER_LEADS = ("X", "Y", "Z", "V7", "V8", "V9", "V2R", "V3R", "V4R", "V5R", "V6R", "V7R", "ES", "AS", "AI", "-aVR")

# Spellings that name the same pair of electrodes. ML* are the limb leads with the electrodes on the trunk
# (Mason and Likar, Am Heart J 1966), which every stress test and Holter writes; D* is the Romance spelling.
_ALIASES = {
    **{name: name for name in (*STANDARD_LEADS, *OTHER_LEADS)},
    **{f"{prefix}{name}": name for prefix in ("ML", "D") for name in ("I", "II", "III")},
    **{f"V{axis}": axis for axis in "XYZ"},
    "invertedaVR": "-aVR",
}
_BY_KEY = {alias.lower(): name for alias, name in _ALIASES.items()}

# What devices and standards write before the name: "ECG I", "Lead II", "MDC_ECG_LEAD_V1", "Lead I (Einthoven)".
_PREFIX = re.compile(r"^(?:mdc[\s_]*)?(?:(?:ecg|ekg)[\s_]+)?(?:lead[\s_]+)?")
_SUFFIX = re.compile(r"\s*\((?:einthoven|goldberger|wilson|bipolar|unipolar)\)$")

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
    key = _SUFFIX.sub("", _PREFIX.sub("", name.strip().lower()))
    return _BY_KEY.get(key)


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
