"""A picture of an ECG measures what it stands for, whatever leads and length there are."""

import itertools
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from etp.measurements import EcgMeasurements
from etp.paper import LAYOUTS
from etp.plots import AGAINST_BREADTH, AGAINST_LABEL, FOR_BREADTH, FOR_LABEL, PAPER, plot_ecg
from modeling_etp.ecg_files_etp import STANDARD_LEADS

MM_PER_INCH = 25.4


@pytest.fixture
def ecg() -> np.ndarray:
    """Ten seconds at 100 Hz; a lead's sample tells lead and time, and the median of every lead is 0."""
    time = np.arange(1000) / 1000 - 0.4995
    return (time + 0.001 * np.arange(12)[:, None] * np.sign(time)).astype(np.float32)


def traces(figure) -> list[np.ndarray]:
    """Points of the lines in millimetres, without the calibration pulses."""
    lines = [np.array(line.get_xydata()) for line in figure.axes[0].get_lines()]
    return [line for line in lines if len(line) > 6]


def layers(figure) -> list:
    """What is drawn under the traces to highlight them."""
    return [part for part in figure.axes[0].collections if len(part.get_linewidth()) and part.get_linewidth()[0] > 2]


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_a_millimetre_of_the_picture_is_a_millimetre(ecg):
    for scores in (None, {"sinus rhythm": 0.5}):
        figure = plot_ecg(ecg, 100, scores=scores)
        for axes in figure.axes:
            (x0, y0), (x1, y1) = axes.transData.transform([(0, 0), (10, 10)]) / figure.dpi * MM_PER_INCH
            assert (x1 - x0, y1 - y0) == pytest.approx((10, 10))


def test_saved_files_keep_the_scale(ecg, tmp_path):
    figure = plot_ecg(ecg, 100)
    width, height = figure.get_size_inches()
    figure.savefig(tmp_path / "ecg.svg")
    figure.savefig(tmp_path / "ecg.pdf")
    figure.savefig(tmp_path / "ecg.png")
    points = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', (tmp_path / "ecg.svg").read_text()).groups()
    assert [float(value) / 72 for value in points] == pytest.approx([width, height])
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", (tmp_path / "ecg.pdf").read_bytes()).groups()
    assert [float(value) / 72 for value in box] == pytest.approx([width, height], rel=1e-4)
    assert (tmp_path / "ecg.png").read_bytes().startswith(b"\x89PNG")


def test_a_second_is_25_mm_and_a_millivolt_10_mm(ecg):
    strip = traces(plot_ecg(ecg, 100))[-1]
    assert strip[100, 0] - strip[0, 0] == pytest.approx(25)
    np.testing.assert_allclose(np.diff(strip[:, 1]), 10 * np.diff(ecg[1]), atol=1e-4)


def test_the_calibration_pulse_is_1_mv_for_200_ms(ecg):
    pulse = np.array(plot_ecg(ecg, 100).axes[0].get_lines()[0].get_xydata())
    assert np.ptp(pulse[:, 1]) == 10
    top = pulse[pulse[:, 1] == pulse[:, 1].max(), 0]
    assert np.ptp(top) == 5


@pytest.mark.parametrize("order", [np.arange(12), np.arange(12)[::-1]], ids=["standard", "reversed"])
def test_columns_show_their_lead_and_their_quarter_of_the_ten_seconds(ecg, order):
    lines = traces(plot_ecg(ecg[order], 100, [STANDARD_LEADS[row].upper() for row in order]))
    layout = "I aVR V1 V4 II aVL V2 V5 III aVF V3 V6".split()
    for number, (lead, line) in enumerate(zip(layout, lines[:12], strict=True)):
        start = number % 4 * 250
        expected = ecg[STANDARD_LEADS.index(lead), start : start + len(line)]
        np.testing.assert_allclose(line[:, 1] - line[0, 1], 10 * (expected - expected[0]), atol=1e-4)


def test_the_offset_of_an_amplifier_does_not_move_the_trace(ecg):
    np.testing.assert_allclose(traces(plot_ecg(ecg + 3, 100))[-1], traces(plot_ecg(ecg, 100))[-1], atol=1e-4)


def test_missing_leads_leave_their_field_empty(ecg):
    figure = plot_ecg(ecg[:8], 100, STANDARD_LEADS[:8])
    assert {"V3 missing", "V6 missing", "V1"} <= set(texts(figure))
    assert len(traces(figure)) == 8 + 1


def test_the_rhythm_strip_falls_back_to_another_lead(ecg):
    strip = traces(plot_ecg(ecg[6:], 100, STANDARD_LEADS[6:]))[-1]
    np.testing.assert_allclose(np.diff(strip[:, 1]), 10 * np.diff(ecg[6]), atol=1e-4)


def test_leads_that_are_not_standard_become_strips(ecg):
    assert len(traces(plot_ecg(ecg[:3], 100, ["X", "Y", "Z"]))) == 3
    figure = plot_ecg(ecg, 100, [*STANDARD_LEADS[:11], "V7"])
    assert {"V7", "V6 missing"} <= set(texts(figure))
    assert len(traces(figure)[-1]) == 1000


def test_a_long_recording_says_that_ten_seconds_are_shown(ecg):
    figure = plot_ecg(np.tile(ecg, 3), 100)
    assert any("first 10 s of 30.0 s" in text for text in texts(figure))
    assert len(traces(figure)[-1]) == 1001


def test_columns_of_a_short_recording_begin_at_its_start(ecg):
    figure = plot_ecg(ecg[:, :400], 100)
    assert any("4.0 s, every column from its start" in text for text in texts(figure))
    first, last = traces(figure)[0], traces(figure)[3]
    np.testing.assert_allclose(np.diff(last[:, 1]), 10 * np.diff(ecg[9, :251]), atol=1e-4)
    assert last[0, 0] - first[0, 0] == pytest.approx(3 * 62.5)


def test_gaps_stay_gaps_and_artefacts_do_not_blow_up_the_page(ecg):
    height = plot_ecg(ecg, 100).get_size_inches()[1]
    ecg[0, 50:60] = np.nan
    ecg[4, 300:303] = [400, -400, np.inf]
    figure = plot_ecg(ecg, 100)
    assert np.isnan(traces(figure)[0][50:60, 1]).all()
    assert figure.get_size_inches()[1] == height
    assert any("10 mm/mV" in text and "cut beyond 4.5 mV" in text for text in texts(figure))
    plot_ecg(np.full((12, 1000), np.nan), 100)


def pulse_height(figure) -> float:
    return np.ptp(figure.axes[0].get_lines()[0].get_ydata())


@pytest.mark.parametrize(("millivolts", "gain"), [(3, 10), (6, 5), (-8, 5), (17, 2.5)])
def test_large_amplitudes_are_whole_at_a_gain_that_is_stated(ecg, millivolts, gain):
    ecg[10, 800:803] = millivolts
    figure = plot_ecg(ecg, 100)
    assert pulse_height(figure) == gain
    assert any(f"{gain:g} mm/mV" in text and "cut" not in text for text in texts(figure))
    reached = max((np.ptp(line[:, 1]) for line in traces(figure)), default=0)
    assert reached == pytest.approx(gain * np.ptp(ecg[10, 750:]), abs=0.01)
    paper = figure.axes[0].get_ylim()
    assert all(paper[0] < line[:, 1].min() and line[:, 1].max() < paper[1] for line in traces(figure))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tall", [0, 2.2])
def test_rows_are_equally_far_apart_and_no_trace_meets_another(ecg, layout, tall):
    ecg[6:, 100::200] += tall
    ecg[6:, 110::200] -= tall
    ecg[6:8, 600] += [-tall, tall]  # V1 down and V2, below it, up
    figure = plot_ecg(ecg, 100, layout=layout)
    pulses = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 6]
    assert len(pulses) == {"3x4+1": 4, "3x4+3": 6, "12x1": 12}[layout]
    assert np.ptp(np.diff([line.get_ydata()[0] for line in pulses])) == pytest.approx(0, abs=1e-4)
    gain = pulse_height(figure)
    rows = {line.get_ydata()[0]: [] for line in pulses}
    for line in traces(figure):
        rows[min(rows, key=lambda level: abs(level - np.median(line[:, 1])))].append(line)
    for (_, above), (_, below) in itertools.pairwise(rows.items()):
        for x in np.arange(25, 265, 1.0):
            low = [line[np.abs(line[:, 0] - x) <= 1, 1].min(initial=np.inf) for line in above]
            high = [line[np.abs(line[:, 0] - x) <= 1, 1].max(initial=-np.inf) for line in below]
            assert min(low) > max(high)
    assert gain == (5 if tall and layout == "12x1" else 10)


def test_twelve_rows_show_ten_seconds_of_each_lead(ecg):
    lines = traces(plot_ecg(ecg[::-1], 100, STANDARD_LEADS[::-1], layout="12x1"))
    for lead, line in zip(ecg, lines, strict=True):
        np.testing.assert_allclose(line[:, 1] - line[0, 1], 10 * (lead - lead[0]), atol=1e-4)


def test_three_rhythm_strips_are_ii_v1_and_v5_or_what_there_is(ecg):
    names = texts(plot_ecg(ecg, 100, layout="3x4+3"))
    assert [names.count(lead) for lead in ("II", "V1", "V5", "I")] == [2, 2, 2, 1]
    names = texts(plot_ecg(ecg[:2], 100, STANDARD_LEADS[:2], layout="3x4+3"))
    assert [names.count(lead) for lead in ("II", "I")] == [2, 2]


def test_measurements_stand_above_the_traces(ecg):
    measured = EcgMeasurements(
        heart_rate=61.6, qrs_duration=94, reasons={"pr_interval": "no P wave before most beats"}
    )
    figure = plot_ecg(ecg, 100, title="Name", measurements=measured)
    written = {text.get_text(): text.get_position()[1] for text in figure.axes[0].texts}
    (line,) = [text for text in written if "/min" in text]
    assert line.startswith("62 /min   PR - ms   QRS 94 ms")
    assert written["Name"] > written[line] > written["I"]


def test_scores_are_drawn_to_scale_in_the_given_order(ecg):
    given = {"sinus rhythm": 0.25, "atrial fibrillation": 1.0}
    as_pipeline = [{"label": label, "score": score} for label, score in given.items()]
    for scores in (given, as_pipeline):
        figure = plot_ecg(ecg, 100, scores=scores)
        bars = figure.axes[1].patches
        assert bars[1].get_width() / bars[0].get_width() == pytest.approx(0.25)
        assert bars[3].get_width() == pytest.approx(bars[2].get_width())
        assert texts(figure)[-4:] == ["sinus rhythm", "0.25", "atrial fibrillation", "1.00"]


def test_what_users_write_is_no_formula(ecg, tmp_path):
    text = r"$\frac{$ of $5"
    figure = plot_ecg(ecg, 500, title=text, scores={text: 0.5})
    figure.savefig(tmp_path / "ecg.svg")
    assert [written.get_text() for axes in figure.axes for written in axes.texts].count(text) == 2


def test_scores_that_do_not_fit_are_counted(ecg):
    words = texts(plot_ecg(ecg, 100, scores={f"label {number}": 0.5 for number in range(71)}))
    drawn = sum(word.startswith("label ") for word in words)
    assert 5 < drawn < 71
    assert words[-1] == f"and {71 - drawn} more"


def test_highlights_colour_the_trace_of_their_lead(ecg):
    highlight = np.zeros_like(ecg)
    highlight[6, 500:600], highlight[0, 0:50] = 1, -0.5
    figure = plot_ecg(ecg, 100, highlight=highlight)
    drawn = layers(figure)
    assert len(drawn) == 2
    assert [set(part.get_linewidth()) for part in drawn] == [{AGAINST_BREADTH}, {FOR_BREADTH}]
    against, for_label = (part.get_colors() for part in drawn)
    assert against[0, 2] > against[0, 0]
    assert for_label[0, 0] > for_label[0, 2]
    assert against[-1, :3] == pytest.approx((np.array(to_rgb(PAPER)) + to_rgb(AGAINST_LABEL)) / 2)
    assert for_label[-1, :3] == pytest.approx(to_rgb(FOR_LABEL))
    assert len(for_label) == pytest.approx(100, abs=2)


def test_highlights_do_not_add_up_where_they_overlap_and_the_strongest_lies_on_top(ecg):
    highlight = np.zeros_like(ecg)
    highlight[0, :100] = np.linspace(1, 0.1, 100)
    figure = plot_ecg(ecg, 100, highlight=highlight)
    (drawn,) = layers(figure)
    colours = drawn.get_colors()
    assert (colours[:, 3] == 1).all()
    assert (np.diff(colours[:, 2]) <= 0).all()  # ever farther from the paper


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"signal_mv": np.zeros(1000)}, r"expected a signal of shape \(leads, samples\), got \(1000,\)"),
        (
            {"signal_mv": np.zeros((1000, 12))},
            r"one lead name per row of the signal \(1000, 12\).*Is the signal transp",
        ),
        ({"lead_names": ["I"] * 12}, "lead names must differ"),
        ({"sampling_rate": 0}, "sampling_rate must be a positive number of Hz, got 0"),
        ({"sampling_rate": float("nan")}, "sampling_rate must be a positive number of Hz, got nan"),
        ({"scores": {"sinus rhythm": 1.5}}, "the score of 'sinus rhythm' must lie between 0 and 1, got 1.5"),
        ({"scores": {"sinus rhythm": float("nan")}}, "must lie between 0 and 1, got nan"),
        ({"layout": "6x2"}, r"layout must be one of 3x4\+1, 3x4\+3, 12x1, got '6x2'"),
        ({"highlight": np.zeros((12, 999))}, r"highlight must have the signal's shape \(12, 1000\), got \(12, 999\)"),
        ({"highlight": np.full((12, 1000), 2)}, "highlight must lie between -1 and 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(ecg, arguments, message):
    with pytest.raises(ValueError, match=message):
        plot_ecg(**{"signal_mv": ecg, "sampling_rate": 100, **arguments})
