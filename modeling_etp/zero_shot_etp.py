"""Zero-shot classification: phrases and templates -> label embeddings -> a logit per ECG and label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .evaluation_mode_etp import evaluation_mode
from .prompt_grammar_etp import Prompt, read_prompt
from .text_limits_etp import cut_texts, longest_text, warn_of_cut_texts

if TYPE_CHECKING:
    from .modeling_etp import ETPModel

PHRASE_POOLINGS = ("logsumexp", "mean", "max")

# Between the mean of a prompt's alternatives (infinite) and the log-sum-exp (1), which follows one wrong alternative.
# Of 1, 2, 4, 8 it ranked the ECGs of PTB-XL's validation fold best by lists and descriptions of others (docs/log.md).
ALTERNATIVES_TEMPERATURE = 2.0
# What may be said of any ECG. Each alone leans to something ("electrocardiogram" to a normal one), eight together hardly do.
NEUTRAL_PHRASES = (
    "12-lead ECG",
    "12-lead electrocardiogram",
    "resting ECG",
    "ECG recording",
    "ECG tracing",
    "recording of the electrical activity of the heart",
    "a tracing",
    "patient",
)


@dataclass(frozen=True)
class Negations:
    """The findings that prompts negate, and the zero from which their logits are counted.

    Attributes:
        embeds: Of the findings, L2-normalised, shape `(findings, projection_dim)`.
        phrase: The phrase that negates each, shape `(findings,)`.
        alone: Which phrases state nothing but an absence, bool `(phrases,)`.
        neutral_embeds: Of what may be said of any ECG, `(neutral, projection_dim)`; `None` where the model has a bias.
        logit_bias: Of a SigLIP model, else 0.
    """

    embeds: Tensor
    phrase: Tensor
    alone: Tensor
    neutral_embeds: Tensor | None
    logit_bias: float


@dataclass(frozen=True)
class LabelEmbeddings:
    """The phrases of every label as unit vectors.

    Attributes:
        labels: Label names, in the order given.
        phrase_embeds: L2-normalised, shape `(phrases, projection_dim)`.
        label_index: Which label each phrase states, shape `(phrases,)`.
        prompt_index: Which prompt each phrase is an alternative of, in their order, shape `(phrases,)`; `None` where each
            is a prompt of its own.
        is_whole: Which phrases are the whole text of their prompt, beside its alternatives, bool `(phrases,)`; or `None`.
        negations: What some of the phrases negate; `None` where none does.
    """

    labels: tuple[str, ...]
    phrase_embeds: Tensor
    label_index: Tensor
    negations: Negations | None = None
    prompt_index: Tensor | None = None
    is_whole: Tensor | None = None

    @cached_property
    def alternatives_table(self) -> tuple[Tensor, Tensor] | None:
        """As `prompt_table`, of the phrases that each prompt is read as; `None` where each is a prompt of its own."""
        return None if self.prompt_index is None else _table(self.prompt_index, int(self.prompt_index[-1]) + 1)

    @cached_property
    def prompt_table(self) -> tuple[Tensor, Tensor]:
        """Numbers of each label's prompts and which of them are real, both `(labels, most prompts of a label)`."""
        labels = self.label_index
        if self.alternatives_table is not None:
            labels = labels[self.alternatives_table[0][:, 0]]
        return _table(labels, len(self.labels))


def _table(index: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Positions at which `index` has each of the numbers below `size`, padded, and which of them are real."""
    rows = [torch.nonzero(index == number).flatten() for number in range(size)]
    table = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    counts = torch.tensor([len(row) for row in rows], device=table.device)
    return table, torch.arange(table.shape[1], device=table.device) < counts[:, None]


def check_labels(candidate_labels: Sequence[str] | Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Label -> its phrases; in a plain list every label is its own phrase.

    Raises:
        ValueError: If there is no label, a label or phrase is no text, or one occurs twice; says what to pass.
    """
    if isinstance(candidate_labels, str):
        raise ValueError(
            f"`candidate_labels` must be a list of labels or a mapping label -> phrases, got the string "
            f"{candidate_labels!r}. Pass [{candidate_labels!r}] for one label."
        )
    if not isinstance(candidate_labels, Mapping):
        labels = list(candidate_labels) if candidate_labels is not None else []
        _check_texts(labels, "`candidate_labels`")
        return {label: (label,) for label in labels}
    _check_texts(list(candidate_labels), "`candidate_labels`")
    checked = {}
    for label, phrases in candidate_labels.items():
        if isinstance(phrases, str):
            raise ValueError(
                f"the phrases of label {label!r} must be a list, got the string {phrases!r}. Pass [{phrases!r}]."
            )
        checked[label] = tuple(phrases)
        _check_texts(checked[label], f"the phrases of label {label!r}")
    return checked


def _check_texts(texts: Sequence[Any], what: str) -> None:
    if not texts:
        raise ValueError(
            f'{what} must not be empty. Pass at least one text, e.g. ["atrial fibrillation", "sinus rhythm"].'
        )
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{what} must be texts that are not blank, got {text!r}.")
    if len(set(texts)) < len(texts):
        repeated = sorted({text for text in texts if texts.count(text) > 1})
        raise ValueError(
            f"{what} must be distinct, got {', '.join(map(repr, repeated))} more than once. Keep one of each."
        )


def check_templates(templates: str | Sequence[str]) -> tuple[str, ...]:
    """The templates as a tuple, one given as a string too.

    Raises:
        ValueError: If there is none, or one has no `{}` for the phrase to stand in.
    """
    templates = (templates,) if isinstance(templates, str) else tuple(templates)
    if not templates:
        raise ValueError('A template is needed to put phrases in; "{}" takes them as they are.')
    for template in templates:
        if not isinstance(template, str) or "{}" not in template:
            raise ValueError(
                f'a template must hold {{}} where the phrase goes, got {template!r}. Write e.g. "ECG showing {{}}", '
                'or "{}" for the phrase as it is.'
            )
    return templates


def embed_ecgs(
    model: "ETPModel",
    feature_extractor: Any,
    ecgs: Any,
    *,
    sampling_rate: int | float,
    batch_size: int = 64,
    **extractor_kwargs: Any,
) -> Tensor:
    """Embed ECGs as unit vectors.

    Args:
        model: An [`ETPModel`].
        feature_extractor: Its [`ETPFeatureExtractor`].
        ecgs: Records as the feature extractor takes them: `(batch, leads, samples)`, or a list of `(leads, samples)`.
        sampling_rate: Of the ECGs, Hz.
        batch_size: ECGs that are run at a time.
        extractor_kwargs: `lead_names`, `units` …, see `ETPFeatureExtractor.__call__`.

    Returns:
        Shape `(ecgs, projection_dim)`, float32, on the model's device. No gradient, dropout off.
    """
    embeds = []
    with torch.no_grad(), evaluation_mode(model):
        for start in range(0, len(ecgs), batch_size):
            features = feature_extractor(
                ecgs[start : start + batch_size], sampling_rate=sampling_rate, return_tensors="pt", **extractor_kwargs
            )
            embeds.append(model.get_ecg_features(features["input_values"].to(model.device)).pooler_output)
    if not embeds:
        raise ValueError("`ecgs` is empty. Pass at least one record.")
    return torch.cat(embeds)


def embed_texts(model: "ETPModel", tokenizer: Any, texts: Sequence[str], *, batch_size: int = 64) -> Tensor:
    """Embed texts as unit vectors, each distinct text once.

    Args:
        model: An [`ETPModel`].
        tokenizer: The tokenizer of its text tower.
        texts: Any number of texts; of longer ones than the text tower takes the end is cut off, with a warning.
        batch_size: Texts that are run at a time.

    Returns:
        Shape `(texts, projection_dim)`, float32, on the model's device. No gradient, dropout off.

    Raises:
        ValueError: If `texts` is empty, a string, or holds something else than strings.
    """
    if isinstance(texts, str):
        raise ValueError(f"`texts` must be a list of texts, got the string {texts!r}. Pass [{texts!r}].")
    if not len(texts):
        raise ValueError("`texts` is empty. Pass at least one text.")
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"`texts` must hold strings, got {text!r}.")
    # By length, so that a batch holds little padding; by content, never by position.
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    row = {text: index for index, text in enumerate(distinct)}
    embeds = []
    max_tokens = longest_text(model, tokenizer)
    warn_of_cut_texts(tokenizer, distinct, max_tokens)
    with torch.no_grad(), evaluation_mode(model):
        for start in range(0, len(distinct), batch_size):
            tokens = tokenizer(
                distinct[start : start + batch_size],
                padding=True,
                truncation=True,
                max_length=max_tokens,
                return_tensors="pt",
            ).to(model.device)
            embeds.append(model.get_text_features(**tokens).pooler_output)
    return torch.cat(embeds)[[row[text] for text in texts]]


def embed_labels(
    model: "ETPModel",
    tokenizer: Any,
    candidate_labels: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    templates: str | Sequence[str] = ("{}",),
    interpret_labels: bool = True,
) -> LabelEmbeddings:
    """Embed what every label says: each of its phrases, read as [`read_prompt`] reads them.

    Args:
        model: An [`ETPModel`].
        tokenizer: The tokenizer of its text tower.
        candidate_labels: Labels, or label -> phrases that state it (as `datasets_scripts.label_sets` loads them).
        templates: Texts with `{}` in the place of the phrase. Of several, a phrase is the normalised mean of its
            embeddings (arXiv:2103.00020, section 3.1.4).
        interpret_labels: Whether lists, descriptions and negations are taken apart; `False` embeds every phrase as it is.

    Raises:
        ValueError: As [`check_labels`] and [`check_templates`].
    """
    labels = check_labels(candidate_labels)
    templates = check_templates(templates)
    phrases: list[str] = []
    label_index: list[int] = []
    prompt_index: list[int] = []
    is_whole: list[bool] = []
    negated: list[tuple[int, Prompt]] = []
    too_long = cut_texts(
        tokenizer, [phrase for own in labels.values() for phrase in own], longest_text(model, tokenizer)
    )
    for index, own in enumerate(labels.values()):
        for phrase in own:
            prompt = read_prompt(phrase, alone=len(own) == 1) if interpret_labels else Prompt((phrase,))
            stated = prompt.stated or (phrase,)
            negated += [(len(phrases) + row, prompt) for row in range(len(stated)) if prompt.negated]
            whole = [phrase] if len(stated) > 1 and not prompt.negated and phrase not in too_long else []
            phrases += [*stated, *whole]
            is_whole += [False] * len(stated) + [True] * len(whole)
            number = prompt_index[-1] + 1 if prompt_index else 0
            label_index += [index] * (len(stated) + len(whole))
            prompt_index += [number] * (len(stated) + len(whole))
    findings = [finding for _, prompt in negated for finding in prompt.negated]
    texts = [template.replace("{}", phrase) for phrase in (*phrases, *findings) for template in templates]
    embeds = embed_texts(model, tokenizer, texts).unflatten(0, (-1, len(templates)))
    embeds = F.normalize(embeds.mean(dim=1), dim=-1)
    negations = None
    if negated:
        rows = [row for row, prompt in negated for _ in prompt.negated]
        alone = torch.zeros(len(phrases), dtype=torch.bool)
        alone[[row for row, prompt in negated if not prompt.stated]] = True
        bias = model.logit_bias
        negations = Negations(
            embeds=embeds[len(phrases) :],
            phrase=torch.tensor(rows, device=embeds.device),
            alone=alone.to(embeds.device),
            neutral_embeds=embed_texts(model, tokenizer, NEUTRAL_PHRASES) if bias is None else None,
            logit_bias=0.0 if bias is None else bias.item(),
        )
    return LabelEmbeddings(
        labels=tuple(labels),
        phrase_embeds=embeds[: len(phrases)],
        label_index=torch.tensor(label_index, device=embeds.device),
        negations=negations,
        prompt_index=torch.tensor(prompt_index, device=embeds.device) if prompt_index[-1] + 1 < len(phrases) else None,
        is_whole=torch.tensor(is_whole, device=embeds.device) if any(is_whole) else None,
    )


def label_logits(
    ecg_embeds: Tensor,
    label_embeddings: LabelEmbeddings,
    logit_scale: Tensor | float,
    *,
    pooling: str = "logsumexp",
) -> Tensor:
    """Compare every ECG with every label.

    Args:
        ecg_embeds: L2-normalised, shape `(ecgs, projection_dim)`.
        label_embeddings: From [`embed_labels`].
        logit_scale: Inverse temperature.
        pooling: How the logits of a label's phrases become one. "logsumexp", minus the log of their number: any of
            them states the label, and a label gains nothing by having many. "mean" or "max". The alternatives that one
            phrase is read as are pooled before: by a log-sum-exp at the temperature 2, in which one that is wrong or
            too wide counts less, and its mean with the logit of the phrase as it was written.

    Returns:
        Shape `(ecgs, labels)`, on the device of `ecg_embeds`.

    Raises:
        ValueError: If `pooling` is none of these.
    """
    if pooling not in PHRASE_POOLINGS:
        raise ValueError(f"`pooling` must be one of {', '.join(PHRASE_POOLINGS)}, got {pooling!r}.")
    phrase_embeds = label_embeddings.phrase_embeds.to(ecg_embeds)
    logits = logit_scale * ecg_embeds @ phrase_embeds.T
    if label_embeddings.negations is not None:
        logits = _with_negations(logits, ecg_embeds, label_embeddings.negations, logit_scale, pooling)
    if label_embeddings.alternatives_table is not None:
        table, real = (tensor.to(logits.device) for tensor in label_embeddings.alternatives_table)
        is_whole = label_embeddings.is_whole
        whole = None if is_whole is None else real & is_whole.to(logits.device)[table]
        logits = _pool_alternatives(logits[:, table], real, whole)
    table, real = (tensor.to(logits.device) for tensor in label_embeddings.prompt_table)
    return _pool(logits[:, table], real, pooling)


def _pool(logits: Tensor, is_phrase: Tensor, pooling: str) -> Tensor:
    """`(ecgs, labels, phrases)` to `(ecgs, labels)`, over those phrases that are real."""
    if pooling == "max":
        return logits.masked_fill(~is_phrase, -torch.inf).amax(dim=-1)
    counts = is_phrase.sum(dim=-1)
    if pooling == "mean":
        return logits.masked_fill(~is_phrase, 0).sum(dim=-1) / counts
    return logits.masked_fill(~is_phrase, -torch.inf).logsumexp(dim=-1) - counts.log()


def _pool_alternatives(logits: Tensor, real: Tensor, whole: Tensor | None) -> Tensor:
    """`(ecgs, prompts, phrases)` to `(ecgs, prompts)`: the alternatives of each, and its whole text where that is there."""
    parts = real if whole is None else real & ~whole
    pooled = ALTERNATIVES_TEMPERATURE * _pool(logits / ALTERNATIVES_TEMPERATURE, parts, "logsumexp")
    if whole is None:
        return pooled
    own = logits.masked_fill(~whole, 0).sum(dim=-1)
    return torch.where(whole.any(dim=-1), (pooled + own) / 2, pooled)


def _with_negations(
    logits: Tensor, ecg_embeds: Tensor, negations: Negations, logit_scale: Tensor | float, pooling: str
) -> Tensor:
    """Logits of the phrases, `(ecgs, phrases)`, with what they negate.

    Counted from a zero, which is the logit of what may be said of any ECG, a finding's logit is the log odds that it is
    there. A phrase that only negates findings has the opposite of theirs. One that states something too is that and not
    they: it is charged the log probability that each is absent.
    """
    found = logit_scale * ecg_embeds @ negations.embeds.to(ecg_embeds).T
    if negations.neutral_embeds is None:
        zero = torch.full_like(found[:, :1], -negations.logit_bias)
    else:
        neutral = logit_scale * ecg_embeds @ negations.neutral_embeds.to(ecg_embeds).T
        zero = _pool(neutral[:, None], torch.ones_like(neutral[:1], dtype=torch.bool), pooling)
    columns = list(logits.unbind(dim=1))
    for row in negations.phrase.unique().tolist():
        own = found[:, (negations.phrase == row).to(found.device)]
        if negations.alone[row]:
            columns[row] = (
                2 * zero[:, 0] - _pool(own[:, None], torch.ones_like(own[:1], dtype=torch.bool), pooling)[:, 0]
            )
        else:
            columns[row] = columns[row] + F.logsigmoid(zero - own).sum(dim=1)
    return torch.stack(columns, dim=1)


__all__ = [
    "NEUTRAL_PHRASES",
    "PHRASE_POOLINGS",
    "LabelEmbeddings",
    "Negations",
    "check_labels",
    "check_templates",
    "embed_ecgs",
    "embed_labels",
    "embed_texts",
    "evaluation_mode",
    "label_logits",
]
