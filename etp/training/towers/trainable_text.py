"""A text encoder trained from one layer on; outputs of the layers below are cached."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from etp.options import OptionError
from etp.progress import progress as with_progress
from modeling_etp.modeling_etp import ETPModel

from .cut_texts import CutTexts
from .text_cache import BATCH_SIZE, tower_fingerprint

# Where encoders of BERT's build keep their layers: BERT, RoBERTa, MiniLM, MPNet; DistilBERT.
LAYERS = ("encoder.layer", "transformer.layer")


def unfreeze_text_layers(model: ETPModel, *, first_layer: int) -> None:
    """Train the text tower from a layer on; its embeddings and the layers below stay as they are.

    Raises:
        OptionError: The tower has no such layer or is not of BERT's build.
    """
    model.text_model.requires_grad_(False)
    _, layers = _layers(model.text_model)
    if first_layer >= len(layers):
        raise OptionError(
            f"--unfreeze_text_from {first_layer}: the text tower has the layers 0 to {len(layers) - 1}; leave the flag "
            "out to keep it frozen."
        )
    layers[first_layer:].requires_grad_(True)
    if model.text_pooling == "pooler":
        model.text_model.pooler.requires_grad_(True)


def layer_learning_rates(model: ETPModel, *, learning_rate: float, decay: float, prefix: str) -> dict[str, float]:
    """Learning rate of each text layer by the start of its parameters' names, smaller further down."""
    path, layers = _layers(model.text_model)
    rates = {f"{prefix}text_model.": learning_rate}
    for index in range(len(layers)):
        rates[f"{prefix}text_model.{path}.{index}."] = learning_rate * decay ** (len(layers) - 1 - index)
    return rates


class TrainableTextEncoder:
    """Texts as the output of the layers below `first_layer`, in memory; `upper_features` continues from there.

    Args:
        dtype: Of what is kept, `(tokens, text_hidden)` per text.
        device: Where the lower layers run and where the columns are wanted.
    """

    def __init__(
        self,
        model: ETPModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        first_layer: int,
        dtype: torch.dtype,
        device: torch.device,
    ):
        self._model, self._tokenizer = model, tokenizer
        self._first_layer, self._dtype, self._device = first_layer, dtype, device
        self._hidden: dict[str, Tensor] = {}
        self._cut_texts = CutTexts(tokenizer)
        self.fingerprint = tower_fingerprint(
            model.text_model, tokenizer, pooling=model.text_pooling, max_tokens=tokenizer.model_max_length
        )

    @torch.no_grad()
    def prepare(self, texts: Sequence[str], *, progress: bool = False) -> None:
        """Run new texts through the lower layers, those of similar length together."""
        if progress:
            self._cut_texts.count(texts)
        new = [text for text in dict.fromkeys(texts) if text not in self._hidden]
        tower = self._model.text_model
        was_training = tower.training
        tower.eval()
        new.sort(key=len)
        starts = range(0, len(new), BATCH_SIZE)
        shown = progress and bool(new)
        for start in with_progress(starts, "Lower text layers", total=len(starts), unit="chunk", shown=shown):
            batch = new[start : start + BATCH_SIZE]
            tokens = self._tokenizer(
                batch,
                padding=True,
                truncation=True,
                max_length=self._tokenizer.model_max_length,
                return_tensors="pt",
            ).to(self._device)
            with _only_layers(tower, slice(None, self._first_layer)):
                output = tower(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
            hidden = output.last_hidden_state.to(self._dtype).cpu()
            for text, states, length in zip(batch, hidden, tokens["attention_mask"].sum(dim=1).tolist(), strict=True):
                self._hidden[text] = states[:length].clone()
        tower.train(was_training)

    def columns(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """`hidden_states` `(texts, longest, text_hidden)` and `attention_mask` `(texts, longest)`."""
        states = [self._hidden[text] for text in texts]
        if not states:  # more processes than texts
            width = self._model.text_model.config.hidden_size
            return {
                "hidden_states": torch.zeros(0, 1, width, device=self._device, dtype=self._dtype),
                "attention_mask": torch.zeros(0, 1, device=self._device, dtype=torch.int64),
            }
        hidden = nn.utils.rnn.pad_sequence(states, batch_first=True).to(self._device)
        lengths = torch.tensor([len(state) for state in states], device=self._device)
        mask = torch.arange(hidden.shape[1], device=self._device) < lengths[:, None]
        return {"hidden_states": hidden, "attention_mask": mask.long()}


def upper_features(model: ETPModel, columns: Mapping[str, Tensor], *, first_layer: int) -> Tensor:
    """Pooled features `(texts, text_hidden)` of texts whose lower layers have run; gradients reach the upper ones."""
    mask = columns["attention_mask"]
    hidden_states = columns["hidden_states"].to(model.dtype)
    with _only_layers(model.text_model, slice(first_layer, None), enter_with=hidden_states):
        return model.get_text_tower_features(input_ids=torch.zeros_like(mask), attention_mask=mask)


@contextmanager
def _only_layers(tower: nn.Module, wanted: slice, *, enter_with: Tensor | None = None) -> Iterator[None]:
    """Inside, the tower has some of its layers only and, if told so, takes their input as it is given."""
    path, layers = _layers(tower)
    owner = tower.get_submodule(path.rpartition(".")[0])
    embeddings = tower.embeddings
    owner.layer = layers[wanted]
    if enter_with is not None:
        tower.embeddings = _Given(enter_with)
    try:
        yield
    finally:
        owner.layer, tower.embeddings = layers, embeddings


class _Given(nn.Module):
    def __init__(self, hidden_states: Tensor):
        super().__init__()
        self.hidden_states = hidden_states

    def forward(self, *args: object, **kwargs: object) -> Tensor:
        return self.hidden_states


def text_layers(tower: nn.Module) -> nn.ModuleList:
    """The layers between the embeddings of a text tower and its output.

    Raises:
        OptionError: The tower is not of BERT's build.
    """
    return _layers(tower)[1]


def _layers(tower: nn.Module) -> tuple[str, nn.ModuleList]:
    for path in LAYERS:
        try:
            layers = tower.get_submodule(path)
        except AttributeError:
            continue
        if isinstance(layers, nn.ModuleList) and hasattr(tower, "embeddings"):
            return path, layers
    raise OptionError(
        f"--unfreeze_text_from knows encoders of BERT's build, {type(tower).__name__} is not one: keep it frozen."
    )
