"""What the page computes of one ECG by a fine-tuned classifier, which has labels of its own."""

from datasets_scripts.label_sets import LABEL_TASKS, load_label_set
from etp.commands.models import make_fine_tuned
from etp.explain import Attribution, explain_class
from etp.loading import ClassifierCheckpoint
from etp.search import Hit
from modeling_etp.ecg_files_etp import EcgRecording

from .calibrations import TaskCalibration
from .scorer import EXPLANATION_STEPS, Labels, Scores, first_window, reader_notes
from .sources import AppError


class TunedScorer:
    """A fine-tuned classifier, asked as an `EcgScorer` is; threads may share it.

    Args:
        checkpoint: From `load_classifier`.

    Attributes:
        own_labels: Its labels, each with the phrases of the label set that knows it, or with its own name.

    Raises:
        AppError: If it is a regression, whose numbers are no scores of labels.
    """

    calibrations: tuple[TaskCalibration, ...] = ()

    def __init__(self, checkpoint: ClassifierCheckpoint):
        config = checkpoint.model.config
        if config.problem_type == "regression":
            raise AppError(f"--model {checkpoint.folder}: a regression has no labels to show. Name a classifier.")
        self.checkpoint = checkpoint
        self.classifier = make_fine_tuned(checkpoint)
        self.own_labels: Labels = {label: _phrases(label) for label in (config.id2label or {}).values()}

    def score(self, recording: EcgRecording, labels: Labels, *, independent: bool = False) -> Scores:
        """Score one ECG by the classifier's own labels, whatever labels are asked for.

        Raises:
            ValueError: If the recording can't be used.
        """
        by_label = {entry["label"]: entry["score"] for entry in self.classifier(recording)}
        return Scores(by_label, "tuned_raw" if self.checkpoint.model.config.calibration is None else "tuned")

    def compete(self, recording: EcgRecording, labels: Labels, *, independent: bool = False) -> bool:
        """Whether the scores of its labels depend on each other, whatever is asked for."""
        return self.checkpoint.model.config.problem_type == "single_label_classification" and len(self.own_labels) > 1

    def notes(self, recording: EcgRecording) -> list[str]:
        """As of `reader_notes`."""
        return reader_notes(self.classifier, recording)

    def explain(
        self, recording: EcgRecording, labels: Labels, label: str, *, independent: bool = False
    ) -> Attribution:
        """What in the first window of the ECG speaks for a label.

        Raises:
            ValueError: If the classifier has no such label, or the recording can't be used.
        """
        return explain_class(
            self.checkpoint.model,
            self.checkpoint.feature_extractor,
            first_window(recording, self.checkpoint.feature_extractor),
            label,
            sampling_rate=recording.sampling_rate,
            lead_names=recording.lead_names,
            steps=EXPLANATION_STEPS,
        )

    def nearest_reports(self, recording: EcgRecording) -> list[Hit]:
        """None: it has no text tower."""
        return []


def _phrases(label: str) -> list[str]:
    return next((known[label] for known in map(load_label_set, LABEL_TASKS) if label in known), [label])
