"""A fine-tuned classifier is shared: its card, and its push to a stub of the Hub."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hub_stub import HubStub
from huggingface_hub import ModelCard
from transformers import pipeline

from etp import cli
from etp.card import make_card
from etp.hub import stage_model
from etp.loading import load_classifier

ROOT = Path(__file__).parents[2]
# No import of our packages succeeds in it.
LOAD_AGAIN = """
import json, sys
import numpy as np
for package in ("modeling_etp", "etp", "datasets_scripts"):
    sys.modules[package] = None
from transformers import pipeline
classifier = pipeline("ecg-classification", model=sys.argv[1], device="cpu", trust_remote_code=True)
signal = np.random.default_rng(0).standard_normal((12, 1000)).astype(np.float32)
print(json.dumps(classifier(signal, sampling_rate=100)))
"""


@pytest.fixture
def result(tuned):
    """What `etp evaluate fine-tuned` writes, as far as a card reads it."""
    return {
        "format_version": 1,
        "kind": "fine_tuned",
        "name": "tiny",
        "checkpoint_sha256": load_classifier(tuned).weights_sha256,
        "dataset": "ptb_xl",
        "split": "test",
        "conditions": {"leads": None},
        "commit": "0123456789abcdef",
        "source_sha256": "f" * 64,
        "seed": 0,
        "date": "2026-11-23T06:00:00+00:00",
        "tasks": {
            "superclass": {
                "macro_auroc": 0.8512345,
                "intervals_95": {"macro_auroc": [0.84, 0.86]},
                "num_records": 30,
                "baselines": {"chance": {"macro_auroc": 0.5}},
                "supervised_reference": None,
            }
        },
    }


def test_the_card_of_a_classifier_says_its_labels_its_base_its_data_and_its_figures(
    tuned, checkpoint_dir, result, tmp_path, capsys
):
    results, output = tmp_path / "test.json", tmp_path / "README.md"
    results.write_text(json.dumps(result))
    command = ["card", str(tuned), "--repo", "user/tiny", "--results", str(results), "-o", str(output)]
    assert cli.main(command) == 0, capsys.readouterr().err
    card = ModelCard.load(output)
    assert (card.data.pipeline_tag, card.data["inference"]) == ("other", False)
    assert "ecg-classification" in card.data.tags
    assert "zero-shot-ecg-classification" not in card.data.tags
    assert card.data.datasets == ["ptb_xl"]
    assert card.data.base_model is None  # a folder here is no name on the Hub
    (figure,) = card.data.eval_results
    assert (figure.task_type, figure.metric_value) == ("ecg-classification", 0.85123)
    run = json.loads((tuned / "fine_tuning.json").read_text())
    for words in (
        'pipeline("ecg-classification", model="user/tiny", trust_remote_code=True)',
        "`superclass/NORM`, `superclass/MI`",
        f"Fine-tuned from `{checkpoint_dir.name}` (weights sha256 `{run['base_weights_sha256'][:12]}`)",
        f"on {run['num_training_records']:,} records of the training split of PTB-XL",
        "labels of superclass, rhythm. All weights: at most 2 epochs, batches of 32, seed 0.",
        "calibrated on validation records",
        "85.1 [84.0, 86.0]",
        result["checkpoint_sha256"],
        "hours of training",
    ):
        assert words in card.text, words
    assert str(checkpoint_dir.parent) not in card.text


def test_a_base_of_the_hub_is_named_in_the_metadata_and_a_card_without_a_run_says_so(tuned, tmp_path):
    folder = shutil.copytree(tuned, tmp_path / "classifier")
    run = json.loads((folder / "fine_tuning.json").read_text())
    (folder / "fine_tuning.json").write_text(json.dumps(run | {"base": "user/etp-base"}))
    assert make_card(load_classifier(folder), repo_id="user/tiny").data.base_model == "user/etp-base"
    (folder / "fine_tuning.json").unlink()
    card = make_card(load_classifier(folder), repo_id="user/tiny")
    assert card.data.base_model is None
    assert "How this classifier was trained is not recorded beside it." in card.text
    assert "No evaluation was given to this card" in card.text


def test_the_code_of_the_card_runs_as_it_stands(tuned, archive_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = sorted(archive_dir.rglob("*.hea"))[0]
    for suffix in (".hea", ".dat"):
        shutil.copy(first.with_suffix(suffix), first.with_suffix(suffix).name)
    text = make_card(load_classifier(tuned), repo_id=str(tuned)).text.replace("record.hea", first.name)
    scope: dict = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, scope)
    assert len(scope["scores"]) == 3
    assert scope["logits"].shape == (2, len(load_classifier(tuned).model.config.id2label))


def test_what_is_staged_has_the_weights_byte_by_byte_and_the_code(tuned, tmp_path):
    folder = stage_model(load_classifier(tuned), tmp_path / "staged")
    assert (folder / "model.safetensors").read_bytes() == (tuned / "model.safetensors").read_bytes()
    before, after = (json.loads((path / "config.json").read_text()) for path in (tuned, folder))
    assert after["custom_pipelines"]["ecg-classification"]["impl"].startswith("classification_pipeline_etp.")
    del before["use_cache"]  # which `Trainer` leaves
    assert after == before
    assert {path.suffix for path in folder.iterdir()} == {".safetensors", ".json", ".py"}


@pytest.mark.slow
def test_a_pushed_classifier_runs_from_the_hub_without_the_package(tuned, result, tmp_path):
    hub = HubStub()
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_TOKEN": "stub",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": "",
    }
    results = tmp_path / "test.json"
    results.write_text(json.dumps(result))
    push = ["-m", "etp.cli", "push", str(tuned), "user/tiny", "--results", str(results)]
    try:
        for home, command, folder in (("a", push, ROOT), ("b", ["-c", LOAD_AGAIN, "user/tiny"], tmp_path)):
            finished = subprocess.run(
                [sys.executable, *command],
                env=environment | {"HF_HOME": str(tmp_path / home)},
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=280,
                check=False,
            )
            assert finished.returncode == 0, finished.stderr
    finally:
        hub.shutdown()
        hub.server_close()
    pushed = hub.repos["user/tiny"]
    assert pushed["model.safetensors"] == (tuned / "model.safetensors").read_bytes()
    assert json.loads(pushed["results/test.json"]) == result
    assert b'pipeline("ecg-classification"' in pushed["README.md"]
    signal = np.random.default_rng(0).standard_normal((12, 1000)).astype(np.float32)
    expected = pipeline("ecg-classification", model=str(tuned))(signal, sampling_rate=100)
    found = {entry["label"]: entry["score"] for entry in json.loads(finished.stdout.splitlines()[-1])}
    assert found == pytest.approx({entry["label"]: entry["score"] for entry in expected}, abs=1e-5)
