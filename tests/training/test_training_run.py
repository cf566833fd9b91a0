"""Whole runs of `train.py` on a tiny archive."""

import json
import socket

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datasets_scripts.label_sets import load_label_set
from etp.archives import open_archive
from etp.options import OptionError
from etp.run_files import read_metrics
from etp.training import loop
from etp.training.arguments import DataArguments
from etp.training.data.records import record_statements
from etp.training.data.signals import load_signals
from etp.training.logs import MetricsFile
from etp.training.validation import validate
from modeling_etp.ecg_microvolts_etp import NO_SAMPLE
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.modeling_etp import ETPModel
from modeling_etp.processing_etp import ETPProcessor


@pytest.fixture(scope="module")
def dataset(archive, common_options):
    return open_archive("ptb_xl", archive, cache_dir=common_options[common_options.index("--cache_dir") + 1])


def test_a_run_learns_and_saves_a_usable_model(run, text_tower, tmp_path):
    options = ["--num_epochs", "8", "--learning_rate", "0.01", "--report_to", "tensorboard"]
    assert run(tmp_path, *options) == 0
    training = [line["loss"] for line in read_metrics(tmp_path / "metrics.jsonl") if "loss" in line]
    assert np.mean(training[-3:]) < np.mean(training[:3]) - 0.1
    model, processor = ETPModel.from_pretrained(tmp_path).eval(), ETPProcessor.from_pretrained(tmp_path)
    inputs = processor(
        ecg=np.random.default_rng(0).normal(size=(12, 1000)),
        text=["sinus rhythm"],
        sampling_rate=100,
        return_tensors="pt",
    )
    assert torch.isfinite(model(**inputs).logits_per_ecg).all()
    before, after = load_file(text_tower / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert all(
        torch.equal(after[f"text_model.{name}"], tensor) for name, tensor in before.items() if "pooler" not in name
    )
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert "torch" in json.loads((tmp_path / "versions.json").read_text())
    assert list(tmp_path.glob("**/events.out.tfevents*"))


def test_trackers_hold_what_the_metrics_file_holds_and_stay_on_this_machine(run, tmp_path, monkeypatch):
    connections = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: connections.append(address))
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when trackio is imported
    assert run(tmp_path / "run", "--report_to", "tensorboard", "trackio") == 0
    assert run(tmp_path / "run", "--report_to", "tensorboard", "trackio", "--overwrite", "--max_steps", "2") == 0
    lines = [line for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if "loss" in line]
    expected = {line["step"]: pytest.approx(line["loss"]) for line in lines}
    assert expected.keys() == {1, 2}

    # Beside it a folder for the options; the events of the run that was replaced are gone.
    accumulator = EventAccumulator(str(tmp_path / "run" / "etp")).Reload()
    assert {event.step: event.value for event in accumulator.Scalars("loss")} == expected
    from trackio.sqlite_storage import SQLiteStorage

    assert (tmp_path / "trackio").is_dir()
    first, second = SQLiteStorage.get_run_records("etp")
    assert first["name"] == "run"
    assert first["id"] != second["id"]  # a run that was replaced keeps its curves
    logged = SQLiteStorage.get_logs("etp", run_id=second["id"])
    assert {line["step"]: line["loss"] for line in logged if "loss" in line} == expected
    assert SQLiteStorage.get_run_config("etp", run_id=second["id"])["batch_size"] == "16"
    assert not connections


def test_training_never_runs_the_frozen_text_tower(run, tmp_path, monkeypatch):
    run(tmp_path / "first")  # fills the cache
    monkeypatch.setattr(ETPModel, "get_text_tower_features", lambda *args, **kwargs: pytest.fail("the tower ran"))
    assert run(tmp_path / "second") == 0


def test_validation_counts_every_record_once_and_matches_the_saved_model(run, tmp_path, monkeypatch):
    seen = {}

    def spy(model, split, *args, **kwargs):
        seen["records"] = len(split)
        seen["figures"] = validate(model, split, *args, **kwargs)
        return seen["figures"]

    monkeypatch.setattr(loop, "validate", spy)
    run(tmp_path, "--num_epochs", "1", "--ema_decay", "0.5")
    last = read_metrics(tmp_path / "metrics.jsonl")[-1]
    assert last["num_ecgs"] == seen["records"]
    assert last["validation_loss"] == seen["figures"]["validation_loss"]


def test_the_averaged_weights_are_what_is_saved(run, tmp_path):
    run(tmp_path, "--ema_decay", "0.9", "--learning_rate", "0.01")
    saved = load_file(tmp_path / "model.safetensors")
    (newest, *_) = sorted((tmp_path / "checkpoints").iterdir(), reverse=True)
    average, last = (load_file(newest / f"{name}.safetensors") for name in ("average", "weights"))
    assert int(average.pop("step")) == 6
    for name, tensor in average.items():
        assert torch.equal(saved[name.removeprefix("model.")], tensor), name
    assert any(not torch.equal(average[name], last[name]) for name in average)


def test_validating_less_often_changes_no_weight(run, assert_same_weights, tmp_path):
    for every in ("1", "2"):
        run(tmp_path / every, "--num_epochs", "3", "--validate_every", every)
    assert_same_weights(tmp_path / "1", tmp_path / "2")
    epochs = {
        every: [
            line["epoch"]
            for line in map(json.loads, (tmp_path / every / "metrics.jsonl").read_text().splitlines())
            if "validation_loss" in line
        ]
        for every in ("1", "2")
    }
    assert epochs == {"1": [1, 2, 3], "2": [2, 3]}


def test_the_best_epoch_by_validation_is_saved(run, tmp_path, monkeypatch):
    losses = iter([3.0, 1.0, 2.0])
    kept = []
    original = validate

    def scripted(model, *args, **kwargs):
        kept.append(model.model.ecg_projection.layers[0].weight.detach().clone())
        return {**original(model, *args, **kwargs), "validation_loss": next(losses)}

    monkeypatch.setattr(loop, "validate", scripted)
    run(tmp_path, "--num_epochs", "3", "--select_best", "loss")
    saved = load_file(tmp_path / "model.safetensors")["ecg_projection.layers.0.weight"]
    assert torch.equal(saved, kept[1])
    assert not torch.equal(saved, kept[2])


def test_a_loss_that_is_not_finite_names_the_records_and_leaves_no_checkpoint_of_it(run, tmp_path, monkeypatch):
    original = loop.backward

    def broken(accelerator, model, batch, **kwargs):
        losses = original(accelerator, model, batch, **kwargs)
        broken.batches.append(batch)
        return {**losses, "loss": losses["loss"] * (torch.nan if len(broken.batches) == 3 else 1)}

    broken.batches = []
    monkeypatch.setattr(loop, "backward", broken)
    with pytest.raises(loop.NonFiniteLossError, match=r"The loss of step 3 is nan. Its records: ") as error:
        run(tmp_path, "--checkpoint_every", "2")
    ids = str(error.value).split("records: ")[1].split(". ")[0].split(", ")
    assert len(set(ids)) == 16
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000002"]


def test_a_batch_larger_than_the_split_is_refused(run, tmp_path):
    with pytest.raises(OptionError, match="62 training records do not fill one batch of 100"):
        run(tmp_path, "--batch_size", "100")


def test_label_derived_text_is_used_only_when_named(dataset):
    split = dataset["validation"]
    ours = record_statements(split, DataArguments())
    labels = record_statements(split, DataArguments(text_source="label_derived"))
    assert ours == [list(statements) for statements in split["statements"]]
    phrases = load_label_set("all")
    names = split.features["all"].feature.names
    assert labels == [[phrases[names[label]][0] for label in row] for row in split["all"]]


def test_signals_of_the_models_rate_are_copied_and_others_resampled(dataset):
    split = dataset["validation"]
    raw = np.asarray(split.with_format("numpy")["ecg"], dtype=np.int16)
    assert np.array_equal(load_signals(split, ETPFeatureExtractor()), raw)
    halved = load_signals(split, ETPFeatureExtractor(sampling_rate=50, num_samples=500))
    direct = ETPFeatureExtractor(sampling_rate=50, num_samples=500)(raw * 1e-3, sampling_rate=100)["input_values"]
    assert np.abs(halved / 1e3 - np.asarray(direct)).max() <= 0.0005 + 1e-6  # half a microvolt of rounding


def test_a_record_that_can_not_be_used_is_named(dataset):
    split = dataset["validation"].select([0, 1])
    gone = [[NO_SAMPLE] * 1000] * 12
    broken = split.map(lambda row, index: {"ecg": gone if index else row["ecg"]}, with_indices=True)
    with pytest.raises(ValueError, match=f"Record {split[1]['record_id']} can't be used for training"):
        load_signals(broken, ETPFeatureExtractor())


def test_a_line_that_a_kill_cut_off_and_lines_of_the_future_leave_the_metrics(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4, "lo')
    MetricsFile(path, first_step=3).append({"step": 3})
    assert [line["step"] for line in read_metrics(path)] == [1, 2, 3]
