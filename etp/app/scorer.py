"""What the page computes of one ECG: scores, an explanation, nearest reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from etp.commands.models import make_classifier
from etp.explain import Attribution, explain_label
from etp.loading import Checkpoint
from etp.search import Hit, SearchIndex
from modeling_etp.ecg_files_etp import EcgRecording
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
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
        kind: "tuned": a probability that a classifier was fine-tuned and calibrated for. "tuned_raw": the same without a
            calibration. "calibrated": a probability, calibrated on validation records. "shares": labels compete and the scores
            add up to 1. "independent": each label by itself, relative to what may be said of any ECG.
        calibration: Behind a calibrated score.
        uncalibrated: Why there is no probability although the model has calibrations; else empty.
    """

    by_label: dict[str, float]
    kind: Literal["tuned", "tuned_raw", "calibrated", "shares", "independent"]
    calibration: TaskCalibration | None = None
    uncalibrated: str = ""


def reader_notes(pipeline: Any, recording: EcgRecording) -> list[str]:
    """What was left out, assumed or filled in of a recording, by its reader and by the feature extractor.

    Raises:
        ValueError: If the recording can't be used.
    """
    (own,) = pipeline.preprocess(recording)["notes"]
    return list(own)


def window_seconds(extractor: ETPFeatureExtractor) -> float:
    """Length of what a model sees at a time."""
    return extractor.num_samples / extractor.sampling_rate


def first_window(recording: EcgRecording, extractor: ETPFeatureExtractor) -> np.ndarray:
    """The signal that is explained of a recording, shape `(leads, samples)`."""
    return recording.signal[:, : round(window_seconds(extractor) * recording.sampling_rate)]


class EcgScorer:
    """A model of two towers, what calibrates its scores, and an index to search; threads may share it.

    Args:
        checkpoint: From `load_checkpoint`.
        calibrations: From `find_calibrations`.
        index: Made with the same model; `None` if there is none.

    Attributes:
        own_labels: None: it takes any.
    """

    own_labels: Labels | None = None

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

    def compete(self, recording: EcgRecording, labels: Labels, *, independent: bool = False) -> bool:
        """Whether the scores of these labels depend on each other."""
        return not independent and len(labels) > 1 and self._calibration_of(recording, labels)[0] is None

    def notes(self, recording: EcgRecording) -> list[str]:
        """As of `reader_notes`."""
        return reader_notes(self.classifier, recording)

    def explain(
        self, recording: EcgRecording, labels: Labels, label: str, *, independent: bool = False
    ) -> Attribution:
        """What in the first window of the ECG speaks for a label; against the others where they `compete`.

        Raises:
            ValueError: If the label is not among `labels`, or the recording can't be used.
        """
        competing = self.compete(recording, labels, independent=independent)
        candidates = labels if competing or label not in labels else {label: labels[label]}
        return explain_label(
            self.checkpoint.model,
            self.checkpoint.processor,
            first_window(recording, self.checkpoint.feature_extractor),
            label,
            sampling_rate=recording.sampling_rate,
            lead_names=recording.lead_names,
            candidate_labels=candidates,
            steps=EXPLANATION_STEPS,
        )

    def nearest_reports(self, recording: EcgRecording) -> list[Hit]:
        """The texts of the index that are nearest to the ECG; none without an index."""
        if self.index is None:
            return []
        return self.index.nearest_texts(self.classifier.embed_ecgs(recording), k=NEAREST)[0]

    def _calibration_of(self, recording: EcgRecording, labels: Labels) -> tuple[TaskCalibration | None, str]:
        """What calibrates these labels on this recording, or else why nothing does."""
        if not self.calibrations:
            return None, ""
        window = window_seconds(self.checkpoint.feature_extractor)
        if abs(recording.signal.shape[1] / recording.sampling_rate - window) >= 0.05 * window:
            return None, f"the calibration is of recordings of {window:g} s"
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
