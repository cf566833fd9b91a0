"""SVG drawings of ECGs: lines, paths and words of any writer on one plane."""

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Comment, TreeBuilder

import numpy as np

from .ecg_drawing_etp import recording_from_drawing
from .ecg_errors_etp import EcgContentError, EcgCorruptError, EcgUnsafeError
from .ecg_paper_etp import Drawing, Line
from .ecg_recording_etp import EcgRecording, errors_named, optional_module

MAX_SVG_BYTES = 20_000_000
_MAX_DEPTH = 60

_TOKEN = re.compile(r"([MmLlHhVvCcSsQqTtAaZz])|([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
_TRANSFORM = re.compile(r"(matrix|translate|scale|rotate)\s*\(([^)]*)\)")
_NUMBERS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
_MILLIMETRES = {"mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72, "pc": 25.4 / 6, "px": 25.4 / 96, "": 25.4 / 96}
_HIDDEN = {"defs", "clipPath", "symbol", "marker", "mask", "metadata", "style", "script", "title", "desc"}


def read_svg(content: bytes, source: str, *, sampling_rate: Any, lead_names: Any, units: Any) -> EcgRecording:
    """Read a drawing whose traces are lines or paths.

    Raises:
        EcgUnsafeError: If it defines entities or is too long.
        EcgCorruptError: If it is malformed.
        EcgContentError, EcgFormatError: As `recording_from_drawing` says.
    """
    if len(content) > MAX_SVG_BYTES:
        raise EcgUnsafeError(source, f"expected at most {MAX_SVG_BYTES:,} bytes of SVG, it has {len(content):,}.")
    root = _parse(content, source)
    drawing = Drawing()
    with errors_named(source, "the SVG reader"):
        matrix, drawing.millimetres = _page(root)
        _walk(root, matrix, "", drawing, 0)
    return with_rate(
        recording_from_drawing(drawing, source, "SVG", lead_names=lead_names, units=units), sampling_rate, source
    )


def with_rate(recording: EcgRecording, sampling_rate: float | None, source: str) -> EcgRecording:
    """Refuse a rate of the caller that isn't the drawing's."""
    if sampling_rate is not None and abs(sampling_rate / recording.sampling_rate - 1) > 0.01:
        raise EcgContentError(
            source,
            f"its traces are drawn at {recording.sampling_rate:g} Hz, `sampling_rate` says {sampling_rate:g}. Leave "
            "`sampling_rate` out.",
        )
    return recording


def _parse(content: bytes, source: str) -> Any:
    tree = optional_module("defusedxml.ElementTree", source)
    unsafe = optional_module("defusedxml.common", source).DefusedXmlException
    try:
        # Matplotlib writes words as shapes, and says in a comment what they are.
        parser = tree.XMLParser(target=TreeBuilder(insert_comments=True), forbid_dtd=False, forbid_entities=True)
        parser.feed(content)
        return parser.close()
    except unsafe as error:
        raise EcgUnsafeError(source, f"its XML defines or includes entities ({error}). No ECG needs them.") from error
    except Exception as error:
        raise EcgCorruptError(source, f"malformed SVG ({str(error)[:200]}). Fetch or export it again.") from error


def _tag(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _length(text: str | None) -> tuple[float, float | None]:
    """A length in units, and how many mm such a unit is."""
    match = re.match(r"\s*([\d.]+(?:[eE][-+]?\d+)?)\s*([a-z]*)\s*$", text or "")
    return (float(match[1]), _MILLIMETRES.get(match[2])) if match else (0.0, None)


def _page(root: Any) -> tuple[np.ndarray, float | None]:
    """The transformation of the page, y upwards, and mm per unit."""
    box = [float(number) for number in re.findall(r"[-+\d.eE]+", root.get("viewBox", ""))]
    width, size = _length(root.get("width"))
    matrix = np.array([[1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0]])
    if len(box) == 4 and box[2] > 0 and width > 0 and size is not None:
        return matrix, width * size / box[2]
    return matrix, size if width > 0 else None


def _matrix(text: str) -> np.ndarray:
    result = np.eye(3)
    for kind, inside in _TRANSFORM.findall(text or ""):
        v = [float(number) for number in re.findall(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?", inside)]
        step = np.eye(3)
        if kind == "matrix" and len(v) == 6:
            step = np.array([[v[0], v[2], v[4]], [v[1], v[3], v[5]], [0, 0, 1]])
        elif kind == "translate" and v:
            step[0, 2], step[1, 2] = v[0], v[1] if len(v) > 1 else 0.0
        elif kind == "scale" and v:
            step[0, 0], step[1, 1] = v[0], v[1] if len(v) > 1 else v[0]
        elif kind == "rotate" and v:
            cos, sin = np.cos(np.radians(v[0])), np.sin(np.radians(v[0]))
            step[:2, :2] = [[cos, -sin], [sin, cos]]
            if len(v) == 3:
                centre = np.array(v[1:])
                step[:2, 2] = centre - step[:2, :2] @ centre
        result = result @ step
    return result


def _walk(element: Any, matrix: np.ndarray, style: str, drawing: Drawing, depth: int) -> None:
    tag = _tag(element)
    if tag in _HIDDEN or depth > _MAX_DEPTH:
        return
    matrix = matrix @ _matrix(element.get("transform", ""))
    style = (
        "|".join(
            (
                element.get("style") or "",
                element.get("stroke") or "",
                element.get("stroke-width") or "",
                element.get("class") or "",
            )
        ).strip("|")
        or style
    )
    if tag == "image":
        drawing.pictures += 1
    elif tag == "text":
        _add_text(element, matrix, drawing)
        return
    else:
        for points in _points(element, tag):
            if len(points) > 1:
                drawing.lines.append(Line(_placed(points, matrix), style))
    said = ""
    for child in element:
        if child.tag is Comment:
            said = (child.text or "").strip()
            continue
        if said and _tag(child) == "g":
            at = _placed(np.zeros((1, 2)), matrix @ _matrix(child.get("transform", "")))[0]
            drawing.add_text(said, [(float(at[0]), float(at[1]), said)])
            said = ""
            continue
        _walk(child, matrix, style, drawing, depth + 1)


def _placed(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def _add_text(element: Any, matrix: np.ndarray, drawing: Drawing) -> None:
    parts = [child for child in element if _tag(child) == "tspan" and child.get("x")]
    for part in parts or [element]:
        text = " ".join("".join(part.itertext()).split())
        place = [_first_number(part.get(key) or element.get(key)) for key in "xy"]
        x, y = _placed(np.array([place]), matrix)[0]
        drawing.add_text(text, [(float(x), float(y), text)])


def _first_number(text: str | None) -> float:
    match = re.match(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)", text or "")
    return float(match[1]) if match else 0.0


def _points(element: Any, tag: str) -> Iterator[np.ndarray]:
    if tag == "line":
        ends = [float(re.sub(r"[a-z%]", "", element.get(key) or "0")) for key in ("x1", "y1", "x2", "y2")]
        yield np.array(ends).reshape(2, 2)
    elif tag in ("polyline", "polygon"):
        numbers = np.array(re.findall(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?", element.get("points", "")), np.float64)
        yield numbers[: len(numbers) // 2 * 2].reshape(-1, 2)
    elif tag == "path":
        yield from _subpaths(element.get("d", ""))


def _subpaths(text: str) -> Iterator[np.ndarray]:
    """The corners of each part of a path; of curves, their ends."""
    points: list[tuple[float, float]] = []
    x = y = 0.0
    start = (0.0, 0.0)
    command = ""
    numbers: list[float] = []
    for letter, number in _TOKEN.findall(text):
        if letter:
            command, numbers = letter, []
            if letter in "Zz":
                points.append(start)
                x, y = start
            continue
        numbers.append(float(number))
        kind = command.upper()
        if not kind or len(numbers) < _NUMBERS[kind] or not _NUMBERS[kind]:
            continue
        relative = command.islower()
        if kind == "H":
            x = x + numbers[0] if relative else numbers[0]
        elif kind == "V":
            y = y + numbers[0] if relative else numbers[0]
        else:
            x, y = (x + numbers[-2], y + numbers[-1]) if relative else (numbers[-2], numbers[-1])
        if kind == "M":
            if points:
                yield np.array(points)
            points, start = [], (x, y)
            command = "l" if relative else "L"
        points.append((x, y))
        numbers = []
    if points:
        yield np.array(points)


__all__ = ["read_svg", "with_rate"]
