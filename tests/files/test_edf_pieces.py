"""EDF+ and BDF+ whose data records don't follow each other, and what their headers say of each channel."""

import numpy as np
import pytest
from container_writers import edf_by_hand

from modeling_etp.ecg_files_etp import EcgContentError, EcgCorruptError, read_ecg


def records(samples, length: int = 50) -> list[np.ndarray]:
    return [samples[at : at + length] for at in range(0, len(samples), length)]


@pytest.fixture
def halves(microvolts) -> list[list[np.ndarray]]:
    """I and II, four data records of half a second."""
    return [records(lead) for lead in microvolts[:2]]


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("kind", ["EDF+D", "BDF+D"])
def test_a_gap_between_data_records_is_nan(halves, millivolts, kind, first):
    onsets = ["+0.25", "+0.75", "+60.75", "+61.25"]
    wide = {"physical": (-8388607.0, 8388607.0), "digital": (-8388607, 8388607)} if kind == "BDF+D" else {}
    recording = read_ecg(
        edf_by_hand(halves, labels=["I", "II"], kind=kind, onsets=onsets, seconds=0.5, annotations_first=first, **wide)
    )
    assert recording.signal.shape == (2, 6150)
    np.testing.assert_allclose(recording.signal[:, :100], millivolts[:2, :100], atol=1e-5)
    np.testing.assert_allclose(recording.signal[:, 6050:], millivolts[:2, 100:], atol=1e-5)
    assert np.isnan(recording.signal[:, 100:6050]).all()
    assert recording.notes == ("Its 2 pieces are joined with gaps of 59.5 s in all (NaN), the first at 1 s.",)


def test_leads_of_two_rates_keep_their_gap(microvolts, millivolts):
    stored = [records(microvolts[0]), records(microvolts[1, ::2], 25)]
    recording = read_ecg(edf_by_hand(stored, labels=["I", "II"], onsets=["+0", "+0.5", "+2", "+2.5"], seconds=0.5))
    assert (recording.sampling_rate, recording.signal.shape) == (100, (2, 300))
    assert np.isnan(recording.signal).sum(axis=1).tolist() == [100, 100]
    np.testing.assert_allclose(recording.signal[1, 220:280], millivolts[1, 120:180], atol=0.02)


def test_data_records_that_follow_each_other_are_no_pieces(halves, millivolts):
    for onsets in (None, ["+7.5", "+8.0000", "+8.5", "+9.0"], ["-1", "-0.5", "+0", "+0.5"]):
        recording = read_ecg(edf_by_hand(halves, labels=["I", "II"], onsets=onsets, seconds=0.5))
        np.testing.assert_allclose(recording.signal, millivolts[:2], atol=1e-5)
        assert recording.notes == ()


def test_rounded_time_stamps_are_neither_gaps_nor_overlaps(microvolts, millivolts):
    """A third of a second in two decimals is up to 10 ms off, at 100 Hz a whole sample."""
    stored = [records(lead[:198], 33) for lead in microvolts[:2]]
    for onsets in (
        ["+0", "+0.33", "+0.66", "+0.99", "+1.32", "+1.65"],
        ["+0.00", "+0.33", "+0.67", "+1.00", "+1.33", "+1.67"],
    ):
        recording = read_ecg(edf_by_hand(stored, labels=["I", "II"], onsets=onsets, seconds=0.331))
        np.testing.assert_allclose(recording.signal, millivolts[:2, :198], atol=1e-5)
        assert recording.notes == ()


def test_pieces_after_a_clock_that_ran_slow_are_all_kept(microvolts, millivolts):
    """Each record starts 4 ms early, which is less than half a sample; then comes a gap."""
    stored = [records(lead, 20) for lead in microvolts[:2]]
    onsets = [f"+{0.196 * k:.3f}" for k in range(9)] + ["+1.9"]
    recording = read_ecg(edf_by_hand(stored, labels=["I", "II"], onsets=onsets, seconds=0.2))
    np.testing.assert_allclose(recording.signal[:, :180], millivolts[:2, :180], atol=1e-5)
    np.testing.assert_allclose(recording.signal[:, -20:], millivolts[:2, 180:], atol=1e-5)
    assert recording.signal.shape == (2, 210)


def test_overlapping_data_records_are_refused(halves):
    content = edf_by_hand(halves, labels=["I", "II"], onsets=["+0", "+0.5", "+0.75", "+1.25"], seconds=0.5)
    with pytest.raises(EcgContentError, match=r"data record 3 starts 0\.25 s before the one before it ends"):
        read_ecg(content)


def test_time_stamps_that_contradict_a_continuous_file_are_said(halves, millivolts):
    gap = edf_by_hand(halves, labels=["I", "II"], kind="EDF+C", onsets=["+0", "+0.5", "+3", "+3.5"], seconds=0.5)
    recording = read_ecg(gap)
    assert np.isnan(recording.signal).sum(axis=1).tolist() == [200, 200]
    assert recording.notes[0] == "Its header says EDF+C, continuous; its time stamps have gaps."
    constant = read_ecg(edf_by_hand(halves, labels=["I", "II"], kind="EDF+C", onsets=["+0"] * 4, seconds=0.5))
    np.testing.assert_allclose(constant.signal, millivolts[:2], atol=1e-5)
    assert constant.notes == ("Its time stamps contradict EDF+C; its data records are joined as continuous.",)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"onsets": ["+0", "", "+1", "+2"]}, "discontinuous, and doesn't say when data record 2 starts"), ({"stamps": False}, "discontinuous, and has no annotations")],
)  # fmt: skip
def test_discontinuous_file_without_times_is_refused(halves, change, message):
    with pytest.raises(EcgCorruptError, match=message):
        read_ecg(edf_by_hand(halves, labels=["I", "II"], seconds=0.5, **change))


def test_of_pieces_days_apart_the_longest_is_kept(halves, millivolts):
    onsets = ["+0", "+9000000", "+9000000.5", "+9000001"]
    recording = read_ecg(edf_by_hand(halves, labels=["I", "II"], onsets=onsets, seconds=0.5))
    np.testing.assert_allclose(recording.signal, millivolts[:2, 50:], atol=1e-5)
    assert "only the longest is kept, 1.5 s from 9e+06 s on" in recording.notes[0]


@pytest.mark.parametrize("part", [b"", b"\0\0\0"])
def test_recording_that_was_never_closed_is_read(halves, millivolts, part):
    """A header has -1 data records while the recording goes on (edfplus.info, 2.1)."""
    for kind in ("EDF+C", "BDF+C"):
        content = edf_by_hand(halves, labels=["I", "II"], kind=kind, seconds=0.5)
        recording = read_ecg(content[:236] + b"-1".ljust(8) + content[244:] + part)
        np.testing.assert_allclose(recording.signal, millivolts[:2], atol=1e-5)
        assert recording.notes[0].startswith("Its header doesn't count its data records; 4 were found")
    with pytest.raises(EcgCorruptError, match=r"declares -1 data records|header is malformed"):
        read_ecg(content[:236] + b"-1".ljust(8) + content[244:252] + b"x   " + content[256:])


@pytest.mark.parametrize("unit", ["µV", "μV", b"\xb5V", "uV", "UV", b"\xe6V"])
def test_microvolts_in_any_encoding(halves, millivolts, unit):
    recording = read_ecg(edf_by_hand(halves, labels=["I", "II"], units=unit, kind="EDF+C", seconds=0.5))
    np.testing.assert_allclose(recording.signal, millivolts[:2], atol=1e-5)


@pytest.mark.parametrize("unit", ["", "widgets", "MV", "LSB"])
def test_unknown_unit_is_refused_and_the_cure_works(halves, millivolts, unit):
    content = edf_by_hand(halves, labels=["a", "b"], units=unit, kind="EDF+C", seconds=0.5)
    shown = f"'{unit}'" if unit else "not stated"
    for stated in ({"lead_names": ["I", "II"]}, {"lead_names": ("II", "I")}):
        with pytest.raises(
            EcgContentError, match=rf'the unit of lead\(s\).* is {shown}, .* Pass it, e\.g\. `units="mV"`'
        ):
            read_ecg(content, **stated)
    recording = read_ecg(content, lead_names=["I", "II"], units="uV")
    np.testing.assert_allclose(recording.signal, millivolts[:2], atol=1e-5)
    assert recording.notes == (f"The unit of I, II ({shown}) is taken as uV, which was given.",)


def test_unit_that_contradicts_the_file_is_refused(halves):
    content = edf_by_hand(halves, labels=["I", "II"], units=["uV", "mV"], kind="EDF+C", seconds=0.5)
    with pytest.raises(EcgContentError, match=r"lead II is in 'mV', `units` says 'uV'\. Leave `units` out"):
        read_ecg(content, units="uV")
    pressure = edf_by_hand(halves, labels=["I", "ART"], units=["uV", "mmHg"], kind="EDF+C", seconds=0.5)
    with pytest.raises(EcgContentError, match="`lead_names` calls channel 2 II, the file says that it is in mmHg"):
        read_ecg(pressure, lead_names=["I", "II"])


@pytest.mark.parametrize("fault", [{"digital": (5, 5)}, {"physical": (0.0, 0.0)}])
def test_channel_that_nobody_wants_refuses_nothing(halves, millivolts, fault):
    flat = {
        "digital": [(-32767, 32767), fault.get("digital", (-32767, 32767)), (-32767, 32767)],
        "physical": [(-32767.0, 32767.0), fault.get("physical", (-32767.0, 32767.0)), (-32767.0, 32767.0)],
    }
    stored = [halves[0], halves[0], halves[1]]
    recording = read_ecg(edf_by_hand(stored, labels=["I", "-", "II"], kind="EDF+C", seconds=0.5, **flat))
    np.testing.assert_allclose(recording.signal, millivolts[:2], atol=1e-5)
    assert recording.notes == ("Left out, as they are no ECG leads: -.",)
    wanted = edf_by_hand(stored, labels=["I", "III", "II"], kind="EDF+C", seconds=0.5, **flat)
    with pytest.raises(EcgContentError, match=r"zero gain of III: .* pass `lead_names` with another name for III"):
        read_ecg(wanted)
    np.testing.assert_allclose(read_ecg(wanted, lead_names=["I", "flat", "II"]).signal, millivolts[:2], atol=1e-5)


def test_lowest_number_outside_the_stated_range_is_no_sample(halves):
    halves[0][1] = halves[0][1].copy()
    halves[0][1][3] = -32768
    recording = read_ecg(edf_by_hand(halves, labels=["I", "II"], kind="EDF+C", seconds=0.5))
    assert np.argwhere(np.isnan(recording.signal)).tolist() == [[0, 53]]
    assert recording.notes == ("Samples of I outside the range that the file states are taken as missing: 1.",)


def test_gains_that_break_einthovens_law_are_said(microvolts):
    stored = [records(lead) for lead in microvolts[:3]]
    ranges = [(-32767.0, 32767.0), (-65534.0, 65534.0), (-32767.0, 32767.0)]
    (note,) = read_ecg(
        edf_by_hand(stored, labels=["I", "II", "III"], kind="EDF+C", seconds=0.5, physical=ranges)
    ).notes
    assert note.startswith("I, III, II contradict each other under the gains that the file states")


def test_files_of_another_writer(tmp_path, millivolts):
    """pyedflib, a binding of edflib, writes other headers than edfio: as EDF+ and BDF+, with a channel of another rate."""
    pyedflib = pytest.importorskip("pyedflib")
    for kind, name in (
        (pyedflib.FILETYPE_EDFPLUS, "a.edf"),
        (pyedflib.FILETYPE_BDFPLUS, "a.bdf"),
        (pyedflib.FILETYPE_EDF, "b.edf"),
    ):
        with pyedflib.EdfWriter(str(tmp_path / name), 3, file_type=kind) as writer:
            common = {"dimension": "mV", "physical_min": -5, "physical_max": 5, "transducer": "", "prefilter": ""}
            limits = {"digital_min": -32768, "digital_max": 32767}
            writer.setSignalHeaders(
                [
                    {"label": label, "sample_frequency": rate, **common, **limits}
                    for label, rate in (("ECG I", 100), ("ECG C1", 100), ("Resp", 25))
                ]
            )
            writer.writeSamples(
                [millivolts[0].astype(float), millivolts[6].astype(float), millivolts[1, ::4].astype(float)]
            )
        recording = read_ecg(tmp_path / name)
        assert recording.lead_names == ("I", "V1")
        np.testing.assert_allclose(recording.signal, millivolts[[0, 6]], atol=2e-4)
