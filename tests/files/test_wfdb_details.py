"""What few WFDB records have: no lead names, several files of other lengths, skews, compressed samples, odd segments."""

import numpy as np
import pytest
import wfdb

from modeling_etp.ecg_files_etp import (
    STANDARD_LEADS,
    EcgContentError,
    EcgCorruptError,
    EcgFileError,
    EcgFileNotFoundError,
    EcgFormatError,
    EcgUnsafeError,
    parse_wfdb_header,
    read_ecg,
    read_wfdb_header,
    read_wfdb_int16,
)
from modeling_etp.ecg_wfdb_header_etp import gain_faults

NAMELESS = "{name}.dat 16 1000(0)/mV 16 0 {first} {checksum} 0"


def test_twelve_channels_without_names_are_the_standard_leads(write_wfdb16, millivolts):
    recording = read_ecg(write_wfdb16(signal_line=NAMELESS))
    assert recording.lead_names == STANDARD_LEADS
    np.testing.assert_array_equal(recording.signal, millivolts)


def test_other_numbers_of_channels_without_names_ask_for_them(write_wfdb16, microvolts):
    header = write_wfdb16(stored=microvolts[:2], leads=["", ""], signal_line=NAMELESS)
    with pytest.raises(EcgContentError, match="2 channels and doesn't name them"):
        read_ecg(header)
    assert read_ecg(header, lead_names=["II", "V5"]).lead_names == ("II", "V5")


def test_names_of_the_caller_go_before_those_of_the_header(write_wfdb16, microvolts):
    header = write_wfdb16(stored=microvolts[:2], leads=["I", "II"])
    assert read_ecg(header, lead_names=["V1", "V2"]).lead_names == ("V1", "V2")


def write_two_files(folder, first, second, *, storage="16"):
    lines = []
    for name, lead in (("I", first), ("II", second)):
        (folder / f"{name}.dat").write_bytes(lead.astype("<i2").tobytes())
        lines.append(f"{name}.dat {storage} 1000 16 0 0 {int(lead.sum()) % 65536} 0 {name}")
    (folder / "two.hea").write_text("\n".join(["two 2 100", *lines]))
    return folder / "two.hea"


def test_signal_files_of_different_lengths_are_refused(tmp_path, microvolts):
    header = write_two_files(tmp_path, microvolts[0], microvolts[1])
    np.testing.assert_allclose(read_ecg(header).signal, microvolts[:2] / 1000, rtol=1e-6)
    with pytest.raises(EcgCorruptError, match="its signal files differ in length"):
        read_ecg(write_two_files(tmp_path, microvolts[0], microvolts[1, :150]))


def test_signal_files_that_take_turns_are_refused(tmp_path, microvolts):
    """Read as if they stood together they would give leads each other's samples; `wfdb` 4.3 fails on them."""
    (tmp_path / "a.dat").write_bytes(microvolts[[0, 2]].T.astype("<i2").tobytes())
    (tmp_path / "b.dat").write_bytes(microvolts[1].astype("<i2").tobytes())
    lines = [
        f"{file}.dat 16 1000 16 0 0 {int(microvolts[row].sum()) % 65536} 0 {STANDARD_LEADS[row]}"
        for row, file in enumerate("aba")
    ]
    header = tmp_path / "turns.hea"
    header.write_text("\n".join(["turns 3 100 200", *lines]))
    with pytest.raises(EcgFormatError, match="expected plain format 16"):
        read_wfdb_int16(header)
    with pytest.raises(EcgCorruptError, match="wfdb can't read it"):
        read_ecg(header)


def test_skewed_signals_are_aligned_as_wfdb_does(tmp_path, microvolts):
    """Format 16:3 says that a signal's samples come three frames late."""
    (tmp_path / "skew.dat").write_bytes(microvolts[:2].T.astype("<i2").tobytes())
    lines = ["skew.dat 16 1000 16 0 0", "skew.dat 16:3 1000 16 0 0"]
    names = ["I", "II"]
    (tmp_path / "skew.hea").write_text(
        "\n".join(["skew 2 100 200", *(f"{line} 0 0 {name}" for line, name in zip(lines, names, strict=True))])
    )
    recording = read_ecg(tmp_path / "skew.hea", verify_checksum=False)
    np.testing.assert_allclose(recording.signal[0], microvolts[0] / 1000, atol=1e-6)
    np.testing.assert_allclose(recording.signal[1, :197], microvolts[1, 3:] / 1000, atol=1e-6)
    np.testing.assert_array_equal(np.isnan(recording.signal[1]), np.arange(200) >= 197)


def test_checksums_are_verified_through_wfdb_too(write_wfdb16, microvolts, tmp_path):
    stored = microvolts[:2].T.astype(int) // 2
    wfdb.wrsamp(
        "record", fs=100, units=["mV"] * 2, sig_name=["I", "II"], d_signal=stored, fmt=["212"] * 2,
        adc_gain=[500.0] * 2, baseline=[0] * 2, write_dir=str(tmp_path),
    )  # fmt: skip
    header = tmp_path / "record.hea"
    text = header.read_text()
    checksum = int(stored[:, 1].sum()) % 65536
    assert f" {checksum} " in text or f" {checksum - 65536} " in text
    changed = text.replace(f" {checksum} ", " 77 ").replace(f" {checksum - 65536} ", " 77 ")
    header.write_text(changed)
    with pytest.raises(EcgCorruptError, match=f"lead II have checksum {checksum}, the header says 77"):
        read_ecg(header)
    np.testing.assert_allclose(read_ecg(header, verify_checksum=False).signal, stored.T / 500, atol=1e-6)


@pytest.mark.parametrize(("frames", "declared"), [("0", "0"), ("100000000", "200,000,000")])
def test_compressed_samples_are_bounded_before_they_unfold(tmp_path, frames, declared):
    (tmp_path / "c.dat").write_bytes(b"fLaC" + bytes(100))
    lines = [f"c.dat 516 1000 16 0 0 0 0 {name}" for name in ("I", "II")]
    (tmp_path / "c.hea").write_text("\n".join([f"c 2 100 {frames}", *lines]))
    with pytest.raises(EcgUnsafeError, match=f"declares {declared} compressed samples, expected 1 to 20,000,000"):
        read_ecg(tmp_path / "c.hea")


def test_lines_that_wfdb_reads_in_another_way_are_refused(write_wfdb16):
    header = write_wfdb16(signal_line="{name}.dat 212 1000/mV 16 0 0 0 0 {lead}")
    header.with_suffix(".dat").write_bytes(bytes(3 * 6 * 200))
    assert not read_ecg(header).signal.any()
    header.write_text(header.read_text().replace("record.dat 212", "record.dat\xa0212", 1), encoding="latin-1")
    with pytest.raises(EcgCorruptError, match="its signal lines can be read in two ways"):
        read_ecg(header)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("record 1 100 -5\nrecord.dat 16 1000\n", EcgCorruptError, "declares -5 samples"),
        ("record/0 1 100 5\n", EcgCorruptError, "expected 1 to 1024 signals"),
        ("record/1 1 100 5\nonly\n", EcgCorruptError, "expected a segment line such as .*got 'only'"),
        ("record/1 1 100 5\na x\n", EcgCorruptError, "expected a segment line such as"),
        ("record/1 1 100 5\na -5\n", EcgCorruptError, "expected a segment line such as"),
        ("record 1 100 5\nrecord.dat\n", EcgCorruptError, "expected a signal line such as"),
        ("record 1 100 5\nrecord.dat 16x0 1000\n", EcgCorruptError, "expected a signal line such as"),
        ("record 1 100 5\nrecord.dat 16x10001 1000\n", EcgCorruptError, "expected a signal line such as"),
        (f"record 1 100 5\nrecord.dat 16 {'1' * 81}\n", EcgCorruptError, "expected a signal line such as"),
        (f"record 1 100 5\nrecord.dat 16+{'0' * 40} 1000\n", EcgCorruptError, "expected a signal line such as"),
        (f"record 1 100 5\n{'r' * 256} 16 1000\n", EcgUnsafeError, "names the signal file 'rrr"),
        ("record 1 100 5\nrecord.dat 16 1000 16 0 0 x\n", EcgCorruptError, "expected a signal line such as"),
    ],
)
def test_wrong_header_is_refused(text, error, message):
    with pytest.raises(error, match=message):
        parse_wfdb_header(text, "record.hea")


@pytest.mark.parametrize(
    ("line", "message"),
    [("16 1e-9", "the gain of lead 0 is 1e-09"), ("16 1e15 16 0 0 0 0 aVF", "the gain of lead aVF is 1000000000000000"), ("16", "the gain of lead 0 is 0.0")],
)  # fmt: skip
def test_gain_that_is_none_is_a_fault_of_its_signal(line, message):
    (fault,) = gain_faults(parse_wfdb_header(f"record 1 100 5\nrecord.dat {line}\n", "record.hea")).values()
    assert fault.startswith(message)


def test_every_field_of_a_header_has_its_default():
    header = parse_wfdb_header(
        "record 2\nrecord.dat 212x3:5+7 2e2(-3)/uV 12 9 0 -44 0  Lead II \nother.dat 16 5\n", "r.hea"
    )
    assert (header.record_name, header.sampling_rate, header.num_samples, header.segments) == ("record", 250, None, [])
    assert header.file_names == ["record.dat", "other.dat"]
    assert header.formats == ["212", "16"]
    assert (header.samples_per_frame, header.skews, header.byte_offsets) == ([3, 1], [5, 0], [7, 0])
    assert (header.gains, header.baselines, header.units) == ([200, 5], [-3, 0], ["uV", "mV"])
    assert (header.checksums, header.lead_names) == ([-44, None], ["Lead II", ""])


def test_lines_of_any_system_and_comments_anywhere_are_read():
    text = "# first\r\nrecord 1 360/5000(3) 0\r\n\r\n#Age: 9\r\nrecord.dat 16 5\r\n# last \r\n"
    header = parse_wfdb_header(text, "r.hea")
    assert (header.sampling_rate, header.num_samples, header.file_names) == (360, None, ["record.dat"])
    assert header.comments == ["first", "Age: 9", "last"]


@pytest.mark.parametrize(
    ("comments", "expected"),
    [
        ("#Age: 74\n#Sex: F\n", {"age": 74, "sex": "female"}),
        ("#<age>: 30  <sex>: M\n", {}),
        ("#<age>: 30\n#<Gender>:  male\n", {"age": 30, "sex": "male"}),
        ("#Age: unknown\n#Sex: ?\n#Age 5\n", {}),
    ],
)
def test_age_and_sex_are_read_from_comments(write_wfdb16, comments, expected):
    metadata = read_ecg(write_wfdb16(comments=comments)).metadata
    assert metadata.pop("comments") == [line.strip("# ") for line in comments.splitlines()]
    assert metadata == {"format": "WFDB", "record_id": "record", **expected}


def test_missing_or_unreadable_header_is_named(tmp_path):
    with pytest.raises(EcgFileNotFoundError, match=r"none\.hea: there is no such file"):
        read_wfdb_header(tmp_path / "none.hea")
    with pytest.raises(EcgFileError, match="can't be read"):
        read_wfdb_header(tmp_path)
    with pytest.raises(EcgFileError, match="can't be read"):
        read_wfdb_header("null\0byte.hea")


def test_signal_file_that_the_system_refuses_is_named(write_wfdb16, monkeypatch):
    header = write_wfdb16()

    def refuse(path, flags):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(EcgFileError, match=r"the file record\.dat that it names can't be read \(Permission denied\)"):
        read_wfdb_int16(header)


@pytest.mark.parametrize("at_a_time", [1, 64, 200, 1000])
def test_samples_are_scaled_in_parts_that_leave_no_trace(write_wfdb16, microvolts, monkeypatch, at_a_time):
    monkeypatch.setattr("modeling_etp.ecg_wfdb_signals_etp._SAMPLES_AT_A_TIME", at_a_time)
    stored = microvolts.copy()
    stored[2, [0, 63, 64, 199]] = -32768
    signal = read_ecg(
        write_wfdb16(stored=stored, signal_line="{name}.dat 16 200(-5)/mV 16 0 0 {checksum} 0 {lead}")
    ).signal
    expected = ((stored + 5.0) / 200).astype(np.float32)
    expected[2, [0, 63, 64, 199]] = np.nan
    np.testing.assert_array_equal(signal, expected)


# Segments


def write_segmented(folder, write, microvolts, *, leads_of_b=("I", "II"), first_line="whole/2 2 100 400"):
    write("a", stored=microvolts[:2], leads=["I", "II"])
    write("b", stored=microvolts[: len(leads_of_b)], leads=leads_of_b)
    (folder / "whole.hea").write_text(f"{first_line}\na 200\nb 200\n#Age: 5\n")
    return folder / "whole.hea"


def test_segments_keep_what_the_whole_says(write_wfdb16, microvolts, tmp_path):
    recording = read_ecg(write_segmented(tmp_path, write_wfdb16, microvolts, first_line="whole/2 2 100"))
    assert recording.signal.shape == (2, 400)
    assert recording.metadata == {"format": "WFDB", "record_id": "whole", "comments": ["Age: 5"], "age": 5}


def test_segments_with_leads_of_their_own_are_refused(write_wfdb16, microvolts, tmp_path):
    header = write_segmented(tmp_path, write_wfdb16, microvolts, leads_of_b=("I", "V1"))
    with pytest.raises(EcgContentError, match=r"its signals \['I', 'V1'\] aren't among those of the record"):
        read_ecg(header)


def test_segments_whose_lead_comes_twice_are_refused(write_wfdb16, microvolts, tmp_path):
    header = write_segmented(tmp_path, write_wfdb16, microvolts, leads_of_b=("I", "I"))
    with pytest.raises(EcgContentError, match=r"its signals \['I', 'I'\] aren't among"):
        read_ecg(header)
    header.write_text("whole/1 2 100 200\nb 200\n")
    with pytest.raises(EcgContentError, match="lead names occur more than once in its segments: I, I"):
        read_ecg(header)


def test_link_to_a_segment_outside_is_refused(write_wfdb16, microvolts, tmp_path):
    header = write_segmented(tmp_path, write_wfdb16, microvolts)
    outside = tmp_path.parent / f"{tmp_path.name}-b.hea"
    (tmp_path / "b.hea").rename(outside)
    (tmp_path / "b.hea").symlink_to(outside)
    with pytest.raises(EcgUnsafeError, match="is a link out of its folder"):
        read_ecg(header)


def test_the_rate_of_the_whole_counts_not_that_of_its_layout(write_wfdb16, microvolts, tmp_path):
    header = write_segmented(tmp_path, write_wfdb16, microvolts)
    (tmp_path / "layout.hea").write_text("layout 2 50 0\n~ 0 200 16 0 0 0 0 I\n~ 0 200 16 0 0 0 0 II\n")
    header.write_text("whole/3 2 100 400\nlayout 0\na 200\nb 200\n")
    assert read_ecg(header).sampling_rate == 100
