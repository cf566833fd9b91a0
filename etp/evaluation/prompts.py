"""Label sets as prompts: which phrases state a label, and the score they give every ECG."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from datasets_scripts.label_sets import LABEL_TASKS, label_set_versions, load_absent_phrases, load_label_set
from modeling_etp.modeling_etp import ETPModel
from modeling_etp.zero_shot_etp import (
    NEUTRAL_PHRASES,
    LabelEmbeddings,
    check_labels,
    check_templates,
    embed_labels,
    evaluation_mode,
    label_logits,
)

DEFAULT_TASKS = {"ptb_xl": ("superclass", "subclass", "form", "rhythm"), "cpsc2018": ("cpsc2018",)}
CONTRASTS = ("none", "neutral", "denied")
OVER_89 = 90  # how the builders write an age that the archive gives as "over 89"
_ROWS_AT_ONCE = 2048


@dataclass(frozen=True)
class LabelPrompts:
    """The labels of a task, the phrases that state each, and where both come from.

    Attributes:
        column: Label column of the data set.
        denials: Label -> phrases that deny it, where asked for.
        source: What is written beside the results: versions of the label set, or the file given.
    """

    task: str
    column: str
    phrases: dict[str, tuple[str, ...]]
    denials: dict[str, tuple[str, ...]] | None
    source: dict[str, str]

    @property
    def labels(self) -> list[str]:
        return list(self.phrases)


@dataclass(frozen=True)
class PromptOptions:
    """How phrases become one score per label.

    Attributes:
        templates: Sentences around each phrase; a phrase is the normalised mean over them.
        pooling: "logsumexp", "mean" or "max" over the phrases of a label.
        contrast: What is taken off a label's logit: "none", the logit of "neutral" phrases that suit any ECG, or that
            of the phrases by which the label is "denied".
        interpret_labels: Whether phrases that are lists, descriptions or negations are taken apart, see `embed_labels`.
    """

    templates: Sequence[str] = ("{}",)
    pooling: str = "logsumexp"
    contrast: str = "none"
    interpret_labels: bool = True

    def __post_init__(self):
        check_templates(self.templates)
        if self.contrast not in CONTRASTS:
            raise ValueError(f"--contrast must be one of {', '.join(CONTRASTS)}, got {self.contrast!r}.")


def load_prompts(
    dataset: str, tasks: Sequence[str] | None = None, *, file: Path | None = None, contrast: str = "none"
) -> list[LabelPrompts]:
    """Prompts of every task, built in or from a file `{task: {label: [phrases]}}`.

    Raises:
        ValueError: If a task is unknown, of another data set, asked for twice or not in the file; names the tasks.
    """
    own = _read_prompts(file) if file is not None else None
    if own is not None:
        tasks = list(own) if tasks is None else tasks
        if missing := [task for task in tasks if task not in own]:
            raise ValueError(f"--prompts {file} has no task {', '.join(missing)}; it has {', '.join(own)}.")
    return [_prompts_of(task, own, file, contrast) for task in label_columns(dataset, tasks)]


def label_columns(dataset: str, tasks: Sequence[str] | None = None) -> dict[str, str]:
    """Task -> label column of the data set, for the tasks asked for or the usual ones.

    Raises:
        ValueError: If a task is unknown, of another data set, or asked for twice.
    """
    if dataset not in DEFAULT_TASKS:
        raise ValueError(
            f"--dataset {dataset}: no label set is known for its labels. evaluate_retrieval.py judges a model by reports."
        )
    tasks = DEFAULT_TASKS[dataset] if tasks is None else tasks
    available = [task for task, (owner, _) in LABEL_TASKS.items() if owner == dataset]
    for task in tasks:
        if task not in available:
            elsewhere = f" It is a task of {LABEL_TASKS[task][0]}." if task in LABEL_TASKS else ""
            raise ValueError(f"--tasks: {dataset} has no task {task!r}; it has {', '.join(available)}.{elsewhere}")
    if not tasks or len(set(tasks)) < len(tasks):
        raise ValueError(f"--tasks takes each task once, got {' '.join(tasks) or 'none'}.")
    return {task: LABEL_TASKS[task][1] for task in tasks}


def _prompts_of(task: str, own: dict | None, file: Path | None, contrast: str) -> LabelPrompts:
    column = LABEL_TASKS[task][1]
    if own is None:
        phrases, source = check_labels(load_label_set(task)), label_set_versions(task)
    else:
        phrases, source = check_labels(own[task]), {"file": str(file)}
    denials = None
    if contrast == "denied":
        denied = load_absent_phrases(task)
        if missing := [label for label in phrases if not denied.get(label)]:
            raise ValueError(f"--contrast denied: no phrase denies {', '.join(missing)} of task {task!r}.")
        denials = check_labels({label: denied[label] for label in phrases})
    return LabelPrompts(task, column, phrases, denials, source)


def _read_prompts(file: Path) -> dict[str, dict[str, list[str]]]:
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"--prompts {file} can't be read as JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()) or not content:
        raise ValueError(f'--prompts {file} must hold {{"task": {{"label": ["phrase", …]}}}}.')
    return content


def describe(age: int | None, sex: str | None) -> str:
    """Age and sex as the beginning of a text.

    Example:
        >>> describe(72, "female")
        '72-year-old woman. '
    """
    person = {"female": "woman", "male": "man", None: "patient"}[sex]
    if age is None:
        return "" if sex is None else f"{person.capitalize()}. "
    if age >= OVER_89:
        return f"{person.capitalize()} over 89 years old. "
    return f"{age}-year-old {person}. "


@torch.inference_mode()
def score_labels(
    model: ETPModel,
    tokenizer,
    prompts: LabelPrompts,
    ecg_embeds: Tensor,
    options: PromptOptions,
    *,
    descriptions: Sequence[str] | None = None,
) -> Tensor:
    """Zero-shot score of every ECG and label, float32 on the CPU, shape `(ecgs, labels)`.

    Args:
        ecg_embeds: L2-normalised, shape `(ecgs, projection_dim)`.
        descriptions: Text put before each phrase, one per ECG; none if omitted.
    """
    with evaluation_mode(model):
        return _described_scores(model, tokenizer, prompts, ecg_embeds, options, descriptions)


def _described_scores(
    model: ETPModel,
    tokenizer,
    prompts: LabelPrompts,
    ecg_embeds: Tensor,
    options: PromptOptions,
    descriptions: Sequence[str] | None,
) -> Tensor:
    if descriptions is None:
        return _scores(model, tokenizer, prompts, ecg_embeds, options)
    scores = torch.empty(len(ecg_embeds), len(prompts.labels))
    rows_of: dict[str, list[int]] = {}
    for row, description in enumerate(descriptions):
        rows_of.setdefault(description, []).append(row)
    for description, rows in rows_of.items():
        described = replace(options, templates=[description + template for template in options.templates])
        scores[rows] = _scores(model, tokenizer, prompts, ecg_embeds[rows], described)
    return scores


def _scores(model: ETPModel, tokenizer, prompts: LabelPrompts, ecg_embeds: Tensor, options: PromptOptions) -> Tensor:
    def logits(labels: LabelEmbeddings) -> Tensor:
        return torch.cat(
            [
                label_logits(rows, labels, model.get_logit_scale().to(rows.device), pooling=options.pooling)
                for rows in ecg_embeds.split(_ROWS_AT_ONCE)
            ]
        )

    def embed(phrases, *, interpret_labels: bool = True) -> LabelEmbeddings:
        return embed_labels(model, tokenizer, phrases, templates=options.templates, interpret_labels=interpret_labels)

    scores = logits(embed(prompts.phrases, interpret_labels=options.interpret_labels))
    if options.contrast == "neutral":
        scores = scores - logits(embed({"neutral": NEUTRAL_PHRASES}))
    elif options.contrast == "denied":
        # The logit of the denial as the model reads it; by rule it would be that of the label over again.
        scores = scores - logits(embed(prompts.denials, interpret_labels=False))
    return scores.float().cpu()
