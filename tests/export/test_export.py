"""What is exported gives what the model gives, for any number of ECGs and texts, or is not left on disk."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from etp import cli, export
from etp.export import ExportError, export_checkpoint, open_onnx, open_program, towers_of
from etp.loading import load_checkpoint
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.zero_shot_etp import embed_ecgs, embed_texts

TEXTS = ["sinus rhythm", "atrial fibrillation with a long text about it", "normal ecg"]


@pytest.fixture(scope="module")
def checkpoint(checkpoint_dir):
    return load_checkpoint(checkpoint_dir)


@pytest.fixture(scope="module")
def onnx_dir(checkpoint_dir, tmp_path_factory):
    """What `etp export` writes."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("export") / "tiny-onnx"
    assert cli.main(["export", str(checkpoint_dir), "-o", str(folder)]) == 0
    return folder


@pytest.fixture
def ecgs():
    return np.random.default_rng(0).normal(size=(7, 12, 1000)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 7])
def test_onnx_embeds_ecgs_as_the_model_does(checkpoint, onnx_dir, ecgs, count):
    expected = embed_ecgs(checkpoint.model, checkpoint.processor.feature_extractor, ecgs[:count], sampling_rate=100)
    values = ETPFeatureExtractor.from_pretrained(onnx_dir)(ecgs[:count], sampling_rate=100)["input_values"]
    np.testing.assert_allclose(open_onnx(onnx_dir / "ecg_tower.onnx")((values,)), expected, atol=1e-4)


@pytest.mark.parametrize("count", [1, 3])
def test_onnx_embeds_padded_texts_as_the_model_does(checkpoint, onnx_dir, count):
    expected = embed_texts(checkpoint.model, checkpoint.processor.tokenizer, TEXTS[:count])
    tokens = AutoTokenizer.from_pretrained(onnx_dir)(TEXTS[:count], padding=True, return_tensors="np")
    run = open_onnx(onnx_dir / "text_tower.onnx")
    np.testing.assert_allclose(run((tokens["input_ids"], tokens["attention_mask"])), expected, atol=1e-4)


def test_the_description_says_what_goes_in_and_how_far_off_it_is(checkpoint, onnx_dir):
    description = json.loads((onnx_dir / "export.json").read_text())
    assert description["input_values"]["shape"] == ["batch", 12, 1000]
    assert description["checkpoint_sha256"] == checkpoint.sha256
    assert description["logit_scale"] == pytest.approx(checkpoint.model.get_logit_scale().item())
    assert all(difference < 1e-4 for difference in description["largest_difference"].values())


def test_torch_programs_give_what_the_model_gives(checkpoint, tmp_path, ecgs):
    export_checkpoint(checkpoint, tmp_path / "programs", format="torch")
    with torch.no_grad():
        expected = checkpoint.model.get_ecg_features(torch.from_numpy(ecgs)).pooler_output.numpy()
    np.testing.assert_allclose(open_program(tmp_path / "programs/ecg_tower.pt2")((ecgs,)), expected, atol=1e-5)
    assert (tmp_path / "programs/text_tower.pt2").is_file()


def test_an_export_that_differs_is_refused_and_leaves_nothing_to_use(checkpoint, tmp_path, monkeypatch):
    opened = lambda path: lambda inputs: open_program(path)(inputs) + np.float32(2e-4)  # noqa: E731
    monkeypatch.setitem(export._OPENERS, "torch", opened)
    with pytest.raises(
        ExportError, match=r"ecg_tower\.pt2 differs from the model by up to 0\.0002, more than 0\.0001"
    ):
        export_checkpoint(checkpoint, tmp_path / "programs", format="torch")
    assert not (tmp_path / "programs").exists()
    assert not list(tmp_path.rglob("*.pt2"))


def test_the_check_notices_nan(checkpoint):
    (ecg, _) = towers_of(checkpoint)
    assert np.isnan(export.largest_difference(ecg, lambda inputs: np.full((len(inputs[0]), 8), np.nan)))


def test_an_existing_folder_is_not_written_over(checkpoint_dir, tmp_path, capsys):
    assert cli.main(["export", str(checkpoint_dir), "-o", str(tmp_path)]) == 2
    assert "exists already. Delete it, or choose another folder." in capsys.readouterr().err


def test_an_unknown_format_names_the_known_ones(checkpoint, tmp_path):
    with pytest.raises(ValueError, match="must be one of onnx, torch, got 'tflite'"):
        export_checkpoint(checkpoint, tmp_path / "x", format="tflite")
