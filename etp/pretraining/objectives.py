"""What a step minimises: a weighted sum of contrastive losses between a batch of ECGs and columns of texts."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modeling_etp.modeling_etp import ETPModel

from .live_texts import upper_features


@dataclass(frozen=True)
class TextColumns:
    """The texts of one objective, and which of them are true of the ECGs of the batch.

    Attributes:
        texts: What the text tower gives for this process's texts, `(own texts, text_hidden)`; or, where the tower is
            trained, what its frozen lower layers give (`LiveTexts.columns`).
        positives: Weights of this process's ECGs against the texts of all processes, `(own ECGs, all texts)`.
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
    """

    def __init__(
        self,
        model: ETPModel,
        *,
        weights: Mapping[str, float],
        across_processes: bool = False,
        first_text_layer: int = 0,
    ):
        super().__init__()
        self.model = model
        self.weights = dict(weights)
        self.across_processes = across_processes
        self.first_text_layer = first_text_layer

    def forward(
        self,
        input_values: Tensor | None = None,
        columns: Mapping[str, TextColumns] | None = None,
        *,
        other_embeds: Tensor | None = None,
    ) -> Tensor | dict[str, Tensor]:
        """Embed ECGs and, given texts, compute the losses.

        Args:
            input_values: mV, `(ecgs, leads, samples)`; none where `other_embeds` are all ECGs.
            columns: Texts of each objective; none returns the embeddings of the ECGs.
            other_embeds: Embeddings of the ECGs that come before these in the batch (GradCache).

        Returns:
            Embeddings `(ecgs, projection_dim)`; or a dict of scalars in nats: each objective's loss under its name and
            their weighted sum as `loss`.
        """
        parts = [] if other_embeds is None else [other_embeds]
        if input_values is not None:
            parts.append(self.model.get_ecg_features(input_values).pooler_output)
        ecg_embeds = parts[0] if len(parts) == 1 else torch.cat(parts)
        if columns is None:
            return ecg_embeds
        losses = {name: self._loss(ecg_embeds, column) for name, column in columns.items()}
        total = torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()
        return {"loss": total, **{name: loss.detach() for name, loss in losses.items()}}

    def embed_texts(self, texts: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Unit vectors of texts, `(texts, projection_dim)`."""
        if not isinstance(texts, Tensor):
            texts = upper_features(self.model, texts, first_layer=self.first_text_layer)
        return self.model.text_projection(texts)

    def _loss(self, ecg_embeds: Tensor, columns: TextColumns) -> Tensor:
        return self.model.contrastive_loss(
            ecg_embeds, self.embed_texts(columns.texts), columns.positives, across_processes=self.across_processes
        )
