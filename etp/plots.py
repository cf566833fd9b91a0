"""Draw ECGs on standard paper, at true physical scale, with a model's scores beside them if there are any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from modeling_etp.ecg_files_etp import STANDARD_LEADS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The paper every electrocardiograph prints on.
MM_PER_SECOND = 25.0
MM_PER_MV = 10.0
MM_PER_INCH = 25.4

LAYOUT = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
COLUMN_SECONDS = 2.5
PAGE_SECONDS = COLUMN_SECONDS * len(LAYOUT[0])

# Millimetres.
MARGIN = 8.0
CALIBRATION_WIDTH = 12.0
ROW_REACH = 12.0  # what a row claims at least above and below its baseline
ROW_LIMIT = 45.0  # an artefact of 20 mV must not make a page a metre tall
ROW_GAP = 5.0  # holds the lead names, clear of the traces
HEADER_HEIGHT = 9.0
SCORES_WIDTH = 78.0
SCORE_PITCH = 9.0

PAPER, GRID_1MM, GRID_5MM, INK, FAINT = "#fffafa", "#f7dada", "#e9a9a9", "#101010", "#9a8c8c"
SCORE_BAR, SCORE_TRACK = "#2f6690", "#e9edf1"
FOR_LABEL, AGAINST_LABEL = "#d1495b", "#3d6fb6"
FAINTEST = 0.06  # weaker highlights are not drawn


@dataclass(frozen=True)
class _Field:
    """One lead's place in a row: from `start` to `stop` seconds of the recording, drawn `offset` seconds to the right."""

    lead: str
    start: float
    stop: float
    offset: float


@dataclass(frozen=True)
class _Recording:
    signal: np.ndarray  # (leads, samples), mV, each lead shifted by its median
    sampling_rate: float
    row_of: dict[str, int]  # upper-case lead name -> row of the signal
    highlight: np.ndarray | None  # (leads, samples), -1 ... 1

    @property
    def seconds(self) -> float:
        return self.signal.shape[1] / self.sampling_rate

    def samples(self, field: _Field) -> slice:
        # One sample more than the field holds joins it to the next without a gap.
        return slice(round(field.start * self.sampling_rate), round(field.stop * self.sampling_rate) + 1)

    def trace(self, field: _Field) -> np.ndarray:
        """mV; empty where the lead is missing."""
        row = self.row_of.get(field.lead.upper())
        return np.empty(0, np.float32) if row is None else self.signal[row, self.samples(field)]


def plot_ecg(
    signal_mv: np.ndarray,
    sampling_rate: float,
    lead_names: Sequence[str] = STANDARD_LEADS,
    *,
    title: str | None = None,
    scores: Mapping[str, float] | Sequence[Mapping] | None = None,
    highlight: np.ndarray | None = None,
) -> "Figure":
    """Draw an ECG on paper of 25 mm/s and 10 mm/mV.

    The standard leads come as three rows of four columns of 2.5 s and a rhythm strip; a missing lead leaves its field
    empty. Other leads follow as strips, one each. Ten seconds fill the page: of a longer
    recording the first ten are drawn, of a shorter one every column begins at its start; the caption says which. Each
    lead is shifted by its median, as an electrocardiograph's AC coupling does; beyond 4.5 cm a trace is cut.

    Save with `figure.savefig("ecg.pdf")` (or .svg, .png), without `bbox_inches="tight"`: then a square of the paper
    measures what it stands for.

    Args:
        signal_mv: Shape `(leads, samples)`, mV; NaN is a gap in the trace.
        sampling_rate: Hz.
        lead_names: One per row of the signal, in any order; case does not matter.
        title: Printed above the traces.
        scores: Label -> score in [0, 1], or what the zero-shot pipeline returns; drawn as bars in the given order.
        highlight: Shape of the signal, -1 to 1: colours the trace red where positive and blue where negative.

    Raises:
        ValueError: If shape, lead names, rate, a score or the highlight are not as described.
    """
    from matplotlib.figure import Figure  # half a second to import, and only pictures need it

    recording = _recording(signal_mv, sampling_rate, lead_names, highlight)
    bars = _score_pairs(scores)
    rows = _layout(lead_names, recording.seconds)
    spans = [_span(recording, row) for row in rows]
    width = 2 * MARGIN + CALIBRATION_WIDTH + max(_row_seconds(row) for row in rows) * MM_PER_SECOND
    height = 2 * MARGIN + HEADER_HEIGHT + sum(above + below + ROW_GAP for above, below in spans)
    total_width = width + (SCORES_WIDTH if bars else 0)

    figure = Figure(figsize=(total_width / MM_PER_INCH, height / MM_PER_INCH), dpi=150, facecolor="white")
    axes = _millimetre_axes(figure, 0, width, total_width, height)
    _draw_paper(axes, width, height)
    baseline = height - MARGIN - HEADER_HEIGHT
    for row, (above, below) in zip(rows, spans, strict=True):
        baseline -= ROW_GAP + above
        _draw_row(axes, recording, row, baseline, label_y=baseline + above + 1)
        baseline -= below
    _draw_captions(axes, recording, width, height, title)
    if bars:
        _draw_scores(_millimetre_axes(figure, width, SCORES_WIDTH, total_width, height), bars, height)
    return figure


def _recording(
    signal_mv: np.ndarray, sampling_rate: float, lead_names: Sequence[str], highlight: np.ndarray | None
) -> _Recording:
    signal = np.array(signal_mv, dtype=np.float32)
    if signal.ndim != 2 or signal.size == 0:
        raise ValueError(f"expected a signal of shape (leads, samples), got {signal.shape}.")
    if len(lead_names) != len(signal):
        raise ValueError(
            f"expected one lead name per row of the signal {signal.shape}, got {len(lead_names)}: "
            f"{', '.join(lead_names)}. Is the signal transposed?"
        )
    row_of = {name.upper(): row for row, name in enumerate(lead_names)}
    if len(row_of) < len(lead_names):
        raise ValueError(f"lead names must differ, got {', '.join(lead_names)}.")
    if not (np.isfinite(sampling_rate) and sampling_rate > 0):
        raise ValueError(f"sampling_rate must be a positive number of Hz, got {sampling_rate}.")
    if highlight is not None:
        highlight = np.asarray(highlight, dtype=np.float32)
        if highlight.shape != signal.shape:
            raise ValueError(f"highlight must have the signal's shape {signal.shape}, got {highlight.shape}.")
        if not (np.abs(highlight) <= 1).all():
            raise ValueError("highlight must lie between -1 and 1: divide it by its largest magnitude.")
    signal[~np.isfinite(signal)] = np.nan
    recorded = ~np.isnan(signal).all(axis=1)
    signal[recorded] -= np.nanmedian(signal[recorded], axis=1, keepdims=True)
    return _Recording(signal, float(sampling_rate), row_of, highlight)


def _layout(lead_names: Sequence[str], seconds: float) -> list[list[_Field]]:
    """Three rows of four standard leads and a rhythm strip, if there are any; then a strip per other lead."""
    seconds = min(seconds, PAGE_SECONDS)
    present = {name.upper() for name in lead_names}
    known = {lead.upper() for lead in STANDARD_LEADS}
    strips = [name for name in lead_names if name.upper() not in known]
    rows = []
    if rhythm := [lead for lead in ("II", "V1", *STANDARD_LEADS) if lead.upper() in present]:
        strips = [rhythm[0], *strips]
        columns = [column * COLUMN_SECONDS for column in range(len(LAYOUT[0]))]
        starts = columns if seconds == PAGE_SECONDS else [0.0] * len(columns)
        shown = min(seconds, COLUMN_SECONDS)
        rows = [
            [_Field(lead, start, start + shown, at) for lead, start, at in zip(row, starts, columns, strict=True)]
            for row in LAYOUT
        ]
    return [*rows, *([_Field(name, 0, seconds, 0)] for name in strips)]


def _row_seconds(row: Sequence[_Field]) -> float:
    return max(field.offset + field.stop - field.start for field in row)


def _span(recording: _Recording, row: Sequence[_Field]) -> tuple[float, float]:
    """Millimetres that the traces of a row need above and below its baseline."""
    values = np.concatenate([recording.trace(field) for field in row])
    values = values[np.isfinite(values)] * MM_PER_MV
    above, below = (values.max(), -values.min()) if values.size else (0.0, 0.0)
    return float(np.clip(above, ROW_REACH, ROW_LIMIT)), float(np.clip(below, ROW_REACH, ROW_LIMIT))


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


def _draw_row(axes: "Axes", recording: _Recording, row: Sequence[_Field], baseline: float, label_y: float) -> None:
    # The calibration pulse: 1 mV for 0.2 s.
    pulse = np.add([[0, 0], [3, 0], [3, 10], [8, 10], [8, 0], [10, 0]], (MARGIN, baseline))
    axes.plot(*pulse.T, color=INK, linewidth=0.9)
    for number, field in enumerate(row):
        left = MARGIN + CALIBRATION_WIDTH + field.offset * MM_PER_SECOND
        trace = recording.trace(field)
        label = field.lead if trace.size else f"{field.lead} missing"
        _write(axes, left + 1, label_y, label, fontsize=8, color=INK if trace.size else FAINT, weight="bold")
        if number:
            axes.vlines(left, baseline - 3, baseline + 3, colors=INK, linewidths=0.6)
        if not trace.size:
            continue
        x = left + np.arange(len(trace)) / recording.sampling_rate * MM_PER_SECOND
        y = baseline + np.clip(trace * MM_PER_MV, -ROW_LIMIT, ROW_LIMIT)
        if recording.highlight is not None:
            values = recording.highlight[recording.row_of[field.lead.upper()], recording.samples(field)]
            _draw_highlight(axes, x, y, values)
        axes.plot(x, y, color=INK, linewidth=0.8, solid_joinstyle="round")


def _draw_highlight(axes: "Axes", x: np.ndarray, y: np.ndarray, values: np.ndarray) -> None:
    """A broad line under the trace, the stronger the larger the value's magnitude."""
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
    axes.add_collection(LineCollection(segments[order], colors=colours[order], linewidths=5, capstyle="round"))


def _draw_captions(axes: "Axes", recording: _Recording, width: float, height: float, title: str | None) -> None:
    left, top = MARGIN, height - MARGIN
    shown = shorten(title or "", int(width / 2.2), placeholder=" …")
    _write(axes, left, top, shown, fontsize=10, color=INK, va="top", weight="bold")
    caption = f"{MM_PER_SECOND:g} mm/s   {MM_PER_MV:g} mm/mV   {recording.sampling_rate:g} Hz"
    if recording.seconds > PAGE_SECONDS:
        caption += f"   first {PAGE_SECONDS:g} s of {recording.seconds:.1f} s"
    elif recording.seconds < PAGE_SECONDS:
        caption += f"   {recording.seconds:.1f} s, every column from its start"
    if np.nanmax(np.abs(recording.signal), initial=0) * MM_PER_MV > ROW_LIMIT:
        caption += f"   cut beyond {ROW_LIMIT / MM_PER_MV:g} mV"
    axes.text(left, MARGIN / 2, caption, fontsize=7, color=INK, va="center")
    if recording.highlight is not None:
        right = width - MARGIN
        axes.text(right, MARGIN / 2, "blue: against", fontsize=7, color=AGAINST_LABEL, va="center", ha="right")
        axes.text(right - 22, MARGIN / 2, "red: for the label", fontsize=7, color=FOR_LABEL, va="center", ha="right")


def _write(axes: "Axes", x: float, y: float, text: str, **style: Any) -> None:
    """Write what a user or a file says, as it is: between two dollars matplotlib would read formulas."""
    axes.text(x, y, text, parse_math=False, **style)


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
