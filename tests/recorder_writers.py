"""Writers of the formats of recorders, as their specifications lay them out."""

import base64
import binascii
import json
import struct

import numpy as np

from modeling_etp.ecg_files_etp import STANDARD_LEADS


def philips(
    counts: np.ndarray,
    *,
    encoding="Base64",
    resolution="5",
    offset="0",
    extra="",
    names=STANDARD_LEADS,
    zero="",
    signed="True",
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
