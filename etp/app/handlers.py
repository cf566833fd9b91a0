"""What happens on the page's events."""

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from etp.explain import Attribution, attribution_layer
from etp.plots import plot_ecg
from modeling_etp.ecg_files_etp import EcgRecording

from . import downloads, page
from .labels import parse_labels
from .measured import measured, measurement_table
from .recent import RecentResults
from .scorer import EcgScorer, Labels
from .sources import (
    AppError,
    ExampleEcg,
    RefusedUpload,
    SharedUploads,
    Source,
    in_fields,
    read_source,
    take_upload,
)
from .tuned_scorer import TunedScorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST_MESSAGE = "Choose a sample or a file."
UNEXPECTED = (
    "Something went wrong on the server with this ECG; nothing of it was kept. Try another file or other labels."
)
REMEMBERED = 64  # results of examples, which every visitor looks at
PICTURE_KINDS = ("png", "pdf")
_log = logging.getLogger(__name__)


class Results(NamedTuple):
    """What a scoring puts on the page: HTML where nothing else is said.

    Attributes:
        message: What was read, or why not.
        scores: The table.
        paper: The ECG.
        attribution: Nothing; that of the ECG before goes.
        measured: Rate and intervals.
        nearest: Reports of other ECGs.
        explained: The labels of which one may be explained.
        tools: Whether what belongs to the picture is shown.
    """

    message: str
    scores: str
    paper: str
    attribution: str
    measured: str
    nearest: str
    explained: gr.Dropdown
    tools: gr.Column


@dataclass(frozen=True)
class Request:
    """What the page's fields say, in their order on the page."""

    source: Source | None
    sampling_rate: float | None
    lead_names: str | None
    units: str | None
    labels: str | Sequence[str] | None
    independent: bool

    def read(self) -> tuple[str, EcgRecording]:
        """Name and content of the ECG that was chosen.

        Raises:
            AppError: If none was, or it can't be read.
        """
        if self.source is None:
            raise AppError(FIRST_MESSAGE)
        names = self.lead_names or ""
        leads = [*filter(None, map(str.strip, names.split(",")))] if "," in names else names.split()
        stated = {"sampling_rate": self.sampling_rate, "lead_names": leads, "units": self.units}
        return self.source.name, read_source(self.source, **{name: value for name, value in stated.items() if value})


class Handlers:
    """What happens on the page's events; none of them raises.

    Args:
        scorer: The model behind the page.
    """

    def __init__(self, scorer: EcgScorer | TunedScorer):
        self.scorer = scorer
        self._shared = SharedUploads()
        self._remembered = RecentResults(REMEMBERED)

    def upload(self, paths: Sequence[str] | None) -> tuple[Source, None]:
        """Take files over, for `score`. Returns the source, and an empty file field."""
        try:
            return take_upload(paths or (), self._shared), None
        except AppError as error:
            return RefusedUpload(str(error)), None

    def take_example(self, key: object) -> Source:
        """Choose an example, for `score`, which comes after it: an upload that is faster than a score stays chosen."""
        return ExampleEcg(str(key))

    def score(self, *fields: Any) -> Results:
        """Score the ECG that was chosen."""
        try:
            return self._of_example(("score",), fields, lambda: self._score(Request(*fields)))
        except Exception as error:
            return _failed(error)

    def explain(self, shown: bool, label: str | None, *fields: Any) -> str:
        """The ECG coloured by what the model looked at for a label, as HTML; nothing where that isn't asked for."""
        request = Request(*fields)
        if not shown or not label or request.source is None:
            return ""
        try:
            return self._of_example(("explain", label), fields, lambda: self._explain(request, label))
        except Exception as error:
            return page.message(sentence(error), is_error=True)

    def picture_file(self, kind: str, shown: bool, label: str | None, *fields: Any) -> str:
        """The ECG with its scores as a link that holds the file, or a sentence.

        Args:
            kind: One of `PICTURE_KINDS`.
            shown, label: Whether what the model looked at is a layer of it, and for which label.
        """
        label = label if shown else None
        try:
            return self._of_example(
                ("picture", kind, label or ""), fields, lambda: self._picture_file(kind, Request(*fields), label)
            )
        except Exception as error:
            return page.message(sentence(error), is_error=True)

    def _score(self, request: Request) -> Results:
        (name, recording), labels = request.read(), self._labels(request)
        scores = self.scorer.score(recording, labels, independent=request.independent)
        measurements = measured(recording)
        notes = self.scorer.notes(recording)
        seconds = recording.signal.shape[1] / recording.sampling_rate
        about = f"{len(recording.lead_names)} leads, {seconds:.1f} s at {recording.sampling_rate:g} Hz"
        report, owner = request.source.about if isinstance(request.source, ExampleEcg) else ("", "")
        paper = page.picture(
            _draw(name, recording, measurements=measurements),
            description=f"ECG on paper of 25 mm/s: {about}.",
        )
        return Results(
            message=page.message(f"{name}: {about}.") + page.about(report, owner) + page.notes_list(notes),
            scores=page.score_table(scores, labels)
            + downloads.score_links(
                name, scores, labels, notes=notes, measurements=measurements and measurements.as_dict()
            ),
            paper=paper,
            attribution="",
            measured=measurement_table(measurements),
            nearest=page.nearest_table(self.scorer.nearest_reports(recording)),
            explained=gr.Dropdown(list(scores.by_label), value=next(iter(scores.by_label))),
            tools=gr.Column(visible=True),
        )

    def _explain(self, request: Request, label: str) -> str:
        (name, recording), labels = request.read(), self._labels(request)
        attribution = self._attribution(request, recording, labels, label)
        figure = _draw(name, recording, attribution, measurements=measured(recording))
        competing = self.scorer.compete(recording, labels, independent=request.independent)
        return page.attribution_picture(figure, attribution, against_others=competing)

    def _attribution(self, request: Request, recording: EcgRecording, labels: Labels, label: str) -> Attribution:
        if label not in labels:
            raise AppError(f"The labels have changed and {label!r} is none of them. Press “Score” first.")
        return self.scorer.explain(recording, labels, label, independent=request.independent)

    def _picture_file(self, kind: str, request: Request, label: str | None) -> str:
        if kind not in PICTURE_KINDS:
            raise AppError(f"There is no picture of the kind {kind!r}, there are {', '.join(PICTURE_KINDS)}.")
        (name, recording), labels = request.read(), self._labels(request)
        scores = self.scorer.score(recording, labels, independent=request.independent)
        attribution = self._attribution(request, recording, labels, label) if label else None
        figure = _draw(name, recording, attribution, scores=scores.by_label, measurements=measured(recording))
        file = io.BytesIO()
        figure.savefig(file, format=kind, dpi=page.PRINTED_DOTS_PER_INCH)
        return downloads.link(file.getvalue(), name=downloads.file_stem(name), kind=kind, text="Save the picture")

    def _labels(self, request: Request) -> Labels:
        """Those of the model if it has its own, else those that were asked for."""
        return parse_labels(request.labels) if self.scorer.own_labels is None else self.scorer.own_labels

    def _of_example(self, what: tuple[str, ...], fields: tuple, compute: Callable[[], Any]) -> Any:
        """A result, remembered if it is of an example; of uploads nothing is kept here."""
        if not isinstance(fields[0], ExampleEcg):
            return compute()
        return self._remembered.get((*what, repr(fields)), compute)


def _draw(name: str, recording: EcgRecording, attribution: Attribution | None = None, **more: Any) -> "Figure":
    layer = None if attribution is None else attribution_layer(attribution, onto=recording)
    return plot_ecg(
        recording.signal, recording.sampling_rate, recording.lead_names, title=name, highlight=layer, **more
    )


def _failed(error: Exception) -> Results:
    """The results of a scoring that failed: the reason, and nothing left of the one before."""
    return Results(
        message=page.message(sentence(error), is_error=True),
        scores="",
        paper="",
        attribution="",
        measured="",
        nearest="",
        explained=gr.Dropdown([], value=None),
        tools=gr.Column(visible=False),
    )


def sentence(error: Exception) -> str:
    """What a visitor is told; what nobody foresaw goes to the server's log."""
    if isinstance(error, (ValueError, OSError)):
        return in_fields(str(error))
    _log.error("unexpected error on the page", exc_info=error)
    return UNEXPECTED
