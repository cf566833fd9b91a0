"""Retrieval between ECGs and their texts; each distinct text counts once."""

from collections.abc import Sequence

import torch
from torch import Tensor

RECALL_AT = (1, 5, 10)
_CHUNK_ROWS = 1024  # bounds the similarity block held at once; 1,024 x 20,000 float32 are 80 MB


def retrieval_metrics(
    ecg_embeds: Tensor, text_embeds: Tensor, text_index: Tensor | Sequence[int]
) -> dict[str, float | int]:
    """Recall at 1, 5 and 10 and median rank in both directions.

    Args:
        ecg_embeds: L2-normalised, shape `(ecgs, dim)`.
        text_embeds: L2-normalised embeddings of the *distinct* texts, shape `(texts, dim)`.
        text_index: Row in `text_embeds` of the text of each ECG, shape `(ecgs,)`.

    Returns:
        `ecg_to_text_recall_at_1`, `…_5`, `…_10` and `text_to_ecg_recall_at_…` as shares between 0 and 1,
        `ecg_to_text_median_rank`, `text_to_ecg_median_rank` (1 is best), `num_ecgs` and `num_texts`.

    Raises:
        ValueError: If there is no ECG, or the shapes or indices do not fit each other.
    """
    ecg_ranks, text_ranks = retrieval_ranks(ecg_embeds, text_embeds, text_index)
    metrics: dict[str, float | int] = {}
    for direction, ranks in (("ecg_to_text", ecg_ranks), ("text_to_ecg", text_ranks)):
        metrics |= {f"{direction}_recall_at_{k}": (ranks <= k).double().mean().item() for k in RECALL_AT}
        metrics[f"{direction}_median_rank"] = ranks.quantile(0.5).item()
    return metrics | {"num_ecgs": len(ecg_ranks), "num_texts": len(text_ranks)}


def certain_recalls(text_index: Tensor | Sequence[int], *, num_texts: int) -> list[str]:
    """The recalls that any model reaches because there are too few wrong candidates, such as all when all texts are alike.

    Args:
        text_index: Row of each ECG's text, shape `(ecgs,)`.
        num_texts: Number of distinct texts.

    Returns:
        Names as in [`retrieval_metrics`].
    """
    counts = torch.as_tensor(text_index).bincount(minlength=num_texts)
    most_wrong = {"ecg_to_text": num_texts - 1, "text_to_ecg": int(counts.sum() - counts[counts > 0].min())}
    return [f"{direction}_recall_at_{k}" for direction, wrong in most_wrong.items() for k in RECALL_AT if wrong < k]


@torch.inference_mode()
def retrieval_ranks(
    ecg_embeds: Tensor, text_embeds: Tensor, text_index: Tensor | Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Rank of the right text for every ECG, and of the first right ECG for every text that has one.

    Equal similarities share the mean of their ranks: a model that gives every pair the same score is at chance, not at
    rank 1. Several ECGs of one text are all right, so none of them pushes another down. Texts without an ECG are
    distractors only.

    Returns:
        Ranks from 1, float64, shapes `(ecgs,)` and `(texts with an ECG,)`, the latter in the order of `text_embeds`.
    """
    text_index = torch.as_tensor(text_index, device=ecg_embeds.device)
    _check(ecg_embeds, text_embeds, text_index)
    ecg_embeds, text_embeds = ecg_embeds.float(), text_embeds.float().to(ecg_embeds.device)

    ecg_ranks = [
        _first_right_ranks(rows @ text_embeds.T, index[:, None] == torch.arange(len(text_embeds), device=index.device))
        for rows, index in zip(ecg_embeds.split(_CHUNK_ROWS), text_index.split(_CHUNK_ROWS), strict=True)
    ]
    used = text_index.unique()
    text_ranks = [
        _first_right_ranks(text_embeds[texts] @ ecg_embeds.T, texts[:, None] == text_index)
        for texts in used.split(_CHUNK_ROWS)
    ]
    return torch.cat(ecg_ranks), torch.cat(text_ranks)


def _first_right_ranks(similarity: Tensor, right: Tensor) -> Tensor:
    """Rank of the best right candidate among the wrong ones; both arguments are `(queries, candidates)`."""
    best = similarity.masked_fill(~right, -torch.inf).amax(dim=1, keepdim=True)
    wrong = similarity.masked_fill(right, -torch.inf)
    return 1 + (wrong > best).sum(dim=1).double() + (wrong == best).sum(dim=1).double() / 2


def _check(ecg_embeds: Tensor, text_embeds: Tensor, text_index: Tensor) -> None:
    if ecg_embeds.ndim != 2 or text_embeds.ndim != 2 or ecg_embeds.shape[1] != text_embeds.shape[1]:
        raise ValueError(
            "`ecg_embeds` and `text_embeds` are (ecgs, dim) and (texts, dim) with the same dim, got shapes "
            f"{tuple(ecg_embeds.shape)} and {tuple(text_embeds.shape)}."
        )
    if len(ecg_embeds) == 0:
        raise ValueError("Retrieval needs at least one ECG, got none.")
    if text_index.shape != (len(ecg_embeds),):
        raise ValueError(
            f"`text_index` holds one text row per ECG: expected shape ({len(ecg_embeds)},), got {tuple(text_index.shape)}."
        )
    if text_index.is_floating_point() or text_index.min() < 0 or text_index.max() >= len(text_embeds):
        raise ValueError(f"`text_index` must hold row numbers from 0 to {len(text_embeds) - 1} of `text_embeds`.")
    if not (ecg_embeds.isfinite().all() and text_embeds.isfinite().all()):
        raise ValueError("The embeddings hold NaN or infinite values; ranks of those mean nothing.")
