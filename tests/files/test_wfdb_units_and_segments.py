"""WFDB headers that say more of their signals than a gain, and multi-segment records of monitors."""

import numpy as np
import pytest
import wfdb

from modeling_etp.ecg_files_etp import STANDARD_LEADS, EcgContentError, EcgCorruptError, EcgUnsafeError, read_ecg

ADU = "{name}.dat 16 1000(0)/adu 16 0 {first} {checksum} 0 {lead}"


def write(folder, name, signals, leads, *, fs=100, fmt="16", spf=None, units="mV", gain=1000.0, baseline=0):
    """A record of whole numbers through `wfdb`'s own writer."""
    count = len(leads)
    spf = spf or [1] * count
    wfdb.wrsamp(
        name, fs=fs, units=[units] * count, sig_name=list(leads), fmt=[fmt] * count, adc_gain=[gain] * count,
        e_d_signal=[np.asarray(signal, int) for signal in signals], baseline=[baseline] * count, samps_per_frame=spf,
        write_dir=str(folder),
    )  # fmt: skip
    return folder / f"{name}.hea"


def edited(header, *changes):
    text = header.read_text(encoding="latin-1")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    header.write_text(text, encoding="latin-1")
    return header


# Skew


@pytest.mark.parametrize("fmt", ["16", "212", "24", "32", "80", "516"])
def test_checksum_is_of_the_samples_before_skew_is_undone(tmp_path, microvolts, fmt):
    stored = microvolts[:2] // 16
    header = write(tmp_path, "skew", stored, ["I", "II"], fmt=fmt)
    edited(header, (f" {fmt}x1 ", f" {fmt}x1:3 "))
    recording = read_ecg(header)
    np.testing.assert_allclose(recording.signal, stored[:, 3:] / 1000, atol=1e-6)
    assert recording.notes == ("Its leads are skewed by 3 to 3 samples, which is undone; the last ones are missing.",)
    lines = header.read_text().splitlines()
    fields = lines[2].split()
    lines[2] = " ".join([*fields[:6], str(int(fields[6]) + 1), *fields[7:]])
    header.write_text("\n".join(lines))
    with pytest.raises(EcgCorruptError, match="the samples of lead II have checksum"):
        read_ecg(header)
    assert read_ecg(header, verify_checksum=False).signal.shape == (2, 197)


def test_skew_equals_what_wfdb_makes_of_it(tmp_path, microvolts):
    header = write(tmp_path, "skew", [microvolts[0], np.repeat(microvolts[1], 2)], ["I", "II"], spf=[1, 2])
    lines = header.read_text().splitlines()
    lines[2] = lines[2].replace("16x2", "16x2:3")
    header.write_text("\n".join(lines))
    expected = wfdb.rdrecord(str(header.with_suffix("")), smooth_frames=False, physical=False).dac(expanded=True)[1]
    recording = read_ecg(header)
    assert recording.sampling_rate == 200
    np.testing.assert_allclose(recording.signal[1, :394], expected[:394], atol=1e-6)
    assert np.isnan(recording.signal[1, 394:]).all(), "3 frames of 2 samples are missing; wfdb makes 3 of them 0"


# Units and gains


@pytest.mark.parametrize("fmt", ["16", "212"])
@pytest.mark.parametrize("unit", ["µV", "μV", "uV", "microvolts"])
def test_microvolts_in_a_header_of_any_encoding(tmp_path, microvolts, unit, fmt):
    stored = microvolts[:2] // 2
    for encoding in ("utf-8", "latin-1"):
        header = write(tmp_path, "u", stored, ["I", "II"], fmt=fmt, gain=1.0)
        text = header.read_text().replace("/mV", f"/{unit}")
        header.write_bytes(text.encode(encoding, errors="ignore" if unit == "μV" else "strict"))
        if unit != "μV" or encoding == "utf-8":
            np.testing.assert_allclose(read_ecg(header).signal, stored / 1000, atol=1e-6)


def test_unknown_unit_is_refused_whatever_the_names_and_the_cure_works(write_wfdb16, millivolts):
    header = write_wfdb16(signal_line=ADU)
    for stated in ({}, {"lead_names": STANDARD_LEADS}):
        with pytest.raises(
            EcgContentError, match=r"the unit of lead\(s\) .* is 'adu', .* Pass it, e\.g\. `units=\"mV\"`"
        ):
            read_ecg(header, **stated)
    recording = read_ecg(header, units="mV")
    np.testing.assert_array_equal(recording.signal, millivolts)
    assert "('adu') is taken as mV" in recording.notes[0]
    with pytest.raises(EcgContentError, match=r"`units` must be a unit of voltage .*, got 'adu'"):
        read_ecg(header, units="adu")


def test_rate_and_unit_that_contradict_the_header_are_refused(write_wfdb16, millivolts):
    header = write_wfdb16()
    np.testing.assert_array_equal(read_ecg(header, units="mV", sampling_rate=100).signal, millivolts)
    with pytest.raises(EcgContentError, match="lead I is in 'mV', `units` says 'uV'"):
        read_ecg(header, units="uV")
    with pytest.raises(EcgContentError, match="its sampling rate is 100 Hz, `sampling_rate` says 101"):
        read_ecg(header, sampling_rate=101)


def test_rate_that_is_assumed_is_said(write_wfdb16):
    header = write_wfdb16(first_line="record 12")
    recording = read_ecg(header)
    assert recording.sampling_rate == 250
    assert recording.notes == ("Its header states no sampling rate; 250 Hz, the standard's default, is assumed.",)


def test_respiration_without_a_gain_refuses_nothing(write_wfdb16, microvolts, millivolts):
    header = write_wfdb16(stored=microvolts[:3], leads=["I", "RESP", "II"])
    lines = header.read_text().splitlines()
    lines[2] = lines[2].replace("1000(0)/mV", "0")
    header.write_text("\n".join(lines))
    recording = read_ecg(header)
    np.testing.assert_array_equal(recording.signal, millivolts[[0, 2]])
    assert recording.notes == ("Left out, as they are no ECG leads: RESP.",)
    header.write_text("\n".join(lines).replace("RESP", "III"))
    with pytest.raises(EcgContentError, match=r"the gain of lead III is 0\.0: .* another name for III"):
        read_ecg(header)
    assert read_ecg(header, lead_names=["I", "uncalibrated", "II"]).lead_names == ("I", "II")


@pytest.mark.parametrize("fmt", ["16", "212"])
def test_baselines_and_missing_samples_of_each_signal(tmp_path, microvolts, fmt):
    stored = microvolts[:2].astype(int) // 2
    stored[1, 5] = {"16": -32768, "212": -2048}[fmt]
    header = write(tmp_path, "b", stored, ["I", "II"], fmt=fmt, gain=500.0, baseline=-100)
    signal = read_ecg(header).signal
    assert np.argwhere(np.isnan(signal)).tolist() == [[1, 5]]
    np.testing.assert_allclose(signal[0], (stored[0] + 100) / 500, atol=1e-6)


def test_gains_that_break_einthovens_law_are_said(write_wfdb16, microvolts):
    header = write_wfdb16(stored=microvolts[:6], leads=["I", "II", "III", "aVR", "aVL", "aVF"])
    assert read_ecg(header).notes == ()
    lines = header.read_text().splitlines()
    lines[3] = lines[3].replace("1000(0)", "200(0)")
    header.write_text("\n".join(lines))
    (note,) = read_ecg(header).notes
    assert note.startswith("I, III, II contradict each other under the gains that the file states")
    # Stored with other gains and scaled right, they obey the law under the gains that the header states.
    stored = microvolts[:6].copy()
    stored[2] //= 5
    header = write_wfdb16(stored=stored, leads=["I", "II", "III", "aVR", "aVL", "aVF"])
    lines = header.read_text().splitlines()
    lines[3] = lines[3].replace("1000(0)", "200(0)")
    header.write_text("\n".join(lines))
    assert read_ecg(header).notes == ()


@pytest.mark.parametrize(("factor", "said"), [(1, False), (5, True), (0.1, True)])
def test_unusual_amplitude_is_said(write_wfdb16, microvolts, factor, said):
    stored = np.clip(microvolts * factor, -32767, 32767).astype(int)
    notes = read_ecg(write_wfdb16(stored=stored)).notes
    assert any("hardly any ECG has" in note for note in notes) == said


# Segments


def test_several_samples_a_frame_in_segments(tmp_path, microvolts):
    """A monitor's record: ECG at 200 Hz, pressure at 100, in frames of 100 a second; the second segment lacks II."""
    ecg = microvolts[:2].repeat(2, axis=1)
    write(tmp_path, "a", [*ecg, microvolts[3]], ["I", "II", "ABP"], spf=[2, 2, 1])
    write(tmp_path, "b", [ecg[0] // 2, microvolts[3]], ["I", "ABP"], spf=[2, 1])
    for name in "ab":
        lines = (tmp_path / f"{name}.hea").read_text().splitlines()
        (tmp_path / f"{name}.hea").write_text(
            "\n".join(line.replace("/mV", "/mmHg") if "ABP" in line else line for line in lines)
        )
    (tmp_path / "layout.hea").write_text(
        "layout 3 100 0\n~ 0x2 1000(0)/mV 16 0 0 0 0 I\n~ 0x2 1000(0)/mV 16 0 0 0 0 II\n~ 0 1(0)/mmHg 16 0 0 0 0 ABP\n"
    )
    (tmp_path / "whole.hea").write_text("whole/4 3 100 450\nlayout 0\na 200\n~ 50\nb 200\n")
    recording = read_ecg(tmp_path / "whole.hea")
    assert (recording.sampling_rate, recording.lead_names, recording.signal.shape) == (200, ("I", "II"), (2, 900))
    np.testing.assert_allclose(recording.signal[:, :400], ecg / 1000, atol=1e-6)
    np.testing.assert_allclose(recording.signal[0, 500:], ecg[0] // 2 / 1000, atol=1e-6)
    assert np.isnan(recording.signal[1, 400:]).all()
    assert recording.notes == (
        "Joined from 2 segments.",
        "Without samples (NaN), as no segment holds them: 11.11% of I, 55.56% of II.",
        "Left out, as they are no ECG leads: ABP [mmHg].",
    )


def test_long_record_in_which_each_segment_holds_few_of_the_leads_is_read(tmp_path, microvolts):
    """Present 98% of the time; of all leads x samples most are gaps, which is no reason to refuse it."""
    length = 320_000
    leads = ["I", "II", "III", "V", "V1", "V2", "V3", "V4", "V5", "V6", "aVR", "aVF"]
    lines = []
    for k in range(6):
        lead = leads[k % 3]
        (tmp_path / f"s{k}.dat").write_bytes(np.full(length, 100 + k, "<i2").tobytes())
        (tmp_path / f"s{k}.hea").write_text(
            f"s{k} 1 125 {length}\ns{k}.dat 16 1000(0)/mV 16 0 0 {(100 + k) * length & 65535} 0 {lead}\n"
        )
        lines.append(f"s{k} {length}")
    (tmp_path / "l.hea").write_text("l 12 125 0\n" + "".join(f"~ 0 1000(0)/mV 16 0 0 0 0 {lead}\n" for lead in leads))
    (tmp_path / "w.hea").write_text(f"w/8 12 125 {6 * length + 40_000}\nl 0\n" + "\n".join([*lines, "~ 40000"]) + "\n")
    recording = read_ecg(tmp_path / "w.hea")
    assert recording.lead_names == ("I", "II", "III")
    assert recording.signal.shape == (3, 6 * length + 40_000)
    assert recording.signal[1, length] == np.float32(0.101)
    assert "No segment holds V1, V2, V3, V4, V5, V6, aVR, aVF." in recording.notes
    (tmp_path / "x.hea").write_text(f"x/3 12 125 {length + 9_000_000}\nl 0\ns0 {length}\n~ 9000000\n")
    read_ecg(tmp_path / "x.hea")
    (tmp_path / "y.hea").write_text(f"y/3 12 125 {length + 90_000_000}\nl 0\ns0 {length}\n~ 90000000\n")
    with pytest.raises(EcgUnsafeError, match="nearly all of them gaps"):
        read_ecg(tmp_path / "y.hea")


def test_units_that_change_from_segment_to_segment(tmp_path, microvolts):
    write(tmp_path, "a", microvolts[:1], ["I"])
    write(tmp_path, "b", microvolts[:1], ["I"], units="uV", gain=1.0)
    (tmp_path / "w.hea").write_text("w/2 1 100 400\na 200\nb 200\n")
    np.testing.assert_allclose(read_ecg(tmp_path / "w.hea").signal, np.tile(microvolts[:1] / 1000, 2), atol=1e-6)
    edited(tmp_path / "b.hea", ("/uV", "/adu"))
    with pytest.raises(EcgContentError, match=r"b\.hea: the unit of lead I is 'adu' here"):
        read_ecg(tmp_path / "w.hea")
    edited(tmp_path / "a.hea", ("/mV", "/adu"))
    with pytest.raises(EcgContentError, match="is 'adu', expected a voltage"):
        read_ecg(tmp_path / "w.hea")
    assert read_ecg(tmp_path / "w.hea", units="mV").signal.shape == (1, 400)


def test_segments_without_names_go_by_position(tmp_path, microvolts):
    for name in "ab":
        edited(write(tmp_path, name, microvolts[:2], ["I", "II"]), (" I\n", "\n"), (" II", ""))
    (tmp_path / "w.hea").write_text("w/2 2 100 400\na 200\nb 200\n")
    recording = read_ecg(tmp_path / "w.hea", lead_names=["V1", "V2"])
    np.testing.assert_allclose(recording.signal, np.tile(microvolts[:2] / 1000, 2), atol=1e-6)
