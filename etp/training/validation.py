"""Validation loss and retrieval metrics, each record counted once."""

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from etp.retrieval import RECALL_AT, retrieval_metrics
from etp.training.data.batches import share
from etp.training.data.records import Split
from etp.training.towers.building import FrozenTextEncoder
from etp.training.towers.trainable_text import TrainableTextEncoder
from modeling_etp.loss_etp import gather_with_gradient

from .objective_names import uses_texts
from .objectives import ContrastiveModel, window_loss

BATCH_SIZE = 128


@torch.no_grad()
def validate(
    model: ContrastiveModel,
    split: Split,
    texts: FrozenTextEncoder | TrainableTextEncoder,
    accelerator: Accelerator,
    *,
    loss_batch: int,
) -> dict[str, float]:
    """Compare every ECG of the split with every distinct report of it.

    Each process embeds its own share and every share is gathered without padding, so no record counts twice. The loss
    is the mean over batches of `loss_batch` ECGs against their own whole reports, in the order of the split: the same
    on any number of processes.

    Returns:
        `validation_loss` in nats and what `retrieval_metrics` gives; of a model that is trained without texts the loss of
        the objective `windows` between the two halves of each ECG, and `window_to_window_recall_at_1`, `…_5`, `…_10`.
    """
    model.eval()
    if not uses_texts(model.weights):
        return _validate_windows(model, split, accelerator, loss_batch=loss_batch)
    reports = split.views.reports()
    distinct = list(dict.fromkeys(reports))
    row_of = {key: row for row, key in enumerate(distinct)}
    text_index = torch.tensor([row_of[key] for key in reports])
    with accelerator.autocast():
        ecg_embeds = embed_ecgs(model, split, accelerator)
        strings = [split.views.text(key) for key in distinct]
        parts = [strings[start : start + BATCH_SIZE] for start in range(0, len(strings), BATCH_SIZE)]
        text_embeds = torch.cat([model.embed_texts(texts.columns(part)) for part in parts])
    figures = retrieval_metrics(ecg_embeds, text_embeds, text_index)
    losses = []
    for start in range(0, len(split) - 1, loss_batch):
        rows = text_index[start : start + loss_batch].to(ecg_embeds.device)
        columns, column_of_row = rows.unique(return_inverse=True)
        positives = column_of_row[:, None] == torch.arange(len(columns), device=rows.device)
        loss = model.model.contrastive_loss(ecg_embeds[start : start + loss_batch], text_embeds[columns], positives)
        losses.append(loss.item() * len(rows))
    counted = min(len(split), len(losses) * loss_batch)
    return {"validation_loss": sum(losses) / counted, **figures}


def _validate_windows(
    model: ContrastiveModel, split: Split, accelerator: Accelerator, *, loss_batch: int
) -> dict[str, float]:
    own = np.arange(len(split))[
        share(len(split), rank=accelerator.process_index, world_size=accelerator.num_processes)
    ]
    halves: tuple[list[Tensor], ...] = ([], [])
    with accelerator.autocast():
        for start in range(0, len(own), BATCH_SIZE):
            ecg = split.signals.batch(own[start : start + BATCH_SIZE])
            for half, windows in zip(ecg.tensor_split(2, dim=-1), halves, strict=True):
                windows.append(model.embed_windows(half))
    several = accelerator.num_processes > 1
    first, second = (gather_with_gradient(torch.cat(part)) if several else torch.cat(part) for part in halves)
    found = retrieval_metrics(first, second, torch.arange(len(first)))
    starts = range(0, len(first) - 1, loss_batch)
    losses, counts = [], []
    for start in starts:
        parts = [windows[start : start + loss_batch] for windows in (first, second)]
        losses.append(window_loss(torch.cat(parts)).item() * len(parts[0]))
        counts.append(len(parts[0]))
    recalls = {f"window_to_window_recall_at_{k}": found[f"ecg_to_text_recall_at_{k}"] for k in RECALL_AT}
    return {"validation_loss": sum(losses) / sum(counts), **recalls}


def in_words(figures: dict[str, float]) -> str:
    """What [`validate`] found, for a line."""
    directions = [name.removesuffix("_recall_at_1") for name in figures if name.endswith("_recall_at_1")]
    recalls = [
        f"{direction.replace('_', ' ').replace('ecg', 'ECG')} "
        + "/".join(f"{100 * figures[f'{direction}_recall_at_{k}']:.1f}" for k in RECALL_AT)
        for direction in directions
    ]
    return f"validation loss {figures['validation_loss']:.4f}, R@1/5/10 {', '.join(recalls)}"


def embed_ecgs(model: ContrastiveModel, split: Split, accelerator: Accelerator) -> Tensor:
    """Unit vectors of all ECGs of a split in its order, on every process, `(records, projection_dim)`."""
    own = np.arange(len(split))[
        share(len(split), rank=accelerator.process_index, world_size=accelerator.num_processes)
    ]
    embeds = [model(split.signals.batch(own[start : start + BATCH_SIZE])) for start in range(0, len(own), BATCH_SIZE)]
    together = torch.cat(embeds)
    return gather_with_gradient(together) if accelerator.num_processes > 1 else together
