"""What was saved or written when the classifier was defined beside the tower still finds it."""

import json

import pytest
from transformers import AutoModelForAudioClassification

from modeling_etp import ETPForEcgClassification, modeling_etp
from modeling_etp.configuration_etp import ETPEcgConfig


@pytest.fixture
def old_folder(tmp_path):
    """A classifier whose configuration names the old place of its class."""
    config = ETPEcgConfig(hidden_sizes=(4, 8), depths=(1, 1), kernel_sizes=(3, 3), num_labels=2)
    ETPForEcgClassification(config).save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert content["auto_map"]["AutoModelForAudioClassification"] == "classification_etp.ETPForEcgClassification"
    content["auto_map"]["AutoModelForAudioClassification"] = "modeling_etp.ETPForEcgClassification"
    (tmp_path / "config.json").write_text(json.dumps(content))
    return tmp_path


@pytest.mark.parametrize("trust_remote_code", [None, True])
def test_the_old_name_in_a_checkpoint_is_the_class_of_today(old_folder, trust_remote_code, tmp_path):
    model = AutoModelForAudioClassification.from_pretrained(old_folder, trust_remote_code=trust_remote_code)
    assert type(model) is ETPForEcgClassification
    model.save_pretrained(tmp_path / "again")
    auto_map = json.loads((tmp_path / "again" / "config.json").read_text())["auto_map"]
    assert auto_map["AutoModelForAudioClassification"] == "classification_etp.ETPForEcgClassification"


def test_the_old_place_has_the_class_and_nothing_else_that_it_does_not_define():
    assert modeling_etp.ETPForEcgClassification is ETPForEcgClassification
    with pytest.raises(AttributeError, match="has no attribute 'ETPForEcgRegression'"):
        modeling_etp.ETPForEcgRegression  # noqa: B018
