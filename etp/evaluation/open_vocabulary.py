"""Open vocabulary: wordings that no training text has, one wording at a time, and prompts that deny or contradict a label."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

import datasets_scripts.label_sets as label_sets
from modeling_etp.modeling_etp import ETPModel
from modeling_etp.zero_shot_etp import embed_texts

from .intervals import bootstrap_weights, percentile_interval
from .metrics import macro, ranking_metrics
from .prompts import LabelPrompts, PromptOptions, score_labels
from .reports import TaskRecords

FOLDER = Path(label_sets.__file__).parent / "open_vocabulary"
UNSEEN = FOLDER / "unseen.json"
NEGATIONS = FOLDER / "negations.json"
_ARTICLES = {"a", "an", "the"}


def wording_key(text: str) -> tuple[str, ...]:
    """What two texts share that are the same wording up to case, punctuation, articles, plurals and order of words.

    Example:
        >>> wording_key("The T-waves, inverted") == wording_key("inverted T wave")
        True
    """
    words = re.findall(r"[^\W_]+", text.casefold())
    return tuple(sorted(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in {*words} - _ARTICLES))


def known_wordings(prompts: Iterable[LabelPrompts], texts: Iterable[str]) -> list[str]:
    """Phrases of the prompts that are the wording of one of the texts, each once."""
    keys = {wording_key(text) for text in texts}
    phrases = (phrase for prompt in prompts for own in prompt.phrases.values() for phrase in own)
    return [phrase for phrase in dict.fromkeys(phrases) if wording_key(phrase) in keys]


def report_single_wordings(
    model: ETPModel,
    tokenizer,
    prompts: LabelPrompts,
    ecg_embeds: Tensor,
    records: TaskRecords,
    *,
    num_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """AUROC of every phrase as the only one of its label, with the mean over phrases, then labels, and its interval.

    Args:
        ecg_embeds: Of the records of `records`, one each, `(records, projection_dim)`.
    """
    owners = [(row, phrase) for row, own in enumerate(prompts.phrases.values()) for phrase in own]
    alone = replace(prompts, phrases={f"{row} {phrase}": (phrase,) for row, phrase in owners})
    scores = score_labels(model, tokenizer, alone, ecg_embeds, PromptOptions()).numpy()
    label = np.array([row for row, _ in owners])
    judged = records.evaluated
    targets = records.targets[judged][:, label]
    weights = _weights(records.cluster[judged], num_resamples, seed)
    auroc = ranking_metrics(scores[judged], targets, weights)["auroc"]
    by_label = np.stack([macro(auroc[:, label == row]) for row in range(len(records.labels))], axis=1)
    return {
        "macro_auroc": float(macro(by_label[0])),
        "intervals_95": {"macro_auroc": percentile_interval(macro(by_label[1:])).tolist()} if num_resamples else {},
        "per_phrase": {
            name: {phrase: float(value) for (row, phrase), value in zip(owners, auroc[0], strict=True) if row == index}
            for index, name in enumerate(records.labels)
        },
    }


@dataclass(frozen=True)
class Negation:
    """A statement of a label, texts that deny it in its own words, and texts that cannot be true beside it."""

    label: str
    stated: str
    denied: tuple[str, ...]
    contradicted: tuple[str, ...]


def load_negations(labels: Mapping[str, Sequence[str]], file: Path = NEGATIONS) -> dict[str, list[Negation]]:
    """Negations of those labels that the file speaks of, by task.

    Args:
        labels: Task -> its labels.

    Raises:
        ValueError: If the file is malformed; says what it must hold.
    """
    content = json.loads(Path(file).read_text(encoding="utf-8"))
    try:
        return {
            task: [
                Negation(
                    label,
                    entry["stated"],
                    tuple(denial.replace("{}", entry["stated"]) for denial in content["denials"]),
                    tuple(entry["contradicted"]),
                )
                for label, entry in content["tasks"][task].items()
                if label in own
            ]
            for task, own in labels.items()
            if task in content["tasks"]
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{file} must hold {{"denials": ["no {{}}", …], "tasks": {{task: {{label: {{"stated": "…", '
            f'"contradicted": ["…"]}}}}}}}}; {error} is missing or of another kind.'
        ) from error


def states(statements: Sequence[Iterable[str]], phrases: Iterable[str]) -> np.ndarray:
    """Which records state one of the phrases, in any order of words, boolean `(records,)`."""
    keys = {wording_key(phrase) for phrase in phrases}
    return np.array([any(wording_key(text) in keys for text in record) for record in statements])


def report_negations(
    model: ETPModel,
    tokenizer,
    negations: Mapping[str, Sequence[Negation]],
    ecg_embeds: Tensor,
    records: Mapping[str, tuple[np.ndarray, TaskRecords]],
    stating: Mapping[str, Mapping[str, np.ndarray]],
    cluster: np.ndarray,
    *,
    num_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """How a model takes "no X" and what contradicts X, over the labels of all tasks.

    `denied_below_stated` is the share of (label, record, denial) whose denial scores below the statement, among records
    that state the label; `macro_auroc_denied` judges the mean similarity to the denials as if it were a score for the
    label: a model that reads the "no" is below 0.5. The same for `contradicted`, and the AUROC of the statement itself.

    Args:
        ecg_embeds: Of all judged records, `(records, projection_dim)`.
        records: Task -> which of the judged records carry a label of it, `(records,)`, and what is known of those.
        stating: Task -> label -> which of the judged records state it, boolean `(records,)`.
        cluster: Patient number of each judged record, `(records,)`.
    """
    weights = _weights(cluster, num_resamples, seed)
    figures: dict[str, dict[str, np.ndarray]] = {}
    counts: dict[str, dict[str, np.ndarray]] = {"denied": {}, "contradicted": {}}
    num_pairs = 0
    for task, entries in negations.items():
        labelled, task_records = records[task]
        for entry in entries:
            name = f"{task}/{entry.label}"
            texts = [entry.stated, *entry.denied, *entry.contradicted]
            similarity = (ecg_embeds @ embed_texts(model, tokenizer, texts).cpu().T).numpy()
            stated, rest = similarity[:, 0], similarity[:, 1:]
            parts = {"denied": rest[:, : len(entry.denied)], "contradicted": rest[:, len(entry.denied) :]}
            own = weights[stating[task][entry.label]]
            num_pairs += int(stating[task][entry.label].sum())
            target = task_records.targets[:, task_records.labels.index(entry.label)]
            figures[name] = {"auroc_stated": _auroc(stated[labelled], target, weights[labelled])}
            for part, values in parts.items():
                below = (values < stated[:, None]).mean(axis=1)[stating[task][entry.label]]
                counts[part][name] = np.stack([below @ own, own.sum(axis=0)])
                figures[name][f"{part}_below_stated"] = _share(counts[part][name])
                figures[name][f"auroc_{part}"] = _auroc(values.mean(axis=1)[labelled], target, weights[labelled])
    total = {f"{part}_below_stated": _share(np.sum([*own.values()], axis=0)) for part, own in counts.items()}
    for metric in ("auroc_stated", "auroc_denied", "auroc_contradicted"):
        total[f"macro_{metric}"] = macro(np.stack([own[metric] for own in figures.values()], axis=-1))
    return {
        **_with_intervals(total, num_resamples),
        "num_records": len(cluster),
        "num_pairs": num_pairs,
        "per_class": {name: _with_intervals(own, num_resamples) for name, own in figures.items()},
    }


def _weights(cluster: np.ndarray, num_resamples: int, seed: int) -> np.ndarray:
    """Once as they are, then the resamples: `(records, 1 + resamples)`."""
    ones = np.ones((len(cluster), 1))
    if not num_resamples:
        return ones
    compact = np.unique(cluster, return_inverse=True)[1]
    return np.hstack([ones, bootstrap_weights(compact, num_resamples=num_resamples, seed=seed)])


def _auroc(scores: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return ranking_metrics(scores[:, None], target[:, None], weights)["auroc"][:, 0]


def _share(count: np.ndarray) -> np.ndarray:
    """Hits over all, NaN where there is none."""
    hits, total = count
    return np.where(total > 0, hits / np.maximum(total, 1), np.nan)


def _with_intervals(figures: Mapping[str, np.ndarray], num_resamples: int) -> dict[str, Any]:
    """The figure of the records as they are, and the interval of the resamples that follow it."""
    intervals = {name: percentile_interval(values[1:]).tolist() for name, values in figures.items() if num_resamples}
    return {**{name: float(values[0]) for name, values in figures.items()}, "intervals_95": intervals}
