"""The paper of a drawn ECG: its lines, names and texts, and the scale that grid, pulse and print give it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .ecg_errors_etp import EcgContentError
from .leads_etp import STANDARD_LEADS, canonical_lead

_STANDARD_SPEED, _STANDARD_GAIN = 25.0, 10.0  # mm/s, mm/mV
_SPEED = re.compile(r"(\d+(?:[.,]\d+)?)\s*mm\s*/\s*s(?:ec|ek)?\b", re.IGNORECASE)
_GAIN = re.compile(r"(\d+(?:[.,]\d+)?)\s*mm\s*/\s*mV", re.IGNORECASE)


@dataclass
class Line:
    """A polyline of shape `(points, 2)`, y upwards, and what it is drawn with."""

    points: np.ndarray
    style: Any = None


@dataclass
class Drawing:
    """What is on one page.

    Attributes:
        lines: In the order in which they are drawn.
        labels: x, y and lead of texts that say no more than names of leads; y is that of the text's middle.
        sentences: All texts.
        millimetres: Per unit of length, `None` if the page has no size.
        pictures: How many there are.
    """

    lines: list[Line] = field(default_factory=list)
    labels: list[tuple[float, float, str]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    millimetres: float | None = None
    pictures: int = 0

    def add_text(self, text: str, words: Sequence[tuple[float, float, str]]) -> None:
        """Keep a text; it is a label only if it says nothing else, as "V1" in a sentence about V1 is none.

        Args:
            words: Its words with their places.
        """
        self.sentences.append(text)
        alone = canonical_lead(text)
        if alone in STANDARD_LEADS and words:
            self.labels.append((*words[0][:2], str(alone)))
        elif words and all(canonical_lead(word) in STANDARD_LEADS for _, _, word in words):
            self.labels.extend((x, y, str(canonical_lead(word))) for x, y, word in words)


@dataclass
class Scale:
    """Millimetres per unit, paper speed and gain."""

    mm_x: float
    mm_y: float
    speed: float
    gain: float
    notes: list[str]


def joined(lines: Sequence[Line]) -> list[Line]:
    """Lines of which one starts where the one before ends, as one."""
    joined: list[list[np.ndarray]] = []
    styles: list[Any] = []
    for line in lines:
        if len(line.points) < 2:
            continue
        if joined and styles[-1] == line.style and np.allclose(joined[-1][-1][-1], line.points[0], atol=1e-4, rtol=0):
            joined[-1].append(line.points[1:])
        else:
            joined.append([line.points])
            styles.append(line.style)
    return [Line(np.concatenate(parts), style) for parts, style in zip(joined, styles, strict=True)]


def grid_of(lines: Sequence[Line], millimetres: float | None) -> tuple[float, float] | None:
    """Units per millimetre along x and y, from the lines of the grid; `None` if there is none."""
    found = []
    for axis in (0, 1):
        positions: dict[Any, set[float]] = {}
        longest = max(
            (float(np.ptp(line.points[:, 1 - axis])) for line in lines if _is_straight(line, axis)), default=0
        )
        for line in lines:
            if _is_straight(line, axis) and np.ptp(line.points[:, 1 - axis]) > 0.3 * longest:
                positions.setdefault(line.style, set()).add(round(float(line.points[0, axis]), 4))
        steps = sorted({step for places in positions.values() if (step := _even_step(places)) is not None})
        every = _even_step({place for places in positions.values() for place in places})
        steps = sorted({*steps, *([every] if every else [])})
        found.append(steps)
    sizes = [_millimetre(steps, millimetres) for steps in found]
    if sizes[0] is None or sizes[1] is None:
        return None
    return sizes[0], sizes[1]


def _is_straight(line: Line, axis: int) -> bool:
    return len(line.points) == 2 and abs(line.points[0, axis] - line.points[1, axis]) < 1e-6


def _even_step(places: set[float]) -> float | None:
    """The usual distance between places, if most neighbours have it."""
    if len(places) < 6:
        return None
    steps = np.diff(sorted(places))
    steps = steps[steps > 1e-3 * np.median(steps)]
    usual = float(np.median(steps))
    return usual if (np.abs(steps - usual) < 0.05 * usual).mean() > 0.6 else None


def _millimetre(steps: Sequence[float], millimetres: float | None) -> float | None:
    """Units in a millimetre: the lines are 1 mm and 5 mm apart, told by their ratio or by the size of the page."""
    for small in steps:
        if any(abs(large / small - 5) < 0.15 for large in steps):
            return small
    if millimetres is not None:
        for step in steps:
            for size in (1.0, 5.0):
                if abs(step * millimetres / size - 1) < 0.06:
                    return step / size
    return None


def calibration_pulse(points: np.ndarray) -> tuple[float, float, float] | None:
    """x, baseline and height of a calibration pulse, `None` if a line is none."""
    if not 4 <= len(points) <= 8:
        return None
    steps = np.abs(np.diff(points, axis=0))
    scale = max(np.ptp(points[:, 0]), np.ptp(points[:, 1]))
    if scale <= 0 or (np.minimum(steps[:, 0], steps[:, 1]) > 0.02 * scale).any():
        return None
    low, high = points[:, 1].min(), points[:, 1].max()
    ends_low = abs(points[0, 1] - low) < 0.02 * scale and abs(points[-1, 1] - low) < 0.02 * scale
    closed = np.allclose(points[0], points[-1], atol=1e-6)
    if not ends_low or closed or high - low <= 0.2 * np.ptp(points[:, 0]):
        return None
    return float(points[0, 0]), float(low), float(high - low)


def without_pulse(points: np.ndarray) -> tuple[tuple[float, float, float] | None, np.ndarray]:
    """The pulse that a trace begins with, and the trace behind it."""
    for count in (4, 5, 6):
        pulse = calibration_pulse(points[:count])
        if pulse is not None and pulse[2] > 0.5 * np.ptp(points[:, 1]) / 4:
            return pulse, points[count:]
    return None, points


def scale_of(drawing: Drawing, grid: tuple[float, float] | None, pulses: list, source: str) -> Scale:
    notes = []
    text = " ".join(drawing.sentences)
    speeds = {float(value.replace(",", ".")) for value in _SPEED.findall(text)}
    gains = {float(value.replace(",", ".")) for value in _GAIN.findall(text)}
    if len(speeds) > 1 or len(gains) > 1:
        raise EcgContentError(
            source, f"it states several scales: {sorted(speeds)} mm/s and {sorted(gains)} mm/mV. Export it with one."
        )
    if 0 in speeds | gains:
        raise EcgContentError(source, "it states a scale of 0 mm. Export it again.")
    if grid is None and drawing.millimetres is None:
        raise EcgContentError(source, "it has neither a grid nor a size: its scale is unknown. Export it with a grid.")
    if grid is None and not (speeds and (gains or pulses)):
        raise EcgContentError(
            source,
            'it has no grid and doesn\'t state "25 mm/s" and "10 mm/mV": its scale is unknown. Export it with a grid.',
        )
    unit_x, unit_y = grid or (1 / float(drawing.millimetres or 1),) * 2
    if not (unit_x > 0 and unit_y > 0):
        raise EcgContentError(source, "the squares of its grid have no size. Export it again.")
    notes.append(f"Its scale is that of {'its grid' if grid else 'its page'}.")
    speed = next(iter(speeds), _STANDARD_SPEED)
    heights = [height / unit_y for _, _, height in pulses]
    drawn = float(np.median(heights)) if heights and np.ptp(heights) < 0.05 * np.median(heights) else None
    gain = next(iter(gains), None)
    if drawn is not None and not any(abs(drawn / usual - 1) < 0.05 for usual in (2.5, 5, 10, 20)):
        drawn = None  # something else with corners
    if gain is not None and drawn is not None and abs(drawn / gain - 1) > 0.06:
        raise EcgContentError(source, f"its pulse is {drawn:.3g} mm high, it states {gain:g} mm/mV. Export it again.")
    if not speeds:
        notes.append(f"{_STANDARD_SPEED:g} mm/s is assumed.")
    if gain is None:
        gain = _STANDARD_GAIN if drawn is None else min((2.5, 5.0, 10.0, 20.0), key=lambda usual: abs(usual - drawn))
        notes.append(f"{gain:g} mm/mV is {'assumed' if drawn is None else 'that of its pulse'}.")
    return Scale(1 / unit_x, 1 / unit_y, speed, gain, notes)


__all__ = ["Drawing", "Line", "Scale", "calibration_pulse", "grid_of", "joined", "scale_of", "without_pulse"]
