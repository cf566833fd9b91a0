"""A classifier of ECGs: a linear head on the ECG tower."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.loss.loss_utils import ForSequenceClassificationLoss
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, can_return_tuple

from .configuration_etp import ETPEcgConfig
from .modeling_etp import BESIDES_THE_TOWER, ETPEcgModel, ETPPreTrainedModel

UNKNOWN = -100  # a label that nobody gave, as torch's cross-entropy has it


class ETPForEcgClassification(ETPPreTrainedModel):
    """ECG tower with a linear head, for one label per ECG, several, or a number (`config.problem_type`)."""

    config: ETPEcgConfig  # type: ignore[assignment]  # each class narrows it, as everywhere in transformers
    base_model_prefix = "ecg_model"
    input_modalities = "audio"
    _keys_to_ignore_on_load_unexpected = BESIDES_THE_TOWER
    # Its loss is a mean over the batch: `Trainer` is to divide it by the steps of gradient accumulation.
    accepts_loss_kwargs = False

    def __init__(self, config: ETPEcgConfig):
        super().__init__(config)
        self.ecg_model = ETPEcgModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.pooled_size, cast(int, config.num_labels))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.ecg_model.get_input_embeddings()

    def train(self, mode: bool = True) -> "ETPForEcgClassification":
        """As of any module, but a batch norm whose weights are frozen keeps its statistics too."""
        super().train(mode)
        for module in self.modules():
            is_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
            if is_norm and not any(parameter.requires_grad for parameter in module.parameters()):
                module.eval()
        return self

    @can_return_tuple
    def forward(
        self, input_values: Tensor, labels: Tensor | None = None, **kwargs: Unpack[TransformersKwargs]
    ) -> SequenceClassifierOutput:
        """Classify ECGs.

        Args:
            input_values: Shape `(batch, leads, samples)`, mV as the feature extractor gives it.
            labels: Class indices `(batch,)`; or for several labels per ECG 0/1 as floats `(batch, num_labels)`; or the
                numbers of a regression. Where `config.problem_type` is unset it is taken from their type. What is -100
                of the first two is not known, and no part of the loss.

        Returns:
            `logits` of shape `(batch, num_labels)` and, with `labels`, the `loss` in nats.
        """
        ecg_output = self.ecg_model(input_values, **{**kwargs, "return_dict": True})
        features = self.dropout(ecg_output.pooler_output)
        with torch.autocast(features.device.type, enabled=False):  # bfloat16 logits would tie the scores of many ECGs
            logits = self.classifier(features.to(next(self.classifier.parameters()).dtype))
        loss = None if labels is None else self.label_loss(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=ecg_output.hidden_states)

    def label_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of logits `(batch, num_labels)` in nats, labels as [`~ETPForEcgClassification.forward`] takes them."""
        if self.config.problem_type == "multi_label_classification" and labels.is_floating_point():
            known = labels != UNKNOWN
            losses = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none")
            return losses[known].sum() / known.sum().clamp(min=1)
        return ForSequenceClassificationLoss(labels, logits, self.config)

    def label_probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of the labels, calibrated where `config.calibration` is set; of a regression its numbers.

        Args:
            logits: `(…, num_labels)`.
        """
        config = self.config
        if config.problem_type == "regression":
            return logits
        if config.calibration is not None:
            scale, bias = (logits.new_tensor(config.calibration[name]) for name in ("scale", "bias"))
            logits = logits * scale + bias
        several = config.problem_type == "multi_label_classification" or config.num_labels == 1
        return torch.sigmoid(logits) if several else torch.softmax(logits, dim=-1)


__all__ = ["ETPForEcgClassification"]
