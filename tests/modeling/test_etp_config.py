"""What the configurations hold, refuse and keep when saved."""

import json
import math

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import BertConfig, BertModel, DistilBertConfig

from modeling_etp.configuration_etp import ETPConfig, ETPEcgConfig


def test_the_default_tower_is_resnet18_on_twelve_leads():
    config = ETPEcgConfig()
    assert (config.num_leads, list(config.depths), list(config.hidden_sizes)) == (
        12,
        [2, 2, 2, 2],
        [64, 128, 256, 512],
    )
    assert config.num_hidden_layers == 4


def test_the_default_temperature_is_that_of_clip():
    assert math.exp(-ETPConfig().logit_scale_init_value) == pytest.approx(0.07)


def test_saving_and_loading_keeps_every_field(make_config, tmp_path):
    config = make_config(loss_type="siglip", text_pooling="mean", ecg_projection_hidden_size=5)
    config.save_pretrained(tmp_path)
    assert ETPConfig.from_pretrained(tmp_path).to_dict() == config.to_dict()


def test_the_tower_is_configured_from_a_full_checkpoint(make_config, tmp_path):
    make_config().save_pretrained(tmp_path)
    assert list(ETPEcgConfig.from_pretrained(tmp_path).hidden_sizes) == [8, 16]


def test_any_encoder_can_be_the_text_tower():
    config = ETPConfig(text_config={"model_type": "distilbert", "dim": 8, "n_heads": 2})
    assert isinstance(config.text_config, DistilBertConfig)
    assert config.text_config.hidden_size == 8


def test_sub_configs_are_shared_not_copied(make_config):
    ecg_config, text_config = ETPEcgConfig(), BertConfig()
    config = ETPConfig(ecg_config=ecg_config, text_config=text_config)
    assert config.ecg_config is ecg_config
    assert config.text_config is text_config


def test_a_living_text_config_keeps_the_attention_of_its_model(make_config, texts):
    text_model = BertModel._from_config(make_config().text_config, attn_implementation="sdpa").eval()
    with torch.no_grad():
        before = text_model(**texts).last_hidden_state
        ETPConfig(text_config=text_model.config)
        after = text_model(**texts).last_hidden_state
    assert text_model.config._attn_implementation == "sdpa"
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_an_attention_asked_for_reaches_the_text_config(make_config):
    for text_config in (make_config().text_config, make_config().text_config.to_dict()):
        config = ETPConfig(text_config=text_config, attn_implementation="eager")
        assert config.text_config._attn_implementation == "eager"


def test_pipelines_of_a_checkpoint_do_not_force_remote_code_on_the_package(make_config, tmp_path):
    make_config().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"custom_pipelines": {"some-task": {"impl": "x.Y"}}}))
    assert not hasattr(ETPConfig.from_pretrained(tmp_path), "custom_pipelines")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depths": (2, 2)}, "4 `hidden_sizes`, 2 `depths`, 4 `kernel_sizes`"),
        ({"depths": (2, 2, 2, 0)}, "positive width and depth"),
        ({"kernel_sizes": (3, 3, 4, 3)}, "`kernel_sizes` must be odd and positive, got 4"),
        ({"stem_kernel_size": 8}, "`stem_kernel_size` must be odd"),
        ({"stem_stride": 0}, "`stem_stride` must be at least 1"),
        ({"stem_hidden_size": 0}, "`stem_hidden_size` must be at least 1 or None"),
        ({"dropout": 1.0}, r"`dropout` is a probability in \[0, 1\)"),
        ({"pooling": "attention", "num_attention_heads": 7}, "512 is not a multiple of 7"),
        ({"pooling": "median"}, "pooling"),
        ({"norm": "instance"}, "norm"),
    ],
)
def test_a_tower_that_cannot_be_built_is_refused(fields, message):
    with pytest.raises(StrictDataclassError, match=message):
        ETPEcgConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"logit_scale_init_value": 1 / 0.07}, "is the log of the inverse temperature"),
        ({"projection_dim": 0}, "`projection_dim` must be at least 1"),
        ({"text_projection_hidden_size": -1}, "`text_projection_hidden_size` must be at least 1"),
        ({"projection_dropout": -0.1}, "`projection_dropout` is a probability"),
        ({"text_config": {"model_type": "t5"}}, "got the encoder-decoder 't5'"),
        ({"loss_type": "triplet"}, "loss_type"),
        ({"text_pooling": "last"}, "text_pooling"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused(fields, message):
    with pytest.raises(StrictDataclassError, match=message):
        ETPConfig(**fields)
