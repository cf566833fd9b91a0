"""What is pushed comes back and runs; against a stub of the Hub, so no account and no network."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hub_stub import HubStub
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from etp import cli
from etp.archive_export import export_parquet
from etp.archives import open_archive
from etp.commands.models import make_classifier, open_checkpoint
from etp.hub import push_folder, push_model, stage_model
from etp.loading import load_checkpoint
from etp.saving import save_whole

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture
def hub():
    stub = HubStub()
    yield stub
    stub.shutdown()
    stub.server_close()


@pytest.fixture
def clean_process(hub, tmp_path):
    """Run a script against the stub in a process with caches of its own; returns what it printed."""

    def run(script: str, *arguments: object, with_packages: bool) -> str:
        environment = os.environ | {
            "HF_ENDPOINT": hub.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_TOKEN": "stub",
            "HF_HOME": str(tmp_path / f"home {script}"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT) if with_packages else "",
        }
        command = [sys.executable, str(HERE / script), *map(str, arguments)]
        finished = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    return run


def test_the_staged_folder_has_the_weights_byte_by_byte_and_no_pickle(checkpoint_dir, tmp_path):
    folder = stage_model(load_checkpoint(checkpoint_dir), tmp_path / "staged")
    assert (folder / "model.safetensors").read_bytes() == (checkpoint_dir / "model.safetensors").read_bytes()
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes == {".safetensors", ".json", ".py"}
    config = json.loads((folder / "config.json").read_text())
    assert config["custom_pipelines"]["zero-shot-ecg-classification"]["impl"].startswith("pipeline_etp.")
    assert config["auto_map"]["AutoModel"] == "modeling_etp.ETPModel"


def test_half_precision_stays_as_it_is(checkpoint_dir, tmp_path):
    half = shutil.copytree(checkpoint_dir, tmp_path / "half")
    weights = {name: tensor.bfloat16() for name, tensor in load_file(half / "model.safetensors").items()}
    save_file(weights, half / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((half / "config.json").read_text())
    (half / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    folder = stage_model(load_checkpoint(half), tmp_path / "staged")
    assert (folder / "model.safetensors").read_bytes() == (half / "model.safetensors").read_bytes()
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"


def test_a_result_of_another_model_stops_the_push_before_anything_is_sent(checkpoint_dir, hub, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    other = {"name": "other", "kind": "zero_shot", "checkpoint_sha256": "0" * 64}
    with pytest.raises(ValueError, match="the results 'other'"):
        push_model(load_checkpoint(checkpoint_dir), "user/etp-tiny", results={"other.json": other})
    with_own_card = shutil.copytree(checkpoint_dir, tmp_path / "carded")
    (with_own_card / "README.md").write_text("---\nlicense: mit\n---\n")
    with pytest.raises(ValueError, match="the results 'other'"):
        push_model(load_checkpoint(with_own_card), "user/etp-tiny", results={"other.json": other})
    assert not hub.repos


@pytest.mark.parametrize(
    ("content", "repo_type", "message"),
    [
        ({}, "dataset", "lacks README.md"),
        ({"README.md": "---\nlicense: mit\n---\n", "a/b.pkl": "x"}, "dataset", r"run code when opened: a/b\.pkl"),
        ({"README.md": "---\nlicense: mit\n---\n"}, "space", "doesn't say which `sdk`"),
        ({"README.md": ""}, "model", "Push a model with `push_model`"),
    ],
)
def test_folders_that_cannot_be_shared_are_refused(tmp_path, content, repo_type, message):
    for name, text in content.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        push_folder(tmp_path, "user/x", repo_type=repo_type)


@pytest.mark.slow
def test_model_data_set_and_space_go_up_and_run_from_there(
    checkpoint_dir, archive_dir, arrow_cache, hub, clean_process, tmp_path
):
    splits = open_archive("ptb_xl", archive_dir, cache_dir=arrow_cache)
    parquet = export_parquet(splits, tmp_path / "parquet", name="ptb_xl", config="100hz")
    metric = ROOT / "metrics" / "ecg_zero_shot"
    stale = {"old.py", "model-00001-of-00002.safetensors", "results/of-other-weights.json"}
    hub.repos["user/etp-tiny"] = dict.fromkeys(stale, b"") | {"notes.txt": b"kept"}
    results = tmp_path / "zero-shot.json"
    evaluate = ["--model", checkpoint_dir, "--data_dir", archive_dir, "--cache_dir", arrow_cache, "--output", results]
    evaluate += "--tasks superclass --num_resamples 5 --name tiny".split()
    assert cli.main(["evaluate", "zero-shot", *map(str, evaluate)]) == 0
    hub.created["user/etp-tiny"] = {"type": "model"}
    urls = clean_process("push_and_pull.py", checkpoint_dir, results, parquet, metric, with_packages=True).split()

    assert hub.commits == len(urls) == 4  # one commit a push
    assert urls[0].startswith(f"{hub.url}/user/etp-tiny/commit/")
    assert hub.created["user/ecg_zero_shot"] | {"type": "space", "sdk": "gradio"} == hub.created["user/ecg_zero_shot"]
    assert hub.created["user/ptb-xl"]["visibility"] == "private"
    pushed = hub.repos["user/etp-tiny"]
    assert stale.isdisjoint(pushed)
    assert pushed["notes.txt"] == b"kept"
    assert pushed["model.safetensors"] == (checkpoint_dir / "model.safetensors").read_bytes()
    card = ModelCard(pushed["README.md"].decode()).data
    assert card.pipeline_tag == "other"
    assert pushed["results/zero-shot.json"] == results.read_bytes()
    macro_auroc = json.loads(results.read_text())["tasks"]["superclass"]["macro_auroc"]
    aurocs = [found.metric_value for found in card.eval_results if found.metric_type == "roc_auc"]
    assert aurocs == pytest.approx([macro_auroc], abs=1e-5)

    ecg = next(archive_dir.rglob("00001_lr.hea"))
    result = json.loads(clean_process("load_again.py", "user/etp-tiny", ecg, with_packages=False).splitlines()[-1])
    assert result["modules"] == ["transformers_modules"] * 4
    classifier = make_classifier(open_checkpoint(str(checkpoint_dir)))
    expected = classifier(str(ecg), ["normal ECG", "atrial fibrillation"])
    assert result["scores"] == pytest.approx({entry["label"]: entry["score"] for entry in expected}, abs=1e-5)


@pytest.fixture
def train_and_push(checkpoint_dir, archive_dir, arrow_cache, tmp_path):
    """Train for one step with `train.py --push_to_hub` against a Hub."""

    def run(endpoint: str) -> subprocess.CompletedProcess:
        tower = tmp_path / "tower"
        load_checkpoint(checkpoint_dir).model.text_model.save_pretrained(tower)
        load_checkpoint(checkpoint_dir).processor.tokenizer.save_pretrained(tower)
        command = [sys.executable, "train.py", "--data_dir", archive_dir, "--cache_dir", arrow_cache]
        command += ["--text_model", tower, "--output_dir", tmp_path / "run", "--feature_cache", tmp_path / "texts"]
        command += "--max_steps 1 --batch_size 16 --precision fp32 --push_to_hub user/trained".split()
        command += "--ecg_config hidden_sizes=[8,8] depths=[1,1] kernel_sizes=[7,5] --select_best loss".split()
        environment = os.environ | {
            "HF_ENDPOINT": endpoint,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": "stub",
            "HF_HOME": str(tmp_path / "home"),
            "ACCELERATE_USE_CPU": "true",
        }
        return subprocess.run(
            list(map(str, command)),
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    return run


@pytest.mark.slow
def test_training_pushes_the_model_it_saved_with_a_card_of_the_run(hub, train_and_push, tmp_path):
    finished = train_and_push(hub.url)
    assert finished.returncode == 0, finished.stderr
    assert f"Pushed: {hub.url}/user/trained/commit/" in finished.stderr
    pushed = hub.repos["user/trained"]
    assert pushed["model.safetensors"] == (tmp_path / "run" / "model.safetensors").read_bytes()
    assert "best.safetensors" not in pushed
    assert "batches of 16" in pushed["README.md"].decode()
    assert hub.commits == 1


@pytest.mark.slow
def test_training_does_not_begin_where_it_could_not_push(hub, train_and_push, tmp_path):
    hub.refused = 403
    finished = train_and_push(hub.url)
    assert finished.returncode == 2
    assert finished.stderr.splitlines()[-1].startswith("train.py: --push_to_hub user/trained: ")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 403])
def test_a_hub_that_refuses_is_one_sentence(checkpoint_dir, hub, tmp_path, status):
    hub.refused = status
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "stub",
        "HF_HOME": str(tmp_path),
    }
    command = [sys.executable, "-m", "etp.cli", "push", str(checkpoint_dir), "user/etp-tiny"]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert finished.stderr.startswith("etp push: ")
    assert finished.stderr.count("\n") == 1
    assert str(status) in finished.stderr
    assert hub.commits == 0


@pytest.mark.slow
def test_a_hub_that_is_not_there_is_one_sentence(checkpoint_dir, tmp_path):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "etp.cli", "push", str(checkpoint_dir), "user/etp-tiny"]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert finished.stderr.count("\n") == 1
    assert finished.stderr.startswith("etp push: ")


def test_staging_leaves_the_scores_as_they_are(checkpoint_dir, tmp_path):
    folder = stage_model(load_checkpoint(checkpoint_dir), tmp_path / "staged")
    ecg = {"array": np.random.default_rng(0).normal(size=(12, 1000)), "sampling_rate": 100}
    before, after = (
        make_classifier(open_checkpoint(str(path)))(ecg, ["normal ECG", "atrial fibrillation"])
        for path in (checkpoint_dir, folder)
    )
    assert before == after


def test_an_index_of_a_saved_model_serves_its_pushed_copy(checkpoint_dir, tmp_path):
    checkpoint = load_checkpoint(checkpoint_dir)
    save_whole(checkpoint.model, checkpoint.processor, tmp_path / "saved")
    saved = load_checkpoint(tmp_path / "saved")
    assert load_checkpoint(stage_model(saved, tmp_path / "staged")).sha256 == saved.sha256
