"""Tables of text in any dialect: leads in columns, time, units, and what is refused by row and column."""

import numpy as np
import pytest
from ecg_writers import table

from modeling_etp.ecg_files_etp import (
    STANDARD_LEADS,
    EcgContentError,
    EcgCorruptError,
    EcgFormatError,
    EcgUnsafeError,
    read_ecg,
)


@pytest.mark.parametrize(
    ("separator", "decimal"), [(",", "."), ("\t", "."), (";", "."), (";", ","), ("\t", ","), (" ", ".")]
)
def test_table_with_time_in_any_dialect(millivolts, separator, decimal):
    time = np.arange(200) / 100
    content = table(np.column_stack([time, millivolts.T]), separator, ["time", *STANDARD_LEADS], decimal)
    recording = read_ecg(content)
    np.testing.assert_allclose(recording.signal, millivolts, atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (100, STANDARD_LEADS)


def test_table_without_header_or_time_takes_the_callers_word(millivolts):
    recording = read_ecg(table(millivolts.T), sampling_rate=500)
    np.testing.assert_allclose(recording.signal, millivolts, atol=1e-6)
    assert recording.sampling_rate == 500


def test_table_units_in_the_names_and_a_running_number(microvolts, millivolts):
    rows = np.column_stack([np.arange(200), microvolts[1] / 1000, microvolts[6], 37 + microvolts[0] / 1e5])
    content = b"# exported, sampling rate: 360 Hz\n" + table(
        rows, header=["sample", "II [mV]", "V1 (uV)", "Temp (degC)"]
    )
    recording = read_ecg(content)
    np.testing.assert_allclose(recording.signal, millivolts[[1, 6]], atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (360, ("II", "V1"))
    assert recording.metadata["dropped_channels"] == ["Temp (degC)"]


def test_table_as_rdsamp_writes_it(microvolts, millivolts):
    """PhysioNet's rdsamp: quoted names, a row of units, clock times."""
    rows = [f"'0:{k / 100:06.3f}',{microvolts[1, k]},{microvolts[10, k]}" for k in range(200)]
    content = "\n".join(["'Elapsed time','MLII','V5'", "'hh:mm:ss.mmm','uV','uV'", *rows]).encode()
    recording = read_ecg(content)
    np.testing.assert_allclose(recording.signal, millivolts[[1, 10]], atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (100, ("II", "V5"))


def test_table_time_in_milliseconds_and_rounded(millivolts):
    time = np.round(np.arange(200) / 360, 3) * 1000
    content = table(np.column_stack([time, millivolts[:1].T]), header=["Time (ms)", "I"])
    assert read_ecg(content).sampling_rate == 360


def test_table_times_may_be_rounded_to_equal_ones():
    """At 160 Hz in hundredths of a second some rows repeat the time of the one before."""
    times = np.round(np.arange(500) / 160, 2)
    assert (np.diff(times) == 0).any()
    recording = read_ecg(table(np.column_stack([times, np.sin(times)]), header=["time", "I"]))
    assert recording.sampling_rate == pytest.approx(160, rel=2e-3)
    assert recording.metadata["format"] == "CSV"


def test_table_empty_cell_is_a_missing_sample(millivolts):
    lines = table(millivolts[:2].T, header=["I", "II"]).decode().splitlines()
    lines[5] = lines[5].split(",")[0] + ","
    signal = read_ecg("\n".join(lines).encode(), sampling_rate=100).signal
    assert np.argwhere(np.isnan(signal)).tolist() == [[1, 4]]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_table_in_any_encoding(millivolts, encoding):
    text = "time,I (µV),II (µV)\n" + table(np.column_stack([np.arange(200) / 100, 1000 * millivolts[:2].T])).decode()
    np.testing.assert_allclose(read_ecg(text.encode(encoding)).signal, millivolts[:2], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "I,II\n0.1,0.2\n0.3,=cmd|' /C calc'!A0\n",
            EcgCorruptError,
            "line 3, column II: expected a number, got .=cmd",
        ),
        ("I,II\n0.1,0.2\n0.3\n", EcgCorruptError, "line 3 has 1 columns, expected 2"),
        ("I,I\n0.1,0.2\n0.3,0.4\n", EcgContentError, r"lead\(s\) I occur more than once"),
        ("I,II\n", EcgContentError, "column names and no rows"),
        ("name,age\n0.1,0.2\n", EcgContentError, "none of its channels is an ECG lead"),
        ("time,I\n0,0.2\n0.01,0.4\n0.02,0.4\n0.5,1.4\n", EcgContentError, "long gaps or uneven steps"),
        (
            "time,I\n0,0.2\n0.01,0.4\n",
            EcgContentError,
            "disagree: its sampling rate is 100 Hz, `sampling_rate` says 500",
        ),
        ("I,II\n612,300\n-40,-700\n", EcgContentError, "whole numbers without a unit"),
        (("0.5," * 50)[:-1] + "\n" + ("\n".join([("0.5," * 50)[:-1]] * 11)), EcgContentError, "looks transposed"),
        ("a," * 40_000 + "a\n" + "1\n" * 90_000, EcgCorruptError, "expected 40001 columns"),
        ("# only a comment\n", EcgFormatError, "without rows"),
        ("1," * 60_000 + "1\n", EcgUnsafeError, "at most 100,000 characters in a row, got 120,001"),
        ("I,II\n" + "\n" * 2_000_001, EcgUnsafeError, "at most 2,000,000 rows"),
    ],
)
def test_wrong_table_is_refused_by_row_and_column(text, error, message):
    with pytest.raises(error, match=message):
        read_ecg(text.encode(), sampling_rate=500)


def test_table_without_rate_asks_for_it():
    with pytest.raises(EcgContentError, match=r"no column `time`. Pass e.g. `sampling_rate=500`"):
        read_ecg(b"I,II\n0.1,0.2\n0.3,0.4\n")


def test_damaged_utf16_is_refused(millivolts):
    content = table(millivolts.T, header=STANDARD_LEADS).decode().encode("utf-16")
    with pytest.raises(EcgCorruptError, match="damaged UTF-16 text"):
        read_ecg(content[:-1], sampling_rate=100)


def test_names_of_the_caller_stand_for_a_missing_first_row(millivolts):
    content = table(millivolts[:2].T)
    assert read_ecg(content, sampling_rate=100, lead_names=["II", "V5"]).lead_names == ("II", "V5")
    with pytest.raises(EcgContentError, match="`lead_names` has 3 names for 2 columns"):
        read_ecg(content, sampling_rate=100, lead_names=["I", "II", "V5"])


def test_a_table_may_come_from_any_system(millivolts):
    text = table(millivolts[:2].T, header=["I", "II"]).decode()
    for end in ("\r\n", "\r"):
        recording = read_ecg(text.replace("\n", end).encode(), sampling_rate=100)
        np.testing.assert_allclose(recording.signal, millivolts[:2], atol=1e-6)


def test_a_clock_of_too_many_digits_is_named():
    with pytest.raises(EcgCorruptError, match="column I holds text, expected numbers"):
        read_ecg(b"I,II\n" + b"9" * 9000 + b":1,2\n" * 3, sampling_rate=500)


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize(("first", "leads"), [(0, 12), (1, 12), (0, 2)])
def test_a_first_row_that_numbers_the_columns_is_no_sample(millivolts, index, first, leads):
    """As `DataFrame.to_csv` writes it where nobody named the columns."""
    names = [str(first + number) for number in range(leads)]
    rows = [
        [*([str(row)] if index else []), *(f"{value:.6f}" for value in values)]
        for row, values in enumerate(millivolts[:leads].T)
    ]
    content = "\n".join(",".join(row) for row in [[*([""] if index else []), *names], *rows])
    recording = read_ecg(content.encode(), sampling_rate=100, lead_names=STANDARD_LEADS[:leads])
    np.testing.assert_allclose(recording.signal, millivolts[:leads], atol=1e-6)
    assert "Its columns are numbered, not named." in recording.notes


def test_a_first_sample_that_counts_by_accident_is_a_sample():
    content = b"0,1\n1,5\n2,4\n3,-2\n"
    recording = read_ecg(content, sampling_rate=100, lead_names=["I"], units="uV")
    assert recording.signal.shape == (1, 4)
