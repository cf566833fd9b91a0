"""A checkpoint is opened whole or not at all, and named by what decides its metrics."""

import hashlib
import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from etp.loading import CheckpointError, load_checkpoint


@pytest.fixture
def broken(checkpoint_dir, tmp_path):
    """A copy to take something away from."""
    return shutil.copytree(checkpoint_dir, tmp_path / "broken")


def test_a_checkpoint_comes_in_evaluation_mode_and_with_the_hash_of_its_weights(checkpoint_dir):
    checkpoint = load_checkpoint(checkpoint_dir)
    assert not any(module.training for module in checkpoint.model.modules())
    expected = hashlib.sha256((checkpoint_dir / "model.safetensors").read_bytes()).hexdigest()
    assert checkpoint.weights_sha256 == expected


def test_other_preprocessing_is_another_checkpoint(checkpoint_dir, broken):
    (file,) = broken.glob("*processor_config.json")
    config = json.loads(file.read_text())
    config["note"] = "changed"
    file.write_text(json.dumps(config))
    before, after = load_checkpoint(checkpoint_dir), load_checkpoint(broken)
    assert before.weights_sha256 == after.weights_sha256
    assert before.sha256 != after.sha256


def test_weights_that_are_missing_are_not_made_up(broken):
    weights = load_file(broken / "model.safetensors")
    del weights["ecg_model.stem.conv.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks 1 weights, which would be random: ecg_model.stem.conv.weight"):
        load_checkpoint(broken)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("config.json", "lacks config.json"),
        ("*.safetensors", "the weights"),
        ("*processor_config.json", "lacks processor_config.json or preprocessor_config.json, the feature extractor"),
        ("tokenizer*", "the tokenizer"),
    ],
)
def test_a_part_that_is_missing_is_named(broken, pattern, message):
    for file in broken.glob(pattern):
        file.unlink()
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(broken)


def test_another_kind_of_model_is_refused(broken):
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="a model of type 'bert', expected 'etp'"):
        load_checkpoint(broken)


def test_a_folder_that_is_not_there_is_said_with_the_cure(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint .*nowhere.*etp train"):
        load_checkpoint(tmp_path / "nowhere")
