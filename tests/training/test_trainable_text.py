"""A partly trained text tower that starts from cached layers is the whole tower with its lower layers frozen."""

import json

import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertModel, DistilBertConfig, ModernBertConfig, RobertaConfig

from etp.options import OptionError
from etp.training.towers.trainable_text import (
    TrainableTextEncoder,
    layer_learning_rates,
    unfreeze_text_layers,
    upper_features,
)
from modeling_etp.configuration_etp import ETPConfig, ETPEcgConfig
from modeling_etp.modeling_etp import ETPModel

TEXTS = ["sinus rhythm", "atrial fibrillation. st depression", "lbbb", "complete left bundle branch block"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
TOWERS = {
    "bert": BertConfig(**SIZES, vocab_size=120),
    "roberta": RobertaConfig(**SIZES, vocab_size=120, pad_token_id=0),
    "distilbert": DistilBertConfig(dim=16, n_layers=3, n_heads=2, hidden_dim=32, vocab_size=120),
}


def make_model(text_config, pooling: str = "mean") -> ETPModel:
    torch.manual_seed(0)
    ecg_config = ETPEcgConfig(hidden_sizes=(8,), depths=(1,), kernel_sizes=(3,))
    config = ETPConfig(
        ecg_config=ecg_config, text_config=text_config.to_dict(), projection_dim=8, text_pooling=pooling
    )
    return ETPModel(config).eval()


def live_texts(model: ETPModel, tokenizer, first_layer: int) -> TrainableTextEncoder:
    texts = TrainableTextEncoder(
        model, tokenizer, first_layer=first_layer, dtype=torch.float32, device=torch.device("cpu")
    )
    texts.prepare(TEXTS)
    return texts


@pytest.fixture(scope="module")
def tokenizer(text_tower):
    return AutoTokenizer.from_pretrained(text_tower)


@pytest.mark.parametrize("first_layer", [0, 1, 2])
@pytest.mark.parametrize(
    ("tower", "pooling"), [("bert", "mean"), ("bert", "pooler"), ("roberta", "cls"), ("distilbert", "cls")]
)
def test_cached_layers_change_neither_features_nor_gradients(tokenizer, tower, pooling, first_layer):
    model = make_model(TOWERS[tower], pooling)
    unfreeze_text_layers(model, first_layer=first_layer)
    columns = live_texts(model, tokenizer, first_layer).columns(TEXTS)
    features = upper_features(model, columns, first_layer=first_layer)
    features.square().sum().backward()
    found = {name: p.grad.clone() for name, p in model.text_model.named_parameters() if p.grad is not None}

    model.zero_grad()
    tokens = tokenizer(TEXTS, padding=True, return_tensors="pt")
    whole = model.get_text_tower_features(tokens["input_ids"], tokens["attention_mask"])
    whole.square().sum().backward()
    expected = {name: p.grad for name, p in model.text_model.named_parameters() if p.grad is not None}
    torch.testing.assert_close(features, whole, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert not any(name.startswith("embeddings") for name in expected)


def test_lower_layers_run_once_per_text_and_without_dropout(tokenizer, monkeypatch):
    model = make_model(TOWERS["bert"]).train()
    texts = live_texts(model, tokenizer, 1)
    before = texts.columns(TEXTS)["hidden_states"]
    monkeypatch.setattr(BertModel, "forward", lambda *args, **kwargs: pytest.fail("the tower ran again"))
    texts.prepare(TEXTS[::-1])
    assert torch.equal(texts.columns(TEXTS)["hidden_states"], before)
    assert model.text_model.training


def test_the_rate_falls_with_every_layer_further_down():
    model = make_model(TOWERS["bert"])
    rates = layer_learning_rates(model, learning_rate=1.0, decay=0.5, prefix="model.")
    assert rates == {
        "model.text_model.": 1.0,
        "model.text_model.encoder.layer.0.": 0.25,
        "model.text_model.encoder.layer.1.": 0.5,
        "model.text_model.encoder.layer.2.": 1.0,
    }


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(OptionError, match="--unfreeze_text_from 3: the text tower has the layers 0 to 2"):
        unfreeze_text_layers(make_model(TOWERS["bert"]), first_layer=3)


def test_an_encoder_of_another_build_is_refused():
    model = make_model(ModernBertConfig(**SIZES, vocab_size=120, pad_token_id=0))
    with pytest.raises(OptionError, match="knows encoders of BERT's build, ModernBertModel is not one"):
        unfreeze_text_layers(model, first_layer=0)


def test_a_run_trains_the_upper_text_layers_only(run, text_tower, tmp_path):
    from safetensors.torch import load_file

    options = ["--unfreeze_text_from", "1", "--text_learning_rate", "0.01", "--gradient_checkpointing"]
    assert run(tmp_path, *options, "--max_steps", "3") == 0
    before, after = load_file(text_tower / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    changed = {
        name for name, tensor in before.items() if not torch.equal(after.get(f"text_model.{name}", tensor), tensor)
    }
    assert changed
    assert all(name.startswith("encoder.layer.1.") for name in changed)
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    saved = load_file(checkpoint / "weights.safetensors")
    assert not any("encoder.layer.0." in name for name in saved)
    assert json.loads((checkpoint / "state.json").read_text())["position"]["step"] == 3
