"""PDF pages of ECGs whose traces are vectors, through `pdfminer.six`."""

import io
import re
import zlib
from typing import Any

import numpy as np

from .ecg_drawing_etp import recording_from_drawing
from .ecg_errors_etp import EcgContentError, EcgUnsafeError
from .ecg_paper_etp import Drawing, Line
from .ecg_recording_etp import EcgRecording, errors_named, optional_module
from .ecg_svg_etp import with_rate

MAX_PDF_BYTES = 30_000_000
MAX_UNPACKED_PDF_BYTES = 200_000_000
_MAX_PAGES = 20
_MILLIMETRES_PER_POINT = 25.4 / 72
_FEWEST_POINTS_ON_A_PAGE = 200


def read_pdf(content: bytes, source: str, *, sampling_rate: Any, lead_names: Any, units: Any) -> EcgRecording:
    """Read the one page with traces.

    Raises:
        EcgUnsafeError: If it would unfold to more than fits.
        EcgContentError, EcgFormatError: If several pages have traces, or as `recording_from_drawing` says.
    """
    _check_size(content, source)
    layout = optional_module("pdfminer.layout", source)
    high_level = optional_module("pdfminer.high_level", source)
    drawings = []
    with errors_named(source, "pdfminer"):
        for page in high_level.extract_pages(
            io.BytesIO(content), maxpages=_MAX_PAGES, laparams=layout.LAParams(all_texts=True, boxes_flow=None)
        ):
            drawing = Drawing(millimetres=_MILLIMETRES_PER_POINT)
            _walk(page, drawing, layout)
            drawings.append(drawing)
    full = [drawing for drawing in drawings if _corners(drawing) > _FEWEST_POINTS_ON_A_PAGE]
    if len(full) > 1:
        raise EcgContentError(
            source, f"{len(full)} of its pages have traces. Save the page of one ECG as a file of its own."
        )
    drawing = full[0] if full else Drawing(pictures=sum(drawing.pictures for drawing in drawings))
    return with_rate(
        recording_from_drawing(drawing, source, "PDF", lead_names=lead_names, units=units), sampling_rate, source
    )


def _corners(drawing: Drawing) -> int:
    return sum(len(line.points) for line in drawing.lines if len(line.points) > 2)


def _check_size(content: bytes, source: str) -> None:
    """Refuse streams that unfold to more than fits, which the library doesn't look at."""
    if len(content) > MAX_PDF_BYTES:
        raise EcgUnsafeError(source, f"expected at most {MAX_PDF_BYTES:,} bytes of PDF, it has {len(content):,}.")
    left = MAX_UNPACKED_PDF_BYTES
    for start in re.finditer(rb"stream\r?\n", content):
        unpacker = zlib.decompressobj()
        try:
            left -= len(unpacker.decompress(content[start.end() : start.end() + MAX_PDF_BYTES], left + 1))
        except zlib.error:
            continue  # packed otherwise or not at all
        if left < 0:
            raise EcgUnsafeError(
                source, f"it unfolds to over {MAX_UNPACKED_PDF_BYTES:,} bytes. Save the ECG's page alone."
            )


def _walk(item: Any, drawing: Drawing, layout: Any) -> None:
    if isinstance(item, layout.LTImage):
        drawing.pictures += 1
    elif isinstance(item, layout.LTRect):
        return
    elif isinstance(item, layout.LTCurve):
        style = (item.linewidth, str(item.stroking_color))
        drawing.lines.append(Line(np.asarray(item.pts, dtype=np.float64), style))
    elif isinstance(item, layout.LTTextLine):
        _add_text(item, drawing, layout)
    elif isinstance(item, layout.LTContainer):
        for part in item:
            _walk(part, drawing, layout)


def _add_text(line: Any, drawing: Drawing, layout: Any) -> None:
    words: list[tuple[float, float, str]] = []
    word, at = "", (0.0, 0.0)
    for character in [*line, None]:
        text = character.get_text() if isinstance(character, layout.LTChar) else ""
        if text.strip():
            at = at if word else (float(character.x0), float(character.y0 + character.y1) / 2)
            word += text
        elif word:
            words.append((*at, word))
            word = ""
    drawing.add_text(" ".join(word for _, _, word in words), words)


__all__ = ["read_pdf"]
