"""Formats of recorders that are read through a library: values, names and marks as their specifications lay them out."""

import numpy as np
import pytest
from recorder_writers import ishne, kardia, mfer, philips

from modeling_etp.ecg_files_etp import STANDARD_LEADS, EcgContentError, EcgCorruptError, EcgUnsafeError, read_ecg

LEADS = [*STANDARD_LEADS]


@pytest.mark.parametrize("encoding", ["Base64", "Plain"])
def test_philips_values(microvolts, encoding):
    counts = microvolts // 5
    recording = read_ecg(philips(counts, encoding=encoding))
    np.testing.assert_allclose(recording.signal, counts * 0.005, atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (500, STANDARD_LEADS)
    assert recording.metadata == {"format": "Philips XML", "age": 61, "sex": "female"}


def test_philips_in_utf_16_with_an_offset(microvolts):
    counts = microvolts // 5 + 100
    content = philips(counts, offset="100").decode().replace("UTF-8", "UTF-16").encode("utf-16")
    np.testing.assert_allclose(read_ecg(content).signal, (counts - 100) * 0.005, atol=1e-6)


def test_philips_of_eight_leads_gets_the_others_derived(microvolts):
    rows = [0, 1, 6, 7, 8, 9, 10, 11]
    recording = read_ecg(philips(microvolts[rows], resolution="1", names=[LEADS[row] for row in rows]))
    np.testing.assert_allclose(recording.signal, microvolts / 1000, atol=2e-6)
    assert any("Derived" in note for note in recording.notes)


def test_philips_that_cannot_be_read(microvolts):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    with pytest.raises(EcgUnsafeError, match="defines or includes entities"):
        read_ecg(philips(microvolts, extra=bomb))
    with pytest.raises(EcgCorruptError, match="ecgdatakit can't read it"):
        read_ecg(philips(microvolts).replace(b'durationperchannel="400"', b'durationperchannel="4000"'))
    with pytest.raises(EcgContentError, match="expected a voltage"):
        read_ecg(philips(microvolts, resolution=""))
    with pytest.raises(EcgContentError, match="`sampling_rate` says 250"):
        read_ecg(philips(microvolts), sampling_rate=250)
    with pytest.raises(EcgContentError, match="`units` says 'mV'"):
        read_ecg(philips(microvolts), units="mV")


def test_ishne_values_and_marks(microvolts):
    counts = (microvolts / 2.5).round().astype(int)
    counts[4, 7] = -32768
    recording = read_ecg(ishne(counts))
    expected = counts * 0.0025
    expected[4, 7] = np.nan
    np.testing.assert_allclose(recording.signal, expected, atol=1e-5)
    assert (recording.sampling_rate, recording.lead_names) == (200, STANDARD_LEADS)
    assert any("1 values" in note for note in recording.notes)


def test_ishne_of_unknown_leads_asks_for_them(microvolts):
    """The library calls them "Lead 1" and so on, which would be lead I."""
    content = ishne(microvolts[:3], specs=[0, 1, 1], nanovolts=1000)
    with pytest.raises(EcgContentError, match="none of its channels is an ECG lead"):
        read_ecg(content)
    assert read_ecg(content, lead_names=["V5", "V1", "II"]).lead_names == ("V5", "V1", "II")


def test_ishne_with_a_wrong_checksum_is_refused(microvolts):
    with pytest.raises(EcgCorruptError, match="checksum doesn't match"):
        read_ecg(ishne(microvolts, checksum=1))


def test_mfer_values(microvolts):
    recording = read_ecg(mfer(microvolts[[0, 1, 6]]))
    names = list(recording.lead_names)
    for name, row in (("I", 0), ("II", 1), ("V1", 6)):
        np.testing.assert_allclose(recording.signal[names.index(name)], microvolts[row] / 1000, atol=1e-6)
    assert recording.sampling_rate == 250
    assert recording.metadata["derived_leads"] == ["III", "aVR", "aVL", "aVF"]


def test_kardia_values(microvolts):
    recording = read_ecg(kardia(microvolts[:1] * 2))
    np.testing.assert_allclose(recording.signal, microvolts[:1] / 1000, atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (300, ("I",))
    with pytest.raises(EcgContentError, match="expected a voltage"):
        read_ecg(kardia(microvolts[:1], resolution=None))
