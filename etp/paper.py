"""What stands where on ECG paper: rows of leads, equally far apart, at a gain at which no trace meets another."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from modeling_etp.ecg_files_etp import STANDARD_LEADS

# The paper every electrocardiograph prints on.
MM_PER_SECOND = 25.0
GAINS = (10.0, 5.0, 2.5)  # mm/mV; the first is the usual one
COLUMNS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
RHYTHM_LEADS = ("II", "V1", "V5")
LAYOUTS = {"3x4+1": 1, "3x4+3": 3, "12x1": 0}  # layout -> rhythm strips
COLUMN_SECONDS = 2.5
PAGE_SECONDS = COLUMN_SECONDS * len(COLUMNS[0])

# Millimetres.
PITCH = 26.0  # between rows, at least
PITCH_OF_TWELVE = 17.0
PITCH_LIMIT = 52.0  # beyond that, a smaller gain is taken
PITCH_LIMIT_OF_TWELVE = 26.0
CLEARANCE = 3.0  # between the traces of two rows; holds the lead's name
EDGE = 13.0  # above the first baseline and below the last, at least
LARGEST = 45.0  # what a trace may reach above or below its baseline
ARTEFACT_MV = LARGEST / GAINS[-1]  # no heart gives 18 mV; a spike of 400 mV must not make all else flat, and is cut


@dataclass(frozen=True)
class Field:
    """One lead's place in a row: from `start` to `stop` seconds of the recording, drawn `offset` seconds to the right."""

    lead: str
    start: float
    stop: float
    offset: float


@dataclass(frozen=True)
class Traces:
    """An ECG to draw.

    Attributes:
        signal: Shape `(leads, samples)`, mV, each lead shifted by its median.
        sampling_rate: Hz.
        row_of: Lead in upper case -> row of the signal.
        highlight: Shape of the signal, -1 to 1.
    """

    signal: np.ndarray
    sampling_rate: float
    row_of: dict[str, int]
    highlight: np.ndarray | None

    @classmethod
    def of(
        cls, signal_mv: np.ndarray, sampling_rate: float, lead_names: Sequence[str], highlight: np.ndarray | None
    ) -> "Traces":
        """Check and shift what is to be drawn.

        Raises:
            ValueError: If shapes, names, rate or highlight don't fit.
        """
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
        return cls(signal, float(sampling_rate), row_of, highlight)

    @property
    def seconds(self) -> float:
        return self.signal.shape[1] / self.sampling_rate

    def samples(self, field: Field) -> slice:
        # One sample more than the field holds joins it to the next without a gap.
        return slice(round(field.start * self.sampling_rate), round(field.stop * self.sampling_rate) + 1)

    def trace(self, field: Field) -> np.ndarray:
        """mV; empty where the lead is missing."""
        row = self.row_of.get(field.lead.upper())
        return np.empty(0, np.float32) if row is None else self.signal[row, self.samples(field)]


@dataclass(frozen=True)
class Paper:
    """Where rows lie.

    Attributes:
        rows: From top to bottom.
        baselines: Millimetres of each row's baseline below the top of the first row.
        height: Of all rows, millimetres.
        gain: mm/mV.
        is_cut: Whether an artefact is cut.
    """

    rows: list[list[Field]]
    baselines: list[float]
    height: float
    gain: float
    is_cut: bool

    @property
    def seconds(self) -> float:
        """Length of the longest row."""
        return max(field.offset + field.stop - field.start for row in self.rows for field in row)

    def millimetres(self, trace: np.ndarray) -> np.ndarray:
        """A trace of mV above its baseline on the paper."""
        return np.clip(trace * self.gain, -LARGEST, LARGEST)


def lay_out(traces: Traces, lead_names: Sequence[str], layout: str) -> Paper:
    """Find the rows of a layout, and the largest gain at which they fit.

    Raises:
        ValueError: If there is no such layout.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}.")
    rows = _rows(lead_names, traces.seconds, layout)
    twelve = layout == "12x1"
    least, most = (PITCH_OF_TWELVE, PITCH_LIMIT_OF_TWELVE) if twelve else (PITCH, PITCH_LIMIT)
    outlines = [_outline(traces, row) for row in rows]
    largest = max(float(np.abs(outline).max()) for outline in outlines)
    for gain in GAINS:
        reach = [np.clip(outline * gain, -LARGEST, LARGEST) for outline in outlines]
        needed = [float((low[1] - high[0]).max()) + CLEARANCE for high, low in pairwise(reach)]
        pitch = max([least, *needed])
        if pitch <= most and largest * gain <= LARGEST:
            break
    above, below = max(EDGE, float(reach[0][1].max()) + CLEARANCE), max(EDGE, -float(reach[-1][0].min()))
    baselines = [above + pitch * number for number in range(len(rows))]
    is_cut = any((np.abs(traces.trace(field)) * gain > LARGEST).any() for row in rows for field in row)
    return Paper(rows, baselines, baselines[-1] + below, gain, is_cut)


def _rows(lead_names: Sequence[str], seconds: float, layout: str) -> list[list[Field]]:
    """The rows of standard leads and the rhythm strips, if there are any; then a strip per other lead."""
    seconds = min(seconds, PAGE_SECONDS)
    present = {name.upper() for name in lead_names}
    known = {lead.upper() for lead in STANDARD_LEADS}
    strips = [name for name in lead_names if name.upper() not in known]
    rows: list[list[Field]] = []
    if layout == "12x1" and present & known:
        strips = [*STANDARD_LEADS, *strips]
    elif present & known:
        order = (*RHYTHM_LEADS, *STANDARD_LEADS)
        rhythm = dict.fromkeys(lead for lead in order if lead.upper() in present)
        strips = [*list(rhythm)[: LAYOUTS[layout]], *strips]
        columns = [column * COLUMN_SECONDS for column in range(len(COLUMNS[0]))]
        starts = columns if seconds == PAGE_SECONDS else [0.0] * len(columns)
        shown = min(seconds, COLUMN_SECONDS)
        rows = [
            [Field(lead, start, start + shown, at) for lead, start, at in zip(row, starts, columns, strict=True)]
            for row in COLUMNS
        ]
    return [*rows, *([Field(name, 0, seconds, 0)] for name in strips)]


def _outline(traces: Traces, row: Sequence[Field]) -> np.ndarray:
    """Lowest and highest value, mV, that a row has in each millimetre of the page; shape `(2, millimetres)`.

    Each reaches a millimetre to both sides, so that rows keep clear of each other where they are steep.
    """
    outline = np.zeros((2, round(PAGE_SECONDS * MM_PER_SECOND) + 2), np.float32)
    for field in row:
        trace = traces.trace(field)
        seen = np.abs(trace) <= ARTEFACT_MV
        place = ((field.offset + np.arange(len(trace)) / traces.sampling_rate) * MM_PER_SECOND).astype(int)[seen]
        for step in (0, 1):
            np.minimum.at(outline[0], place + step, trace[seen])
            np.maximum.at(outline[1], place + step, trace[seen])
    return outline
