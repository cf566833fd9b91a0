"""SCP-ECG: scaled leads, derived limb leads, and what is refused."""

import numpy as np
import pytest
from ecg_writers import scp_bytes

from modeling_etp.ecg_files_etp import (
    STANDARD_LEADS,
    EcgContentError,
    EcgCorruptError,
    read_ecg,
)


def test_scp_is_scaled_and_the_limb_leads_derived(microvolts, millivolts):
    recording = read_ecg(scp_bytes(microvolts))
    assert (recording.sampling_rate, recording.lead_names) == (100, STANDARD_LEADS[:7])
    np.testing.assert_allclose(recording.signal, millivolts[:7], atol=1e-6)
    assert recording.metadata == {
        "format": "SCP-ECG", "age": 61, "sex": "female", "derived_leads": ["III", "aVR", "aVL", "aVF"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stated", "change", "error", "message"),
    [
        ({}, lambda scp: scp[:-20] + b"\1" + scp[-19:], EcgCorruptError, "checksum doesn't match"),
        ({}, lambda scp: scp[:-2], EcgCorruptError, "ecgdatakit can't read it"),
        ({"multiplier": 0}, lambda scp: scp, EcgContentError, "amplitude multiplier is 0"),
        ({"interval": 0}, lambda scp: scp, EcgCorruptError, "sample interval is 0"),
        (
            {"codes": (1, 2, 2)},
            lambda scp: scp,
            EcgContentError,
            r"lead\(s\) II occur more than once",
        ),
    ],
)
def test_wrong_scp_is_refused(microvolts, stated, change, error, message):
    with pytest.raises(error, match=message):
        read_ecg(change(scp_bytes(microvolts, **stated)))


def test_scp_leads_recorded_after_each_other_keep_their_times(microvolts, millivolts):
    recording = read_ecg(scp_bytes(microvolts, starts=[1, 201, 201]))
    assert recording.signal.shape == (7, 400)
    times = {"I": slice(200), "II": slice(200, 400), "V1": slice(200, 400)}
    for name, row in (("I", 0), ("II", 1), ("V1", 6)):
        lead = recording.signal[recording.lead_names.index(name)]
        np.testing.assert_allclose(lead[times[name]], millivolts[row], atol=1e-6)
        assert np.isnan(lead).sum() == 200
    assert np.isnan(recording.signal[recording.lead_names.index("III")]).all()
    assert "Its pieces are from different times" in recording.notes[1]


def test_scp_patients_may_be_unknown(microvolts, monkeypatch):
    import ecgdatakit.parsing.parsers.scp_ecg as scp

    parse = scp.SCPECGParser.parse

    def without_patient(self, path):
        record = parse(self, path)
        record.patient.age = record.patient.sex = None
        return record

    monkeypatch.setattr(scp.SCPECGParser, "parse", without_patient)
    assert set(read_ecg(scp_bytes(microvolts)).metadata) == {"format", "derived_leads"}
