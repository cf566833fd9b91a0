"""Training objectives: weighted contrastive losses between ECGs and texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from etp.training.objective_names import WINDOWS, uses_texts
from etp.training.towers.trainable_text import upper_features
from modeling_etp.configuration_etp import ETPEcgConfig
from modeling_etp.loss_etp import gather_with_gradient, info_nce_loss, pairwise_logits
from modeling_etp.modeling_etp import ETPModel

NUM_WINDOWS = 2  # of each ECG in a batch, with that objective
WINDOW_DIM = (
    128  # of the space in which windows are compared, and its temperature: arXiv:2002.05709, section 2.1 and table 5
)
WINDOW_TEMPERATURE = 0.1


@dataclass(frozen=True)
class TextColumns:
    """The texts of one objective, and which of them are true of the ECGs of the batch.

    Attributes:
        texts: What the text tower gives for this process's texts, `(own texts, text_hidden)`; or, where the tower is
            trained, what its frozen lower layers give (`TrainableTextEncoder.columns`).
        positives: Weights of this process's ECGs against the texts of all processes, `(own ECGs, all texts)`; of the
            objective `negation`, against its pairs, see [`negation_loss`].
    """

    texts: Tensor | Mapping[str, Tensor]
    positives: Tensor


class ContrastiveModel(nn.Module):
    """An `ETPModel` with its losses: what the optimizer, `DistributedDataParallel` and the checkpoints hold.

    Args:
        model: The two towers.
        weights: Weight of each objective by its name.
        across_processes: Whether each process holds a part of the batch.
        first_text_layer: Where the trained part of the text tower begins; unused if it is frozen.
        frozen_ecg_model: Whether ECGs come as features of the ECG tower, `(ecgs, pooled_size)`.
    """

    def __init__(
        self,
        model: ETPModel,
        *,
        weights: Mapping[str, float],
        across_processes: bool = False,
        first_text_layer: int = 0,
        frozen_ecg_model: bool = False,
    ):
        super().__init__()
        self.model = model
        self.weights = dict(weights)
        self.across_processes = across_processes
        self.first_text_layer = first_text_layer
        self.frozen_ecg_model = frozen_ecg_model
        self.window_projection = window_projection(model) if WINDOWS in weights else None
        if not uses_texts(weights):
            model.text_projection.requires_grad_(False)
            model.ecg_projection.requires_grad_(False)
            model.logit_scale.requires_grad_(False)

    def forward(
        self,
        input_values: Tensor | None = None,
        columns: Mapping[str, TextColumns] | None = None,
        *,
        other_embeds: Tensor | None = None,
    ) -> Tensor | dict[str, Tensor]:
        """Embed ECGs and, given texts, compute the losses.

        Args:
            input_values: mV, `(ecgs, leads, samples)`, or features of a frozen tower; none where `other_embeds` are all
                ECGs. With the objective `windows` the first windows of all ECGs, then the second ones.
            columns: Texts of each objective; none returns the embeddings of the ECGs.
            other_embeds: Embeddings of the ECGs that come before these in the batch (GradCache).

        Returns:
            Embeddings `(ecgs, projection_dim)`, in training with the objective `windows` with those of
            [`window_projection`] behind them; or a dict of scalars in nats: each objective's loss under its name and
            their weighted sum as `loss`.
        """
        parts = [] if other_embeds is None else [other_embeds]
        if input_values is not None:
            parts.append(self._embed_ecgs(input_values))
        ecg_embeds = parts[0] if len(parts) == 1 else torch.cat(parts)
        if columns is None:
            return ecg_embeds
        losses = {}
        if self.window_projection is not None:
            ecg_embeds, windows = ecg_embeds.split([ecg_embeds.shape[1] - WINDOW_DIM, WINDOW_DIM], dim=1)
            losses[WINDOWS] = window_loss(windows, across_processes=self.across_processes)
        losses |= {name: self._loss(name, ecg_embeds, column) for name, column in columns.items()}
        total = torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()
        return {"loss": total, **{name: loss.detach() for name, loss in losses.items()}}

    def embed_texts(self, texts: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Unit vectors of texts, `(texts, projection_dim)`."""
        if not isinstance(texts, Tensor):
            texts = upper_features(self.model, texts, first_layer=self.first_text_layer)
        return self.model.text_projection(texts)

    def _embed_ecgs(self, input_values: Tensor) -> Tensor:
        if self.frozen_ecg_model:
            return self.model.ecg_projection(input_values)
        if self.window_projection is None or not self.training:
            return self.model.get_ecg_features(input_values).pooler_output
        pooled = self.model.ecg_model(input_values).pooler_output
        windows = F.normalize(self.window_projection(pooled).float(), dim=-1)
        return torch.cat([self.model.ecg_projection(pooled), windows], dim=1)

    def embed_windows(self, input_values: Tensor) -> Tensor:
        """Unit vectors in which windows of an ECG are compared, `(ecgs, WINDOW_DIM)`."""
        if self.window_projection is None:
            raise ValueError("embed_windows is of a model that is trained with the objective windows.")
        return F.normalize(self.window_projection(self.model.ecg_model(input_values).pooler_output).float(), dim=-1)

    def _loss(self, name: str, ecg_embeds: Tensor, columns: TextColumns) -> Tensor:
        text_embeds = self.embed_texts(columns.texts)
        if name == "negation":
            scale = self.model.get_logit_scale()
            return negation_loss(
                ecg_embeds, text_embeds, scale, columns.positives, across_processes=self.across_processes
            )
        if name == "absence":
            scale = self.model.get_logit_scale()
            return absence_loss(
                ecg_embeds, text_embeds, scale, columns.positives, across_processes=self.across_processes
            )
        return self.model.contrastive_loss(
            ecg_embeds, text_embeds, columns.positives, across_processes=self.across_processes
        )


def window_projection(model: ETPModel) -> nn.Module:
    """What windows of an ECG are compared by: in a space of its own, which is left behind when training ends.

    In the space of the texts two normal ECGs are to be alike, here they are negatives of each other.
    """
    size = cast(ETPEcgConfig, model.config.ecg_config).pooled_size
    return nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, WINDOW_DIM))


def window_loss(windows: Tensor, *, across_processes: bool = False) -> Tensor:
    """Cross-entropy of which window belongs to which among those of all ECGs of the batch (arXiv:2002.05709).

    Args:
        windows: L2-normalised, first windows and then second ones in the same order, `(2 * ecgs, WINDOW_DIM)`.
        across_processes: As for `info_nce_loss`: each process has its own ECGs.

    Returns:
        Scalar in nats.
    """
    first, second = windows.chunk(NUM_WINDOWS)
    return info_nce_loss(first, second, first.new_tensor(1 / WINDOW_TEMPERATURE), across_processes=across_processes)


def negation_loss(
    ecg_embeds: Tensor, text_embeds: Tensor, logit_scale: Tensor, weights: Tensor, *, across_processes: bool = False
) -> Tensor:
    """Binary cross-entropy of which text of a pair is true of an ECG, a statement or its negation.

    Args:
        ecg_embeds: L2-normalised, `(ecgs, dim)`.
        text_embeds: L2-normalised, the negations and then the statements in the same order, `(2 * pairs, dim)`.
        logit_scale: Inverse temperature.
        weights: `(ecgs, pairs)`, positive where the negation is true, negative where the statement is; their absolute
            values sum to one over the global batch.
        across_processes: As for `info_nce_loss`: each process has its own ECGs and its own part of the texts.

    Returns:
        Scalar in nats.
    """
    if across_processes:
        text_embeds = gather_with_gradient(text_embeds)
    negations, statements = text_embeds.chunk(2)
    margins = pairwise_logits(ecg_embeds, negations, logit_scale) - pairwise_logits(
        ecg_embeds, statements, logit_scale
    )
    return _balanced_cross_entropy(margins, weights, across_processes=across_processes)


def absence_loss(
    ecg_embeds: Tensor, text_embeds: Tensor, logit_scale: Tensor, weights: Tensor, *, across_processes: bool = False
) -> Tensor:
    """Binary cross-entropy of which ECGs a negation is true of, by how much nearer to it they are than the others.

    [`negation_loss`] compares texts for one ECG and leaves open how a negation ranks the ECGs; this compares ECGs.

    Args:
        ecg_embeds: L2-normalised, `(ecgs, dim)`.
        text_embeds: L2-normalised negations, `(pairs, dim)`.
        logit_scale: Inverse temperature.
        weights: As of [`negation_loss`].
        across_processes: As of [`negation_loss`].

    Returns:
        Scalar in nats.
    """
    if across_processes:
        text_embeds = gather_with_gradient(text_embeds)
    logits = pairwise_logits(ecg_embeds, text_embeds, logit_scale)
    with torch.no_grad():  # weights are as large for both sides: the mean of a column is the middle between them
        sums = torch.stack([(logits * weights.abs()).sum(dim=0), weights.abs().sum(dim=0)])
        if across_processes:
            dist.all_reduce(sums)
        middle = sums[0] / sums[1].clamp(min=torch.finfo(sums.dtype).tiny)
    return _balanced_cross_entropy(logits - middle, weights, across_processes=across_processes)


def _balanced_cross_entropy(margins: Tensor, weights: Tensor, *, across_processes: bool) -> Tensor:
    """Of margins that should have the sign of their weights, over the ECGs of all processes."""
    loss = (F.softplus(-margins * weights.sign()) * weights.abs()).sum()
    if not across_processes:
        return loss
    total = loss.detach().clone()
    dist.all_reduce(total)
    own = loss * dist.get_world_size()  # undoes the mean that `DistributedDataParallel` takes
    return own + (total - own).detach()
