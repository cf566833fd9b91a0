"""One small ECG, and writers of the formats that no library writes."""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from modeling_etp.ecg_files_etp import STANDARD_LEADS


@pytest.fixture(scope="session")
def microvolts() -> np.ndarray:
    """Twelve distinct leads of 2 s at 100 Hz in whole µV, int16, that obey Einthoven and Goldberger."""
    time = np.arange(200) / 100
    two = np.stack([np.round(600 * np.sin(2 * np.pi * (k + 1) * time) + 50 * k) * 2 for k in range(2)])
    chest = np.stack([np.round((300 + 100 * k) * np.cos(2 * np.pi * (k + 1) * time)) for k in range(6)])
    one, second = two
    limbs = np.stack([one, second, second - one, -(one + second) / 2, one - second / 2, second - one / 2])
    return np.concatenate([limbs, chest]).astype(np.int16)


@pytest.fixture(scope="session")
def millivolts(microvolts: np.ndarray) -> np.ndarray:
    return (microvolts / 1000).astype(np.float32)


@pytest.fixture
def write_wfdb16(tmp_path: Path, microvolts: np.ndarray) -> Callable[..., Path]:
    """Write a format-16 record by hand, so that every field of its header can be wrong."""

    def write(
        name: str = "record",
        *,
        stored: np.ndarray = microvolts,
        leads: Sequence[str] = STANDARD_LEADS,
        first_line: str | None = None,
        signal_line: str = "{name}.dat 16 1000(0)/mV 16 0 {first} {checksum} 0 {lead}",
        comments: str = "",
    ) -> Path:
        (tmp_path / f"{name}.dat").write_bytes(stored.T.astype("<i2").tobytes())
        lines = [first_line or f"{name} {len(stored)} 100 {stored.shape[1]}"]
        for lead, samples in zip(leads, stored.tolist(), strict=True):
            lines.append(signal_line.format(name=name, first=samples[0], checksum=sum(samples) % 65536, lead=lead))
        header = tmp_path / f"{name}.hea"
        header.write_text("\n".join(lines) + "\n" + comments)
        return header

    return write


@pytest.fixture
def muse_xml(microvolts: np.ndarray) -> Callable[..., str]:
    """A GE MUSE export: eight leads in units of 4 µV, base64 of little-endian 16 bits."""

    def make(*, units_per_bit: str = "4", units: str = "MICROVOLTS", samples: int = 200) -> str:
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

    return make


@pytest.fixture
def aecg_xml(microvolts: np.ndarray) -> Callable[..., str]:
    """An HL7 annotated ECG in units of 2 µV around 100 µV."""

    def make(
        *, scale: str = '<scale value="2" unit="uV"/>', increment: str = '<increment value="0.01" unit="s"/>'
    ) -> str:
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

    return make
