"""Retrieval between ECGs and reports: recall and median rank with intervals, and what chance would reach."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from etp.retrieval import RECALL_AT, certain_recalls, retrieval_metrics, retrieval_ranks

from .intervals import bootstrap_weights, percentile_interval


def report_retrieval(
    ecg_embeds: Tensor,
    text_embeds: Tensor,
    text_index: np.ndarray,
    patient: np.ndarray,
    *,
    num_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Metrics of [`~etp.retrieval.retrieval_metrics`] with 95% intervals and chance.

    Intervals resample the queries, patients for ECGs and texts for texts; what is searched stays as it is. Where there
    are so few texts that any model reaches a recall, `note` says so.

    Args:
        ecg_embeds: Shape `(ecgs, dim)`.
        text_embeds: Of the distinct texts, `(texts, dim)`.
        text_index: Row of each ECG's text, `(ecgs,)`.
        patient: Patient number of each ECG, `(ecgs,)`.
    """
    index = torch.from_numpy(text_index)
    report: dict[str, Any] = dict(retrieval_metrics(ecg_embeds, text_embeds, index))
    report["intervals_95"] = {}
    if num_resamples:
        ecg_ranks, text_ranks = (ranks.cpu().numpy() for ranks in retrieval_ranks(ecg_embeds, text_embeds, index))
        patients = np.unique(patient, return_inverse=True)[1]
        for direction, ranks, groups in (
            ("ecg_to_text", ecg_ranks, patients),
            ("text_to_ecg", text_ranks, np.arange(len(text_ranks))),
        ):
            weights = bootstrap_weights(groups, num_resamples=num_resamples, seed=seed)
            for name, values in _resampled(ranks, weights).items():
                report["intervals_95"][f"{direction}_{name}"] = percentile_interval(values).tolist()
    report["baselines"] = {"chance": chance(text_index, num_texts=len(text_embeds))}
    certain = certain_recalls(index, num_texts=len(text_embeds))
    if certain:
        report["note"] = (
            f"{len(text_index)} ECGs have {len(text_embeds)} different text{'s' if len(text_embeds) > 1 else ''}, so any model "
            f"reaches 100% in {', '.join(certain)}; these say nothing about this one."
        )
    return report


def chance(text_index: np.ndarray, *, num_texts: int) -> dict[str, float]:
    """Exact recall and median rank of an order drawn at random.

    With `right` right candidates among `candidates`, the first right one is beaten by at least k wrong ones with the
    probability that k draws without replacement all are wrong.
    """
    ecgs_of_text = np.bincount(text_index, minlength=num_texts)
    result: dict[str, float] = {}
    for direction, right, candidates in (
        ("ecg_to_text", np.ones(len(text_index)), num_texts),
        ("text_to_ecg", ecgs_of_text[ecgs_of_text > 0], len(text_index)),
    ):
        values, counts = np.unique(right, return_counts=True)
        draws = np.arange(candidates)
        all_wrong = np.maximum(candidates - values[:, None] - draws, 0) / (candidates - draws)
        reached = 1 - np.average(np.cumprod(all_wrong, axis=1), axis=0, weights=counts)  # rank <= 1, 2, …
        result |= {f"{direction}_recall_at_{k}": float(reached[min(k, candidates) - 1]) for k in RECALL_AT}
        result[f"{direction}_median_rank"] = float(1 + np.argmax(reached >= 0.5 - 1e-12))
    return result


def _resampled(ranks: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Recall and median rank in every resample; weights are `(queries, resamples)`."""
    total = weights.sum(axis=0)
    values = {f"recall_at_{k}": (ranks <= k).astype(float) @ weights / total for k in RECALL_AT}
    order = np.argsort(ranks)
    below = weights[order].cumsum(axis=0)
    values["median_rank"] = ranks[order][(below >= total / 2).argmax(axis=0)]
    return values
