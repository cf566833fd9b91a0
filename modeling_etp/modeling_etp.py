"""The ECG tower, the two-tower ETP model that aligns it with a text encoder, and a classifier on the tower."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.loss.loss_utils import ForSequenceClassificationLoss
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs, can_return_tuple
from transformers.utils.output_capturing import capture_outputs

from .configuration_etp import ETPConfig, ETPEcgConfig
from .ecg_resnet_etp import (
    ETPEcgAttentionPooling,
    ETPEcgConv,
    ETPEcgPooling,
    ETPEcgStage,
    ETPEcgStem,
    check_input_values,
)
from .loss_etp import info_nce_loss, pairwise_logits, siglip_loss
from .text_tower_etp import make_text_model, pool_tokens
from .two_towers_etp import join_towers
from .weight_files_etp import check_weight_files

UNKNOWN = -100  # a label that nobody gave, as torch's cross-entropy has it
# Weights of a full ETP checkpoint that are none of the ECG tower's.
BESIDES_THE_TOWER = [r"^text_model\.", r"^(ecg|text)_projection\.", r"^logit_(scale|bias)$"]


@dataclass
class ETPOutput(ModelOutput):
    """Output of [`ETPModel`].

    Attributes:
        loss: Contrastive loss in nats, a scalar; only with `return_loss=True`.
        logits_per_ecg: Scaled similarities, shape `(num_ecgs, num_texts)`, float32.
        logits_per_text: The same transposed, shape `(num_texts, num_ecgs)`.
        ecg_embeds: L2-normalised, shape `(num_ecgs, projection_dim)`, float32.
        text_embeds: L2-normalised, shape `(num_texts, projection_dim)`, float32.
        logit_scale: Inverse temperature, a scalar.
        logit_bias: Bias of the logits, a scalar; only with `loss_type="siglip"`.
        ecg_model_output: Output of the ECG tower, before the projection.
        text_model_output: Output of the text tower, before the projection; `None` where `text_features` were given.
    """

    loss: Tensor | None = None
    logits_per_ecg: Tensor | None = None
    logits_per_text: Tensor | None = None
    ecg_embeds: Tensor | None = None
    text_embeds: Tensor | None = None
    logit_scale: Tensor | None = None
    logit_bias: Tensor | None = None
    ecg_model_output: BaseModelOutputWithPooling | None = None
    text_model_output: BaseModelOutputWithPooling | None = None

    def to_tuple(self) -> tuple:
        """Fields that are not `None`, the outputs of the towers as tuples too."""
        return tuple(value.to_tuple() if isinstance(value, ModelOutput) else value for value in self.values())


class ETPPreTrainedModel(PreTrainedModel):
    """Weight initialisation and the Hugging Face conventions shared by all ETP models."""

    config: ETPConfig
    base_model_prefix = "etp"
    main_input_name = "input_values"
    input_modalities: str | list[str] = ["audio", "text"]
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["ETPEcgStem", "ETPEcgBlock"]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, use_safetensors: bool | None = True, **kwargs):
        """Load as every model of `transformers` does, but from safetensors only: a pickle may run code.

        Raises:
            ValueError: If asked for a pickle, or a weight file is named outside the checkpoint's folder.
            OSError: If there are no safetensors.
        """
        if use_safetensors is False:
            raise ValueError(
                "ETP checkpoints are loaded from safetensors only, because a pickle may run code. Convert "
                "pytorch_model.bin with `safetensors.torch.save_file`."
            )
        if pretrained_model_name_or_path is not None and Path(pretrained_model_name_or_path).is_dir():
            check_weight_files(Path(pretrained_model_name_or_path, kwargs.get("subfolder", "")))
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, use_safetensors=True, **kwargs)
        cls._say_what_is_left_out(loaded[0] if isinstance(loaded, tuple) else loaded, pretrained_model_name_or_path)
        return loaded

    @classmethod
    def _say_what_is_left_out(cls, model: "ETPPreTrainedModel", source) -> None:
        """Nothing; a class that can load a part of another one's checkpoint says so."""

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        if isinstance(module, ETPEcgConv):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")  # arXiv:1502.01852
        elif isinstance(module, ETPEcgAttentionPooling):
            init.normal_(module.query, std=module.query.numel() ** -0.5)
        elif isinstance(module, ETPModel):
            init.constant_(module.logit_scale, module.logit_scale_init_value)
            if module.logit_bias is not None:
                init.constant_(module.logit_bias, module.logit_bias_init_value)
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                init.zeros_(module.bias)
        else:
            super()._init_weights(module)


class ETPEcgModel(ETPPreTrainedModel):
    """ResNet18-1D over a 12-lead ECG; loads its part of a full ETP checkpoint as well as its own."""

    config: ETPEcgConfig  # type: ignore[assignment]  # each class narrows it, as everywhere in transformers
    base_model_prefix = "ecg_model"
    input_modalities = "audio"
    _keys_to_ignore_on_load_unexpected = BESIDES_THE_TOWER
    _can_record_outputs = {"hidden_states": ETPEcgStage}

    def __init__(self, config: ETPEcgConfig):
        super().__init__(config)
        self.num_leads = config.num_leads
        self.stem = ETPEcgStem(config)
        self.stages = nn.ModuleList(ETPEcgStage(config, index) for index in range(len(config.hidden_sizes)))
        pooling = ETPEcgAttentionPooling if config.pooling == "attention" else ETPEcgPooling
        self.pooling = pooling(config)
        self.post_init()

    @classmethod
    def _say_what_is_left_out(cls, model: ETPPreTrainedModel, source) -> None:
        if "ETPForEcgClassification" in (model.config.architectures or ()):
            warnings.warn(
                f"{source} is a fine-tuned classifier, and its head is left out: {cls.__name__} is the ECG tower alone. "
                "Load `ETPForEcgClassification`, or `AutoModelForAudioClassification`, to keep the head.",
                stacklevel=4,
            )

    def get_input_embeddings(self) -> nn.Module:
        return self.stem.conv

    @can_return_tuple
    @capture_outputs
    def forward(self, input_values: Tensor, **kwargs: Unpack[TransformersKwargs]) -> BaseModelOutputWithPooling:
        """Encode ECGs.

        Args:
            input_values: Shape `(batch, leads, samples)`, mV as the feature extractor gives it.

        Returns:
            `last_hidden_state` of shape `(batch, frames, hidden_size)`, `pooler_output` of shape `(batch, pooled_size)`
            and, with `output_hidden_states=True`, the frames after the stem and after each stage.

        Raises:
            ValueError: If the shape is not `(batch, leads, samples)` or a value is NaN or infinite. On an accelerator
                the values are looked at in evaluation only, because looking makes a training step wait.
        """
        check_input_values(input_values, self.num_leads, training=self.training)
        frames = self.stem(input_values.to(self.stem.conv.weight.dtype))
        for stage in self.stages:
            frames = stage(frames)
        return BaseModelOutputWithPooling(last_hidden_state=frames, pooler_output=self.pooling(frames))


class ETPProjection(nn.Module):
    """Map into the shared space, `(batch, in_size)` to `(batch, projection_dim)`.

    One linear layer, or linear-GELU-dropout-linear on standardised features: those of a frozen tower may have any scale.
    """

    def __init__(self, in_size: int, hidden_size: int | None, projection_dim: int, dropout: float):
        super().__init__()
        if hidden_size is None:
            self.layers = nn.Sequential(nn.Linear(in_size, projection_dim, bias=False))
        else:
            self.layers = nn.Sequential(
                nn.LayerNorm(in_size, elementwise_affine=False),
                nn.Linear(in_size, hidden_size),
                nn.GELU(),
                nn.Dropout(dropout),
                nn.Linear(hidden_size, projection_dim),
            )

    def forward(self, features: Tensor) -> Tensor:
        """Unit vectors in float32; half precision would round similarities to three digits."""
        return F.normalize(self.layers(features.to(next(self.layers.parameters()).dtype)).float(), dim=-1)


class ETPModel(ETPPreTrainedModel):
    """ECGs and texts as unit vectors of one space: an ECG tower, any text encoder, and a projection on each."""

    logit_bias: nn.Parameter | None

    def __init__(self, config: ETPConfig):
        super().__init__(config)
        ecg_config, text_config = cast(ETPEcgConfig, config.ecg_config), cast(PreTrainedConfig, config.text_config)
        self.ecg_model = ETPEcgModel._from_config(ecg_config)
        self.text_pooling = config.text_pooling
        self.text_model = make_text_model(text_config, pooling=config.text_pooling)
        self.ecg_projection = ETPProjection(
            ecg_config.pooled_size,
            config.ecg_projection_hidden_size,
            config.projection_dim,
            config.projection_dropout,
        )
        self.text_projection = ETPProjection(
            text_config.hidden_size,
            config.text_projection_hidden_size,
            config.projection_dim,
            config.projection_dropout,
        )
        self.logit_scale_init_value = float(config.logit_scale_init_value)
        self.logit_bias_init_value = float(config.logit_bias_init_value)
        self.max_log_logit_scale = math.log(config.max_logit_scale)
        self.logit_scale = nn.Parameter(
            torch.tensor(self.logit_scale_init_value), requires_grad=config.learnable_logit_scale
        )
        self.text_count_exponent = config.text_count_exponent
        siglip_bias = nn.Parameter(torch.tensor(self.logit_bias_init_value)) if config.loss_type == "siglip" else None
        self.register_parameter("logit_bias", siglip_bias)
        self.post_init()

    @classmethod
    def from_ecg_text_pretrained(
        cls,
        ecg: "str | Path | ETPEcgModel | ETPEcgConfig",
        text: str | Path | PreTrainedModel,
        **config_kwargs,
    ) -> "ETPModel":
        """Join an ECG tower and a text tower, as `VisionTextDualEncoderModel.from_vision_text_pretrained` does.

        The projections and the temperature are new and need training, unless `ecg` is an ETP checkpoint (with or
        without its text tower) that was trained with a text tower of the same architecture: then they come along.

        Args:
            ecg: An ECG tower, or the folder or Hub id of one or of an ETP checkpoint; a configuration makes a new tower.
            text: A text encoder, or the folder or Hub id of one, sentence-transformers folders included.
            config_kwargs: Fields of [`ETPConfig`]. `text_pooling` follows the checkpoint, else the
                sentence-transformers folder, else it is "cls".

        Returns:
            The joined model in float32, in evaluation mode.

        Raises:
            ValueError: If a checkpoint is of another kind or lacks weights of its tower.
        """
        towers = join_towers(ecg, text)
        config = ETPConfig(**{**towers.config, **config_kwargs})
        model = cls(config)
        towers.load_into(model)
        return model.eval()

    def get_input_embeddings(self) -> nn.Module:
        return self.text_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module):
        self.text_model.set_input_embeddings(value)

    def freeze_text_model(self) -> None:
        """Exclude the text tower from training; it then stays in evaluation mode, so that its dropout is off."""
        self.text_model.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "ETPModel":
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.text_model.parameters()):
            self.text_model.eval()
        return self

    @can_return_tuple
    def get_ecg_features(
        self, input_values: Tensor, **kwargs: Unpack[TransformersKwargs]
    ) -> BaseModelOutputWithPooling:
        """Embed ECGs, shape `(batch, leads, samples)`.

        Returns:
            The output of the ECG tower with unit vectors of shape `(batch, projection_dim)` as `pooler_output`.
        """
        ecg_output = self.ecg_model(input_values, **{**kwargs, "return_dict": True})
        ecg_output.pooler_output = self.ecg_projection(ecg_output.pooler_output)
        return ecg_output

    @can_return_tuple
    def get_text_features(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutputWithPooling:
        """Embed texts, token ids and mask of shape `(batch, tokens)`.

        Returns:
            The output of the text tower with unit vectors of shape `(batch, projection_dim)` as `pooler_output`.
        """
        text_output = self._text_tower_output(input_ids, attention_mask, **kwargs)
        text_output.pooler_output = self.text_projection(text_output.pooler_output)
        return text_output

    def get_text_tower_features(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **kwargs
    ) -> Tensor:
        """Pooled output of the text tower before its projection, shape `(batch, text_hidden)`.

        This is what `text_features` of [`~ETPModel.forward`] takes: a frozen tower gives it once per distinct text.
        """
        return cast(Tensor, self._text_tower_output(input_ids, attention_mask, **kwargs).pooler_output)

    def _text_tower_output(
        self, input_ids: Tensor | None, attention_mask: Tensor | None, **kwargs
    ) -> BaseModelOutputWithPooling:
        output = self.text_model(input_ids=input_ids, attention_mask=attention_mask, **{**kwargs, "return_dict": True})
        return BaseModelOutputWithPooling(
            last_hidden_state=output.last_hidden_state,
            pooler_output=pool_tokens(output, attention_mask, self.text_pooling),
            hidden_states=output.get("hidden_states"),
            attentions=output.get("attentions"),
        )

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        text_features: Tensor | None = None,
        positives: Tensor | None = None,
        return_loss: bool | None = None,
        *,
        across_processes: bool = False,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> ETPOutput:
        """Compare every ECG with every text.

        Args:
            input_values: ECGs in mV, shape `(num_ecgs, leads, samples)`, leads in the feature extractor's order.
            input_ids: Token ids, shape `(num_texts, tokens)`.
            attention_mask: 1 for tokens, 0 for padding, shape `(num_texts, tokens)`; all ones if omitted.
            text_features: Instead of `input_ids`: what `get_text_tower_features` gave, shape `(num_texts, text_hidden)`.
            positives: Which text belongs to which ECG, shape `(num_ecgs, num_texts)`; by row if omitted. Non-negative
                weights, see [`info_nce_loss`].
            return_loss: Whether to compute the contrastive loss.
            across_processes: Whether the loss is that of the batches of all processes together, see
                [`info_nce_loss`]; the logits are those of the given rows in any case.
            token_type_ids: For text towers that have them, shape `(num_texts, tokens)`.
            position_ids: For text towers that have them, shape `(num_texts, tokens)`.
            kwargs: `output_hidden_states`, `output_attentions` and the like, for both towers.

        Returns:
            [`ETPOutput`].

        Raises:
            ValueError: If both or neither of `input_ids` and `text_features` are given, or shapes do not fit.
        """
        if (text_features is None) == (input_ids is None and "inputs_embeds" not in kwargs):
            raise ValueError(
                "Pass the texts either as `input_ids` or as `text_features`, not both and not neither. For ECG "
                "embeddings alone call `get_ecg_features`."
            )
        inputs_embeds = kwargs.pop("inputs_embeds", None)
        ecg_output = self.ecg_model(input_values, **{**kwargs, "return_dict": True})
        ecg_embeds = self.ecg_projection(ecg_output.pooler_output)
        text_output = None
        if text_features is None:
            text_output = self._text_tower_output(
                input_ids,
                attention_mask,
                token_type_ids=token_type_ids,
                position_ids=position_ids,
                inputs_embeds=inputs_embeds,
                **kwargs,
            )
            text_features = text_output.pooler_output
        text_embeds = self.text_projection(text_features)

        logit_scale = self.get_logit_scale()
        logits_per_ecg = pairwise_logits(ecg_embeds, text_embeds, logit_scale)
        if self.logit_bias is not None:
            logits_per_ecg = logits_per_ecg + self.logit_bias.float()
        loss = None
        if return_loss:
            loss = self.contrastive_loss(ecg_embeds, text_embeds, positives, across_processes=across_processes)
        return ETPOutput(
            loss=loss,
            logits_per_ecg=logits_per_ecg,
            logits_per_text=logits_per_ecg.T,
            ecg_embeds=ecg_embeds,
            text_embeds=text_embeds,
            logit_scale=logit_scale,
            logit_bias=self.logit_bias,
            ecg_model_output=ecg_output,
            text_model_output=text_output,
        )

    def get_logit_scale(self) -> Tensor:
        """Inverse temperature, at most `max_logit_scale`."""
        if self.training:
            # The parameter itself is held below the limit, as CLIP does: a clamp of its exponential alone would leave
            # it without gradient once it stepped over, and it could never come back.
            with torch.no_grad():
                self.logit_scale.clamp_(max=self.max_log_logit_scale)
            return self.logit_scale.exp()
        return self.logit_scale.clamp(max=self.max_log_logit_scale).exp()

    def contrastive_loss(
        self,
        ecg_embeds: Tensor,
        text_embeds: Tensor,
        positives: Tensor | None = None,
        *,
        across_processes: bool = False,
    ) -> Tensor:
        """The loss named by `loss_type` at the model's own temperature; see [`info_nce_loss`] and [`siglip_loss`]."""
        logit_scale = self.get_logit_scale()
        if self.logit_bias is not None:  # loss_type "siglip"
            return siglip_loss(
                ecg_embeds, text_embeds, logit_scale, self.logit_bias, positives, across_processes=across_processes
            )
        return info_nce_loss(
            ecg_embeds,
            text_embeds,
            logit_scale,
            positives,
            text_count_exponent=self.text_count_exponent,
            across_processes=across_processes,
        )


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


__all__ = ["ETPEcgModel", "ETPForEcgClassification", "ETPModel", "ETPOutput", "ETPPreTrainedModel"]
