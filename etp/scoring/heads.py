"""Outputs of a classifier that was fine-tuned on one label task or several."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modeling_etp.configuration_etp import ETPEcgConfig


def output_names(tasks: Mapping[str, Sequence[str]]) -> list[str]:
    """Names of the outputs for the labels of each task; of several tasks, which may share labels, `task/label`."""
    several = len(tasks) > 1
    return [f"{task}/{label}" if several else label for task, labels in tasks.items() for label in labels]


def task_slices(tasks: Mapping[str, Sequence[str]]) -> dict[str, slice]:
    """Task -> its outputs, for tasks with their labels in the order of the outputs."""
    ends = np.cumsum([len(labels) for labels in tasks.values()])
    return {
        task: slice(int(end) - len(labels), int(end)) for (task, labels), end in zip(tasks.items(), ends, strict=True)
    }


def tasks_of(config: ETPEcgConfig) -> dict[str, list[str]]:
    """Task -> its labels in the order of the outputs, as `etp finetune` left them.

    Raises:
        ValueError: If the configuration doesn't say.
    """
    id2label: Any = config.id2label
    names = [id2label[index] for index in range(len(id2label))]
    if config.label_tasks is None:
        raise ValueError(
            "the classifier doesn't say which label tasks it was trained on: set `label_tasks` of its configuration, the "
            "task of each label, as `etp finetune` does."
        )
    several = len(set(config.label_tasks)) > 1
    tasks: dict[str, list[str]] = {}
    for task, name in zip(config.label_tasks, names, strict=True):
        tasks.setdefault(task, []).append(name.removeprefix(f"{task}/") if several else name)
    if output_names(tasks) != names:
        raise ValueError(f"`label_tasks` and `id2label` of the classifier don't fit: {config.label_tasks}, {names}.")
    return tasks
