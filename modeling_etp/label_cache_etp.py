"""Label embeddings that are computed once and are valid for the weights they were computed with."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .zero_shot_etp import LabelEmbeddings, embed_labels, embed_texts

if TYPE_CHECKING:
    from .modeling_etp import ETPModel

CACHED_LABEL_SETS = 16


class LabelCache:
    """Embeds the labels of each call and remembers them until the weights or the tokenizer change.

    Threads may share it: one embeds at a time, which fast tokenizers need as well. A copy, in this process or another,
    starts empty.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def __reduce__(self) -> tuple:
        return type(self), ()

    def clear(self) -> None:
        self._state: tuple | None = None
        # Held as long as the embeddings: the address of an object that is gone may be given to another.
        self._owners: list = []
        self._entries: OrderedDict[tuple, LabelEmbeddings] = OrderedDict()

    def get(
        self,
        model: "ETPModel",
        tokenizer: Any,
        labels: Mapping[str, Sequence[str]],
        templates: Sequence[str],
        *,
        interpret_labels: bool = True,
    ) -> LabelEmbeddings:
        """As [`embed_labels`], from memory where possible; in full precision, whoever asks first under autocast."""
        key = (tuple((label, tuple(phrases)) for label, phrases in labels.items()), tuple(templates), interpret_labels)
        with self._lock:
            self._forget_if_changed(model, tokenizer)
            if key not in self._entries:
                with torch.autocast(model.device.type, enabled=False):
                    self._entries[key] = embed_labels(
                        model, tokenizer, labels, templates=templates, interpret_labels=interpret_labels
                    )
            self._entries.move_to_end(key)
            if len(self._entries) > CACHED_LABEL_SETS:
                self._entries.popitem(last=False)
            return self._entries[key]

    def embed_texts(self, model: "ETPModel", tokenizer: Any, texts: Sequence[str], *, batch_size: int) -> Tensor:
        """[`embed_texts`], one thread at a time."""
        with self._lock:
            return embed_texts(model, tokenizer, texts, batch_size=batch_size)

    def _forget_if_changed(self, model: "ETPModel", tokenizer: Any) -> None:
        weights = list(chain(model.text_model.parameters(), model.text_projection.parameters()))
        if model.logit_bias is not None:  # kept with labels that negate a finding
            weights.append(model.logit_bias)
        state = (id(tokenizer), *map(_fingerprint, weights), _first_values(weights))
        if state != self._state:
            self.clear()
            self._state, self._owners = state, [tokenizer, *weights]


def _fingerprint(weight: Tensor) -> tuple:
    # A tensor made under `torch.inference_mode` counts no versions.
    return id(weight), weight.data_ptr(), -1 if weight.is_inference() else weight._version


def _first_values(weights: Sequence[Tensor]) -> tuple[float, ...]:
    """The first value of every weight: a write through `.data` changes no version."""
    first = [weight.detach()[(0,) * weight.dim()].float() for weight in weights]
    return tuple(torch.stack([value.to(first[0].device) for value in first]).tolist())


__all__ = ["LabelCache"]
