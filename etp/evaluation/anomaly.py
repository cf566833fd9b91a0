"""Normal against anything else: by phrases, and by distance to normal ECGs of the training split."""

import numpy as np
import torch
from torch import Tensor

from datasets_scripts.archives import find_archive

from .task_metrics import TaskRecords

NEIGHBOURS = 10
_ROWS_AT_ONCE = 1024


def normal_class(dataset: str) -> tuple[str, str]:
    """The task and the label of it that tell normal ECGs of a data set from all others.

    Raises:
        ValueError: If no label of the data set does.
    """
    normal = find_archive(dataset).normal
    if normal is None:
        raise ValueError(f"--anomaly: no label of {dataset} is known to mean a normal ECG. Leave --anomaly out.")
    return normal


def anomaly_records(records: TaskRecords, normal: str) -> TaskRecords:
    """The one label "anomaly": any label of the task but `normal`."""
    abnormal = [index for index, label in enumerate(records.labels) if label != normal]
    return TaskRecords(
        ["anomaly"],
        records.targets[:, abnormal].sum(axis=1, keepdims=True) > 0,
        records.evaluated,
        records.validation,
        records.patient,
    )


def only_normal(targets: np.ndarray, labels: list[str], normal: str) -> np.ndarray:
    """Records that are called `normal` and nothing else; `(records, labels)` -> boolean `(records,)`."""
    return targets[:, labels.index(normal)] & (targets.sum(axis=1) == 1)


def zero_shot_anomaly(scores: np.ndarray, labels: list[str], normal: str) -> np.ndarray:
    """How much better the most likely abnormal label fits than `normal`; `(records, labels)` -> `(records, 1)`."""
    column = labels.index(normal)
    return (np.delete(scores, column, axis=1).max(axis=1) - scores[:, column])[:, None]


def distance_anomaly(ecg_embeds: Tensor, normal_embeds: Tensor) -> Tensor:
    """Mean cosine distance to the ten nearest normal training ECGs.

    Args:
        ecg_embeds: L2-normalised, `(records, dim)`.
        normal_embeds: L2-normalised embeddings of normal training ECGs, `(normals, dim)`.

    Returns:
        Shape `(records, 1)`.

    Raises:
        ValueError: If there is no normal training ECG.
    """
    if len(normal_embeds) == 0:
        raise ValueError("The training split holds no normal ECG to measure a distance to; leave --anomaly out.")
    nearest = min(NEIGHBOURS, len(normal_embeds))
    similarity = [
        (rows @ normal_embeds.T).topk(nearest, dim=1).values.mean(dim=1, keepdim=True)
        for rows in ecg_embeds.split(_ROWS_AT_ONCE)
    ]
    return 1 - torch.cat(similarity)
