"""ECGs drawn as vectors: traces, grid, pulse and names of a page as leads in mV."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .ecg_channels_etp import LeadChoice, check_names, names_wanted
from .ecg_errors_etp import EcgContentError, EcgFormatError
from .ecg_paper_etp import Drawing, Scale, calibration_pulse, grid_of, joined, scale_of, without_pulse
from .ecg_recording_etp import EcgRecording, recording_of
from .leads_etp import STANDARD_LEADS, canonical_lead

_FEWEST_POINTS = 40  # of a trace
_SHORTEST_TRACE_MM = 20.0  # 0.8 s
_LONGEST_SECONDS = 3600.0  # of a trace; a grid that was damaged makes it any length
_INTERPOLATED_RATE = 500  # Hz, of drawings that leave out points on straight lines

_LEAD_WORD = re.compile(
    r"\b(?:lead|ableitung|d[eé]rivation|derivaci[oó]n|avledning)\s+(I{1,3}|aV[RLF]|V[1-6])\b", re.IGNORECASE
)


@dataclass
class _Trace:
    points: np.ndarray
    labels: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def level(self) -> float:
        return float(np.median(self.points[:, 1]))

    @property
    def start(self) -> float:
        return float(self.points[0, 0])

    @property
    def stop(self) -> float:
        return float(self.points[-1, 0])


def recording_from_drawing(
    drawing: Drawing, source: str, file_format: str, *, lead_names: Sequence[str] | None, units: str | None
) -> EcgRecording:
    """Make a recording of a page.

    Raises:
        EcgFormatError: If nothing on it is a trace; scans and photographs are pictures.
        EcgContentError: If its scale or its leads can't be told.
    """
    if units not in (None, "mV"):
        raise EcgContentError(
            source, f"a drawing states its amplitude by its grid, `units` says {units!r}. Leave `units` out."
        )
    lines = joined(drawing.lines)
    grid = grid_of(lines, drawing.millimetres)
    candidates = [line.points for line in lines if _is_trace(line.points)]
    if not candidates:
        if drawing.pictures:
            raise EcgFormatError(
                source,
                "its page is a picture: scans and photographs of ECGs aren't read. Export the ECG as WFDB, DICOM, XML "
                "or CSV, or as a PDF whose traces are vectors.",
            )
        raise EcgFormatError(
            source, "nothing drawn on it is a trace of an ECG. Export the ECG as WFDB, DICOM, XML or CSV."
        )
    pulses = [pulse for line in lines if (pulse := calibration_pulse(line.points)) is not None]
    traces = []
    for points in candidates:
        pulse, rest = without_pulse(points)
        pulses += [pulse] if pulse else []
        traces.append(_Trace(rest))
    scale = scale_of(drawing, grid, pulses, source)
    traces = [trace for trace in traces if (trace.stop - trace.start) * scale.mm_x >= _SHORTEST_TRACE_MM]
    if not traces:
        raise EcgFormatError(
            source, "nothing drawn on it is as long as a trace of an ECG. Export the ECG as DICOM or CSV."
        )
    pieces = _named(traces, drawing, scale, lead_names, source)
    return _assemble(pieces, pulses, scale, source, file_format)


def _is_trace(points: np.ndarray) -> bool:
    if len(points) < _FEWEST_POINTS:
        return False
    steps = np.diff(points[:, 0])
    width, height = np.ptp(points[:, 0]), np.ptp(points[:, 1])
    return bool(steps.min() >= -1e-3 * width and width > 0 and height > 0 and (steps > 0).mean() > 0.5)


def _named(
    traces: list[_Trace], drawing: Drawing, scale: Scale, lead_names: Sequence[str] | None, source: str
) -> list[tuple[str, np.ndarray]]:
    """Leads and their points; what is one lead in several rows is put one behind the other."""
    _place_labels(traces, drawing.labels, scale)
    pieces: list[tuple[str, np.ndarray]] = []
    unnamed: list[_Trace] = []
    for trace in sorted(traces, key=lambda trace: (-round(trace.level * scale.mm_y / 3), trace.start)):
        found = sorted(trace.labels)
        if len(found) > 1 and _evenly_placed(found, trace):
            pieces.extend(_split(trace, [lead for _, _, lead in found]))
        elif len({lead for _, _, lead in found}) > 1:
            raise EcgContentError(
                source,
                f"one of its traces has the names {', '.join(lead for _, _, lead in found)} beside it, and it isn't clear "
                "which part is which. Export it with one trace for each lead.",
            )
        elif found:
            pieces.append((found[0][2], trace.points))
        else:
            unnamed.append(trace)
    own = [name for name, _ in pieces]
    if lead_names is not None:
        if pieces and unnamed:
            raise EcgContentError(source, f"it names {own}, so `lead_names` isn't needed. Leave `lead_names` out.")
        pieces = pieces or [("", trace.points) for trace in unnamed]
        if len(lead_names) != len(pieces):
            raise EcgContentError(
                source,
                f"`lead_names` has {len(lead_names)} names, it has {len(pieces)} traces from top to bottom. Name each.",
            )
        check_names([name or "?" for name, _ in pieces], lead_names, source)
        named = [(canonical_lead(name) or "", points) for name, (_, points) in zip(lead_names, pieces, strict=True)]
        return [piece for piece in named if piece[0]]
    alone = {*own, *(lead for _, _, lead in drawing.labels)} or {
        lead for word in _LEAD_WORD.findall(" ".join(drawing.sentences)) if (lead := canonical_lead(word))
    }
    if unnamed and len(alone) == 1 and len(traces) > 1:
        return [(next(iter(alone)), _one_behind_the_other(traces, scale))]
    if not pieces:
        raise EcgContentError(
            source,
            f"none of its {len(unnamed)} traces has the name of a lead beside it. Pass their names from top to bottom, "
            f"{names_wanted(len(unnamed))}.",
        )
    if unnamed:
        scale.notes.append(f"Left out: {len(unnamed)} traces without a name.")
    return pieces


def _place_labels(traces: list[_Trace], labels: list[tuple[float, float, str]], scale: Scale) -> None:
    """Give each label to its trace. Writers put all of them above, or all below, or all level with their traces."""
    levels = np.array([trace.level for trace in traces])
    apart = [gap for gap in np.diff(np.sort(levels)) if gap * scale.mm_y > 8]
    reach = 1.2 * max(apart, default=45 / scale.mm_y)
    best: tuple[float, float, list[int | None]] | None = None
    for side in (1, -1, 0):
        found: list[int | None] = []
        far = []
        for x, y, _ in labels:
            inside = [
                index
                for index, trace in enumerate(traces)
                if trace.start - 15 / scale.mm_x <= x <= trace.stop
                and abs(y - trace.level) <= reach
                and side * (y - trace.level) >= -2 / scale.mm_y
            ]
            # Of two traces in one row, the name is written at the start of its own.
            inside = [index for index in inside if x >= traces[index].start - 1 / scale.mm_x] or inside
            nearest = min(inside, key=lambda index: abs(y - levels[index]), default=None)
            found.append(nearest)
            far.append(0.0 if nearest is None else abs(y - levels[nearest]))
        named = {index for index in found if index is not None}
        twice = len(
            {
                (index, round(x * scale.mm_x / 8))
                for index, (x, _, _) in zip(found, labels, strict=True)
                if index is not None
            }
        )
        score = (
            float(len(named) + twice - sum(index is not None for index in found)),
            -float(np.mean(far or [0.0])),
            found,
        )
        if best is None or score[:2] > best[:2]:
            best = score
    for label, index in zip(labels, best[2] if best else [], strict=True):
        if index is not None:
            traces[index].labels.append(label)


def _evenly_placed(labels: list[tuple[float, float, str]], trace: _Trace) -> bool:
    places = np.array([label[0] for label in labels])
    width = (trace.stop - trace.start) / len(labels)
    return bool(
        len({lead for _, _, lead in labels}) == len(labels) and (np.abs(np.diff(places) - width) < 0.15 * width).all()
    )


def _split(trace: _Trace, leads: list[str]) -> list[tuple[str, np.ndarray]]:
    edges = np.linspace(trace.start, trace.stop, len(leads) + 1)
    x = trace.points[:, 0]
    return [
        (lead, trace.points[(x >= low) & (x <= high)])
        for lead, low, high in zip(leads, edges[:-1], edges[1:], strict=True)
    ]


def _one_behind_the_other(traces: list[_Trace], scale: Scale) -> np.ndarray:
    rows = sorted(traces, key=lambda trace: (-trace.level, trace.start))
    scale.notes.append(f"Its {len(rows)} rows are one lead, one behind the other.")
    parts, at = [], 0.0
    for row in rows:
        step = (row.stop - row.start) / (len(row.points) - 1)
        points = row.points - [row.start - at, row.level]
        parts.append(points)
        at = points[-1, 0] + step
    return np.concatenate(parts)


def _assemble(
    pieces: list[tuple[str, np.ndarray]], pulses: list, scale: Scale, source: str, file_format: str
) -> EcgRecording:
    """Leads side by side from the start of each."""
    seconds_per = scale.mm_x / scale.speed
    longest = max(float(points[-1, 0] - points[0, 0]) for _, points in pieces) * seconds_per
    if longest > _LONGEST_SECONDS:
        raise EcgContentError(
            source,
            f"a trace of it would last {longest:.3g} s, more than an hour of paper: its scale is wrong. Export it again.",
        )
    notes = list(scale.notes)
    rates = [_rate(points, seconds_per) for _, points in pieces]
    even = all(rate is not None and abs(rate / (rates[0] or 1) - 1) < 0.01 for rate in rates)
    rate = float(rates[0]) if even and rates[0] else float(_INTERPOLATED_RATE)
    if not even:
        notes.append(f"Interpolated to {_INTERPOLATED_RATE} Hz: the drawing leaves out points on straight lines.")
    signals: dict[str, np.ndarray] = {}
    starts: dict[str, float] = {}
    for name, points in pieces:
        values = _values(points, pulses, scale, rate, seconds_per, is_even=even)
        if name in signals:
            # A rhythm strip beside the short piece of the same lead.
            shorter, longer = sorted((signals[name], values), key=len)
            notes.append(f"Left out: a second trace of {name}, of {len(longer) / rate:.3g} s.")
            starts[name] = starts[name] if len(signals[name]) <= len(values) else float(points[0, 0])
            signals[name] = shorter if len(signals) > 1 or len(pieces) > 2 else longer
            continue
        signals[name], starts[name] = values, float(points[0, 0])
    shortest = min(map(len, signals.values()))
    if max(map(len, signals.values())) > shortest + 2:
        notes.append(f"Cut to {shortest / rate:.3g} s, the length of the shortest trace.")
    if max(starts.values()) - min(starts.values()) > 3 / scale.mm_x:
        notes.append(
            f"Only {shortest / rate:.3g} s of each lead: its columns are drawn one after the other and are taken as if they "
            "began at the same time."
        )
    names = tuple(sorted(signals, key=STANDARD_LEADS.index))
    signal = np.stack([signals[name][:shortest] for name in names])
    choice = LeadChoice(tuple(range(len(names))), names, (1.0,) * len(names), ())
    return recording_of(source, choice, signal, [rate] * len(names), {"format": file_format}, notes=notes)


def _rate(points: np.ndarray, seconds_per: float) -> float | None:
    """Hz of points at even distances, `None` if they aren't."""
    x = points[:, 0]
    step = (x[-1] - x[0]) / (len(x) - 1)
    if step <= 0 or np.abs(x - (x[0] + step * np.arange(len(x)))).max() > 0.6 * step:
        return None
    rate = 1 / (step * seconds_per)
    usual = min(
        (100, 125, 128, 200, 240, 250, 256, 300, 360, 400, 500, 512, 600, 1000),
        key=lambda known: abs(known / rate - 1),
    )
    return float(usual) if abs(usual / rate - 1) < 0.01 else round(rate, 2)


def _values(
    points: np.ndarray, pulses: list, scale: Scale, rate: float, seconds_per: float, *, is_even: bool
) -> np.ndarray:
    """mV of a trace; zero is the baseline of the pulse in its row, or else its median."""
    level = float(np.median(points[:, 1]))
    bases = [base for _, base, height in pulses if abs(base - level) < height / 2]
    zero = min(bases, key=lambda base: abs(base - level)) if bases else level
    values = (points[:, 1] - zero) * scale.mm_y / scale.gain
    if is_even:
        return values
    times = (points[:, 0] - points[0, 0]) * seconds_per
    grid = np.arange(int(times[-1] * rate + 1e-6) + 1) / rate
    return np.interp(grid, times, values)


__all__ = ["recording_from_drawing"]
