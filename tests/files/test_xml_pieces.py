"""aECG and MUSE files of several series, sequence sets and waveforms, and in other units."""

import base64

import numpy as np
import pytest

from modeling_etp.ecg_files_etp import STANDARD_LEADS, EcgContentError, EcgFormatError, read_ecg

# aECG (HL7 V3 Annotated ECG R1, implementation guide of 2005)

ABSOLUTE = '<code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS"><head value="{head}"/>{step}</value>'
RELATIVE = '<code code="TIME_RELATIVE"/><value xsi:type="GLIST_PQ"><head value="{head}" unit="{unit}"/>{step}</value>'
STEP = '<increment value="10" unit="ms"/>'


def lead_sequence(name, values, *, scale='value="1" unit="uV"', origin='value="0" unit="uV"'):
    digits = " ".join(f"{value:g}" for value in np.asarray(values).tolist())
    return f"""<component><sequence><code code="MDC_ECG_LEAD_{name.upper()}"/><value xsi:type="SLIST_PQ"><origin {origin}/>
        <scale {scale}/><digits>{digits}</digits></value></sequence></component>"""


def sequence_set(axis, *leads):
    return f"<component><sequenceSet><component><sequence>{axis}</sequence></component>{''.join(leads)}</sequenceSet></component>"


def series(*sets, code="RHYTHM", low="20200301101500", extra=""):
    return f"""<component><series><code code="{code}"/><effectiveTime><low value="{low}"/></effectiveTime>{"".join(sets)}{extra}
        </series></component>"""


def aecg(*parts) -> bytes:
    return f"""<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{"".join(parts)}
        </AnnotatedECG>""".encode()


def leads_of(microvolts, rows, samples=slice(None)):
    return [lead_sequence(STANDARD_LEADS[row], microvolts[row, samples]) for row in rows]


def rows_of(recording, leads=STANDARD_LEADS):
    return recording.signal[[recording.lead_names.index(lead) for lead in leads]]


@pytest.mark.parametrize("absolute", [True, False])
def test_sequence_sets_after_each_other_keep_their_times(microvolts, absolute):
    """Four sets of three leads, half a second each, in any order."""
    sets = []
    for k in range(4):
        axis = (
            ABSOLUTE.format(head=f"20200301101500.{500 * (k % 2):03d}".replace("00.", f"{k // 2:02d}."), step=STEP)
            if absolute
            else RELATIVE.format(head=500 * k, unit="ms", step=STEP)
        )
        sets.append(sequence_set(axis, *leads_of(microvolts, range(3 * k, 3 * k + 3), slice(50 * k, 50 * k + 50))))
    recording = read_ecg(aecg(series(*sets[::-1])))
    signal = rows_of(recording)
    assert signal.shape == (12, 200)
    for lead in range(12):
        kept = slice(50 * (lead // 3), 50 * (lead // 3) + 50)
        np.testing.assert_allclose(signal[lead, kept], microvolts[lead, kept] / 1000, atol=1e-6)
        assert np.isfinite(signal[lead]).sum() == 50
    assert any("different times" in note for note in recording.notes)


def test_several_series_go_onto_one_time_axis(microvolts, millivolts):
    axis = RELATIVE.format(head=0, unit="s", step=STEP)
    beats = series(sequence_set(axis, *leads_of(microvolts * 0 + 7, range(12))), code="REPRESENTATIVE_BEAT")
    limbs = series(sequence_set(axis, *leads_of(microvolts, range(6))))
    chest = series(sequence_set(axis, *leads_of(microvolts, range(6, 12))))
    recording = read_ecg(aecg(beats, limbs, chest))
    np.testing.assert_allclose(rows_of(recording), millivolts, atol=1e-6)
    assert "Left out: 1 derived series, such as representative beats." in recording.notes
    later = series(sequence_set(axis, *leads_of(microvolts, range(12))), low="20200301101505+0000")
    first = series(sequence_set(axis, *leads_of(microvolts, range(12))), low="20200301111500+0100")
    signal = rows_of(read_ecg(aecg(first, later)))
    assert signal.shape == (12, 700)
    np.testing.assert_allclose(signal[:, 500:], millivolts, atol=1e-6)
    assert np.isnan(signal[:, 200:500]).all()


@pytest.mark.parametrize(
    ("scale", "origin"),
    [
        ('value="0.001" unit="mV"', 'value="-50" unit="uV"'), ('value="1000" unit="nV"', 'value="-0.05" unit="mV"'),
        ('value="0.000001" unit="V"', 'value="-50000" unit="nV"'), ('value="1" unit="µV"', 'value="-50" unit="μV"'),
    ],
)  # fmt: skip
def test_origin_and_scale_may_be_in_different_units(microvolts, millivolts, scale, origin):
    axis = RELATIVE.format(head=0, unit="s", step=STEP)
    leads = [lead_sequence("I", microvolts[0] + 50, scale=scale, origin=origin), *leads_of(microvolts, [1])]
    np.testing.assert_allclose(read_ecg(aecg(series(sequence_set(axis, *leads)))).signal, millivolts[:2], atol=1e-6)


@pytest.mark.parametrize("step", ['value="10" unit="ms"', 'value="10000" unit="us"', 'value="10000" unit="µs"', 'value="0.01" unit="s"', 'value="10000000" unit="ns"'])  # fmt: skip
def test_increments_in_any_unit_of_time(microvolts, step):
    axis = RELATIVE.format(head=0, unit="s", step=f"<increment {step}/>")
    assert read_ecg(aecg(series(sequence_set(axis, *leads_of(microvolts, [0]))))).sampling_rate == 100


def test_zero_origin_needs_no_unit_and_an_unknown_unit_is_cured(microvolts, millivolts):
    axis = RELATIVE.format(head=0, unit="s", step=STEP)
    lead = lead_sequence("I", microvolts[0], scale='value="1" unit="count"', origin='value="0"')
    content = aecg(series(sequence_set(axis, lead)))
    with pytest.raises(EcgContentError, match=r"the unit of lead\(s\) 'MDC_ECG_LEAD_I' is 'count', .*`units=\"mV\"`"):
        read_ecg(content)
    np.testing.assert_allclose(read_ecg(content, units="uV").signal, millivolts[:1], atol=1e-6)


def test_time_axis_that_repeats_is_refused(microvolts):
    axis = RELATIVE.format(head=0, unit="s", step=STEP + '<denominator value="4"/>')
    with pytest.raises(EcgFormatError, match="its time axis has a denominator"):
        read_ecg(aecg(series(sequence_set(axis, *leads_of(microvolts, [0])))))


def test_pressure_in_a_sequence_set_refuses_nothing(microvolts, millivolts):
    axis = RELATIVE.format(head=0, unit="s", step=STEP)
    pressure = lead_sequence("I", microvolts[3], scale='value="1" unit="mm[Hg]"').replace(
        "MDC_ECG_LEAD_I", "MDC_PRESS_BLD"
    )
    recording = read_ecg(aecg(series(sequence_set(axis, pressure, *leads_of(microvolts, [0])))))
    np.testing.assert_allclose(recording.signal, millivolts[:1], atol=1e-6)
    assert recording.metadata["dropped_channels"] == ["MDC_PRESS_BLD [mm[Hg]]"]


# MUSE


def lead_data(name, stored, *, unit="MICROVOLTS", per_bit="1", extra=""):
    data = base64.b64encode(np.asarray(stored).astype("<i2").tobytes()).decode()
    return f"""<LeadData><LeadAmplitudeUnitsPerBit>{per_bit}</LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>{unit}
        </LeadAmplitudeUnits><LeadID>{name}</LeadID><LeadSampleSize>2</LeadSampleSize>{extra}<WaveFormData>{data}</WaveFormData>
        </LeadData>"""


def waveform(*leads, kind="Rhythm", base=100, exponent=0):
    return f"""<Waveform><WaveformType>{kind}</WaveformType><SampleBase>{base}</SampleBase>
        <SampleExponent>{exponent}</SampleExponent>{"".join(leads)}</Waveform>"""


def muse(*waveforms) -> bytes:
    return f"<RestingECG>{''.join(waveforms)}</RestingECG>".encode()


EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def eight(microvolts, **options):
    return [lead_data(name, microvolts[STANDARD_LEADS.index(name)], **options) for name in EIGHT]


def test_a_second_rhythm_waveform_is_not_lost(microvolts, millivolts):
    limbs, chest = eight(microvolts)[:2], eight(microvolts)[2:]
    median = waveform(lead_data("I", microvolts[3]), kind="Median")
    for order in ((median, waveform(*limbs), waveform(*chest)), (waveform(*chest), waveform(*limbs), median)):
        recording = read_ecg(muse(*order))
        np.testing.assert_allclose(
            rows_of(recording, EIGHT), millivolts[[STANDARD_LEADS.index(name) for name in EIGHT]], atol=1e-6
        )
        assert "Left out: the Median waveform." in recording.notes
        assert set(recording.lead_names) == set(STANDARD_LEADS)


@pytest.mark.parametrize(
    ("unit", "per_bit"), [("MILLIVOLTS", "0.001"), ("NANOVOLTS", "1000"), ("VOLTS", "1e-6"), ("uV", "1"), ("µV", "1"), ("Microvolts", "1")]
)  # fmt: skip
def test_muse_units(microvolts, millivolts, unit, per_bit):
    recording = read_ecg(muse(waveform(*eight(microvolts, unit=unit, per_bit=per_bit))))
    np.testing.assert_allclose(rows_of(recording)[[0, 1]], millivolts[:2], atol=1e-6)


def test_unknown_muse_unit_is_cured_by_the_argument(microvolts, millivolts):
    content = muse(waveform(*eight(microvolts, unit="BITS")))
    with pytest.raises(EcgContentError, match=r"'BITS', expected a voltage.*`units=\"mV\"`"):
        read_ecg(content)
    np.testing.assert_allclose(rows_of(read_ecg(content, units="uV"), ["I"]), millivolts[:1], atol=1e-6)
    with pytest.raises(EcgContentError, match="is 'BITS'"):
        read_ecg(content, lead_names=EIGHT)


def test_lead_that_had_come_off_and_missing_samples_are_said(microvolts):
    stored = microvolts.copy()
    stored[0, :3] = -32768
    leads = eight(stored)
    leads[3] = lead_data("V2", microvolts[7], extra="<LeadOff>TRUE</LeadOff>")
    recording = read_ecg(muse(waveform(*leads)))
    assert np.isnan(rows_of(recording, ["I"])).sum() == 3
    assert recording.notes[:2] == (
        "The device says that V2 had come off.",
        "3 samples of -32768 are taken as missing.",
    )


def test_shift_that_is_not_understood_is_refused(microvolts):
    leads = eight(microvolts)
    leads[3] = lead_data("V2", microvolts[7], extra="<FirstSampleBaseline>12</FirstSampleBaseline>")
    with pytest.raises(EcgContentError, match="lead V2 has '12' as FirstSampleBaseline, which isn't understood"):
        read_ecg(muse(waveform(*leads)))
