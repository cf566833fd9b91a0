"""The Gradio page: where its parts lie, and which events they send."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from . import page
from .examples import examples
from .fields import LabelFields, PictureFields, file_field, label_choices, label_fields, picture_fields, stated_fields
from .gallery import NONE_PRESSED, ON_CLICK, gallery
from .handlers import FIRST_MESSAGE, PICTURE_KINDS, Handlers
from .limits import UploadLimits
from .scorer import EcgScorer
from .sources import MAX_UPLOAD_BYTES, ExampleEcg, Source
from .tuned_scorer import TunedScorer

MEMORY_SECONDS = 1800  # how long the content of an upload is kept for a visit
QUEUE_SIZE = 64  # events that wait; more are turned away

# On a narrow screen the results are above the fields.
SHOW_MESSAGE = """() => {
    const message = document.getElementById("message"), top = message.getBoundingClientRect().top;
    if (top < 0 || top > 0.8 * window.innerHeight) message.scrollIntoView();
}"""
SAVE_PICTURE = """() => new Promise((done) => setTimeout(() => {
    const link = document.querySelector("#picture-file a");
    if (link) link.click();
    done();
}, 200))"""
# Gradio calls the buttons that take labels away "Remove 0", "Remove 1", …; so they are named for who can't see them.
LINES_OF_LABELS = """(labels) => {
    setTimeout(() => {
        for (const button of document.querySelectorAll("#labels .token-remove")) {
            button.title = "Remove " + (button.parentElement.innerText.trim() || "all labels");
            button.setAttribute("aria-label", button.title);
        }
    }, 300);
    return (labels || []).join("\\n");
}"""
# In a list, for an array is the values of as many outputs.
LABELS_OF_LINES = '(lines) => [(lines || "").split("\\n").map((line) => line.trim()).filter(Boolean)]'


def build_interface(scorer: EcgScorer | TunedScorer) -> gr.Blocks:
    """The page around a model, not launched yet; see `launch_options`."""
    handlers = Handlers(scorer)
    first = next(iter(examples()))
    # Without `delete_cache`: Gradio would delete what visitors name, and stop for good at a folder. See `UploadLimits`.
    with gr.Blocks(title=page.TITLE, analytics_enabled=False, fill_width=True) as interface:
        gr.HTML(page.INTRODUCTION)
        source = gr.State(ExampleEcg(first), time_to_live=MEMORY_SECONDS)
        with gr.Row(elem_id="choose"):
            with gr.Column(scale=4, min_width=280):
                samples = gr.HTML(gallery(examples(), pressed=first), js_on_load=ON_CLICK, elem_id="gallery")
            with gr.Column(scale=1, min_width=280):
                files = file_field()
        with gr.Row(elem_id="main"):  # laid out by style.css: on a phone one below the other in this order
            with gr.Column(elem_id="result"):
                message = gr.HTML(page.message(FIRST_MESSAGE), elem_id="message")
                scores = gr.HTML(elem_id="scores")
            with gr.Column(elem_id="picture"):
                picture = picture_fields()
                paper = gr.HTML(elem_id="paper")
                attribution = gr.HTML(elem_id="attribution")
                saved = gr.HTML(elem_id="picture-file")
            with gr.Column(elem_id="more"):
                measured = gr.HTML(elem_id="measured")
                nearest = gr.HTML(elem_id="nearest")
            with gr.Column(elem_id="ask"):
                with gr.Column(visible=scorer.own_labels is None):
                    asked = label_fields()
                stated = stated_fields()
                button = gr.Button("Score", variant="primary", elem_id="score")
        results = [message, scores, paper, attribution, measured, nearest, picture.explained, picture.tools]
        events = _Events(handlers, [source, *stated], asked, picture, results)
        events.connect(interface, first, samples=samples, files=files, button=button, saved=saved)
    return interface.queue(max_size=QUEUE_SIZE, api_open=False)


class _Events:
    """What happens when the parts of a page are used; the last of `results` are told in `Results`."""

    def __init__(
        self,
        handlers: Handlers,
        ecg: list,
        asked: LabelFields,
        picture: PictureFields,
        results: list,
    ):
        self.handlers, self.asked, self.picture = handlers, asked, picture
        self.results, (self.message, _, _, self.attribution, *_) = results, results
        self.source, *_ = self.fields = [*ecg, asked.labels, asked.independent]
        # One event at a time uses the model, however many visitors there are.
        self.model: dict[str, Any] = {
            "api_visibility": "private",
            "concurrency_id": "model",
            "concurrency_limit": 1,
            "show_progress": "minimal",
        }
        self.light: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        self.explain: dict[str, Any] = {
            "fn": handlers.explain,
            "inputs": [picture.attribution, picture.explained, *self.fields],
            "outputs": self.attribution,
            **self.model,
        }
        self.score: dict[str, Any] = {
            "fn": handlers.score,
            "inputs": self.fields,
            "outputs": results,
            "show_progress_on": self.message,
            **self.model,
        }

    def connect(
        self, interface: gr.Blocks, first: str, *, samples: gr.HTML, files: gr.File, button: gr.Button, saved: gr.HTML
    ) -> None:
        """Let the parts send their events; `first` is the example on an empty page."""
        self._sources(interface, first, samples, files)
        self._labels(interface, button)
        self.picture.attribution.input(**self.explain)
        self.picture.explained.input(**self.explain)
        for kind in PICTURE_KINDS:
            self.picture.downloads[kind].click(
                partial(self.handlers.picture_file, kind), self.explain["inputs"], saved, **self.model
            ).then(None, js=SAVE_PICTURE, **self.light)

    def _sources(self, interface: gr.Blocks, first: str, samples: gr.HTML, files: gr.File) -> None:
        def chosen(event: gr.EventData) -> Source:
            return self.handlers.take_example(getattr(event, "example", None))

        self._then(samples.select(chosen, None, self.source, **self.light).then(**self.score))
        loaded = interface.load(partial(self.handlers.take_example, first), None, self.source, **self.light)
        self._then(loaded.then(**self.score), show=False)
        # Files leave the disk at once, however many visitors wait for the model.
        take = {**self.model, "concurrency_id": "uploads", "concurrency_limit": 4, "show_progress_on": self.message}
        taken = files.upload(self.handlers.upload, files, [self.source, files], **take)
        self._then(taken.then(**self.score))
        files.upload(None, js=NONE_PRESSED, **self.light)

    def _labels(self, interface: gr.Blocks, button: gr.Button) -> None:
        asked = self.asked
        # A change, whoever made it: Gradio tells no input of a label that was typed.
        for trigger in (button.click, asked.labels.change, asked.independent.input):
            self._then(trigger(**self.score, trigger_mode="always_last"))
        for changed in (asked.labels.change, interface.load):
            changed(None, asked.labels, asked.lines, js=LINES_OF_LABELS, **self.light)
        asked.use_lines.click(None, asked.lines, asked.labels, js=LABELS_OF_LINES, **self.light)
        asked.label_set.input(_labels_of, asked.label_set, asked.labels, **self.light)

    def _then(self, scored: Any, *, show: bool = True) -> None:
        """After a scoring: look at it, and explain it where that is asked for."""
        if show:
            scored = scored.then(None, js=SHOW_MESSAGE, **self.light)
        scored.then(**self.explain)


def _labels_of(task: str | None) -> gr.Dropdown:
    return gr.Dropdown(**label_choices(task))


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
