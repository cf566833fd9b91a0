"""Reports and SCP codes of synthetic ECGs, worded and spelled as those of PTB-XL: German, English, some Swedish."""

import numpy as np

from .synthetic_ecg import Condition

LANGUAGES = ("de", "en", "sv")
LANGUAGE_SHARES = (0.66, 0.28, 0.06)

# What a machine prints after its own reading; it says nothing about the patient.
DEVICE_RESIDUE = " 4.46                          unbestÄtigter bericht"

RHYTHM_WORDS = {
    "SR": {"de": ["sinusrhythmus"], "en": ["sinus rhythm."], "sv": ["sinusrytm"]},
    "SBRAD": {"de": ["sinusbradykardie"], "en": ["sinus bradycardia."], "sv": ["sinusbradykardi"]},
    "STACH": {"de": ["sinustachykardie"], "en": ["sinus tachycardia."], "sv": ["sinustachykardi"]},
    "AFIB": {
        "de": ["vorhofflimmern", "vorhofflimmern/-flattern", "absolute arrhythmie bei vorhofflimmern"],
        "en": ["atrial fibrillation."],
        "sv": ["fÖrmaksflimmer"],
    },
}
FAST_FIBRILLATION = {
    "de": ["tachykardes vorhofflimmern", "vorhofflimmern tachykard"],
    "en": ["atrial fibrillation with rapid ventricular response."],
    "sv": ["fÖrmaksflimmer med hÖg kammarfrekvens"],
}
PREMATURE_WORDS = {
    "de": ["ventrikulÄre extrasystole(n)", "ventrikulÄre extrasystolen", "ves"],
    "en": ["premature ventricular contraction(s)."],
    "sv": ["ventrikulÄr(a) extrasystoli(er)"],
}
AV_BLOCK_WORDS = {
    "de": ["a-v block i", "av-block 1. grades", "av-block i. grades"],
    "en": ["prolonged pr interval.", "first degree av block."],
    "sv": ["a-v block i"],
}
VENTRICULAR_WORDS = {
    "CLBBB": {
        "de": ["linksschenkelblock", "vollstÄndiger linksschenkelblock", "kompletter linksschenkelblock"],
        "en": ["left bundle branch block.", "complete left bundle branch block."],
        "sv": ["vÄnstersidigt skÄnkelblock"],
    },
    "CRBBB": {
        "de": ["rechtsschenkelblock", "vollstÄndiger rechtsschenkelblock", "kompletter rechtsschenkelblock"],
        "en": ["right bundle branch block.", "complete right bundle branch block."],
        "sv": ["hÖgersidigt skÄnkelblock"],
    },
    "AMI": {
        "de": [
            "st-hebung in v1-v4 akuter anteriorer infarkt",
            "st-hebung in v2-v4 v.a. akuten vorderwandinfarkt",
            "qrs(t) abnorm    anteriorer infarkt     mÖgl. akut st-hebung in v1-4",
        ],
        "en": [
            "st segments are elevated in v1,2,3,4. consistent with acute anterior myocardial infarction.",
            "st elevation in v2,3,4. acute anterior myocardial infarction.",
        ],
        "sv": ["st-hÖjning, sÅsom vid    anterior infarkt"],
    },
    "IMI": {
        "de": [
            "st-hebung in ii,iii,avf akuter inferiorer infarkt",
            "st-hebung in ii, iii und avf v.a. akuten hinterwandinfarkt",
            "qrs(t) abnorm    inferiorer infarkt     mÖgl. akut st-hebung in ii,iii,avf",
        ],
        "en": [
            "st segments are elevated in ii, iii, avf. consistent with acute inferior myocardial infarction.",
            "st elevation in ii, iii, avf. acute inferior myocardial infarction.",
        ],
        "sv": ["st-hÖjning, sÅsom vid    inferior infarkt"],
    },
    "ISC_": {
        "de": [
            "st-senkung in v4-v6",
            "st-senkung in i,ii,v4-6 v.a. ischÄmie",
            "st & t abnorm, wahrscheinlich    anterolaterale ischÄmie oder linksbelastung",
        ],
        "en": [
            "st segments are depressed in i, ii, v4,5,6. non-specific but consistent with myocardial ischaemia.",
            "st depression in v4,5,6.",
        ],
        "sv": ["st-t sÄnkning, sÅsom vid    anterolateral ischemi eller vÄnster belastning"],
    },
    "LVH": {
        "de": ["linkshypertrophie", "amplitudenkriterien fÜr linkshypertrophie", "zeichen der linkshypertrophie"],
        "en": ["left ventricular hypertrophy.", "voltages are high in chest leads suggesting lvh."],
        "sv": ["vÄnster kammarhypertrofi"],
    },
}
NORMAL_WORDS = {
    "de": ["normales ekg"],
    "en": ["normal ecg.", "no definite pathology."],
    "sv": ["normalt ekg"],
}
OTHERWISE_NORMAL_WORDS = {
    "de": ["sonst normales ekg"],
    "en": ["otherwise normal ecg.", "otherwise no definite pathology."],
    "sv": ["i Övrigt normalt ekg"],
}
AXIS_WORDS = {
    "MID": {"de": "lagetyp normal", "en": "", "sv": ""},
    "LAD": {"de": "linkstyp", "en": "", "sv": "vÄnster el-axel"},
    "ALAD": {"de": "ueberdrehter linkstyp", "en": "left axis deviation.", "sv": "extrem vÄnster el-axel"},
    "RAD": {"de": "rechtstyp", "en": "right axis deviation.", "sv": "hÖger el-axel"},
    "AXR": {"de": "steiltyp", "en": "", "sv": ""},
}

VENTRICULAR_CODES = {
    "CLBBB": {"CLBBB": 100.0},
    "CRBBB": {"CRBBB": 100.0},
    "AMI": {"AMI": 100.0, "STE_": 0.0},
    "IMI": {"IMI": 100.0, "STE_": 0.0},
    "ISC_": {"ISC_": 100.0, "STD_": 0.0},
    "LVH": {"LVH": 100.0, "VCLVH": 0.0},
}


def heart_axis(degrees: float) -> str:
    """The code of the table's `heart_axis` column: MID, LAD, ALAD (beyond -30 degrees), RAD or AXR (steep)."""
    if degrees < -90 or degrees > 90:
        return "RAD"
    for limit, code in ((-30, "ALAD"), (20, "LAD"), (70, "MID")):
        if degrees < limit:
            return code
    return "AXR"


def scp_codes(condition: Condition) -> dict[str, float]:
    """SCP codes with likelihoods in percent, 0 for "not stated", as PTB-XL gives form and rhythm statements."""
    codes = dict(VENTRICULAR_CODES.get(condition.ventricles, {}))
    if condition.av_block:
        codes["1AVB"] = 100.0
    if not codes:
        sinus_rate = condition.rhythm == "SR" and not condition.premature_beats
        codes = {} if condition.rhythm == "AFIB" else {"NORM": 100.0 if sinus_rate else 80.0}
    if condition.premature_beats:
        codes["PVC"] = 100.0
    return {**codes, condition.rhythm: 0.0}


def write_report(condition: Condition, *, axis: str, heart_rate: float, rng: np.random.Generator) -> tuple[str, bool]:
    """Word what the ECG shows.

    Args:
        condition: What it shows.
        axis: Code of the heart's axis, see `heart_axis`.
        heart_rate: Beats per minute; fibrillation above 100 is called fast.
        rng: Chooses language and wording.

    Returns:
        The report, and whether it is a machine's own, which ends in that machine's residue.
    """
    language = rng.choice(LANGUAGES, p=LANGUAGE_SHARES)
    fast = condition.rhythm == "AFIB" and heart_rate > 100
    words = []
    if condition.premature_beats:
        words.append(PREMATURE_WORDS)
    words.append(FAST_FIBRILLATION if fast else RHYTHM_WORDS[condition.rhythm])
    if condition.av_block:
        words.append(AV_BLOCK_WORDS)
    phrases = [rng.choice(wordings[language]) for wordings in words]
    phrases.append(AXIS_WORDS[axis][language])
    if condition.ventricles != "NORM":
        phrases.append(rng.choice(VENTRICULAR_WORDS[condition.ventricles][language]))
    elif condition == Condition():
        phrases.append(rng.choice(NORMAL_WORDS[language]))
    elif not condition.av_block and condition.rhythm != "AFIB":
        phrases.append(rng.choice(OTHERWISE_NORMAL_WORDS[language]))
    report = " ".join(phrase for phrase in phrases if phrase)
    automatic = language == "de" and rng.random() < 0.45
    return report + DEVICE_RESIDUE * automatic, bool(automatic)
