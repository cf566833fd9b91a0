"""Tables as other programs write them: preambles, times in any unit, gaps, units, comments and columns nobody wants."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from ecg_writers import table

from modeling_etp.ecg_columns_etp import rate_in, split_unit
from modeling_etp.ecg_files_etp import STANDARD_LEADS, EcgContentError, EcgCorruptError, read_ecg
from modeling_etp.ecg_times_etp import clock_seconds, times_key

LEADS = [*STANDARD_LEADS]


def frame(millivolts, rate=100, name="time", scale=1.0) -> pd.DataFrame:
    table = pd.DataFrame(millivolts.T.astype(float).round(3), columns=LEADS)
    table.insert(0, name, np.arange(len(table)) / rate * scale)
    return table


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sep": ";", "decimal": ","},
        {"sep": "\t", "decimal": ","},
        {"sep": ",", "decimal": ","},  # which quotes each number
        {"sep": "|"},
        {"index": True},
        {"encoding": "utf-16"},
        {"encoding": "utf-8-sig", "lineterminator": "\r\n"},
        {"quoting": 1},
        {"float_format": "%.4e"},
        {"na_rep": "NULL"},
    ],
)
def test_tables_of_pandas_in_any_dialect(millivolts, options):
    data = frame(millivolts)
    if "na_rep" in options:
        data.loc[7, "II"] = np.nan
    stream = io.BytesIO()
    data.to_csv(stream, **{"index": False, **options})
    recording = read_ecg(stream.getvalue())
    assert (recording.sampling_rate, recording.lead_names) == (100, STANDARD_LEADS)
    expected = millivolts.copy()
    if "na_rep" in options:
        expected[1, 7] = np.nan
    np.testing.assert_allclose(recording.signal, expected, atol=6e-4)


@pytest.mark.parametrize("rate", [100, 250, 360, 500, 1000])
@pytest.mark.parametrize(
    ("unit", "scale"), [("s", 1), ("ms", 1e3), ("us", 1e6), ("µs", 1e6), ("ns", 1e9), ("min", 1 / 60)]
)
def test_times_in_any_unit(millivolts, rate, unit, scale):
    rows = np.column_stack([np.arange(200) / rate * scale, millivolts[:2].T])
    text = "\n".join([f"time [{unit}],I,II", *(",".join(f"{value:.10g}" for value in row) for row in rows)])
    assert read_ecg(text.encode()).sampling_rate == pytest.approx(rate, rel=1e-6)
    text = text.replace(f"time [{unit}]", "time")
    if unit == "min" and rate < 167:  # 100 Hz in min are 6000 Hz in s
        with pytest.raises(EcgContentError, match=rf"which may be 6000 Hz in s or {rate} Hz in min. Pass the rate"):
            read_ecg(text.encode())
        assert read_ecg(text.encode(), sampling_rate=rate).sampling_rate == rate
    else:
        recording = read_ecg(text.encode())
        assert recording.sampling_rate == pytest.approx(rate, rel=1e-6)
        assert (unit == "s") == (not any("has no unit" in note for note in recording.notes))


@pytest.mark.parametrize(
    "write",
    [
        lambda k: f"2021-07-20T20:25:{k / 100:06.3f}",
        lambda k: f"2021-07-20 20:25:{k / 100:06.3f}+02:00",
        lambda k: f"20.07.2021 20:25:{k / 100:06.3f}",
        lambda k: f"20:25:{k / 100:06.3f}",
        lambda k: f"0:{k / 100:06.3f}",
        lambda k: f"23:59:59.{(k % 100) * 10:03d}" if k < 100 else f"24:00:00.{(k % 100) * 10:03d}",
        lambda k: f"2021-12-31T23:59:59.{(k % 100):02d}Z" if k < 100 else f"2022-01-01T00:00:00.{(k % 100):02d}Z",
    ],
)
def test_clock_times(millivolts, write):
    rows = [f"{write(k)},{millivolts[0, k]:.3f}" for k in range(200)]
    recording = read_ecg("\n".join(["timestamp,I", *rows]).encode())
    assert recording.sampling_rate == 100


def test_no_unit_gives_a_rate_that_an_ecg_has(millivolts):
    text = "\n".join(["time,I", *(f"{k * 50},{v:.3f}" for k, v in enumerate(millivolts[0]))])
    with pytest.raises(EcgContentError, match=r"steps of 50, which no ECG has: 0\.02 Hz in s or 20 Hz in ms"):
        read_ecg(text.encode())
    assert read_ecg(text.encode(), sampling_rate=500).sampling_rate == 500


def test_a_gap_in_the_times_becomes_missing_samples(millivolts):
    times = np.arange(200) / 100
    times[120:] += 0.5
    recording = read_ecg(table(np.column_stack([times, millivolts[:2].T]), header=["time", "I", "II"]))
    assert recording.signal.shape == (2, 250)
    assert np.isnan(recording.signal[:, 120:170]).all()
    np.testing.assert_allclose(recording.signal[:, 170:], millivolts[:2, 120:], atol=1e-6)
    assert any("50 samples (0.5 s) are missing" in note for note in recording.notes)


def test_a_time_that_stands_still_gives_way_to_the_callers_rate(millivolts):
    text = "\n".join(["time,I", *(f"0,{v:.3f}" for v in millivolts[0])]).encode()
    with pytest.raises(EcgContentError, match=r"doesn't advance .*`sampling_rate=500`"):
        read_ecg(text)
    recording = read_ecg(text, sampling_rate=500)
    assert recording.sampling_rate == 500
    assert any("time column doesn't advance" in note for note in recording.notes)


def test_two_times_that_contradict_each_other_are_refused(millivolts):
    rows = np.column_stack([np.arange(200) / 100, np.arange(200) * 4.0, millivolts[:1].T])
    with pytest.raises(EcgContentError, match="two different sampling rates"):
        read_ecg(table(rows, header=["time [s]", "timestamp [ms]", "I"]))


@pytest.mark.parametrize(
    ("line", "rate"),
    [
        ("sampling rate: 0.5 kHz", 500),
        ("fs=500", 500),
        ("Sampling Frequency (Hz): 360", 360),
        ("Sampling Rate [kHz]: 1", 1000),
        ("SampleRate;250", 250),
        ("Abtastrate: 512,5 Hz", 512.5),
        ("Interval=\t0.001 s", 1000),
        ("2 msec/sample", 500),
        ("200 samples per second", 200),
        ("ECG at 128 Hz", 128),
        ("Filter: 0.05 - 150 Hz", None),
        ("Patient 500", None),
    ],
)
def test_rates_in_lines_of_text(line, rate):
    assert rate_in(line) == (None if rate is None else pytest.approx(rate))


def test_rdsamp_with_running_numbers_and_whole_numbers(microvolts, millivolts):
    """`rdsamp -r record` without options: no names, no unit, counts of samples first."""
    rows = [f"{k:8d}" + "".join(f"\t{value:8d}" for value in row) for k, row in enumerate(microvolts.T.tolist())]
    content = "\n".join(rows).encode()
    with pytest.raises(EcgContentError, match="whole numbers without a unit"):
        read_ecg(content, sampling_rate=100)
    for names in (LEADS, ["sample", *LEADS]):
        recording = read_ecg(content, sampling_rate=100, units="uV", lead_names=names)
        np.testing.assert_allclose(recording.signal, millivolts, atol=1e-6)
    assert any("counts the rows" in note for note in recording.notes)
    with pytest.raises(EcgContentError, match=r"has 3 names for 12 columns, beside 1 of time or numbers"):
        read_ecg(content, sampling_rate=100, units="uV", lead_names=["I", "II", "III"])


def test_rdsamp_with_times_and_units(millivolts):
    """`rdsamp -p -v`: names and units in two rows, seconds first."""
    head = ["   Elapsed time\t   MLII\t   V5", "      (seconds)\t   (mV)\t   (mV)"]
    rows = [f"{k / 100:15.3f}\t{a:7.3f}\t{b:7.3f}" for k, (a, b) in enumerate(millivolts[[1, 10]].T.tolist())]
    recording = read_ecg("\n".join(head + rows).encode())
    np.testing.assert_allclose(recording.signal, millivolts[[1, 10]], atol=6e-4)
    assert (recording.sampling_rate, recording.lead_names) == (100, ("II", "V5"))
    assert read_ecg("\n".join(rows).encode(), lead_names=["II", "V5"]).sampling_rate == 100


def test_a_sampling_interval_above_the_running_number(millivolts):
    """As PhysioNet's archives of CSV have it."""
    rows = [f"{k},{a:.3f},{b:.3f}" for k, (a, b) in enumerate(millivolts[[1, 10]].T.tolist())]
    content = "\n".join(["'sample interval','MLII','V5'", "'0.004 sec','mV','mV'", *rows]).encode()
    assert (read_ecg(content).sampling_rate, read_ecg(content).lead_names) == (250, ("II", "V5"))


def test_labchart(millivolts):
    head = [
        "Interval=\t0.01 s",
        "ExcelDateTime=\t4.4e4\t1/1/2021",
        "TimeFormat=\tStartOfBlock",
        "ChannelTitle=\tLead II\tResp",
        "Range=\t10.000 mV\t1.000 V",
    ]
    rows = [f"{k / 100:.2f}\t{v:.4f}\t0.5" + ("\t#* comment" if k == 9 else "") for k, v in enumerate(millivolts[1])]
    recording = read_ecg("\r\n".join(head + rows).encode("latin-1"))
    np.testing.assert_allclose(recording.signal, millivolts[1:2], atol=1e-4)
    assert (recording.sampling_rate, recording.lead_names) == (100, ("II",))
    assert recording.metadata["dropped_channels"] == ["Resp"]


def test_acqknowledge(millivolts):
    head = ["recording.acq", "10 msec/sample", "2 channels", "Lead II", "mV", "Resp", "V", "sec,CH1,CH2,", ",200,200,"]
    rows = [f"{k / 100:g},{v:.4f},0.25," for k, v in enumerate(millivolts[1])]
    recording = read_ecg("\n".join(head + rows).encode())
    np.testing.assert_allclose(recording.signal, millivolts[1:2], atol=1e-4)
    assert (recording.sampling_rate, recording.lead_names) == (100, ("II",))


def test_names_in_a_comment_as_numpy_writes_them(millivolts):
    stream = io.BytesIO()
    np.savetxt(stream, np.column_stack([np.arange(200) / 100, millivolts[:2].T]), header="time,V1,II", delimiter=",")
    recording = read_ecg(stream.getvalue())
    assert (recording.sampling_rate, recording.lead_names) == (100, ("V1", "II"))


def test_names_and_units_of_r_and_of_lines_before(millivolts):
    text = "\n".join(['"I" "II"', *(f'"{k + 1}" {a:.4f} {b:.4f}' for k, (a, b) in enumerate(millivolts[:2].T))])
    assert read_ecg(text.encode(), sampling_rate=100).lead_names == ("I", "II")
    rows = [f"{1000 * a:.1f}\t{1000 * b:.1f}" for a, b in millivolts[:2].T]
    text = "\n".join(["Patient:\tX", "Units:\tuV", "Sampling rate:\t100 Hz", "Leads:\tI II", "I\tII", *rows])
    np.testing.assert_allclose(read_ecg(text.encode()).signal, millivolts[:2], atol=1e-4)


def test_units_at_the_end_of_names_and_what_is_no_unit(millivolts):
    assert split_unit("ECG_I_mV") == ("ECG_I", "mV")
    rows = np.column_stack([1000 * millivolts[0], millivolts[1]])
    recording = read_ecg(table(rows, header=["I_uV", "II mV"]), sampling_rate=100)
    np.testing.assert_allclose(recording.signal, millivolts[:2], atol=1e-6)
    with pytest.raises(EcgContentError, match=r"'mmHg' of II is no unit of voltage"):
        read_ecg(table(rows, header=["I [mV]", "II [mmHg]"]), sampling_rate=100)
    with pytest.raises(EcgContentError, match=r"whole numbers in 'adu' without a unit of I"):
        read_ecg(table(rows, header=["I [adu]", "II [adu]"]), sampling_rate=100)
    assert len(read_ecg(table(rows, header=["I [adu]", "II [adu]"]), sampling_rate=100, units="5 uV").signal) == 2


def test_names_of_the_caller_do_not_switch_the_check_of_units_off(millivolts):
    content = table(millivolts[:2].T, header=["ABP [mmHg]", "ch2 [mV]"])
    with pytest.raises(EcgContentError, match="'mmHg' of I is no unit of voltage"):
        read_ecg(content, sampling_rate=100, lead_names=["I", "II"])


def test_counts_per_millivolt_in_a_comment(millivolts):
    text = (
        "# gain: 200 adu/mV\n# fs: 100\n" + "I,II\n" + "\n".join(f"{a:.0f},{b:.0f}" for a, b in 200 * millivolts[:2].T)
    )
    np.testing.assert_allclose(read_ecg(text.encode()).signal, millivolts[:2], atol=0.0026)


def test_columns_of_text_are_left_out(millivolts):
    rows = [f"{k / 100},{v:.3f},N,patient 7" for k, v in enumerate(millivolts[0])]
    recording = read_ecg("\n".join(["time,I,beat,who", *rows]).encode())
    assert recording.lead_names == ("I",)
    assert any("beat, who" in note for note in recording.notes)
    with pytest.raises(EcgCorruptError, match="column II holds text"):
        read_ecg("\n".join(["I,II", *(f"{v:.3f},x" for v in millivolts[0])]).encode(), sampling_rate=100)


def polar(millivolts, *, rate=130, phone=True) -> bytes:
    rng = np.random.default_rng(0)
    rows = []
    for k, value in enumerate(millivolts[0]):
        arrived = (k // 73) * 73 / rate + rng.uniform(0, 0.01) if phone else k / rate
        stamp = 599616305982459008 + round(k / rate * 1e9)
        rows.append(f"2021-07-20T20:25:{6 + arrived:06.3f};{stamp};{k / rate * 1000:.6f};{round(1000 * float(value))}")
    return "\n".join(["Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]", *rows]).encode()


def test_polar(millivolts):
    with pytest.raises(EcgContentError, match="none of its channels is an ECG lead"):
        read_ecg(polar(millivolts))
    recording = read_ecg(polar(millivolts), lead_names=["I"])
    assert recording.sampling_rate == 130
    np.testing.assert_allclose(recording.signal, millivolts[:1], atol=6e-4)
    assert any("Phone timestamp" in note for note in recording.notes)


def opensignals(millivolts, *, device="bitalino_rev", sensor="ECGBIT", rate=1000, bits=10, devices=1) -> bytes:
    supply, gain = {"bitalino_rev": (3.3, 1100), "biosignalsplux": (3.0, 1000)}.get(device, (3.3, 1100))
    counts = np.round((millivolts[0] / 1e3 * gain / supply + 0.5) * 2**bits).astype(int)
    facts = {"sensor": [sensor, "EDA"], "device name": "x", "column": ["nSeq", "I1", "O1", "A1", "A2"], "sync interval": 0, "time": "10:0:0", "comments": "", "device connection": "BTH", "channels": [1, 2], "date": "2021-1-1", "mode": 0, "digital IO": [0, 1], "firmware version": 1, "device": device, "position": 0, "sampling rate": rate, "label": ["A1", "A2"], "resolution": [4, 1, 1, bits, bits], "special": [{}, {}]}  # fmt: skip
    head = [
        "# OpenSignals Text File Format. Version 1",
        "# " + json.dumps({f"00:0{k}": facts for k in range(devices)}),
        "# EndOfHeader",
    ]
    rows = [f"{k % 16}\t0\t0\t{value}\t500\t" for k, value in enumerate(counts)]
    return "\n".join(head + rows).encode()


@pytest.mark.parametrize(("device", "bits"), [("bitalino_rev", 10), ("biosignalsplux", 16)])
def test_opensignals(millivolts, device, bits):
    content = opensignals(millivolts, device=device, bits=bits)
    with pytest.raises(EcgContentError, match="none of its channels is an ECG lead"):
        read_ecg(content)
    recording = read_ecg(content, lead_names=["II"])
    step = {"bitalino_rev": 3.0, "biosignalsplux": 3.0}[device] / 2**bits
    np.testing.assert_allclose(recording.signal, millivolts[:1], atol=step)
    assert (recording.sampling_rate, recording.metadata["format"]) == (1000, "OpenSignals")
    assert any("data sheet" in note for note in recording.notes)
    assert any("nSeq, I1, O1, A2" in note for note in recording.notes)


def test_opensignals_equals_its_own_reader(millivolts, tmp_path):
    reader = pytest.importorskip("opensignalsreader")
    path = tmp_path / "ecg.txt"
    path.write_bytes(opensignals(millivolts))
    theirs = reader.OpenSignalsReader(str(path), show=False).signal("ECG")
    np.testing.assert_allclose(read_ecg(path, lead_names=["I"]).signal[0], theirs, atol=1e-5)


def test_opensignals_that_cannot_be_read(millivolts):
    with pytest.raises(EcgContentError, match="no ECG among them"):
        read_ecg(opensignals(millivolts, sensor="EMG"))
    with pytest.raises(EcgContentError, match="it holds 2 devices"):
        read_ecg(opensignals(millivolts, devices=2))
    with pytest.raises(EcgCorruptError, match="damaged header of OpenSignals"):
        read_ecg(opensignals(millivolts).replace(b'"column"', b'"colum'))
    with pytest.raises(EcgContentError, match="whole numbers without a unit"):
        read_ecg(opensignals(millivolts, device="other"), lead_names=["I"])


WATCH = {
    "en": ("Name,Test\nDate of Birth,\"4 Jan 1992\"\nRecorded Date,2026-08-26 18:15:35 +0100\nClassification,Sinus Rhythm\nSymptoms,\nSoftware Version,2.0\nDevice,\"Watch6,1\"\nSample Rate,512 hertz\n\n\nLead,Lead I\nUnit,µV\n\n", "."),
    "de": ("Name,Test\nGeburtsdatum,\"4. Jan. 1992\"\nAufzeichnungsdatum,2026-08-26 18:15:35 +0100\nKlassifizierung,Sinusrhythmus\nSymptome,\nSoftwareversion,\"2,0\"\nGerät,„Watch6,1“\nAbtastrate,512 Hertz\n\nAbleitung,Ableitung I\nEinheit,µV\n\n", ","),
    "fr": ("Nom,Test\nDate de naissance,1992\nDate d'enregistrement,2026-08-26\nClassification,Rythme sinusal\nAppareil,\"Watch6,1\"\nTaux d'échantillonnage,512 hertz\n\nDérivation,Dérivation I\nUnité,µV\n\n", ","),
    "zh": ("姓名,测试\n出生日期,1992\n记录日期,2026-08-26\n分类,窦性心律\n设备,\"Watch6,1\"\n采样率,512 赫兹\n\n导联,I 导联\n单位,µV\n\n", "."),
    "ja": ("名前,\n生年月日,1992\n記録日,2026-08-26\nデバイス,\"Watch6,1\"\nサンプルレート,512ヘルツ\n\n誘導,第一\n単位,µV\n\n", "."),
}  # fmt: skip


@pytest.mark.parametrize("language", WATCH)
@pytest.mark.parametrize("quoted", [False, True])
def test_the_watch_in_any_language(millivolts, language, quoted):
    head, decimal = WATCH[language]
    values = [f"{1000 * value:.3f}".replace(".", decimal) for value in millivolts[0].tolist()]
    values = [f'"{value}"' for value in values] if quoted else values
    recording = read_ecg((head + "\n".join(values) + "\n").encode())
    np.testing.assert_allclose(recording.signal, millivolts[:1], atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (512, ("I",))


def test_a_watch_export_without_its_unit_or_rate(millivolts):
    values = "\n".join(f"{1000 * value:.3f}" for value in millivolts[0].tolist())
    head = WATCH["en"][0]
    with pytest.raises(EcgContentError, match="state no unit of voltage"):
        read_ecg((head.replace("Unit,µV\n", "") + values).encode())
    with pytest.raises(EcgContentError, match="sampling rate isn't in the file"):
        read_ecg((head.replace("512 hertz", "") + values).encode())
    assert read_ecg((head.replace("512 hertz", "") + values).encode(), sampling_rate=512).sampling_rate == 512
    with pytest.raises(EcgCorruptError, match="value 2 after line"):
        read_ecg((head + "1.0\nx\n2.0\n").encode())


def test_names_of_times_and_clock_times():
    assert times_key("Time (ms)") == (True, "ms")
    assert times_key("Elapsed time") == (True, None)
    assert times_key("ms") == (True, "ms")
    assert times_key("V1") == times_key("temperature") == times_key("T wave") == (False, None)
    assert clock_seconds("1:02:03.5") == 3723.5
    assert clock_seconds("12") is clock_seconds("2021-99-99T00:00:00") is None
