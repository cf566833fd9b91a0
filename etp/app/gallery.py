"""Thumbnails of the examples, each a button."""

from collections.abc import Mapping
from html import escape

import numpy as np

from modeling_etp.ecg_files_etp import EcgRecording

from .examples import Example

SECONDS, POINTS = 2.5, 250  # of the lead that a thumbnail shows
LEADS = ("II", "V5", "V1", "I")  # the first of these that there is
WIDTH, HEIGHT = 125, 45  # in units of 0.02 s and 0.05 mV: as wide for a second as paper is, beside its height
MV_PER_UNIT = 0.05

# What a click on a thumbnail does; the server hears the example's name.
ON_CLICK = """element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-example]");
    if (!button) return;
    for (const other of element.querySelectorAll("button[data-example]"))
        other.setAttribute("aria-pressed", String(other === button));
    trigger("select", {example: button.dataset.example});
});"""
# What an upload does: none of them is shown any more.
NONE_PRESSED = """() => {
    for (const button of document.querySelectorAll("button[data-example]")) button.setAttribute("aria-pressed", "false");
}"""


def gallery(examples: Mapping[str, Example], *, pressed: str) -> str:
    """A button for each example.

    Args:
        pressed: Name of the one that the page shows.
    """
    buttons = "".join(
        f'<button type="button" class="etp-sample" data-example="{escape(name)}" '
        f'title="{escape(example.title)}" aria-pressed="{"true" if name == pressed else "false"}">{thumbnail(example.read())}'
        f"<span>{escape(example.title)}</span></button>"
        for name, example in examples.items()
    )
    return f'<div class="etp-gallery" role="group" aria-label="Sample ECGs">{buttons}</div>'


def thumbnail(recording: EcgRecording) -> str:
    """The first seconds of one lead as a drawing; nothing that a screen reader should read."""
    names = {name.upper(): row for row, name in enumerate(recording.lead_names)}
    row = next((names[lead.upper()] for lead in LEADS if lead.upper() in names), 0)
    trace = np.nan_to_num(recording.signal[row, : round(SECONDS * recording.sampling_rate)])
    height = np.interp(np.linspace(0, len(trace) - 1, POINTS), np.arange(len(trace)), trace - np.median(trace))
    height = np.clip(0.6 * HEIGHT - height / MV_PER_UNIT, 1, HEIGHT - 1)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(np.linspace(0, WIDTH, POINTS), height, strict=True))
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true"><polyline points="{points}"/></svg>'
