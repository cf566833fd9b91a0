"""`ETPModel.from_ecg_text_pretrained`: what comes along, what is new, what is refused."""

import json

import pytest
import torch
from transformers import AutoModel, BertModel, DistilBertConfig, DistilBertModel
from transformers.utils import logging

from modeling_etp.classification_etp import ETPForEcgClassification
from modeling_etp.configuration_etp import ETPEcgConfig
from modeling_etp.modeling_etp import ETPEcgModel, ETPModel


@pytest.fixture
def bert(make_config) -> BertModel:
    torch.manual_seed(3)
    return BertModel(make_config().text_config).eval()


@pytest.fixture
def bert_folder(bert, tmp_path):
    bert.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    weights = other.state_dict()
    return all(torch.equal(value, weights[name]) for name, value in one.state_dict().items())


def test_a_checkpoint_and_its_own_text_tower_are_the_whole_model_again(make_model, ecgs, texts, tmp_path):
    model = make_model(text_pooling="mean", loss_type="siglip")
    with torch.no_grad():
        model.logit_scale.fill_(1.25)
    model.text_model.save_pretrained(tmp_path / "text")
    without_text = {name: value for name, value in model.state_dict().items() if not name.startswith("text_model.")}
    model.save_pretrained(tmp_path / "ecg-side", state_dict=without_text)
    joined = ETPModel.from_ecg_text_pretrained(tmp_path / "ecg-side", tmp_path / "text")
    assert not joined.training
    torch.testing.assert_close(joined(ecgs, **texts).logits_per_ecg, model(ecgs, **texts).logits_per_ecg)


def test_weights_stored_in_bfloat16_are_joined_in_float32(make_model, ecgs, texts, tmp_path):
    model = make_model().to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    joined = ETPModel.from_ecg_text_pretrained(tmp_path, model.text_model)
    assert {parameter.dtype for parameter in joined.parameters()} == {torch.float32}
    torch.testing.assert_close(joined(ecgs, **texts).ecg_embeds, model.float()(ecgs, **texts).ecg_embeds)


def test_another_text_tower_takes_the_ecg_tower_and_new_projections(make_model, tmp_path):
    model = make_model(projection_dim=6)
    model.save_pretrained(tmp_path)
    text = DistilBertModel(DistilBertConfig(dim=8, n_layers=1, n_heads=2, hidden_dim=8, vocab_size=40))
    joined = ETPModel.from_ecg_text_pretrained(tmp_path, text, projection_dim=5)
    assert same(model.ecg_model, joined.ecg_model)
    assert same(joined.text_model, text)
    assert joined.text_projection.layers[0].weight.shape == (5, 8)


def test_what_is_new_is_named(bert_folder, caplog):
    logging.enable_propagation()
    try:
        ETPModel.from_ecg_text_pretrained(ETPEcgConfig(), bert_folder)
    finally:
        logging.disable_propagation()
    assert "Newly initialised, to be trained before use: ecg_model, ecg_projection, logit_scale, text_projection." in (
        caplog.text
    )


@pytest.mark.parametrize("kind", ["model", "folder", "full checkpoint", "classifier"])
def test_the_ecg_tower_comes_from_anything_that_holds_one(make_model, bert, ecgs, tmp_path, kind):
    tower = make_model().ecg_model
    source = tmp_path
    if kind == "model":
        source = tower
    elif kind == "folder":
        tower.save_pretrained(tmp_path)
    elif kind == "full checkpoint":
        make_model().save_pretrained(tmp_path)
    else:
        classifier = ETPForEcgClassification(tower.config)
        classifier.ecg_model.load_state_dict(tower.state_dict())
        classifier.save_pretrained(tmp_path)
    joined = ETPModel.from_ecg_text_pretrained(source, bert)
    assert same(tower, joined.ecg_model)
    assert same(joined.text_model, bert)


@pytest.mark.parametrize(("mode", "pooling"), [("mean_tokens", "mean"), ("cls_token", "cls")])
def test_pooling_follows_a_sentence_transformers_folder(bert_folder, mode, pooling):
    (bert_folder / "1_Pooling").mkdir()
    declared = {"word_embedding_dimension": 12, "pooling_mode_mean_tokens": False, f"pooling_mode_{mode}": True}
    (bert_folder / "1_Pooling" / "config.json").write_text(json.dumps(declared))
    tower = ETPEcgConfig(hidden_sizes=(4,), depths=(1,), kernel_sizes=(3,))
    assert ETPModel.from_ecg_text_pretrained(tower, bert_folder).text_pooling == pooling
    assert ETPModel.from_ecg_text_pretrained(tower, bert_folder, text_pooling="pooler").text_pooling == "pooler"


def test_an_unknown_pooling_is_refused(bert_folder):
    (bert_folder / "1_Pooling").mkdir()
    (bert_folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_lasttoken": True}))
    with pytest.raises(ValueError, match=r"pooling_mode_lasttoken.*Pass `text_pooling`"):
        ETPModel.from_ecg_text_pretrained(ETPEcgConfig(), bert_folder)


def test_the_pooler_is_used_only_where_it_pools(bert, bert_folder):
    tower = ETPEcgConfig(hidden_sizes=(4,), depths=(1,), kernel_sizes=(3,))
    assert ETPModel.from_ecg_text_pretrained(tower, bert_folder).text_model.pooler is None
    pooled = ETPModel.from_ecg_text_pretrained(tower, bert_folder, text_pooling="pooler")
    assert same(bert.pooler, pooled.text_model.pooler)


def test_what_is_no_ecg_tower_is_refused(bert_folder, bert):
    with pytest.raises(ValueError, match="model_type 'etp' or 'etp_ecg_model', got 'bert'"):
        ETPModel.from_ecg_text_pretrained(bert_folder, bert)


def test_a_torn_tower_is_refused(make_model, bert, tmp_path):
    tower = make_model().ecg_model
    weights = {name: value for name, value in tower.state_dict().items() if name != "stem.conv.weight"}
    tower.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(ValueError, match=r"lack 1 weights .*'ecg_model.stem.conv.weight'"):
        ETPModel.from_ecg_text_pretrained(tmp_path, bert)


def test_the_given_text_tower_is_left_as_it_was(bert, texts):
    before = bert(**texts).last_hidden_state
    attention = bert.config._attn_implementation
    ETPModel.from_ecg_text_pretrained(ETPEcgConfig(hidden_sizes=(4,), depths=(1,), kernel_sizes=(3,)), bert)
    assert bert.config._attn_implementation == attention
    torch.testing.assert_close(bert(**texts).last_hidden_state, before, rtol=0, atol=0)


def test_the_joined_model_is_saved_and_found_by_the_auto_class(bert, ecgs, texts, tmp_path):
    joined = ETPModel.from_ecg_text_pretrained(ETPEcgConfig(hidden_sizes=(4,), depths=(1,), kernel_sizes=(3,)), bert)
    joined.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert isinstance(loaded, ETPModel)
    torch.testing.assert_close(loaded(ecgs, **texts).logits_per_ecg, joined(ecgs, **texts).logits_per_ecg)
    assert isinstance(ETPEcgModel.from_pretrained(tmp_path), ETPEcgModel)
