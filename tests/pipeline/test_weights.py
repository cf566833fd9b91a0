"""Checkpoints taken apart from their public text tower and joined again."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from etp.file_hashes import file_sha256
from etp.weights import WeightsError, detach, join
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.modeling_etp import ETPModel
from modeling_etp.processing_etp import ETPProcessor


@pytest.fixture
def folders(make_model, tokenizer, tmp_path):
    """A checkpoint, its text tower, and what was detached from it."""
    model, processor = make_model(), ETPProcessor(ETPFeatureExtractor(), tokenizer)
    model.save_pretrained(tmp_path / "checkpoint")
    processor.save_pretrained(tmp_path / "checkpoint")
    model.text_model.save_pretrained(tmp_path / "text")
    tokenizer.save_pretrained(tmp_path / "text")
    detach(tmp_path / "checkpoint", tmp_path / "detached", text_model=str(tmp_path / "text"))
    return tmp_path


def rejoin(folders):
    return join(folders / "detached", folders / "joined", text_model=str(folders / "text"))


def test_a_joined_checkpoint_computes_as_before_up_to_bfloat16(folders):
    rejoin(folders)
    before = ETPModel.from_pretrained(folders / "checkpoint").eval()
    after = ETPModel.from_pretrained(folders / "joined").eval()
    ecgs = torch.randn(2, 12, 1000, generator=torch.Generator().manual_seed(0))
    texts = ETPProcessor.from_pretrained(folders / "joined")(
        text=["sinus rhythm", "atrial flutter"], return_tensors="pt"
    )
    torch.testing.assert_close(after(ecgs, **texts).ecg_embeds, before(ecgs, **texts).ecg_embeds, atol=0.02, rtol=0)
    torch.testing.assert_close(after(ecgs, **texts).text_embeds, before(ecgs, **texts).text_embeds, atol=0.02, rtol=0)


def test_others_may_read_what_they_may_read_of_new_files(folders):
    (folders / "any").write_text("")
    rejoin(folders)
    mode = (folders / "any").stat().st_mode & 0o777
    assert {path.name: path.stat().st_mode & 0o777 for path in (folders / "joined").iterdir()} == dict.fromkeys(
        (path.name for path in (folders / "joined").iterdir()), mode
    )


def test_what_is_detached_holds_no_text_tower_and_half_the_bytes(folders):
    weights = load_file(folders / "detached" / "model.safetensors")
    assert not any(name.startswith("text_model.") for name in weights)
    assert {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()} == {torch.bfloat16}


def test_a_trained_text_tower_is_not_thrown_away(folders):
    file = folders / "checkpoint" / "model.safetensors"
    weights = load_file(file)
    next(tensor for name, tensor in weights.items() if name.startswith("text_model.")).add_(0.1)
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="its text tower was trained"):
        detach(folders / "checkpoint", folders / "again", text_model=str(folders / "text"))


def test_another_text_tower_is_refused(folders):
    file = folders / "text" / "model.safetensors"
    weights = {name: tensor + 1 for name, tensor in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"is not the text tower that .* was trained with"):
        rejoin(folders)


def test_damaged_or_missing_weights_are_named(folders):
    file = folders / "detached" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match=r"model\.safetensors is damaged"):
        rejoin(folders)
    (folders / "detached" / "text_tower.json").unlink()
    with pytest.raises(WeightsError, match=r"text_tower\.json is missing"):
        rejoin(folders)


def test_a_text_tower_that_only_the_folder_names_is_not_opened(folders, monkeypatch):
    """Who supplies the folder would have any file of a fixed name hashed, and learn whether it is there."""
    monkeypatch.setattr("etp.weights.ETPModel.from_ecg_text_pretrained", lambda *_: pytest.fail("was opened"))
    for name in (str(folders / "text"), "/nowhere", "somebody/model", "../text"):
        named = json.loads((folders / "detached" / "text_tower.json").read_text()) | {"text_model": name}
        (folders / "detached" / "text_tower.json").write_text(json.dumps(named))
        with pytest.raises(WeightsError, match=r"names the text tower .* give its folder as --text_model") as caught:
            join(folders / "detached", folders / "joined")
        assert "SHA-256" not in str(caught.value)
    assert not (folders / "joined").exists()


@pytest.mark.parametrize(
    "content",
    [
        "{", "[" * 100_000, "[]", '{"text_model": "minilm"}', '{"text_model": ["/"], "sha256": "0", "max_tokens": 1}',
        '{"text_model": "minilm", "sha256": "\\u001b[2J", "max_tokens": 128}',
        json.dumps({"text_model": "minilm", "sha256": "0" * 64, "max_tokens": -1}),
    ],
    ids=lambda content: content[:25],
)  # fmt: skip
def test_a_damaged_name_of_a_text_tower_is_refused(folders, content):
    (folders / "detached" / "text_tower.json").write_text(content)
    with pytest.raises(WeightsError, match=r"text_tower\.json is damaged") as caught:
        join(folders / "detached", folders / "joined")
    assert str(caught.value).isprintable()


def test_an_empty_list_of_hashes_is_refused(folders):
    (folders / "detached" / "SHA256SUMS").write_text("")
    with pytest.raises(WeightsError, match="is damaged"):
        rejoin(folders)


@pytest.fixture
def adapted(folders):
    """A checkpoint whose text tower differs from the public one in one layer, by bfloat16 numbers."""
    file = folders / "checkpoint" / "model.safetensors"
    weights = load_file(file)
    for name in [name for name in weights if name.startswith("text_model.encoder.layer.0.")]:
        weights[name] = (weights[name] + 0.25).bfloat16().float()
    save_file(weights, file, metadata={"format": "pt"})
    detach(folders / "checkpoint", folders / "adapted", text_model=str(folders / "text"))
    return folders


def test_adapted_layers_are_kept_and_joined_to_the_bit(adapted):
    kept = [name for name in load_file(adapted / "adapted" / "model.safetensors") if name.startswith("text_model.")]
    assert kept
    assert all(name.startswith("text_model.encoder.layer.0.") for name in kept)
    join(adapted / "adapted", adapted / "joined", text_model=str(adapted / "text"))
    before, after = (load_file(adapted / name / "model.safetensors") for name in ("checkpoint", "joined"))
    tower = [name for name in before if name.startswith("text_model.")]
    assert all(torch.equal(before[name], after[name]) for name in tower)


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: weights.update({name: tensor + 1 for name, tensor in weights.items() if "encoder" in name}),
        lambda weights: [weights.pop(name) for name in list(weights) if name.startswith("text_model.")],
        lambda weights: weights.update({"text_model.no.such.layer": torch.ones(2, dtype=torch.bfloat16)}),
        lambda weights: weights.update(
            {name: torch.ones(3, dtype=torch.bfloat16) for name in weights if "text_model.encoder" in name}
        ),
    ],
    ids=["changed", "left out", "unknown", "of another shape"],
)
def test_layers_that_are_not_those_of_the_training_are_refused(adapted, change):
    folder = adapted / "adapted"
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "SHA256SUMS").write_text(f"{file_sha256(folder / 'model.safetensors')}  model.safetensors\n")
    with pytest.raises(WeightsError, match=r"is not the adapted one that text_tower\.json names"):
        join(folder, adapted / "joined", text_model=str(adapted / "text"))
    assert not (adapted / "joined").exists()


def test_layers_without_the_hash_of_their_tower_are_refused(adapted):
    file = adapted / "adapted" / "text_tower.json"
    named = json.loads(file.read_text())
    del named["adapted_sha256"]
    file.write_text(json.dumps(named))
    with pytest.raises(WeightsError, match="is not the adapted one"):
        join(adapted / "adapted", adapted / "joined", text_model=str(adapted / "text"))
