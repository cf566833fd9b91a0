"""ECGs drawn as vectors by several writers: values, scale and names, and what is refused."""

import io
import zlib

import numpy as np
import pytest
from drawing_writer import RATE, svg

from modeling_etp.ecg_files_etp import (
    STANDARD_LEADS,
    EcgContentError,
    EcgCorruptError,
    EcgFormatError,
    EcgUnsafeError,
    read_ecg,
)

LEADS = [*STANDARD_LEADS]


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    """Twelve leads of 10 s at 250 Hz in mV: beats of other heights in each, nothing at the baseline."""
    time = np.arange(10 * RATE) / RATE
    beat = sum(
        h * np.exp(-(((time % 0.8) - at) ** 2) / (2 * width**2))
        for at, h, width in ((0.2, 0.15, 0.025), (0.36, 1.0, 0.012), (0.6, 0.3, 0.04))
    )
    wave = 0.05 * np.sin(2 * np.pi * 0.4 * time)
    return np.stack([(0.3 + 0.15 * k) * (-1) ** (k % 3 == 2) * beat + wave * (k + 1) / 6 for k in range(12)])


@pytest.mark.parametrize("options", [{}, {"path": False}, {"mm": 3.7795}, {"grid": (1,)}, {"grid": (5,)}, {"speed": 50.0, "text": "50 mm/s, 10mm/mV"}, {"gain": 5.0, "text": "25mm/s 5 mm/mV"}, {"gain": 20.0, "text": "25 mm/s"}, {"size": "no"}, {"mm": 0.37, "size": "no"}])  # fmt: skip
def test_a_drawing_with_a_row_for_each_lead(ecg, options):
    recording = read_ecg(svg(ecg, LEADS, **options))
    assert (recording.sampling_rate, recording.lead_names) == (RATE, STANDARD_LEADS)
    np.testing.assert_allclose(recording.signal, ecg, atol=1e-3)
    assert recording.metadata["format"] == "SVG"
    assert any("grid" in note for note in recording.notes)
    if "mm/mV" not in options.get("text", "mm/mV"):
        assert any("20 mm/mV is that of its pulse" in note for note in recording.notes)


def test_columns_and_a_rhythm_strip(ecg):
    """Three rows of four columns: what is drawn one after the other is said to be so."""
    recording = read_ecg(svg(ecg, LEADS, columns=4))
    length = ecg.shape[1] // 4
    assert recording.lead_names == STANDARD_LEADS
    for place, lead in enumerate(recording.signal):
        column = place // 3
        np.testing.assert_allclose(lead, ecg[place, column * length : (column + 1) * length], atol=1e-3)
    assert any("Only 2.5 s of each lead" in note for note in recording.notes)


def test_names_of_the_caller_for_traces_without_one(ecg):
    content = svg(ecg[:2], ["upper", "lower"])
    with pytest.raises(
        EcgContentError, match=r'none of its 2 traces has the name .*e\.g\. `lead_names=\["I", "II"\]`'
    ):
        read_ecg(content)
    assert read_ecg(content, lead_names=["V1", "V5"]).lead_names == ("V1", "V5")
    with pytest.raises(EcgContentError, match="has 1 names, it has 2 traces"):
        read_ecg(content, lead_names=["V1"])
    with pytest.raises(EcgContentError, match="calls a channel 'I', `lead_names` calls it 'II'"):
        read_ecg(svg(ecg[:2], ["I", "II"]), lead_names=["II", "I"])


def test_rows_of_one_lead_are_one_behind_the_other(ecg):
    """As watches and phones print 30 s."""
    content = svg(ecg[:3], ["", "", ""], text="Lead I, 25 mm/s, 10 mm/mV")
    recording = read_ecg(content)
    assert recording.lead_names == ("I",)
    np.testing.assert_allclose(np.ptp(recording.signal), np.ptp(ecg[:3]), atol=0.1)
    assert recording.signal.shape[1] == 3 * ecg.shape[1]
    assert any("3 rows are one lead" in note for note in recording.notes)


def test_a_row_that_is_one_line_is_split_where_its_names_stand(ecg):
    one = svg(ecg[:1], ["I"])
    labels = [f'<text x="{15 + 62.5 * k + 1}" y="18">{name}</text>' for k, name in enumerate(LEADS[:4])]
    recording = read_ecg(one.replace(b"</svg>", "".join(labels[1:]).encode() + b"</svg>"))
    assert recording.lead_names == tuple(LEADS[:4])
    for place, lead in enumerate(recording.signal):
        np.testing.assert_allclose(lead[:600], ecg[0, place * 625 : place * 625 + 600], atol=0.03)
    with pytest.raises(EcgContentError, match="has the names I, II, III beside it"):
        read_ecg(one.replace(b"</svg>", "".join(labels[1:3]).encode() + b"</svg>"))


def test_a_lead_named_in_a_sentence_is_no_label(ecg):
    content = svg(ecg[:2], ["I", "II"], text="ST elevation in V1 and V2. 25 mm/s 10 mm/mV")
    assert read_ecg(content).lead_names == ("I", "II")


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({"grid": (), "size": "no", "text": ""}, {}, "neither a grid nor a size"),
        ({"grid": (), "text": ""}, {}, "it has no grid and doesn't state"),
        ({"text": "25 mm/s 10 mm/mV 50 mm/s"}, {}, "it states several scales"),
        ({"gain": 20.0}, {}, "its pulse is 20 mm high, it states 10 mm/mV"),
        ({}, {"sampling_rate": 500}, "drawn at 250 Hz, `sampling_rate` says 500"),
        ({}, {"units": "uV"}, "`units` says 'uV'. Leave `units` out"),
    ],
)
def test_a_drawing_that_contradicts_itself_or_the_caller(ecg, options, arguments, message):
    with pytest.raises(EcgContentError, match=message):
        read_ecg(svg(ecg, LEADS, **options), **arguments)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (
            b'<svg xmlns="http://www.w3.org/2000/svg"><image href="a.png"/></svg>',
            EcgFormatError,
            "scans and photographs",
        ),
        (
            b'<svg xmlns="http://www.w3.org/2000/svg"><circle r="3"/></svg>',
            EcgFormatError,
            "nothing drawn on it is a trace",
        ),
        (b"<svg><line", EcgCorruptError, "malformed SVG"),
        (b'<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', EcgUnsafeError, "defines or includes entities"),
        (b"%PDF-1.7\nnothing", EcgCorruptError, "pdfminer can't read it"),
    ],
)
def test_what_is_no_drawing_of_an_ecg(content, error, message):
    with pytest.raises(error, match=message):
        read_ecg(content)


def saved_figure(figure, kind: str) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind)
    return stream.getvalue()


def compare(recording, ecg, *, column_seconds=None, within=0.02):
    """Each lead with its piece of the ECG, medians aside."""
    length = round(column_seconds * RATE) if column_seconds else ecg.shape[1]
    for name, lead in zip(recording.lead_names, recording.signal, strict=True):
        row = LEADS.index(name)
        start = row // 3 * length if column_seconds else 0
        expected = ecg[row, start : start + length]
        times = np.arange(len(lead)) / recording.sampling_rate
        expected = np.interp(times, np.arange(len(expected)) / RATE, expected)
        difference = (lead - np.median(lead)) - (expected - np.median(expected))
        assert np.sqrt(np.mean(difference**2)) < within


@pytest.mark.parametrize("kind", ["pdf", "svg"])
def test_what_etp_plot_draws(ecg, kind):
    from etp.plots import plot_ecg

    recording = read_ecg(saved_figure(plot_ecg(ecg, RATE, LEADS, title="ECG of V1"), kind))
    assert recording.lead_names == STANDARD_LEADS
    compare(recording, ecg, column_seconds=2.5)
    assert any("a second trace of II, of 10 s" in note for note in recording.notes)
    two = read_ecg(saved_figure(plot_ecg(ecg[[1, 6]], RATE, ["II", "V1"]), kind))
    assert two.lead_names == ("II", "V1")


@pytest.mark.parametrize("kind", ["pdf", "svg"])
@pytest.mark.parametrize(
    "layout", [None, [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"], "II"]]
)
def test_what_pmecg_draws(ecg, kind, layout):
    pmecg = pytest.importorskip("pmecg")
    figure = pmecg.ECGPlotter().plot(([*ecg], LEADS), configuration=layout, sampling_frequency=RATE, show=False)
    recording = read_ecg(saved_figure(figure, kind))
    assert recording.lead_names == STANDARD_LEADS
    compare(recording, ecg, column_seconds=2.5 if layout else None)


def test_what_ecg_plot_draws(ecg, tmp_path):
    ecg_plot = pytest.importorskip("ecg_plot")
    ecg_plot.plot(ecg, sample_rate=RATE, lead_names=LEADS).save(tmp_path / "ecg.svg")
    recording = read_ecg(tmp_path / "ecg.svg")
    assert (recording.lead_names, recording.sampling_rate) == (STANDARD_LEADS, RATE)
    compare(recording, ecg, within=1e-3)


def test_a_scan_in_a_pdf_is_refused(tmp_path):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_axes((0, 0, 1, 1)).imshow(np.random.default_rng(0).random((50, 50)))
    with pytest.raises(EcgFormatError, match="its page is a picture: scans and photographs"):
        read_ecg(saved_figure(figure, "pdf"))


def test_a_pdf_that_unfolds_without_end_is_refused():
    packed = zlib.compress(bytes(210_000_000), 9)
    content = b"%PDF-1.4\n1 0 obj\n<</Filter/FlateDecode>>\nstream\n" + packed + b"\nendstream\n"
    with pytest.raises(EcgUnsafeError, match="it unfolds to over 200,000,000 bytes"):
        read_ecg(content)


def test_pages_of_several_ecgs_are_refused(ecg):
    from matplotlib.backends.backend_pdf import PdfPages

    from etp.plots import plot_ecg

    stream = io.BytesIO()
    with PdfPages(stream) as pages:
        for part in (ecg, ecg * 1.2):
            pages.savefig(plot_ecg(part, RATE, LEADS))
    with pytest.raises(EcgContentError, match="2 of its pages have traces"):
        read_ecg(stream.getvalue())
