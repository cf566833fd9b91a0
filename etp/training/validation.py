"""Validation loss and retrieval metrics, each record counted once."""

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from etp.retrieval import retrieval_metrics
from etp.training.data.batches import share
from etp.training.data.records import Split
from etp.training.towers.building import FrozenTextEncoder
from etp.training.towers.trainable_text import TrainableTextEncoder
from modeling_etp.loss_etp import gather_with_gradient

from .objectives import ContrastiveModel

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
        `validation_loss` in nats and what `retrieval_metrics` gives.
    """
    model.eval()
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


def embed_ecgs(model: ContrastiveModel, split: Split, accelerator: Accelerator) -> Tensor:
    """Unit vectors of all ECGs of a split in its order, on every process, `(records, projection_dim)`."""
    own = np.arange(len(split))[
        share(len(split), rank=accelerator.process_index, world_size=accelerator.num_processes)
    ]
    embeds = [model(split.signals.batch(own[start : start + BATCH_SIZE])) for start in range(0, len(own), BATCH_SIZE)]
    together = torch.cat(embeds)
    return gather_with_gradient(together) if accelerator.num_processes > 1 else together
