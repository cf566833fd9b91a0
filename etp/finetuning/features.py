"""A head trained on the features of a tower that stays as it is, each of which is computed once."""

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from etp.progress import Progress
from modeling_etp.classification_etp import ETPForEcgClassification
from modeling_etp.evaluation_mode_etp import evaluation_mode

from .data import EcgBatches


class HeadOnFeatures(nn.Module):
    """The head of a classifier, fed with what its tower gives."""

    main_input_name = "input_values"
    accepts_loss_kwargs = False

    def __init__(self, model: ETPForEcgClassification):
        super().__init__()
        self.dropout, self.classifier = model.dropout, model.classifier
        self._loss = model.label_loss

    def forward(self, input_values: Tensor, labels: Tensor | None = None) -> SequenceClassifierOutput:
        """Classify features `(batch, pooled_size)`."""
        logits = self.classifier(self.dropout(input_values))
        return SequenceClassifierOutput(loss=None if labels is None else self._loss(logits, labels), logits=logits)


class FeatureBatches(torch.utils.data.Dataset):
    """Features and labels of records, batch by batch."""

    windows = 1

    def __init__(self, features: Tensor, labels: Tensor):
        self.features, self._labels = features, labels

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        return {"input_values": self.features[indices], "labels": self._labels[indices]}


@torch.no_grad()
def compute_features(
    model: ETPForEcgClassification, batches: EcgBatches, *, batch_size: int, bf16: bool, description: str
) -> FeatureBatches:
    """The features of all records, of several windows their mean, which gives the mean of their logits."""
    features, labels = [], []
    device = model.device
    with Progress(description, total=len(batches), unit="ECG") as bar, evaluation_mode(model):
        for start in range(0, len(batches), batch_size):
            batch = batches.__getitems__(list(range(start, min(start + batch_size, len(batches)))))
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                pooled = model.ecg_model(batch["input_values"].to(device)).pooler_output
            features.append(pooled.float().cpu())
            labels.append(batch["labels"])
            bar.update(len(pooled))
    records = torch.cat(features).unflatten(0, (-1, batches.windows)).mean(dim=1)
    return FeatureBatches(records, torch.cat(labels)[:: batches.windows])
