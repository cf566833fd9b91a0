"""Probabilities where a zero-shot evaluation of the same weights calibrated the labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.label_sets import LABEL_TASKS, label_set_versions, load_label_set
from etp.evaluation.results import load_results, results_beside
from etp.loading import Checkpoint
from etp.scoring.calibration import PlattScaling
from modeling_etp.zero_shot_etp import check_labels

from .sources import AppError


@dataclass(frozen=True, eq=False)
class TaskCalibration:
    """What one evaluation fitted for the labels of a task.

    Attributes:
        task: Its name, see `datasets_scripts.label_sets`.
        dataset: Whose validation records it was fitted on.
        phrases: Label -> the phrases it was fitted with.
        platt: Label -> scale and bias.
        templates: Texts around the phrases.
        pooling: Of the phrases of a label.
    """

    task: str
    dataset: str
    phrases: Mapping[str, Sequence[str]]
    platt: Mapping[str, tuple[float, float]]
    templates: tuple[str, ...]
    pooling: str

    def not_covered(self, labels: Mapping[str, Sequence[str]]) -> list[str]:
        """Labels that were not calibrated in the very phrases that state them here, whatever they are called."""
        return [label for label, phrases in labels.items() if tuple(phrases) not in self._platt_of_phrases]

    def probabilities(self, logits: np.ndarray, labels: Mapping[str, Sequence[str]]) -> np.ndarray:
        """Calibrated, shape of `logits`: `(ecgs, labels)`."""
        scale, bias = np.array([self._platt_of_phrases[tuple(phrases)] for phrases in labels.values()]).T
        return PlattScaling(scale, bias)(logits)

    @cached_property
    def _platt_of_phrases(self) -> dict[tuple[str, ...], tuple[float, float]]:
        return {tuple(self.phrases[label]): fitted for label, fitted in self.platt.items()}


def find_calibrations(checkpoint: Checkpoint, files: Iterable[Path] | None = None) -> list[TaskCalibration]:
    """Calibrations from results of `etp evaluate zero-shot`.

    Results of other kinds, with other prompts or of cut recordings calibrate nothing here and are passed over; so are
    those that the checkpoint carries of other weights.

    Args:
        checkpoint: The model that is to score.
        files: Results; `None`: those in the folder `results` of the checkpoint.

    Raises:
        AppError: If a file is not a results file, or one that was named is of another model.
    """
    found = []
    for file in results_beside(checkpoint.folder) if files is None else files:
        try:
            results = load_results(file)
        except ValueError as error:
            raise AppError(f"--results: {error}") from error
        if results.get("checkpoint_sha256") != checkpoint.weights_sha256:
            if files is None:
                continue
            raise AppError(f"--results {file}: it is of other weights than {checkpoint.folder}. Evaluate these anew.")
        if _scores_as_the_page_does(results):
            found += [_of_task(results, task) for task in results["tasks"] if _is_current(results, task)]
    return found


def _scores_as_the_page_does(results: Mapping[str, Any]) -> bool:
    if results["kind"] != "zero_shot":
        return False
    options, conditions = results["options"], results["conditions"]
    as_usual = options["prompts"] is None and options["contrast"] == "none" and not options["describe_patient"]
    as_usual = as_usual and options.get("interpret_labels", True)
    return as_usual and conditions["leads"] is None and conditions["seconds"] is None


def _is_current(results: Mapping[str, Any], task: str) -> bool:
    """Whether the phrases of the label set are still those that were evaluated."""
    return task in LABEL_TASKS and results["tasks"][task]["prompts"]["source"] == label_set_versions(task)


def _of_task(results: Mapping[str, Any], task: str) -> TaskCalibration:
    platt = {
        label: (report["calibration"]["scale"], report["calibration"]["bias"])
        for label, report in results["tasks"][task]["per_class"].items()
        if report["threshold"] is not None  # else no validation record had the label, and nothing was learned of it
    }
    options = results["options"]
    return TaskCalibration(
        task=task,
        dataset=results["dataset"],
        phrases=check_labels(load_label_set(task)),
        platt=platt,
        templates=tuple(options["templates"]),
        pooling=options["pooling"],
    )
