"""Label sets as prompts: which phrases state a label, and the score they give every ECG."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from datasets_scripts.archives import find_archive
from datasets_scripts.label_sets import LABEL_TASKS, label_set_versions, load_label_set, load_negated_phrases
from etp.prompts_file import Phrases, read_prompts
from etp.scoring.labels import label_columns
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

CONTRASTS = ("none", "neutral", "negated")
OVER_89 = 90  # how the builders write an age that the archive gives as "over 89"
_ROWS_AT_ONCE = 2048


@dataclass(frozen=True)
class LabelPrompts:
    """The labels of a task, the phrases that state each, and where both come from.

    Attributes:
        column: Label column of the data set.
        phrases: Label -> phrases that state it; empty until [`LabelPrompts.complete`] where the labels are only known
            from the data.
        negations: Label -> phrases that negate it, where asked for.
        source: What is written beside the results: versions of the label set, or the file given.
    """

    task: str
    column: str
    phrases: Phrases
    negations: Phrases | None
    source: dict[str, str]

    @property
    def labels(self) -> list[str]:
        return list(self.phrases)

    def complete(self, labels: Sequence[str]) -> "LabelPrompts":
        """With each of the data set's labels as its own phrase, where no phrases are known."""
        return self if self.phrases else replace(self, phrases=check_labels(labels))


@dataclass(frozen=True)
class PromptOptions:
    """How phrases become one score per label.

    Attributes:
        templates: Sentences around each phrase; a phrase is the normalised mean over them.
        pooling: "logsumexp", "mean" or "max" over the phrases of a label.
        contrast: What is taken off a label's logit: "none", the logit of "neutral" phrases that suit any ECG, or that
            of the phrases by which the label is "negated".
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
    dataset: str,
    tasks: Sequence[str] | None = None,
    *,
    file: Path | None = None,
    names: Path | None = None,
    contrast: str = "none",
    flag: str = "--prompts",
) -> list[LabelPrompts]:
    """Prompts of every task: from a file, from the label set of the task, or its labels themselves.

    Args:
        dataset: Name of the archive.
        tasks: Of the archive; the usual ones, or those of the file, if omitted.
        file: `{task: {label: [phrases]}}`, or `{label: [phrases]}`, of which each task takes its own labels where there
            are several; a label without phrases is its own.
        names: File of what its names are called here, see `etp.prompts_file.read_names`.
        contrast: See [`PromptOptions`].
        flag: What gave the file, for errors.

    Raises:
        ValueError: If a task is unknown, of another data set, asked for twice or not in the file; names the tasks.
    """
    own = read_prompts(file, flag=flag, names=names) if file is not None else None
    if own is not None and "" in own:  # the labels of one task
        columns = label_columns(dataset, tasks)
        own = dict.fromkeys(columns, own[""]) if len(columns) == 1 else _dealt(own[""], [*columns], f"{flag} {file}")
    if own is not None:
        if tasks is None and (unknown := [task for task in own if task not in find_archive(dataset).tasks]):
            raise ValueError(
                f"{flag} {file}: {dataset} has no task {', '.join(map(repr, unknown))}; it has "
                f"{', '.join(find_archive(dataset).tasks)}. Call the tasks of the file as the data set does."
            )
        tasks = list(own) if tasks is None else tasks
        if missing := [task for task in tasks if task not in own]:
            raise ValueError(f"{flag} {file} has no task {', '.join(missing)}; it has {', '.join(own)}.")
    columns = label_columns(dataset, tasks)
    if own is None:
        return [_prompts_of(task, column, contrast) for task, column in columns.items()]
    source = {"file": str(file)}
    return [
        LabelPrompts(task, column, own[task], _negations(task, own[task], contrast), source)
        for task, column in columns.items()
    ]


def _dealt(phrases: Phrases, tasks: list[str], where: str) -> dict[str, Phrases]:
    """Task -> those of the labels that are its own; a label of several tasks goes to each."""
    labels = {task: load_label_set(task) if task in LABEL_TASKS else {} for task in tasks}
    own = {task: {label: phrases[label] for label in labels[task] if label in phrases} for task in tasks}
    unknown = [label for label in phrases if not any(label in of_task for of_task in own.values())]
    empty = [task for task in tasks if not own[task]]
    if unknown or empty:
        what = (
            f"{', '.join(map(repr, unknown))} are labels of none" if unknown else f"no label is of {', '.join(empty)}"
        )
        raise ValueError(
            f"{where} names no tasks, and {len(tasks)} are evaluated, {', '.join(tasks)}: {what}. Name the tasks it is for by "
            '--tasks, write {"task": {"label": ["phrase", …]}}, or say by --prompt_names what its names are called here.'
        )
    return own


def _prompts_of(task: str, column: str, contrast: str) -> LabelPrompts:
    """Prompts of a task without a file of one's own."""
    if task in LABEL_TASKS:
        phrases, source = check_labels(load_label_set(task)), label_set_versions(task)
    else:
        phrases, source = {}, {"labels": "each label is its own phrase"}
    return LabelPrompts(task, column, phrases, _negations(task, phrases, contrast), source)


def _negations(task: str, phrases: Phrases, contrast: str) -> Phrases | None:
    if contrast != "negated":
        return None
    negated = load_negated_phrases(task) if task in LABEL_TASKS else {}
    if missing := [label for label in phrases or ["the labels"] if not negated.get(label)]:
        raise ValueError(f"--contrast negated: no phrase negates {', '.join(missing)} of task {task!r}.")
    return check_labels({label: negated[label] for label in phrases})


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
    elif options.contrast == "negated":
        # The logit of the negation as the model reads it; by rule it would be that of the label over again.
        scores = scores - logits(embed(prompts.negations, interpret_labels=False))
    return scores.float().cpu()
