"""Units of voltage and names of leads, in the spellings of standards, devices and wrong encodings."""

import ecg_writers
import numpy as np
import pytest

from modeling_etp.ecg_files_etp import read_ecg
from modeling_etp.ecg_recording_etp import choose_leads, make_recording, millivolts_per, with_derived_leads
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
        ("MDC_ECG_LEAD_AVR", "aVR"), ("MDC_ECG_ELEC_POTL_V3", "V3"), ("aVR, augmented voltage, right", "aVR"), ("ECG-II", "II"), ("V 1", "V1"), ("V-2", "V2"), ("v_3", "V3"), ("ECG V 4", "V4"), ("aV R", "aVR"), ("a v f", "aVF"), ("V 10", None), ("-V1", None),
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


def test_leads_beside_the_twelve_that_cannot_be_used_are_left_out():
    units = ["mV", "counts", "g", "mV", "mV", "mmHg"]
    choice = choose_leads("a", ["I", "X", "Y", "Z", "Z", "ART"], units)
    assert choice.lead_names == ("I",)
    assert choice.dropped == ("X [counts]", "Y [g]", "Z", "Z", "ART [mmHg]")
    assert choice.notes == (
        "Left out, as they are no ECG leads: ART [mmHg].",
        "Left out, as they can't be used: X [counts], Y [g], Z, Z.",
    )


def test_gains_of_arrays_that_break_einthovens_law_are_said():
    one, two = np.sin(np.arange(200) / 9), np.cos(np.arange(200) / 5)
    signals = np.stack([one, 5 * two, two - one, one])
    names, rates = ["I", "II", "III", "RESP"], [100] * 4
    assert make_recording("a", signals, rates, names, {}, gains=[1e-3] * 4).notes[0].startswith("Left out")
    notes = make_recording("a", signals, rates, names, {}, gains=[1e-3, 5e-3, 1e-3, 7.0]).notes
    assert notes[1].startswith("I, III, II contradict each other under the gains")


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


@pytest.mark.parametrize("leads", [2, 12])
@pytest.mark.parametrize("factor", [1000, 1e-3])
def test_an_amplitude_that_is_refused_later_is_said_at_once(leads, factor):
    signal = np.sin(np.arange(1000) / 9 + np.arange(leads)[:, None])
    names = list(STANDARD_LEADS[:leads])
    assert make_recording("a", signal, [100] * leads, names, {}).notes == ()
    (note,) = make_recording("a", signal * factor, [100] * leads, names, {}).notes
    assert "one that hardly any ECG has: check its gain and unit" in note


def test_a_lead_that_is_missing_throughout_hides_no_fault_of_the_others():
    signal = np.sin(np.arange(1000) / 9 + np.arange(12)[:, None]) * 1000
    signal[3] = np.nan
    (note,) = make_recording("a", signal, [100] * 12, list(STANDARD_LEADS), {}).notes
    assert "hardly any ECG" in note
    signal[:, ::2], signal[3] = np.nan, 1.0
    signal[0, 1::2] = np.nan
    assert make_recording("a", signal, [100] * 12, list(STANDARD_LEADS), {}).signal.shape == signal.shape


MV = ecg_writers.make_microvolts() / 1000
ASSUMED = "Its values are taken as mV, as no unit is stated."


@pytest.mark.parametrize(
    ("content", "stated", "notes"),
    [
        (ecg_writers.saved(np.save, MV), {"sampling_rate": 100}, {ASSUMED}),
        (ecg_writers.saved(np.savez, ecg=MV[:2], fs=100, leads=["I", "II"]), {}, {ASSUMED}),
        (ecg_writers.saved(np.savez, ecg=MV[:2], fs=100, leads=["I", "II"], units="mV"), {}, set()),
        (ecg_writers.saved(np.savez, ecg=MV[:2] * 1000, fs=100, leads=["I", "II"], gain=1000), {}, {"Applied to whole numbers: 'gain' 1000; mV is assumed, as no unit is stated."}),
        (ecg_writers.saved(np.savez, ecg=MV[:2] * 1000, fs=100, leads=["I", "II"], gain=1000, units="mV"), {}, {"Applied to whole numbers: 'gain' 1000."}),
        (ecg_writers.saved(np.savez, ecg=MV[:2] * 1000, fs=100, leads=["I", "II"], adu_per_mv=1000), {}, {"Applied to whole numbers: 'adu_per_mv' 1000."}),
        (ecg_writers.table(MV.T, header=STANDARD_LEADS), {"sampling_rate": 100}, {ASSUMED}),
        (ecg_writers.table(MV[:2].T, header=["I", "II [mV]"]), {"sampling_rate": 100}, {"The values of I are taken as mV, as no unit is stated."}),
        (ecg_writers.table(MV[:2].T, header=["I [mV]", "II [mV]"]), {"sampling_rate": 100}, set()),
    ],
)  # fmt: skip
def test_a_unit_that_is_assumed_is_said_unless_it_is_given(content, stated, notes):
    found = {note for note in read_ecg(content, **stated).notes if "mV" in note or "Applied" in note}
    assert found == notes
    if "Applied" not in str(notes):
        given = read_ecg(content, units="mV", **stated)
        np.testing.assert_array_equal(given.signal, read_ecg(content, **stated).signal)
        assert not any("mV" in note for note in given.notes)
