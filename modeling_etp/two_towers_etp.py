"""Joins an ECG tower and a text tower, from checkpoints or from models at hand."""

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_NAME, cached_file, logging

from .configuration_etp import ETPConfig, ETPEcgConfig
from .text_tower_etp import sentence_transformers_pooling

logger = logging.get_logger(__name__)

# What says how a configuration was saved rather than what model it describes.
_NOT_ARCHITECTURE = {"architectures", "auto_map", "dtype", "transformers_version", "_name_or_path"}


@dataclass
class JoinedTowers:
    """What [`join_towers`] found: fields of an [`ETPConfig`], and weights by their names in the joined model."""

    config: dict
    weights: dict[str, Tensor]
    trained_together: bool

    def load_into(self, model: nn.Module) -> None:
        """Copy the weights, and say which parts stay new.

        Raises:
            ValueError: If a tower is not complete.
        """
        missing = model.load_state_dict(self.weights, strict=False).missing_keys
        towers = (
            ("ecg_model.", "text_model.")
            if any(n.startswith("ecg_model.") for n in self.weights)
            else ("text_model.",)
        )
        lacking = [name for name in missing if name.startswith(towers) or self.trained_together]
        if lacking:
            raise ValueError(
                f"The checkpoints lack {len(lacking)} weights of the joined model, the first: {lacking[:5]}."
            )
        if missing:
            parts = sorted({name.partition(".")[0] for name in missing})
            logger.warning(f"Newly initialised, to be trained before use: {', '.join(parts)}.")


def join_towers(
    ecg: str | Path | PreTrainedModel | PreTrainedConfig, text: str | Path | PreTrainedModel
) -> JoinedTowers:
    """Read both towers; see `ETPModel.from_ecg_text_pretrained`."""
    if isinstance(text, PreTrainedModel):
        text_model, pooling = text, None
    else:
        text_model, pooling = AutoModel.from_pretrained(text, dtype="float32"), sentence_transformers_pooling(text)
    text_config = text_model.config.to_dict()
    text_config.pop("_name_or_path", None)
    text_weights = {f"text_model.{name}": weight for name, weight in text_model.state_dict().items()}

    config, weights = _ecg_side(ecg)
    trained_together = _architecture(config.get("text_config")) == _architecture(text_config)
    if not trained_together:
        config = {"ecg_config": config["ecg_config"]}
        weights = {name: weight for name, weight in weights.items() if name.startswith("ecg_model.")}
        if pooling is not None:
            config["text_pooling"] = pooling
    return JoinedTowers({**config, "text_config": text_config}, weights | text_weights, trained_together)


def _ecg_side(ecg: str | Path | PreTrainedModel | PreTrainedConfig) -> tuple[dict, dict[str, Tensor]]:
    """Fields of an `ETPConfig`, and weights by their names in an `ETPModel`; a text tower among them is replaced later."""
    if isinstance(ecg, PreTrainedConfig):
        config, weights = ecg.to_dict(), {}
    elif isinstance(ecg, PreTrainedModel):
        config, weights = ecg.config.to_dict(), ecg.state_dict()
    else:
        config, _ = PreTrainedConfig.get_config_dict(str(ecg))
        # Raises where the file is missing, so the path is never `None`.
        weights = load_file(str(cached_file(str(ecg), SAFE_WEIGHTS_NAME)))
    if config.get("model_type") == ETPConfig.model_type:
        return config, weights
    if config.get("model_type") != ETPEcgConfig.model_type:
        raise ValueError(
            f"`ecg` must be an ETP checkpoint or an ECG tower, model_type {ETPConfig.model_type!r} or "
            f"{ETPEcgConfig.model_type!r}, got {config.get('model_type')!r}."
        )
    config.pop("_name_or_path", None)  # where the tower was read is no part of the joined model
    if any(name.startswith("ecg_model.") for name in weights):  # saved with a classification head
        return {"ecg_config": config}, weights
    return {"ecg_config": config}, {f"ecg_model.{name}": weight for name, weight in weights.items()}


def _architecture(config: dict | None) -> dict | None:
    if config is None:
        return None
    # Through the configuration class, which adds the defaults that a saved file may leave out.
    text_config = ETPConfig(text_config=config).to_dict()["text_config"]
    return {name: value for name, value in text_config.items() if name not in _NOT_ARCHITECTURE}
