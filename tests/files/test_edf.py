"""EDF and BDF: what a decoding by hand gives comes back."""

import numpy as np
import pytest
from ecg_writers import edf_bytes

from modeling_etp.ecg_files_etp import (
    STANDARD_LEADS,
    EcgContentError,
    EcgCorruptError,
    read_ecg,
)


def decode_edf_by_hand(content: bytes) -> np.ndarray:
    """The EDF specification in ten lines: µV of each signal, all of one rate."""
    count, records = int(content[252:256]), int(content[236:244])

    def fields(start, width):
        at = 256 + start * count
        return [content[at + width * k : at + width * (k + 1)].decode().strip() for k in range(count)]

    low, high = (np.array(fields(at, 8), float)[:, None] for at in (104, 112))
    digital_low, digital_high = (np.array(fields(at, 8), float)[:, None] for at in (120, 128))
    per_record = int(fields(216, 8)[0])
    stored = np.frombuffer(content[256 * (1 + count) :], "<i2").reshape(records, count, per_record)
    stored = stored.transpose(1, 0, 2).reshape(count, -1)
    return (stored - digital_low) * (high - low) / (digital_high - digital_low) + low


def test_edf_equals_a_decoding_by_hand(millivolts):
    content = edf_bytes(millivolts)
    recording = read_ecg(content)
    np.testing.assert_allclose(recording.signal, decode_edf_by_hand(content) / 1000, atol=1e-5)
    np.testing.assert_allclose(recording.signal, millivolts, atol=1e-3)
    assert (recording.sampling_rate, recording.lead_names) == (100, STANDARD_LEADS)
    assert recording.metadata == {"format": "EDF", "sex": "female", "age": 69}


def test_bdf_holds_24_bits(millivolts):
    recording = read_ecg(edf_bytes(millivolts, bdf=True))
    np.testing.assert_allclose(recording.signal, millivolts, atol=2e-6)
    assert recording.metadata["format"] == "BDF"


def test_edf_channels_of_other_rates_are_left_out_by_name(millivolts):
    names = ["ECG II", "Resp", "ECG V5"]
    recording = read_ecg(edf_bytes(millivolts[:3], names=names, rates={"Resp": 10}))
    assert recording.lead_names == ("II", "V5")
    assert recording.metadata["dropped_channels"] == ["Resp"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda edf: edf[:-2], EcgCorruptError, "declares 2 data records of 2,400 bytes, there are 4,798 bytes"),
        (lambda edf: edf + b"00", EcgCorruptError, "there are 4,802 bytes"),
        (lambda edf: edf[:236] + b"99999999" + edf[244:], EcgCorruptError, "declares 99,999,999 data records"),
        (lambda edf: edf[:252] + b"9999" + edf[256:], EcgCorruptError, "EDF header is malformed"),
        (lambda edf: edf[:300], EcgCorruptError, "EDF header is malformed"),
        (
            lambda edf: edf.replace(b"-5000   ", b"5000    "),
            EcgContentError,
            "zero gain of I: minimum and maximum are equal",
        ),
        (lambda edf: edf.replace(b"V6 ", b"V5 ", 1), EcgContentError, r"lead\(s\) V5 occur more than once"),
        (lambda edf: edf.replace(b"uV  ", b"mmHg"), EcgContentError, "none of its channels is an ECG lead"),
    ],
)
def test_wrong_edf_is_refused(millivolts, change, error, message, tmp_path):
    (tmp_path / "a.edf").write_bytes(change(edf_bytes(millivolts)))
    with pytest.raises(error, match=rf"a\.edf: .*{message}"):
        read_ecg(tmp_path / "a.edf")


def test_edf_leads_of_different_rates_are_put_at_the_highest(millivolts):
    recording = read_ecg(edf_bytes(millivolts[:2], names=["I", "II"], rates={"II": 50}))
    assert recording.sampling_rate == 100
    assert recording.notes == ("Resampled from 50 to 100 Hz: II.",)
    np.testing.assert_allclose(recording.signal[:, 20:-20], millivolts[:2, 20:-20], atol=0.01)


def test_edf_without_a_birthdate_or_sex(millivolts):
    content = edf_bytes(millivolts)
    assert content[8:88].rstrip() == b"X F 01-JUN-1950 X"
    for patient, expected in (
        (b"X F X X", {"sex": "female"}),
        (b"X X 01-JUN-1950 X", {"age": 69}),
        (b"X M X X", {"sex": "male"}),
        (b"X X 01-JUN-2030 X", {}),
    ):
        metadata = read_ecg(content[:8] + patient.ljust(80) + content[88:]).metadata
        assert metadata == {"format": "EDF", **expected}


def test_edf_record_length_that_is_no_number_of_samples_is_refused(millivolts):
    content = edf_bytes(millivolts)
    with pytest.raises(EcgCorruptError, match=r"EDF header is malformed \(1025\)"):
        read_ecg(content[:252] + b"1025" + content[256:])
