"""Configurations of the ECG tower and of the two-tower ETP model."""

import math
from typing import Literal, cast

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

# Twenty times the deepest encoders in use. A file that asks for millions of layers would keep the loader busy for hours.
MAX_LAYERS = 1000


def _drop_custom_pipelines(config: PreTrainedConfig, kwargs: dict) -> None:
    # With this key in config.json, `pipeline(task, model=folder)` insists on `trust_remote_code` although the package is
    # imported and the task registered; only code loaded from the folder itself needs it.
    if not type(config).__module__.startswith("transformers_modules"):
        kwargs.pop("custom_pipelines", None)


@strict
class ETPEcgConfig(PreTrainedConfig):
    """Configuration of [`ETPEcgModel`], a 1-D ResNet over a 12-lead ECG; the defaults are ResNet18 (arXiv:2309.07145).

    Args:
        num_leads: Number of leads, the channels of the input.
        hidden_sizes: Channels of each residual stage.
        depths: Residual blocks of each stage; as many entries as `hidden_sizes`.
        kernel_sizes: Convolution width of each stage in samples, odd; as many entries as `hidden_sizes`.
        stem_hidden_size: Channels after the stem; `None` takes the first of `hidden_sizes`.
        stem_kernel_size: Width of the stem convolution in samples, odd.
        stem_stride: Stride of the stem convolution in samples.
        stem_pool: Whether a max-pooling of width 3 and stride 2 follows the stem convolution.
        norm: "batch", "group" (groups of 16 channels) or "layer" (over the channels of each frame).
        hidden_act: Activation, a key of `transformers.activations.ACT2FN`.
        dropout: Dropout probability between the two convolutions of a block.
        pooling: How frames become one vector: "mean", "max", "mean_max" (both, side by side) or "attention".
        num_attention_heads: Heads of the attention pooling; used with `pooling="attention"` only.
        classifier_dropout: Dropout probability before the linear head of [`ETPForEcgClassification`].
        label_tasks: Of each label of a head the task it belongs to; labels of one task lie side by side.
        calibration: "scale" and "bias" of each label, fitted on validation records: the probability is the sigmoid (one
            label per ECG: the softmax) of scale * logit + bias; `None` takes the logits as they are.
        thresholds: Probability from which a label is called present, of each label, chosen on validation records;
            `None` of a label that no validation record had.

    Example:
        >>> ETPEcgConfig(hidden_sizes=(8, 16), depths=(1, 1), kernel_sizes=(3, 3)).hidden_size
        16
    """

    model_type = "etp_ecg_model"
    base_config_key = "ecg_config"

    num_leads: int = 12
    hidden_sizes: list[int] | tuple[int, ...] = (64, 128, 256, 512)
    depths: list[int] | tuple[int, ...] = (2, 2, 2, 2)
    kernel_sizes: list[int] | tuple[int, ...] = (3, 3, 3, 3)
    stem_hidden_size: int | None = None
    stem_kernel_size: int = 7
    stem_stride: int = 2
    stem_pool: bool = True
    norm: Literal["batch", "group", "layer"] = "batch"
    hidden_act: str = "relu"
    dropout: float | int = 0.0
    pooling: Literal["mean", "max", "mean_max", "attention"] = "mean"
    num_attention_heads: int = 8
    classifier_dropout: float | int = 0.0
    label_tasks: list[str] | None = None
    calibration: dict[str, list[float]] | None = None
    thresholds: list[float | None] | None = None

    def __post_init__(self, **kwargs):
        _drop_custom_pipelines(self, kwargs)
        super().__post_init__(**kwargs)

    @property
    def hidden_size(self) -> int:
        """Width of each frame of `last_hidden_state`."""
        return self.hidden_sizes[-1]

    @property
    def pooled_size(self) -> int:
        """Width of `pooler_output`, what a projection or a linear head is fed with."""
        return 2 * self.hidden_size if self.pooling == "mean_max" else self.hidden_size

    @property
    def num_hidden_layers(self) -> int:
        """Number of residual stages; `hidden_states` holds one entry more, the output of the stem."""
        return len(self.hidden_sizes)

    def validate_stages(self):
        lengths = {name: len(getattr(self, name)) for name in ("hidden_sizes", "depths", "kernel_sizes")}
        if len(set(lengths.values())) > 1 or not self.hidden_sizes:
            given = ", ".join(f"{length} `{name}`" for name, length in lengths.items())
            raise ValueError(f"`hidden_sizes`, `depths` and `kernel_sizes` need one entry per stage, got {given}.")
        if min(self.hidden_sizes) < 1 or min(self.depths) < 1:
            raise ValueError(
                f"Every stage needs a positive width and depth, got `hidden_sizes` {list(self.hidden_sizes)} and "
                f"`depths` {list(self.depths)}."
            )
        if sum(self.depths) > MAX_LAYERS:
            raise ValueError(f"`depths` must add up to at most {MAX_LAYERS} blocks, got {sum(self.depths)}.")

    def validate_kernel_sizes(self):
        # An even kernel has no centre: its output would be shifted by half a sample against the shortcut.
        for name, kernel_size in [
            ("stem_kernel_size", self.stem_kernel_size),
            *(("kernel_sizes", kernel_size) for kernel_size in self.kernel_sizes),
        ]:
            if kernel_size < 1 or kernel_size % 2 == 0:
                raise ValueError(f"`{name}` must be odd and positive, got {kernel_size}.")

    def validate_calibration(self):
        if self.calibration is None:
            return
        if set(self.calibration) != {"scale", "bias"}:
            raise ValueError(f'`calibration` holds "scale" and "bias", got {", ".join(map(repr, self.calibration))}.')
        for name, values in self.calibration.items():
            if len(values) != self.num_labels or not all(map(math.isfinite, values)):
                raise ValueError(
                    f"`calibration` needs a finite {name} for each of the {self.num_labels} labels, got {values}. Set it "
                    "to None to take the logits as they are."
                )
        if self.problem_type == "regression":
            raise ValueError("`calibration` is of probabilities, and a regression has none. Set it to None.")

    def validate_thresholds(self):
        if self.thresholds is not None and len(self.thresholds) != self.num_labels:
            raise ValueError(
                f"`thresholds` needs a number for each of the {self.num_labels} labels, got {len(self.thresholds)}."
            )

    def validate_label_tasks(self):
        if self.label_tasks is not None and len(self.label_tasks) != self.num_labels:
            raise ValueError(
                f"`label_tasks` needs a task for each of the {self.num_labels} labels, got {len(self.label_tasks)}."
            )

    def validate_sizes(self):
        for name in ("num_leads", "stem_stride", "num_attention_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if self.stem_hidden_size is not None and self.stem_hidden_size < 1:
            raise ValueError(f"`stem_hidden_size` must be at least 1 or None, got {self.stem_hidden_size}.")
        for name in ("dropout", "classifier_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` is a probability in [0, 1), got {getattr(self, name)}.")
        if self.pooling == "attention" and self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"Attention pooling splits the last of `hidden_sizes` over `num_attention_heads`: {self.hidden_size} "
                f"is not a multiple of {self.num_attention_heads}."
            )


@strict
class ETPConfig(PreTrainedConfig):
    """Configuration of [`ETPModel`]: an ECG tower, a text tower and the space they share.

    Args:
        ecg_config: Configuration (or dict) of the ECG tower.
        text_config: Configuration (or dict with `model_type`) of any text encoder that `AutoModel` builds; BERT if omitted.
        projection_dim: Width of the shared space.
        ecg_projection_hidden_size: Hidden width of the ECG projection; `None` makes it one linear layer.
        text_projection_hidden_size: Hidden width of the text projection; `None` makes it one linear layer.
        projection_dropout: Dropout probability inside projections with a hidden layer.
        text_pooling: How tokens become one vector: "cls" (the first), "mean" (over the attention mask) or "pooler".
        loss_type: "infonce" (arXiv:2103.00020) or "siglip" (arXiv:2303.15343).
        text_count_exponent: InfoNCE weighs a text by this power of its number of ECGs: 0 all texts alike, 1 all pairs alike.
        logit_scale_init_value: Initial *log* of the inverse temperature; log(1 / 0.07) as in CLIP (arXiv:2103.00020, section 2.5).
        learnable_logit_scale: Whether the temperature is trained; `False` keeps it at its initial value.
        max_logit_scale: Largest inverse temperature; 100 as in CLIP (arXiv:2103.00020, section 2.5).
        logit_bias_init_value: Initial bias of the SigLIP logits; -10 as in arXiv:2303.15343, section 3.2.
    """

    model_type = "etp"
    sub_configs_defaults = {
        "ecg_config": SubConfigSpec(config_class=ETPEcgConfig),
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="bert"),
    }

    ecg_config: dict | PreTrainedConfig | None = None
    text_config: dict | PreTrainedConfig | None = None
    projection_dim: int = 512
    ecg_projection_hidden_size: int | None = None
    text_projection_hidden_size: int | None = None
    projection_dropout: float | int = 0.0
    text_pooling: Literal["cls", "mean", "pooler"] = "cls"
    loss_type: Literal["infonce", "siglip"] = "infonce"
    text_count_exponent: float | int = 0.0
    logit_scale_init_value: float | int = math.log(1 / 0.07)
    learnable_logit_scale: bool = True
    max_logit_scale: float | int = 100.0
    logit_bias_init_value: float | int = -10.0

    def __post_init__(self, **kwargs):
        _drop_custom_pipelines(self, kwargs)
        # The base class resets the attention of every sub-config. One taken from a living model (`model.config`) would
        # lose it under that model's feet and change its outputs.
        attention = {
            name: config._attn_implementation
            for name in self.sub_configs_defaults
            if isinstance(config := getattr(self, name), PreTrainedConfig)
        }
        requested = kwargs.get("attn_implementation")
        super().__post_init__(**kwargs)
        if requested is None:
            for name, implementation in attention.items():
                getattr(self, name)._attn_implementation = implementation

    def validate_text_config(self):
        text_config = cast(PreTrainedConfig, self.text_config)  # whatever it was given as, `__post_init__` resolved it
        if text_config.is_encoder_decoder:
            raise ValueError(
                f"`text_config` must describe an encoder such as BERT, got the encoder-decoder {text_config.model_type!r}."
            )
        num_layers = getattr(text_config, "num_hidden_layers", 0)
        if isinstance(num_layers, int) and num_layers > MAX_LAYERS:
            raise ValueError(f"`text_config` must have at most {MAX_LAYERS} layers, got {num_layers}.")

    def validate_projections(self):
        for name in ("projection_dim", "ecg_projection_hidden_size", "text_projection_hidden_size"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"`{name}` must be at least 1, got {size}.")
        if not 0 <= self.projection_dropout < 1:
            raise ValueError(f"`projection_dropout` is a probability in [0, 1), got {self.projection_dropout}.")

    def validate_logit_scale(self):
        if self.max_logit_scale <= 0 or self.logit_scale_init_value > math.log(self.max_logit_scale):
            raise ValueError(
                f"`logit_scale_init_value` is the log of the inverse temperature and may not exceed "
                f"log(max_logit_scale): got {self.logit_scale_init_value} and max_logit_scale={self.max_logit_scale}. "
                "For a temperature of 0.07 pass log(1 / 0.07) = 2.659."
            )


__all__ = ["ETPConfig", "ETPEcgConfig"]
