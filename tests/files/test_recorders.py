"""Formats of recorders that are read through a library: values, names and marks as their specifications lay them out."""

import base64
import binascii
import json
import struct

import numpy as np
import pytest

from modeling_etp.ecg_files_etp import STANDARD_LEADS, EcgContentError, EcgCorruptError, EcgUnsafeError, read_ecg

LEADS = [*STANDARD_LEADS]


def philips(
    counts: np.ndarray, *, encoding="Base64", resolution="5", offset="0", extra="", names=LEADS, zero="", signed="True"
) -> bytes:
    data = counts.astype("<i2")
    text = base64.b64encode(data.tobytes()).decode() if encoding == "Base64" else " ".join(map(str, data.ravel()))
    milliseconds = round(counts.shape[1] / 500 * 1000)
    return f"""<?xml version="1.0" encoding="UTF-8"?>{extra}
<restingecgdata xmlns="http://www3.medical.philips.com"><documentinfo><documenttype>PhilipsECG</documenttype>
<documentversion>1.04</documentversion></documentinfo>
<dataacquisition date="2020-01-02" time="10:00:00"><signalcharacteristics><samplingrate>500</samplingrate>
<resolution>{resolution}</resolution><signaloffset>{offset}</signaloffset><signalsigned>{signed}</signalsigned>
<bitspersample>16</bitspersample><numberchannelsallocated>{len(counts)}</numberchannelsallocated>
<acquisitiontype>STD-12</acquisitiontype></signalcharacteristics></dataacquisition>
<patient><generalpatientdata><age><years>61</years></age><sex>Female</sex></generalpatientdata></patient>
<waveforms><parsedwaveforms dataencoding="{encoding}" numberofleads="{len(counts)}" leadlabels="{" ".join(names)}"
durationperchannel="{milliseconds}" samplespersecond="500" resolution="{resolution}" signaloffset="{offset}"
signalsigned="{signed}" bitspersample="16">{text}</parsedwaveforms></waveforms></restingecgdata>""".encode()


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


def ishne(counts: np.ndarray, *, specs=range(5, 17), nanovolts=2500, rate=200, checksum=None) -> bytes:
    """As Badilini (1998) lays it out: 8 bytes of name, a checksum, 512 bytes of header, samples in turn."""
    block = bytearray(512)
    struct.pack_into("<4i", block, 0, 0, counts.shape[1], 522, 522)
    struct.pack_into("<2h", block, 118, 2, 0)  # sex, race
    specs = [*specs][: len(counts)]
    struct.pack_into("<h", block, 146, len(counts))
    struct.pack_into("<12h", block, 148, *(specs + [-9] * (12 - len(specs))))
    struct.pack_into("<12h", block, 196, *([nanovolts] * 12))
    struct.pack_into("<h", block, 262, rate)
    crc = binascii.crc_hqx(bytes(block), 0xFFFF) if checksum is None else checksum
    return b"ISHNE1.0" + struct.pack("<H", crc) + bytes(block) + counts.T.astype("<i2").tobytes()


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


def mfer(counts: np.ndarray, *, codes=(1, 2, 3), rate=250) -> bytes:
    """Little-endian channels one after the other, 1 µV a count (ISO 22077-1)."""

    def tag(code: int, value: bytes) -> bytes:
        return bytes([code, len(value)]) + value

    parts = [b"@\x20MFR " + b"Standard 12 leads ECG".ljust(28), tag(1, b"\x01"), tag(8, struct.pack("<H", 1))]
    parts += [tag(11, struct.pack("<BbH", 0, 0, rate)), tag(12, struct.pack("<BbH", 0, -6, 1))]
    parts += [
        tag(4, struct.pack("<I", counts.shape[1])),
        tag(5, struct.pack("<I", len(counts))),
        tag(6, struct.pack("<I", 1)),
    ]
    for channel, code in enumerate(codes):
        inner = tag(9, struct.pack("<H", code))
        parts.append(bytes([0x3F, channel, len(inner)]) + inner)
    data = counts.astype("<i2").tobytes()
    return b"".join(parts) + b"\x1e\x84" + struct.pack(">I", len(data)) + data + b"\x80\x00"


def test_mfer_values(microvolts):
    recording = read_ecg(mfer(microvolts[[0, 1, 6]]))
    names = list(recording.lead_names)
    for name, row in (("I", 0), ("II", 1), ("V1", 6)):
        np.testing.assert_allclose(recording.signal[names.index(name)], microvolts[row] / 1000, atol=1e-6)
    assert recording.sampling_rate == 250
    assert recording.metadata["derived_leads"] == ["III", "aVR", "aVL", "aVF"]


def kardia(counts: np.ndarray, *, resolution=500) -> bytes:
    samples = {f"lead{numeral}": row.tolist() for numeral, row in zip(("I", "II"), counts, strict=False)}
    raw = {
        "frequency": 300,
        "mainsFrequency": 50,
        "amplitudeResolution": resolution,
        "numLeads": len(counts),
        "samples": samples,
    }
    return json.dumps(
        {"id": "x", "recordedAt": "2020-01-02T10:00:00Z", "duration": 1000, "data": {"raw": raw}}
    ).encode()


def test_kardia_values(microvolts):
    recording = read_ecg(kardia(microvolts[:1] * 2))
    np.testing.assert_allclose(recording.signal, microvolts[:1] / 1000, atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (300, ("I",))
    with pytest.raises(EcgContentError, match="expected a voltage"):
        read_ecg(kardia(microvolts[:1], resolution=None))
