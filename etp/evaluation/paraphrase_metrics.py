"""Open vocabulary: paraphrases that no training text has, one paraphrase at a time, and prompts that negate or contradict a label."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from etp.scoring.metrics import macro, ranking_metrics

from .arguments import NEGATIONS
from .intervals import bootstrap_weights, percentile_interval
from .prompts import LabelPrompts
from .task_metrics import TaskRecords

Score = Callable[[LabelPrompts], Sequence[np.ndarray]]  # labels -> scores (records, labels), model and untrained twin
_ARTICLES = {"a", "an", "the"}


def paraphrase_key(text: str) -> tuple[str, ...]:
    """What two texts share that are the same paraphrase up to case, punctuation, articles, plurals and order of words.

    Example:
        >>> paraphrase_key("The T-waves, inverted") == paraphrase_key("inverted T wave")
        True
    """
    words = re.findall(r"[^\W_]+", text.casefold())
    return tuple(sorted(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in {*words} - _ARTICLES))


def known_paraphrases(prompts: Iterable[LabelPrompts], texts: Iterable[str]) -> list[str]:
    """Phrases of the prompts that are the paraphrase of one of the texts, each once."""
    keys = {paraphrase_key(text) for text in texts}
    phrases = (phrase for prompt in prompts for own in prompt.phrases.values() for phrase in own)
    return [phrase for phrase in dict.fromkeys(phrases) if paraphrase_key(phrase) in keys]


def one_at_a_time(prompts: LabelPrompts) -> LabelPrompts:
    """Every phrase as a label of its own, in the order of the labels."""
    owners = [(row, phrase) for row, own in enumerate(prompts.phrases.values()) for phrase in own]
    return replace(prompts, phrases={f"{row} {phrase}": (phrase,) for row, phrase in owners})


def single_paraphrase_metrics(
    scores: np.ndarray, prompts: LabelPrompts, records: TaskRecords, *, num_resamples: int, seed: int
) -> dict[str, Any]:
    """AUROC of every phrase as the only one of its label, with the mean over phrases, then labels, and its interval.

    Args:
        scores: Of the labels of [`one_at_a_time`], `(records, phrases)`.
    """
    owners = [(row, phrase) for row, own in enumerate(prompts.phrases.values()) for phrase in own]
    label = np.array([row for row, _ in owners])
    evaluated = records.evaluated
    targets = records.targets[evaluated][:, label]
    weights = _weights(records.patient[evaluated], num_resamples, seed)
    auroc = ranking_metrics(scores[evaluated], targets, weights)["auroc"]
    by_label = np.stack([macro(auroc[:, label == row]) for row in range(len(records.labels))], axis=1)
    return {
        **_with_intervals({"macro_auroc": macro(by_label)}, num_resamples),
        "per_class": {
            name: {
                **_with_intervals({"auroc": by_label[:, row]}, num_resamples),
                "num_positive": int(records.targets[evaluated][:, row].sum()),
            }
            for row, name in enumerate(records.labels)
        },
        "per_phrase": {
            name: {phrase: float(value) for (row, phrase), value in zip(owners, auroc[0], strict=True) if row == index}
            for index, name in enumerate(records.labels)
        },
    }


@dataclass(frozen=True)
class Negation:
    """A statement of a label, texts that negate it in its own words, and texts that cannot be true beside it."""

    label: str
    stated: str
    negated: tuple[str, ...]
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
                    tuple(negation.replace("{}", entry["stated"]) for negation in content["negations"]),
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
            f'{file} must hold {{"negations": ["no {{}}", …], "tasks": {{task: {{label: {{"stated": "…", '
            f'"contradicted": ["…"]}}}}}}}}; {error} is missing or of another kind.'
        ) from error


def states(statements: Sequence[Iterable[str]], phrases: Iterable[str]) -> np.ndarray:
    """Which records state one of the phrases, in any order of words, boolean `(records,)`."""
    keys = {paraphrase_key(phrase) for phrase in phrases}
    return np.array([any(paraphrase_key(text) in keys for text in record) for record in statements])


def report_negations(
    similarity: Callable[[list[str]], np.ndarray],
    negations: Mapping[str, Sequence[Negation]],
    records: Mapping[str, tuple[np.ndarray, TaskRecords]],
    stating: Mapping[str, Mapping[str, np.ndarray]],
    patient: np.ndarray,
    *,
    num_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """How a model takes "no X" and what contradicts X, over the labels of all tasks.

    `negated_below_stated` is the fraction of (label, record, negation) whose negation scores below the statement, among records
    that state the label; `macro_auroc_negated` evaluates the mean similarity to the negations as if it were a score for the
    label: a model that reads the "no" is below 0.5. The same for `contradicted`, and the AUROC of the statement itself.

    Args:
        similarity: Texts -> cosine similarity of all evaluated records to each, `(records, texts)`.
        records: Task -> which of the evaluated records carry a label of it, `(records,)`, and what is known of those.
        stating: Task -> label -> which of the evaluated records state it, boolean `(records,)`.
        patient: Patient number of each evaluated record, `(records,)`.
    """
    weights = _weights(patient, num_resamples, seed)
    metrics: dict[str, dict[str, np.ndarray]] = {}
    counts: dict[str, dict[str, np.ndarray]] = {"negated": {}, "contradicted": {}}
    num_pairs = 0
    for task, entries in negations.items():
        labelled, task_records = records[task]
        for entry in entries:
            name = f"{task}/{entry.label}"
            texts = [entry.stated, *entry.negated, *entry.contradicted]
            similarities = similarity(texts)
            stated, rest = similarities[:, 0], similarities[:, 1:]
            parts = {"negated": rest[:, : len(entry.negated)], "contradicted": rest[:, len(entry.negated) :]}
            own = weights[stating[task][entry.label]]
            num_pairs += int(stating[task][entry.label].sum())
            target = task_records.targets[:, task_records.labels.index(entry.label)]
            metrics[name] = {"auroc_stated": _auroc(stated[labelled], target, weights[labelled])}
            for part, values in parts.items():
                below = (values < stated[:, None]).mean(axis=1)[stating[task][entry.label]]
                counts[part][name] = np.stack([below @ own, own.sum(axis=0)])
                metrics[name][f"{part}_below_stated"] = _share(counts[part][name])
                metrics[name][f"auroc_{part}"] = _auroc(values.mean(axis=1)[labelled], target, weights[labelled])
    total = {f"{part}_below_stated": _share(np.sum([*own.values()], axis=0)) for part, own in counts.items()}
    for metric in ("auroc_stated", "auroc_negated", "auroc_contradicted"):
        total[f"macro_{metric}"] = macro(np.stack([own[metric] for own in metrics.values()], axis=-1))
    return {
        **_with_intervals(total, num_resamples),
        "num_records": len(patient),
        "num_pairs": num_pairs,
        "per_class": {name: _with_intervals(own, num_resamples) for name, own in metrics.items()},
    }


def _weights(patient: np.ndarray, num_resamples: int, seed: int) -> np.ndarray:
    """Once as they are, then the resamples: `(records, 1 + resamples)`."""
    ones = np.ones((len(patient), 1))
    if not num_resamples:
        return ones
    compact = np.unique(patient, return_inverse=True)[1]
    return np.hstack([ones, bootstrap_weights(compact, num_resamples=num_resamples, seed=seed)])


def _auroc(scores: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return ranking_metrics(scores[:, None], target[:, None], weights)["auroc"][:, 0]


def _share(count: np.ndarray) -> np.ndarray:
    """Hits over all, NaN where there is none."""
    hits, total = count
    return np.where(total > 0, hits / np.maximum(total, 1), np.nan)


def _with_intervals(metrics: Mapping[str, np.ndarray], num_resamples: int) -> dict[str, Any]:
    """The figure of the records as they are, and the interval of the resamples that follow it."""
    intervals = {name: percentile_interval(values[1:]).tolist() for name, values in metrics.items() if num_resamples}
    return {**{name: float(values[0]) for name, values in metrics.items()}, "intervals_95": intervals}
