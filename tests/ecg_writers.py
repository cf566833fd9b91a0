"""One small ECG, and writers of the file formats that no library writes."""

import base64
import binascii
import io
import struct
from datetime import date

import edfio
import numpy as np
import pydicom

from modeling_etp.ecg_files_etp import STANDARD_LEADS


def make_microvolts() -> np.ndarray:
    """Twelve distinct leads of 2 s at 100 Hz in whole µV, int16, that obey Einthoven and Goldberger."""
    time = np.arange(200) / 100
    two = np.stack([np.round(600 * np.sin(2 * np.pi * (k + 1) * time) + 50 * k) * 2 for k in range(2)])
    chest = np.stack([np.round((300 + 100 * k) * np.cos(2 * np.pi * (k + 1) * time)) for k in range(6)])
    one, second = two
    limbs = np.stack([one, second, second - one, -(one + second) / 2, one - second / 2, second - one / 2])
    return np.concatenate([limbs, chest]).astype(np.int16)


def saved(writer, *args, **kwargs) -> bytes:
    stream = io.BytesIO()
    writer(stream, *args, **kwargs)
    return stream.getvalue()


def table(rows, separator=",", header=None, decimal=".") -> bytes:
    lines = [separator.join(header)] if header else []
    lines += [separator.join(f"{value:.6f}".replace(".", decimal) for value in row) for row in rows]
    return "\n".join(lines).encode()


def edf_bytes(millivolts, *, bdf=False, rates=None, names=STANDARD_LEADS, unit="uV") -> bytes:
    kinds = (edfio.BdfSignal, edfio.Bdf) if bdf else (edfio.EdfSignal, edfio.Edf)
    signals = [
        kinds[0](np.asarray(lead[:: 100 // (rates or {}).get(name, 100)], float) * 1000, (rates or {}).get(name, 100), label=name, physical_dimension=unit, physical_range=(-5000, 5000))
        for name, lead in zip(names, millivolts, strict=True)
    ]  # fmt: skip
    patient = edfio.Patient(sex="F", birthdate=date(1950, 6, 1))
    return kinds[1](signals, patient=patient, recording=edfio.Recording(startdate=date(2020, 5, 1))).to_bytes()


def scp_bytes(microvolts, *, rows=(0, 1, 6), codes=(1, 2, 3), multiplier=1000, interval=10_000, starts=None) -> bytes:
    """A record as EN 1064 lays it out: uncompressed first differences, 1,000 nV a unit, 10,000 µs a sample."""

    def section(number, body):
        body += b"\0" * (len(body) % 2)
        head = struct.pack("<HIBB", number, 16 + len(body), 20, 20) + (b"\0\0SCPECG"[2:] if number == 0 else bytes(6))
        return struct.pack("<H", binascii.crc_hqx(head + body, 0xFFFF)) + head + body

    starts = starts or [1] * len(rows)
    leads = b"".join(struct.pack("<IIB", at, at + 199, code) for at, code in zip(starts, codes, strict=True))
    stored = [np.diff(microvolts[row].astype(int), prepend=0).astype("<i2").tobytes() for row in rows]
    patient = struct.pack("<BHHB", 4, 3, 61, 1) + struct.pack("<BHB", 8, 1, 2) + struct.pack("<BH", 255, 0)
    bodies = {
        1: patient,
        3: struct.pack("<BB", len(rows), 4 | len(rows) << 3) + leads,
        6: struct.pack("<HHBB", multiplier, interval, 1, 0)
        + struct.pack(f"<{len(rows)}H", *map(len, stored))
        + b"".join(stored),
    }
    sections = {number: section(number, body) for number, body in bodies.items()}
    pointers, at = [(0, 16 + 12 * 10, 7)], 7 + 16 + 12 * 10
    for number in range(1, 12):
        length = len(sections.get(number, b""))
        pointers.append((number, length, at if length else 0))
        at += length
    content = section(0, b"".join(struct.pack("<HII", *pointer) for pointer in pointers)) + b"".join(sections.values())
    content = struct.pack("<I", len(content) + 6) + content
    return struct.pack("<H", binascii.crc_hqx(content, 0xFFFF)) + content


def dicom_bytes(dataset, change=lambda dataset: None) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(saved(lambda stream: dataset.save_as(stream))))
    change(dataset)
    return saved(lambda stream: dataset.save_as(stream))


def muse_xml(
    microvolts: np.ndarray, *, units_per_bit: str = "4", units: str = "MICROVOLTS", samples: int = 200
) -> str:
    """A GE MUSE export: eight leads in units of 4 µV, base64 of little-endian 16 bits."""

    def lead(index: int) -> str:
        data = base64.b64encode((microvolts[index] // 4).astype("<i2").tobytes()).decode()
        return f"""<LeadData><LeadByteCountTotal>400</LeadByteCountTotal><LeadAmplitudeUnitsPerBit>{units_per_bit}
            </LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>{units}</LeadAmplitudeUnits><LeadID>
            {STANDARD_LEADS[index]}</LeadID><LeadSampleCountTotal>{samples}</LeadSampleCountTotal>
            <LeadSampleSize>2</LeadSampleSize><WaveFormData>\n{data[:76]}\n{data[76:]}\n</WaveFormData></LeadData>"""

    leads = "".join(lead(index) for index in (0, 1, 6, 7, 8, 9, 10, 11))
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
        <!DOCTYPE RestingECG SYSTEM "restecg.dtd">
        <RestingECG><PatientDemographics><PatientAge>61</PatientAge><AgeUnits>YEARS</AgeUnits>
        <Gender>FEMALE</Gender></PatientDemographics>
        <Waveform><WaveformType>Median</WaveformType><SampleBase>500</SampleBase></Waveform>
        <Waveform><WaveformType>Rhythm</WaveformType><SampleBase>100</SampleBase>
        <SampleExponent>0</SampleExponent>{leads}</Waveform></RestingECG>"""


def aecg_xml(
    microvolts: np.ndarray,
    *,
    scale: str = '<scale value="2" unit="uV"/>',
    increment: str = '<increment value="0.01" unit="s"/>',
) -> str:
    """An HL7 annotated ECG in units of 2 µV around 100 µV."""

    def sequence(index: int, lead: str) -> str:
        digits = " ".join(f"{(value - 100) / 2:g}" for value in microvolts[index].tolist())
        return f"""<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}" codeSystem="2.16.840.1.113883.6.24"/>
            <value xsi:type="SLIST_PQ"><origin value="100" unit="uV"/>{scale}<digits>{digits}</digits></value>
            </sequence></component>"""

    leads = "".join(sequence(index, lead) for index, lead in enumerate(STANDARD_LEADS))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
        <AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
        <effectiveTime><low value="20200301101500"/></effectiveTime>
        <componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>
        <subjectDemographicPerson><administrativeGenderCode code="M"/><birthTime value="19500302"/>
        </subjectDemographicPerson></trialSubject></subject></subjectAssignment></componentOf></timepointEvent>
        </componentOf><component><series><component><sequenceSet><component><sequence>
        <code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS"><head value="20200301101500"/>{increment}</value>
        </sequence></component>{leads}</sequenceSet></component></series></component></AnnotatedECG>"""
