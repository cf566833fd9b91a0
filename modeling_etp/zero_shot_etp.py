"""Zero-shot classification: phrases and templates -> label embeddings -> a logit per ECG and label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .evaluation_mode_etp import evaluation_mode

if TYPE_CHECKING:
    from .modeling_etp import ETPModel

PHRASE_POOLINGS = ("logsumexp", "mean", "max")


@dataclass(frozen=True)
class LabelEmbeddings:
    """The phrases of every label as unit vectors.

    Attributes:
        labels: Label names, in the order given.
        phrase_embeds: L2-normalised, shape `(phrases, projection_dim)`.
        label_index: Which label each phrase states, shape `(phrases,)`.
    """

    labels: tuple[str, ...]
    phrase_embeds: Tensor
    label_index: Tensor

    @cached_property
    def phrase_table(self) -> tuple[Tensor, Tensor]:
        """Row numbers of each label's phrases and which of them are real, both `(labels, most phrases of a label)`."""
        rows = [torch.nonzero(self.label_index == label).flatten() for label in range(len(self.labels))]
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
        texts: Any number of texts; longer ones than the text tower takes are cut at their end.
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
    with torch.no_grad(), evaluation_mode(model):
        for start in range(0, len(distinct), batch_size):
            tokens = tokenizer(
                distinct[start : start + batch_size],
                padding=True,
                truncation=True,
                max_length=_longest_text(model, tokenizer),
                return_tensors="pt",
            ).to(model.device)
            embeds.append(model.get_text_features(**tokens).pooler_output)
    return torch.cat(embeds)[[row[text] for text in texts]]


def _longest_text(model: "ETPModel", tokenizer: Any) -> int:
    """Tokens that tokenizer and text tower both take; a tokenizer that was saved without its limit says 10^30."""
    positions = getattr(model.config.text_config, "max_position_embeddings", None)
    return tokenizer.model_max_length if positions is None else min(tokenizer.model_max_length, positions)


def embed_labels(
    model: "ETPModel",
    tokenizer: Any,
    candidate_labels: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    templates: str | Sequence[str] = ("{}",),
) -> LabelEmbeddings:
    """Embed the phrases of every label.

    Args:
        model: An [`ETPModel`].
        tokenizer: The tokenizer of its text tower.
        candidate_labels: Labels, or label -> phrases that state it (as `datasets_scripts.label_sets` loads them).
        templates: Texts with `{}` in the place of the phrase. Of several, a phrase is the normalised mean of its
            embeddings (arXiv:2103.00020, section 3.1.4).

    Raises:
        ValueError: As [`check_labels`] and [`check_templates`].
    """
    labels = check_labels(candidate_labels)
    templates = check_templates(templates)
    phrases = [phrase for own in labels.values() for phrase in own]
    texts = [template.replace("{}", phrase) for phrase in phrases for template in templates]
    embeds = embed_texts(model, tokenizer, texts).unflatten(0, (len(phrases), len(templates)))
    label_index = [index for index, own in enumerate(labels.values()) for _ in own]
    return LabelEmbeddings(
        labels=tuple(labels),
        phrase_embeds=F.normalize(embeds.mean(dim=1), dim=-1),
        label_index=torch.tensor(label_index, device=embeds.device),
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
            them states the label, and a label gains nothing by having many. "mean" or "max".

    Returns:
        Shape `(ecgs, labels)`, on the device of `ecg_embeds`.

    Raises:
        ValueError: If `pooling` is none of these.
    """
    if pooling not in PHRASE_POOLINGS:
        raise ValueError(f"`pooling` must be one of {', '.join(PHRASE_POOLINGS)}, got {pooling!r}.")
    table, is_phrase = (tensor.to(ecg_embeds.device) for tensor in label_embeddings.phrase_table)
    phrase_embeds = label_embeddings.phrase_embeds.to(ecg_embeds)
    logits = (logit_scale * ecg_embeds @ phrase_embeds.T)[:, table]  # (ecgs, labels, phrases)
    if pooling == "max":
        return logits.masked_fill(~is_phrase, -torch.inf).amax(dim=-1)
    counts = is_phrase.sum(dim=-1)
    if pooling == "mean":
        return logits.masked_fill(~is_phrase, 0).sum(dim=-1) / counts
    return logits.masked_fill(~is_phrase, -torch.inf).logsumexp(dim=-1) - counts.log()


__all__ = [
    "PHRASE_POOLINGS",
    "LabelEmbeddings",
    "check_labels",
    "check_templates",
    "embed_ecgs",
    "embed_labels",
    "embed_texts",
    "evaluation_mode",
    "label_logits",
]
