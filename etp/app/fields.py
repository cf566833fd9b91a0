"""The fields of the page: the ECG, its labels, and the picture's switches."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from . import page
from .labels import MAX_CHARACTERS, label_lines, label_set, label_set_titles
from .sources import FIELDS, FIELDS_HEADING

UNITS = ("mV", "uV", "V")


@dataclass(frozen=True)
class LabelFields:
    """What the ECG is scored against."""

    labels: gr.Dropdown
    label_set: gr.Dropdown
    independent: gr.Radio
    lines: gr.Textbox
    use_lines: gr.Button


@dataclass(frozen=True)
class PictureFields:
    """What is shown of the picture, and how it is saved."""

    tools: gr.Column
    attribution: gr.Checkbox
    explained: gr.Dropdown
    downloads: dict[str, gr.Button]


def file_field() -> gr.File:
    """Lay it out, with what happens to a file."""
    files = gr.File(label="Your own ECG", file_count="multiple", height=96, elem_id="files")
    gr.HTML(page.PRIVACY)
    return files


def stated_fields() -> list:
    """Lay out what a file may not state, in the order of `Request`."""
    with gr.Accordion(FIELDS_HEADING, open=False, elem_id="stated"):
        gr.HTML(page.STATED)
        rate = gr.Number(label=f"{FIELDS['sampling_rate']}, Hz", value=None, minimum=0, elem_id="rate")
        leads = gr.Textbox(
            label=f"{FIELDS['lead_names']}, in the order of the file", placeholder="I II III aVR …", max_length=400
        )
        units = gr.Dropdown(
            [("as the file says, or mV", ""), *((unit, unit) for unit in UNITS)],
            value="",
            label=f"{FIELDS['units']}, or type the size of a count, e.g. 4.88 uV",
            allow_custom_value=True,
            elem_id="units",
        )
    return [rate, leads, units]


def label_fields() -> LabelFields:
    """Lay them out."""
    with gr.Group():
        labels = gr.Dropdown(
            **label_choices(""),
            label="Labels: type one and press Enter, or take one away",
            multiselect=True,
            allow_custom_value=True,
            elem_id="labels",
        )
        sets = gr.Dropdown(
            [(title, task) for task, title in label_set_titles().items()],
            value="",
            label="Take a label set",
            elem_id="label-set",
        )
        independent = gr.Radio(
            [("against each other", False), ("each by itself (multi-label)", True)],
            value=False,
            label="Labels without a calibration are scored",
            elem_id="independent",
        )
    with gr.Accordion("Labels and their phrases as text", open=False, elem_id="as-text"):
        lines = gr.Textbox(
            value="\n".join(label_lines(label_set("")).values()),
            label="Labels, one per line",
            info="A label may have several phrases that state it: AF = atrial fibrillation; irregular rhythm without P waves",
            lines=8,
            max_lines=16,
            max_length=MAX_CHARACTERS,
            elem_id="label-lines",
        )
        use_lines = gr.Button("Use these lines", size="sm")
    return LabelFields(labels, sets, independent, lines, use_lines)


def picture_fields() -> PictureFields:
    """Lay them out; they are shown with a picture."""
    with gr.Column(visible=False, elem_id="picture-tools") as tools, gr.Row():
        attribution = gr.Checkbox(
            label="Show what speaks for",
            elem_id="show-attribution",
            container=False,
            scale=0,
            min_width=270,
        )
        explained = gr.Dropdown(
            [], label="Label to explain", show_label=False, container=False, elem_id="explained", min_width=180
        )
        downloads = {
            kind: gr.Button(f"Save {kind.upper()}", size="sm", scale=0, min_width=90, elem_id=f"save-{kind}")
            for kind in ("png", "pdf")
        }
    return PictureFields(tools, attribution, explained, downloads)


def label_choices(task: str | None) -> dict[str, Any]:
    """Of the field of labels: the label set of a task, all of it chosen.

    Raises:
        ValueError: If there is no such task.
    """
    lines = label_lines(label_set(task))
    return {"choices": list(lines.items()), "value": list(lines.values())}
