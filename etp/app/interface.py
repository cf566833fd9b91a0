"""The Gradio page: its parts, and what happens when they are used."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from datasets_scripts.label_sets import LABEL_TASKS
from datasets_scripts.synthetic_ecg import CONDITIONS
from etp.plots import plot_ecg
from modeling_etp.ecg_files_etp import EcgRecording

from . import page
from .labels import DEFAULT_LABELS, MAX_CHARACTERS, label_set_text, parse_labels
from .limits import UploadLimits
from .scorer import EcgScorer
from .sources import (
    FIELDS,
    FIELDS_HEADING,
    MAX_UPLOAD_BYTES,
    AppError,
    ExampleEcg,
    RefusedUpload,
    SharedUploads,
    Source,
    read_source,
    take_upload,
)

MEMORY_SECONDS = 1800  # how long the content of an upload is kept for a visit
QUEUE_SIZE = 64  # events that wait; more are turned away
FIRST_MESSAGE = "Choose a file or a synthetic example."
UNEXPECTED = (
    "Something went wrong on the server with this ECG; nothing of it was kept. Try another file or other labels."
)
UNITS = ("mV", "uV", "V")

# On a narrow screen the results are below the fields.
SHOW_MESSAGE = """() => {
    const message = document.getElementById("message"), top = message.getBoundingClientRect().top;
    if (top < 0 || top > 0.8 * window.innerHeight) message.scrollIntoView();
}"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What the page's fields say, in their order on the page."""

    source: Source | None
    sampling_rate: float | None
    lead_names: str | None
    units: str | None
    labels: str | None
    independent: bool

    def read(self) -> tuple[str, EcgRecording]:
        """Name and content of the ECG that was chosen.

        Raises:
            AppError: If none was, or it can't be read.
        """
        if self.source is None:
            raise AppError(FIRST_MESSAGE)
        leads = (self.lead_names or "").replace(",", " ").split()
        stated = {"sampling_rate": self.sampling_rate, "lead_names": leads, "units": self.units}
        return self.source.name, read_source(self.source, **{name: value for name, value in stated.items() if value})


class Handlers:
    """What happens on the page's events; none of them raises.

    The results of a scoring are, in this order: message, paper, scores, nearest reports (HTML), the labels of which one
    may be explained, and whether that part of the page is shown.

    Args:
        scorer: The model behind the page.
    """

    def __init__(self, scorer: EcgScorer):
        self.scorer = scorer
        self._shared = SharedUploads()

    def upload(self, paths: Sequence[str] | None) -> tuple[Source, None, None]:
        """Take files over, for `score`. Returns the source, an empty file field and an empty example."""
        try:
            return take_upload(paths or (), self._shared), None, None
        except AppError as error:
            return RefusedUpload(str(error)), None, None

    def take_example(self, condition: str | None, *fields: Any) -> tuple:
        """Score a synthetic example. Returns the source and the results."""
        source = ExampleEcg(condition) if condition else None
        return source, *self.score(source, *fields)

    def score(self, *fields: Any) -> tuple:
        """Score the ECG that was chosen. Returns the results."""
        request = Request(*fields)
        try:
            (name, recording), labels = request.read(), parse_labels(request.labels or "")
            scores = self.scorer.score(recording, labels, independent=request.independent)
            seconds = recording.signal.shape[1] / recording.sampling_rate
            about = f"{len(recording.lead_names)} leads, {seconds:.1f} s at {recording.sampling_rate:g} Hz"
            paper = page.picture(
                plot_ecg(recording.signal, recording.sampling_rate, recording.lead_names, title=name),
                heading="ECG",
                description=f"ECG on paper of 25 mm/s and 10 mm/mV: {about}.",
            )
            nearest = page.nearest_table(self.scorer.nearest_reports(recording))
            explainable = gr.Dropdown(list(scores.by_label), value=next(iter(scores.by_label)))
            about = page.message(f"{name}: {about}.") + page.notes_list(self.scorer.notes(recording))
            return about, paper, page.score_table(scores), nearest, explainable, gr.Column(visible=True)
        except Exception as error:
            return _failed(error)

    def explain(self, label: str | None, *fields: Any) -> str:
        """What the model looked at for a label, as HTML; nothing where nothing was scored."""
        request = Request(*fields)
        if not label or request.source is None:
            return ""
        try:
            (_, recording), labels = request.read(), parse_labels(request.labels or "")
            if label not in labels:
                raise AppError(f"The labels have changed and {label!r} is none of them. Press “Score” first.")
            attribution = self.scorer.explain(recording, labels, label, independent=request.independent)
            return page.attribution_picture(attribution, against_others=len(labels) > 1 and not request.independent)
        except Exception as error:
            return page.message(_sentence(error), is_error=True)


def build_interface(scorer: EcgScorer) -> gr.Blocks:
    """The page around a model, not launched yet; see `launch_options`."""
    handlers = Handlers(scorer)
    # Without `delete_cache`: Gradio would delete what visitors name, and stop for good at a folder. See `UploadLimits`.
    with gr.Blocks(title=page.TITLE, analytics_enabled=False) as interface:
        gr.HTML(page.INTRODUCTION)
        source = gr.State(None, time_to_live=MEMORY_SECONDS)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                files, example, *stated = _ecg_fields()
                label_set, labels, independent = _label_fields()
                button = gr.Button("Score", variant="primary", elem_id="score")
            with gr.Column(scale=3, min_width=300):
                message = gr.HTML(page.message(FIRST_MESSAGE), elem_id="message")
                scores = gr.HTML(elem_id="scores")
                nearest = gr.HTML(elem_id="nearest")
        paper = gr.HTML(elem_id="paper")
        with gr.Column(visible=False) as explanation:
            explained = gr.Dropdown([], label="Explain the label", elem_id="explained")
            attribution = gr.HTML(elem_id="attribution")

        fields = [source, *stated, labels, independent]
        results = [message, paper, scores, nearest, explained, explanation]
        # One event at a time uses the model, however many visitors there are.
        event: dict[str, Any] = {
            "api_visibility": "private",
            "concurrency_id": "model",
            "concurrency_limit": 1,
            "show_progress": "minimal",
        }
        show: dict[str, Any] = {"fn": None, "js": SHOW_MESSAGE}
        explain: dict[str, Any] = {
            "fn": handlers.explain,
            "inputs": [explained, *fields],
            "outputs": attribution,
            **event,
        }
        score: dict[str, Any] = {
            "fn": handlers.score,
            "inputs": fields,
            "outputs": results,
            "show_progress_on": message,
            **event,
        }
        # Files leave the disk at once, however many visitors wait for the model.
        take = {**event, "concurrency_id": "uploads", "concurrency_limit": 4}
        files.upload(handlers.upload, files, [source, files, example], show_progress_on=message, **take).then(
            **score
        ).then(**show).then(**explain)
        example.input(
            handlers.take_example, [example, *fields[1:]], [source, *results], show_progress_on=message, **event
        ).then(**show).then(**explain)
        for trigger in (button.click, labels.submit):
            trigger(**score).then(**show).then(**explain)
        explained.input(**explain)
        label_set.input(
            lambda task: label_set_text(task) if task else "\n".join(DEFAULT_LABELS),
            label_set,
            labels,
            api_visibility="private",
            show_progress="hidden",
        )
    return interface.queue(max_size=QUEUE_SIZE, api_open=False)


def launch_options() -> dict[str, Any]:
    """How the page is launched: without links, fonts or statistics of others, and with bounded uploads and memory."""
    return {
        "theme": _theme(),
        "css_paths": Path(__file__).with_name("style.css"),
        "footer_links": [],
        "app_kwargs": {"middleware": [Middleware(UploadLimits)]},
        "max_file_size": MAX_UPLOAD_BYTES,
        "state_session_capacity": 2 * QUEUE_SIZE,  # visits whose upload is in memory: those that wait, and as many
        "ssr_mode": False,
        "share": False,
    }


def _theme() -> gr.themes.Base:
    """Fonts of the visitor's own machine, and grey text dark enough to read."""
    theme = gr.themes.Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["monospace"])
    dark_enough = {"body_text_color_subdued": "*neutral_600", "block_info_text_color": "*neutral_600"}
    light_enough = {f"{name}_dark": "*neutral_300" for name in dark_enough}
    return theme.set(**dark_enough, **light_enough)


def _ecg_fields() -> tuple:
    files = gr.File(
        label="ECG file, or .hea with .dat",
        file_count="multiple",
        height=150,
        elem_id="files",
    )
    gr.HTML(page.PRIVACY)
    example = gr.Dropdown(list(CONDITIONS), value=None, label="Or a synthetic example", elem_id="example")
    with gr.Accordion(f"{FIELDS_HEADING} (NumPy, CSV, some MATLAB files)", open=False):
        rate = gr.Number(label=f"{FIELDS['sampling_rate']}, Hz", value=None, minimum=0, elem_id="rate")
        leads = gr.Textbox(
            label=f"{FIELDS['lead_names']}, in the order of the file", placeholder="I II III aVR …", max_length=400
        )
        units = gr.Dropdown(
            [("as the file says, or mV", ""), *((unit, unit) for unit in UNITS)], value="", label=FIELDS["units"]
        )
    return files, example, rate, leads, units


def _label_fields() -> tuple:
    label_set = gr.Dropdown(
        [("some common findings", ""), *((task, task) for task in LABEL_TASKS)],
        value="",
        label="Fill in a label set",
        elem_id="label-set",
    )
    labels = gr.Textbox(
        value="\n".join(DEFAULT_LABELS),
        label="Labels, one per line",
        info="A label may have several phrases that state it: AF = atrial fibrillation; irregular rhythm without P waves",
        lines=12,
        max_lines=12,
        max_length=MAX_CHARACTERS,
        elem_id="labels",
    )
    independent = gr.Checkbox(label="Judge each label by itself, not against the others", elem_id="independent")
    return label_set, labels, independent


def _failed(error: Exception) -> tuple:
    """The results of a scoring that failed: the reason, and nothing left of the one before."""
    return (
        page.message(_sentence(error), is_error=True),
        "",
        "",
        "",
        gr.Dropdown([], value=None),
        gr.Column(visible=False),
    )


def _sentence(error: Exception) -> str:
    """What a visitor is told; what nobody foresaw goes to the server's log."""
    if isinstance(error, (ValueError, OSError)):
        return str(error)
    _log.error("unexpected error on the page", exc_info=error)
    return UNEXPECTED
