"""The two-tower model: embeddings, logits, losses, temperature, text towers, saving."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from transformers import PreTrainedConfig

from modeling_etp.configuration_etp import ETPConfig
from modeling_etp.loss_etp import info_nce_loss, siglip_loss
from modeling_etp.modeling_etp import ETPEcgModel, ETPModel

TEXT_TOWERS = {
    "bert": {
        "model_type": "bert",
        "hidden_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
    },
    "roberta": {
        "model_type": "roberta",
        "hidden_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
    },
    "distilbert": {"model_type": "distilbert", "dim": 12, "n_layers": 1, "n_heads": 2, "hidden_dim": 8},
    "electra": {
        "model_type": "electra",
        "embedding_size": 12,
        "hidden_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
    },
    "mpnet": {
        "model_type": "mpnet",
        "hidden_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
    },
}


def test_logits_are_scaled_cosine_similarities(make_model, ecgs, texts):
    output = make_model()(ecgs, **texts)
    for embeds in (output.ecg_embeds, output.text_embeds):
        torch.testing.assert_close(embeds.norm(dim=-1), torch.ones(4))
    cosines = F.cosine_similarity(output.ecg_embeds[:, None], output.text_embeds[None], dim=-1)
    torch.testing.assert_close(output.logits_per_ecg, cosines / 0.07)
    torch.testing.assert_close(output.logits_per_text, output.logits_per_ecg.T)


def test_features_are_the_embeddings_that_forward_compares(make_model, ecgs, texts):
    model = make_model()
    output = model(ecgs, **texts)
    torch.testing.assert_close(model.get_ecg_features(ecgs).pooler_output, output.ecg_embeds)
    torch.testing.assert_close(model.get_text_features(**texts).pooler_output, output.text_embeds)


def test_features_are_tuples_where_asked_for(make_model, ecgs, texts):
    model = make_model()
    frames, embeds = model.get_ecg_features(ecgs, return_dict=False)
    assert (frames.shape, embeds.shape) == ((4, 25, 16), (4, 6))
    assert isinstance(model.get_text_features(**texts, return_dict=False), tuple)
    logits_per_ecg, *_ = model(ecgs, **texts, return_dict=False)
    assert logits_per_ecg.shape == (4, 4)


@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
def test_cached_text_features_give_the_logits_of_the_texts(make_model, ecgs, texts, pooling):
    model = make_model(text_pooling=pooling)
    text_features = model.get_text_tower_features(**texts)
    assert text_features.shape == (4, 12)
    output = model(ecgs, text_features=text_features)
    torch.testing.assert_close(output.logits_per_ecg, model(ecgs, **texts).logits_per_ecg)
    assert output.text_model_output is None


@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
def test_padding_does_not_change_a_text(make_model, texts, pooling):
    model = make_model(text_pooling=pooling)
    alone = model.get_text_tower_features(texts["input_ids"][3:, :2], texts["attention_mask"][3:, :2])
    torch.testing.assert_close(model.get_text_tower_features(**texts)[3:], alone)


def test_mean_pooling_without_a_mask_takes_every_token(make_model, texts):
    model = make_model(text_pooling="mean")
    expected = model.text_model(texts["input_ids"]).last_hidden_state.mean(dim=1)
    torch.testing.assert_close(model.get_text_tower_features(texts["input_ids"]), expected)


def test_ecgs_and_texts_may_differ_in_number(make_model, ecgs, texts):
    output = make_model()(ecgs[:3], **texts)
    assert output.logits_per_ecg.shape == (3, 4)
    assert output.logits_per_text.shape == (4, 3)


@pytest.mark.parametrize("with_positives", [True, False])
def test_the_loss_is_that_of_its_type(make_model, ecgs, texts, with_positives):
    positives = torch.eye(4)[:, [0, 1, 2, 0]] if with_positives else None
    infonce, siglip = make_model(), make_model(loss_type="siglip", logit_bias_init_value=-2.0)
    output = infonce(ecgs, **texts, positives=positives, return_loss=True)
    expected = info_nce_loss(output.ecg_embeds, output.text_embeds, torch.tensor(1 / 0.07), positives)
    torch.testing.assert_close(output.loss, expected)
    output = siglip(ecgs, **texts, positives=positives, return_loss=True)
    scale, bias = torch.tensor(1 / 0.07), torch.tensor(-2.0)
    torch.testing.assert_close(output.loss, siglip_loss(output.ecg_embeds, output.text_embeds, scale, bias, positives))
    torch.testing.assert_close(output.logits_per_ecg, scale * output.ecg_embeds @ output.text_embeds.T + bias)


@pytest.mark.parametrize("text_tower", TEXT_TOWERS)
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_any_text_encoder_trains_with_a_gradient_for_every_parameter(make_config, ecgs, texts, text_tower, pooling):
    model = ETPModel(
        make_config(text_config={"vocab_size": 40, **TEXT_TOWERS[text_tower]}, text_pooling=pooling)
    ).train()
    model(ecgs, **texts, token_type_ids=torch.zeros(4, 7, dtype=torch.long), return_loss=True).loss.backward()
    # Two-token texts reach every weight but ELECTRA's and MPNet's positions, which are embeddings like any other.
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_projections_with_a_hidden_layer_have_a_gradient_and_dropout(make_model, ecgs, texts):
    model = make_model(ecg_projection_hidden_size=5, text_projection_hidden_size=7, projection_dropout=0.5)
    assert [tuple(p.shape) for p in model.ecg_projection.parameters()] == [(5, 16), (5,), (6, 5), (6,)]
    assert [tuple(p.shape) for p in model.text_projection.parameters()] == [(7, 12), (7,), (6, 7), (6,)]
    features = torch.randn(2, 16)
    torch.testing.assert_close(model.ecg_projection(features), model.ecg_projection(features))
    model.train()
    assert not torch.equal(model.ecg_projection(features), model.ecg_projection(features))
    model(ecgs, **texts, return_loss=True).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_an_encoder_without_a_pooler_cannot_pool_by_it(make_config):
    config = make_config(text_config=TEXT_TOWERS["distilbert"], text_pooling="pooler")
    with pytest.raises(ValueError, match="DistilBertModel has none"):
        ETPModel(config)


def test_a_text_config_without_a_base_model_is_refused(make_config):
    config = make_config()
    config.text_config = PreTrainedConfig()
    with pytest.raises(ValueError, match="one that AutoModel can build, got PreTrainedConfig"):
        ETPModel(config)


@pytest.mark.parametrize("training", [True, False])
def test_the_temperature_never_exceeds_its_limit(make_model, ecgs, texts, training):
    model = make_model(max_logit_scale=50.0).train(training)
    with torch.no_grad():
        model.logit_scale.fill_(10)
    output = model(ecgs, **texts, return_loss=True)
    assert output.logit_scale.item() == pytest.approx(50)
    assert output.logits_per_ecg.abs().max() <= 50 * 1.0001


def test_the_temperature_comes_back_from_its_limit(make_model, ecgs, texts):
    model = make_model().train()
    with torch.no_grad():
        model.logit_scale.fill_(10)
    optimizer = torch.optim.SGD([model.logit_scale], lr=0.1)
    model(ecgs, **texts, return_loss=True).loss.backward()
    assert model.logit_scale.grad.item() > 0  # the towers are random: a warmer softmax is better
    optimizer.step()
    assert model.get_logit_scale().item() < 99.99


def test_a_fixed_temperature_has_no_gradient_but_is_saved(make_model, ecgs, texts):
    model = make_model(learnable_logit_scale=False, logit_scale_init_value=math.log(20))
    model.train()(ecgs, **texts, return_loss=True).loss.backward()
    assert model.logit_scale.grad is None
    assert model.state_dict()["logit_scale"].item() == pytest.approx(math.log(20))


def test_a_frozen_text_tower_stays_in_evaluation_mode(make_model, ecgs, texts):
    model = make_model(text_config={**TEXT_TOWERS["bert"], "hidden_dropout_prob": 0.5}).train()
    assert not torch.equal(model.get_text_tower_features(**texts), model.get_text_tower_features(**texts))
    model.freeze_text_model()
    for _ in range(2):
        assert model.training
        assert not model.text_model.training
        torch.testing.assert_close(model.get_text_tower_features(**texts), model.get_text_tower_features(**texts))
        model.eval().train()
    model(ecgs, **texts, return_loss=True).loss.backward()
    without_gradient = {name.partition(".")[0] for name, p in model.named_parameters() if p.grad is None}
    assert without_gradient == {"text_model"}


def test_saving_and_loading_keeps_every_weight_and_logit(make_model, ecgs, texts, tmp_path):
    model = make_model(loss_type="siglip")
    with torch.no_grad():
        model.logit_scale.fill_(1.5)
        model.logit_bias.fill_(-1.5)
    model.save_pretrained(tmp_path)
    loaded, loading = ETPModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=0, atol=0)
    torch.testing.assert_close(
        loaded(ecgs, **texts).logits_per_ecg, model(ecgs, **texts).logits_per_ecg, rtol=0, atol=0
    )


def test_the_tower_loads_from_a_full_checkpoint_with_no_missing_key(make_model, ecgs, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path)
    tower, loading = ETPEcgModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"]
    torch.testing.assert_close(tower(ecgs).pooler_output, model.ecg_model(ecgs).pooler_output, rtol=0, atol=0)


def test_weights_absent_from_a_checkpoint_are_initialised_as_in_a_new_model(make_model, tmp_path):
    model = make_model(logit_scale_init_value=1.0)
    kept = {name: value for name, value in model.state_dict().items() if name.startswith("text_model.")}
    model.save_pretrained(tmp_path, state_dict=kept)
    loaded = ETPModel.from_pretrained(tmp_path)
    assert loaded.logit_scale.item() == 1.0
    expected_std = math.sqrt(2 / (8 * 7))  # He initialisation over 8 output channels and 7 samples
    assert loaded.ecg_model.stem.conv.weight.std().item() == pytest.approx(expected_std, rel=0.15)
    torch.testing.assert_close(loaded.ecg_model.stem.norm.running_var, torch.ones(8))


def test_half_precision_keeps_embeddings_and_logits_in_float32(make_model, ecgs, texts, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path)
    half = ETPModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.dtype == half.text_model.dtype == torch.bfloat16
    output, exact = half(ecgs, **texts), model(ecgs, **texts)
    assert output.ecg_embeds.dtype == output.logits_per_ecg.dtype == torch.float32
    torch.testing.assert_close(output.ecg_embeds, exact.ecg_embeds, rtol=0.1, atol=0.05)


def test_sdpa_and_eager_attention_agree(make_config, ecgs, texts):
    config = make_config()
    sdpa = ETPModel._from_config(copy.deepcopy(config), attn_implementation="sdpa").eval()
    eager = ETPModel._from_config(copy.deepcopy(config), attn_implementation="eager").eval()
    assert sdpa.text_model.config._attn_implementation == "sdpa"
    assert eager.text_model.config._attn_implementation == "eager"
    eager.load_state_dict(sdpa.state_dict())
    torch.testing.assert_close(eager(ecgs, **texts).logits_per_ecg, sdpa(ecgs, **texts).logits_per_ecg)


def test_a_living_models_config_makes_the_same_model(make_model, ecgs, texts):
    model = make_model()
    before = model(ecgs, **texts).logits_per_ecg
    twin = ETPModel(ETPConfig(**{**model.config.to_dict(), "text_config": model.text_model.config})).eval()
    twin.load_state_dict(model.state_dict())
    torch.testing.assert_close(twin(ecgs, **texts).logits_per_ecg, before)
    torch.testing.assert_close(model(ecgs, **texts).logits_per_ecg, before)


def test_gradient_checkpointing_reaches_both_towers_and_changes_no_gradient(make_model, ecgs, texts):
    plain = make_model().train()
    checkpointed = copy.deepcopy(plain)
    checkpointed.activation_checkpointing_enable()
    assert checkpointed.is_activation_checkpointing
    for model in (plain, checkpointed):
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model(ecgs, **texts, return_loss=True).loss.backward()
    for (name, one), (_, other) in zip(plain.named_parameters(), checkpointed.named_parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, msg=name)


def test_hidden_states_and_attentions_of_both_towers_are_handed_out(make_config, ecgs, texts):
    model = ETPModel._from_config(make_config(), attn_implementation="eager").eval()
    output = model(ecgs, **texts, output_hidden_states=True, output_attentions=True)
    assert len(output.ecg_model_output.hidden_states) == 3
    assert len(output.text_model_output.hidden_states) == 3
    assert output.text_model_output.attentions[0].shape == (4, 2, 7, 7)


@pytest.mark.parametrize("given", ["neither", "both"])
def test_texts_come_either_as_tokens_or_as_features(make_model, ecgs, texts, given):
    model = make_model()
    arguments = {} if given == "neither" else {**texts, "text_features": torch.zeros(4, 12)}
    with pytest.raises(ValueError, match="either as `input_ids` or as `text_features`"):
        model(ecgs, **arguments)


def test_no_nan_leaves_the_model(make_model, ecgs, texts):
    ecgs[1, 3, 0] = float("nan")
    with pytest.raises(ValueError, match="ECG 1, lead 3"):
        make_model()(ecgs, **texts)
    zeros = make_model()(torch.zeros(2, 12, 200), **texts)
    assert zeros.logits_per_ecg.isfinite().all()
