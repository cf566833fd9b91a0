"""Draw ECGs on standard paper, at true physical scale, with a model's scores beside them if there are any."""

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from modeling_etp.ecg_files_etp import STANDARD_LEADS

from .paper import LARGEST, MM_PER_SECOND, PAGE_SECONDS, Field, Paper, Traces, lay_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .measurements import EcgMeasurements

MM_PER_INCH = 25.4

# Millimetres.
MARGIN = 8.0
CALIBRATION_WIDTH = 12.0
HEADER_HEIGHT = 9.0
SCORES_WIDTH = 78.0
SCORE_PITCH = 9.0
LABEL_WIDTH, LABEL_HEIGHT = 9.0, 7.5  # of the name of a lead; its height is that above the baseline, at least

# On grey paper the grid is lighter than every trace, and the layer's two colours differ in breadth.
PAPER, GRID_1MM, GRID_5MM, INK, FAINT = "#fffafa", "#f7dada", "#e9a9a9", "#101010", "#7a6c6c"
SCORE_BAR, SCORE_TRACK = "#2f6690", "#e9edf1"
FOR_LABEL, AGAINST_LABEL = "#d1495b", "#3d6fb6"
FOR_BREADTH, AGAINST_BREADTH = 6.0, 2.6  # points
FAINTEST = 0.06  # weaker highlights are not drawn


def plot_ecg(
    signal_mv: np.ndarray,
    sampling_rate: float,
    lead_names: Sequence[str] = STANDARD_LEADS,
    *,
    title: str | None = None,
    scores: Mapping[str, float] | Sequence[Mapping] | None = None,
    highlight: np.ndarray | None = None,
    layout: str = "3x4+1",
    measurements: "EcgMeasurements | None" = None,
) -> "Figure":
    """Draw an ECG on paper of 25 mm/s.

    The standard leads come as three rows of four columns of 2.5 s with a rhythm strip below, or as twelve rows; a
    missing lead leaves its field empty. Other leads follow as strips, one each. Ten seconds fill the page: of a longer
    recording the first ten are drawn, of a shorter one every column begins at its start; the caption says which. Each
    lead is shifted by its median, as an electrocardiograph's AC coupling does. Rows are equally far apart, so far that no
    trace meets the next; where that takes too much paper, the gain is 5 or 2.5 mm/mV instead of 10, for all
    leads: the calibration pulse and the caption say so.

    Save with `figure.savefig("ecg.pdf")` (or .svg, .png), without `bbox_inches="tight"`: then a square of the paper
    measures what it stands for.

    Args:
        signal_mv: Shape `(leads, samples)`, mV; NaN is a gap in the trace.
        sampling_rate: Hz.
        lead_names: One per row of the signal, in any order; case does not matter.
        title: Printed above the traces.
        scores: Label -> score in [0, 1], or what the zero-shot pipeline returns; drawn as bars in the given order.
        highlight: Shape of the signal, -1 to 1: colours the trace, broad and red where positive, narrow and blue where
            negative.
        layout: `"3x4+1"`, `"3x4+3"` (rhythm strips II, V1, V5) or `"12x1"`.
        measurements: Printed above the traces, from `etp.measurements.measure`.

    Raises:
        ValueError: If shape, lead names, rate, layout, a score or the highlight are not as described.
    """
    from matplotlib.figure import Figure  # half a second to import, and only pictures need it

    traces = Traces.of(signal_mv, sampling_rate, lead_names, highlight)
    bars = _score_pairs(scores)
    paper = lay_out(traces, lead_names, layout)
    width = 2 * MARGIN + CALIBRATION_WIDTH + paper.seconds * MM_PER_SECOND
    height = 2 * MARGIN + HEADER_HEIGHT + paper.height
    total_width = width + (SCORES_WIDTH if bars else 0)

    figure = Figure(figsize=(total_width / MM_PER_INCH, height / MM_PER_INCH), dpi=150, facecolor="white")
    axes = _millimetre_axes(figure, 0, width, total_width, height)
    _draw_paper(axes, width, height)
    top = height - MARGIN - HEADER_HEIGHT
    for row, depth in zip(paper.rows, paper.baselines, strict=True):
        _draw_row(axes, traces, paper, row, top - depth)
    _draw_header(axes, width, height, title, measurements)
    _draw_caption(axes, traces, paper, width)
    if bars:
        _draw_scores(_millimetre_axes(figure, width, SCORES_WIDTH, total_width, height), bars, height)
    return figure


def _millimetre_axes(figure: "Figure", left: float, width: float, total_width: float, height: float) -> "Axes":
    axes = figure.add_axes((left / total_width, 0, width / total_width, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return axes


def _draw_paper(axes: "Axes", width: float, height: float) -> None:
    axes.fill_between([0, width], 0, height, color=PAPER, linewidth=0)
    for step, colour, line in ((1, GRID_1MM, 0.3), (5, GRID_5MM, 0.55)):
        axes.vlines(np.arange(0, width + 1e-6, step), 0, height, colors=colour, linewidths=line)
        axes.hlines(np.arange(0, height + 1e-6, step), 0, width, colors=colour, linewidths=line)


def _draw_row(axes: "Axes", traces: Traces, paper: Paper, row: Sequence[Field], baseline: float) -> None:
    # The calibration pulse: 1 mV for 0.2 s.
    pulse = np.array([[0, 0], [3, 0], [3, paper.gain], [8, paper.gain], [8, 0], [10, 0]]) + np.array(
        (MARGIN, baseline)
    )
    axes.plot(*pulse.T, color=INK, linewidth=0.9)
    for number, field in enumerate(row):
        left = MARGIN + CALIBRATION_WIDTH + field.offset * MM_PER_SECOND
        trace = paper.millimetres(traces.trace(field))
        label = field.lead if trace.size else f"{field.lead} missing"
        beside = trace[: round(LABEL_WIDTH / MM_PER_SECOND * traces.sampling_rate)]
        highest = np.nanmax(beside, initial=LABEL_HEIGHT - 1.5)
        _write(axes, left + 1, baseline + highest + 1.5, label, color=INK if trace.size else FAINT, weight="bold")
        if number:
            axes.vlines(left, baseline - 3, baseline + 3, colors=INK, linewidths=0.6)
        if not trace.size:
            continue
        x = left + np.arange(len(trace)) / traces.sampling_rate * MM_PER_SECOND
        y = baseline + trace
        if traces.highlight is not None:
            values = traces.highlight[traces.row_of[field.lead.upper()], traces.samples(field)]
            _draw_highlight(axes, x, y, values)
        axes.plot(x, y, color=INK, linewidth=0.8, solid_joinstyle="round")


def _draw_highlight(axes: "Axes", x: np.ndarray, y: np.ndarray, values: np.ndarray) -> None:
    """A line under the trace, the stronger the larger the value's magnitude; broad for the label, narrow against it."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgb

    points = np.stack([x, y], axis=-1)
    segments = np.stack([points[:-1], points[1:]], axis=1)
    values = (values[:-1] + values[1:]) / 2
    drawn = (np.abs(values) >= FAINTEST) & np.isfinite(segments).all(axis=(1, 2))
    segments, values = segments[drawn], values[drawn]
    # Mixed with the paper rather than translucent: where segments overlap, at every joint, colours would add up to
    # beads. The strongest is drawn last.
    strength = np.abs(values)[:, None]
    full = np.where(values[:, None] > 0, to_rgb(FOR_LABEL), to_rgb(AGAINST_LABEL))
    colours = (1 - strength) * to_rgb(PAPER) + strength * full
    order = np.argsort(strength[:, 0], kind="stable")
    breadths = np.where(values > 0, FOR_BREADTH, AGAINST_BREADTH)[order]
    axes.add_collection(LineCollection(segments[order], colors=colours[order], linewidths=breadths, capstyle="round"))


def _draw_header(
    axes: "Axes", width: float, height: float, title: str | None, measurements: "EcgMeasurements | None"
) -> None:
    top = height - MARGIN + 2
    shown = shorten(title or "", int(width / 2.2), placeholder=" …")
    _write(axes, MARGIN, top, shown, fontsize=10, color=INK, va="top", weight="bold")
    if measurements is not None and measurements.heart_rate is not None:
        _write(axes, MARGIN, top - 6, measurements.on_one_line(), color=INK, va="top")


def _draw_caption(axes: "Axes", traces: Traces, paper: Paper, width: float) -> None:
    caption = f"{MM_PER_SECOND:g} mm/s   {paper.gain:g} mm/mV   {traces.sampling_rate:g} Hz   no filter applied"
    if traces.seconds > PAGE_SECONDS:
        caption += f"   first {PAGE_SECONDS:g} s of {traces.seconds:.1f} s"
    elif traces.seconds < PAGE_SECONDS:
        start = ", every column from its start" if any(len(row) > 1 for row in paper.rows) else ""
        caption += f"   {traces.seconds:.1f} s{start}"
    if paper.is_cut:
        caption += f"   cut beyond {LARGEST / paper.gain:g} mV"
    axes.text(MARGIN, MARGIN / 2, caption, fontsize=7, color=INK, va="center")
    if traces.highlight is not None:
        right = width - MARGIN
        axes.text(right, MARGIN / 2, "narrow blue: against", fontsize=7, color=AGAINST_LABEL, va="center", ha="right")
        for_label: dict[str, Any] = {
            "fontsize": 7,
            "color": FOR_LABEL,
            "va": "center",
            "ha": "right",
            "weight": "bold",
        }
        axes.text(right - 30, MARGIN / 2, "broad red: for the label", **for_label)


def _write(axes: "Axes", x: float, y: float, text: str, **style: Any) -> None:
    """Write what a user or a file says, as it is: between two dollars matplotlib would read formulas."""
    axes.text(x, y, text, parse_math=False, **{"fontsize": 8, **style})


def _score_pairs(scores: Mapping[str, float] | Sequence[Mapping] | None) -> list[tuple[str, float]]:
    if scores is None:
        return []
    if isinstance(scores, Mapping):
        pairs = [(label, float(score)) for label, score in scores.items()]
    else:
        pairs = [(entry["label"], float(entry["score"])) for entry in scores]
    for label, score in pairs:
        if not 0 <= score <= 1:
            raise ValueError(f"the score of {label!r} must lie between 0 and 1, got {score}.")
    return pairs


def _draw_scores(axes: "Axes", bars: Sequence[tuple[str, float]], height: float) -> None:
    """As many bars as the page is tall; how many are left out is said below."""
    left, right, y = 6.0, SCORES_WIDTH - 16.0, height - MARGIN
    fitting = int((height - 3 * MARGIN) / SCORE_PITCH)
    for label, score in bars[:fitting]:
        _write(axes, left, y, shorten(label, 48, placeholder=" …"), fontsize=8, color=INK, va="top")
        axes.barh(y - 5.4, right - left, 2.4, left=left, color=SCORE_TRACK)
        axes.barh(y - 5.4, score * (right - left), 2.4, left=left, color=SCORE_BAR)
        axes.text(right + 2, y - 5.4, f"{score:.2f}", fontsize=8, color=INK, va="center")
        y -= SCORE_PITCH
    if len(bars) > fitting:
        axes.text(left, y, f"and {len(bars) - fitting} more", fontsize=8, color=FAINT, va="top")
