"""What the page computes of one ECG: scores, an explanation, nearest reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from etp.commands.models import make_classifier
from etp.explain import Attribution, explain_label
from etp.loading import Checkpoint
from etp.search import Hit, SearchIndex
from modeling_etp.ecg_files_etp import EcgRecording
from modeling_etp.label_cache_etp import LabelCache
from modeling_etp.zero_shot_etp import evaluation_mode, label_logits

from .calibrations import TaskCalibration

EXPLANATION_STEPS = 64
NEAREST = 5

Labels = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Scores:
    """Scores of one ECG.

    Attributes:
        by_label: Label -> score in [0, 1], highest first.
        kind: "calibrated": a probability, calibrated on validation records. "shares": labels compete and the scores
            add up to 1. "independent": each label by itself, relative to what may be said of any ECG.
        calibration: Behind a calibrated score.
        uncalibrated: Why there is no probability although the model has calibrations; else empty.
    """

    by_label: dict[str, float]
    kind: Literal["calibrated", "shares", "independent"]
    calibration: TaskCalibration | None = None
    uncalibrated: str = ""


class EcgScorer:
    """A model, what calibrates its scores, and an index to search; threads may share it.

    Args:
        checkpoint: From `load_checkpoint`.
        calibrations: From `find_calibrations`.
        index: Made with the same model; `None` if there is none.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        calibrations: Sequence[TaskCalibration] = (),
        index: SearchIndex | None = None,
    ):
        self.checkpoint, self.calibrations, self.index = checkpoint, calibrations, index
        self.classifier = make_classifier(checkpoint)
        self._calibrated_labels = LabelCache()

    def score(self, recording: EcgRecording, labels: Labels, *, independent: bool = False) -> Scores:
        """Score one ECG, by calibrated probabilities where there are any.

        Args:
            recording: Of any length; a calibration holds for recordings that fill the model's window once.
            labels: Label -> phrases.
            independent: Whether labels without a calibration are judged one by one instead of against each other.

        Raises:
            ValueError: If the recording can't be used.
        """
        calibration, uncalibrated = self._calibration_of(recording, labels)
        if calibration is not None:
            return self._calibrated(recording, labels, calibration)
        independent = independent or len(labels) == 1  # one label has nothing to compete with
        entries = self.classifier(recording, labels, multi_label=independent)
        by_label = {entry["label"]: entry["score"] for entry in entries}
        return Scores(by_label, "independent" if independent else "shares", uncalibrated=uncalibrated)

    def notes(self, recording: EcgRecording) -> list[str]:
        """What was left out, assumed or filled in of a recording, by its reader and by the feature extractor.

        Raises:
            ValueError: If the recording can't be used.
        """
        (own,) = self.classifier.preprocess(recording)["notes"]
        return list(own)

    def explain(
        self, recording: EcgRecording, labels: Labels, label: str, *, independent: bool = False
    ) -> Attribution:
        """What in the first window of the ECG speaks for a label, by itself or against the other labels.

        Raises:
            ValueError: If the label is not among `labels`, or the recording can't be used.
        """
        rate = recording.sampling_rate
        candidates = {label: labels[label]} if independent and label in labels else labels
        return explain_label(
            self.checkpoint.model,
            self.checkpoint.processor,
            recording.signal[:, : round(self.window_seconds * rate)],
            label,
            sampling_rate=rate,
            lead_names=recording.lead_names,
            candidate_labels=candidates,
            steps=EXPLANATION_STEPS,
        )

    def nearest_reports(self, recording: EcgRecording) -> list[Hit]:
        """The texts of the index that are nearest to the ECG; none without an index."""
        if self.index is None:
            return []
        return self.index.nearest_texts(self.classifier.embed_ecgs(recording), k=NEAREST)[0]

    @property
    def window_seconds(self) -> float:
        """Length of what the model sees at a time."""
        extractor = self.checkpoint.processor.feature_extractor
        return extractor.num_samples / extractor.sampling_rate

    def _fills_one_window(self, recording: EcgRecording) -> bool:
        return (
            abs(recording.signal.shape[1] / recording.sampling_rate - self.window_seconds) < 0.05 * self.window_seconds
        )

    def _calibration_of(self, recording: EcgRecording, labels: Labels) -> tuple[TaskCalibration | None, str]:
        """What calibrates these labels on this recording, or else why nothing does."""
        if not self.calibrations:
            return None, ""
        if not self._fills_one_window(recording):
            return None, f"the calibration is of recordings of {self.window_seconds:g} s"
        missing = {calibration: calibration.not_covered(labels) for calibration in self.calibrations}
        nearest = min(missing, key=lambda calibration: len(missing[calibration]))
        if not missing[nearest]:
            return nearest, ""
        named = ", ".join(f"“{label}”" for label in missing[nearest][:3])
        more = ", …" if len(missing[nearest]) > 3 else ""
        return None, f"no calibration is known of {named}{more} as worded here"

    def _calibrated(self, recording: EcgRecording, labels: Labels, calibration: TaskCalibration) -> Scores:
        model, tokenizer = self.checkpoint.model, self.checkpoint.processor.tokenizer
        embeds = torch.from_numpy(self.classifier.embed_ecgs(recording)).to(model.device)
        label_embeds = self._calibrated_labels.get(model, tokenizer, labels, calibration.templates)
        with torch.no_grad(), evaluation_mode(model):
            logits = label_logits(embeds, label_embeds, model.get_logit_scale(), pooling=calibration.pooling)
        probabilities = calibration.probabilities(logits.cpu().numpy(), labels)[0]
        ranked = sorted(zip(labels, probabilities.tolist(), strict=True), key=lambda pair: -pair[1])
        return Scores(dict(ranked), "calibrated", calibration)
