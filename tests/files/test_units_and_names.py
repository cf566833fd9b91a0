"""Units of voltage and names of leads, in the spellings of standards, devices and wrong encodings."""

import numpy as np
import pytest

from modeling_etp.ecg_recording_etp import make_recording, millivolts_per, with_derived_leads
from modeling_etp.leads_etp import STANDARD_LEADS, canonical_lead, leads_of


@pytest.mark.parametrize("micro", ["\u00b5", "\u03bc"])
@pytest.mark.parametrize(
    ("written", "read"),
    [("utf-8", "utf-8"), ("utf-8", "latin-1"), ("latin-1", "latin-1"), ("latin-1", "utf-8"), ("utf-8", "ascii"), ("cp437", "latin-1")],
)  # fmt: skip
def test_microvolts_survive_a_wrong_encoding(micro, written, read):
    stored = f"{micro}V".encode(written, errors="ignore")
    if stored != b"V":  # Latin-1 has the micro sign and not the Greek letter
        assert millivolts_per(stored.decode(read, errors="surrogateescape")) == 1e-3
        assert millivolts_per(stored.decode(read, errors="replace")) == 1e-3


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("V", 1e3), ("mV", 1.0), ("uV", 1e-3), ("nV", 1e-6), ("UV", 1e-3), ("mv", 1.0), ("MILLIVOLTS", 1.0), ("[uV]", 1e-3), ("micro volt", 1e-3),
        ("MV", None), ("Mv", None), ("megavolts", None), ("kV", None), ("mmHg", None), ("adu", None), ("", None), ("m", None), (None, None),
    ],
)  # fmt: skip
def test_units_are_voltages_or_none(unit, expected):
    assert millivolts_per(unit) == expected


@pytest.mark.parametrize(
    ("name", "lead"),
    [
        ("C1", "V1"), ("c6", "V6"), ("ECG C2", "V2"), ("C3R", "V3R"), ("C7", "V7"), ("D2", "II"), ("Lead 3", "III"),
        ("MDC_ECG_LEAD_AVR", "aVR"), ("MDC_ECG_ELEC_POTL_V3", "V3"), ("aVR, augmented voltage, right", "aVR"), ("ECG-II", "II"),
        ("ECG 1", None), ("1", None), ("I-REF", None), ("ECG", None), ("MCL1", None), ("VR", None),
    ],
)  # fmt: skip
def test_leads_in_the_spellings_of_standards(name, lead):
    assert canonical_lead(name) == lead


def test_c3_and_c4_among_electrodes_of_the_scalp_are_no_chest_leads():
    recording = make_recording("a.edf", np.zeros((4, 9)), [100] * 4, ["ECG II", "C3", "C4", "O1"], {})
    assert recording.lead_names == ("II",)
    assert recording.notes == ("Left out, as they are no ECG leads: C3, C4, O1.",)


@pytest.mark.parametrize(
    "names", [["C0", "C1", "C2"], [f"c{k}" for k in range(1, 13)], [f"C{k}" for k in range(1, 9)]]
)
def test_numbers_of_channels_are_no_chest_leads(names):
    assert leads_of(names) == [None] * len(names)
    assert leads_of([f"C{k}" for k in range(1, 7)]) == [f"V{k}" for k in range(1, 7)]
    assert leads_of(["I", "II", *(f"C{k}" for k in range(1, 10))])[2:] == [f"V{k}" for k in range(1, 10)]


def test_what_is_assumed_left_out_and_derived_is_noted():
    assert make_recording("a", np.ones((12, 9)), [100] * 12, list(STANDARD_LEADS), {}).notes == ()
    (assumed,) = make_recording("a", np.ones((12, 9)), [100] * 12, None, {}).notes
    assert assumed == f"Its 12 channels have no names; the order {', '.join(STANDARD_LEADS)} is assumed."
    recording = make_recording("a", np.ones((3, 9)), [100] * 3, ["I", "II", "RESP"], {}, notes=["Joined."])
    assert with_derived_leads(recording).notes == (
        "Joined.",
        "Left out, as they are no ECG leads: RESP.",
        "Derived from I, II: III, aVR, aVL, aVF.",
    )
