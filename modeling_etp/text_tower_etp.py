"""Any text encoder as the text tower: how it is built and how its tokens become one vector."""

import inspect
import json
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import cached_file


def make_text_model(text_config: PreTrainedConfig, *, pooling: str) -> PreTrainedModel:
    """Build the encoder that `text_config` describes, without a pooler unless `pooling="pooler"` uses it.

    Raises:
        ValueError: If transformers has no base model for the configuration, or `pooling="pooler"` and the
            architecture has none.
    """
    if type(text_config) not in AutoModel._model_mapping:
        raise ValueError(f"`text_config` must be one that AutoModel can build, got {type(text_config).__name__}.")
    # An unused pooler would be parameters without a gradient, which distributed training trips over.
    use_pooler = pooling == "pooler"
    model_class: Any = AutoModel._model_mapping[type(text_config)]
    has_option = "add_pooling_layer" in inspect.signature(model_class).parameters
    options = {"add_pooling_layer": use_pooler} if has_option else {}
    text_model = AutoModel.from_config(text_config, **options)
    if use_pooler and not isinstance(getattr(text_model, "pooler", None), nn.Module):
        raise ValueError(
            f'`text_pooling="pooler"` needs a text tower with a pooler, {model_class.__name__} has none. '
            'Use "cls" or "mean".'
        )
    return text_model


def pool_tokens(output: BaseModelOutputWithPooling, attention_mask: Tensor | None, pooling: str) -> Tensor:
    """Reduce `last_hidden_state`, shape `(texts, tokens, hidden)`, to `(texts, hidden)`.

    Args:
        output: Output of the text tower.
        attention_mask: 1 for tokens, 0 for padding, shape `(texts, tokens)`; all ones if omitted.
        pooling: "cls" takes the first token, "mean" the mean of the tokens, "pooler" the tower's own `pooler_output`.
    """
    # The fields of every output are declared optional; an encoder fills these.
    if pooling == "pooler":
        return cast(Tensor, output.pooler_output)
    hidden_states = cast(Tensor, output.last_hidden_state)
    if pooling == "cls":
        return hidden_states[:, 0]
    if attention_mask is None:
        return hidden_states.mean(dim=1)
    mask = attention_mask.unsqueeze(-1).to(hidden_states.dtype)
    return (hidden_states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


def sentence_transformers_pooling(text: str | Path) -> str | None:
    """Pooling that a sentence-transformers folder or Hub id declares; `None` for any other checkpoint.

    Raises:
        ValueError: If it declares one that [`pool_tokens`] does not know.
    """
    path = cached_file(
        str(text),
        "1_Pooling/config.json",
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        _raise_exceptions_for_gated_repo=False,
    )
    if path is None:
        return None
    declared = json.loads(Path(path).read_text(encoding="utf-8"))
    modes = {name for name, on in declared.items() if name.startswith("pooling_mode_") and on is True}
    if "pooling_mode" in declared:
        modes.add(f"pooling_mode_{declared['pooling_mode']}")
    for mode, pooling in _POOLING_OF_MODE.items():
        if modes == {mode}:
            return pooling
    raise ValueError(
        f"{path} declares the pooling {sorted(modes)}, known are {sorted(_POOLING_OF_MODE)}. Pass `text_pooling`."
    )


_POOLING_OF_MODE = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls": "cls",
    "pooling_mode_mean": "mean",
}
