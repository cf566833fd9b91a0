"""`etp finetune`: a classifier with its labels, from any of the ways to train it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import pipeline

from datasets_scripts.synthetic_ecg import CONDITIONS, simulate_ecgs
from etp import cli
from etp.archives import open_archive
from etp.finetuning.data import EcgBatches
from etp.finetuning.main import check_output_dir
from etp.options import OptionError
from etp.scoring.heads import tasks_of
from etp.scoring.labels import label_names, label_targets, stratified_fraction

FINDINGS = ("atrial fibrillation", "normal")
ECG = {"array": np.sin(np.arange(12000).reshape(12, 1000) / 7).astype(np.float32), "sampling_rate": 100}


def write_folder(folder: Path, *, labels: bool = True, several: bool = True) -> Path:
    """60 ECGs of a hospital, half of them in atrial fibrillation, with a second label on every third."""
    folder.mkdir(parents=True)
    names = [FINDINGS[number % 2] for number in range(60)]
    ecgs = simulate_ecgs([CONDITIONS[name] for name in names], sampling_rate=100, seed=1)
    lines = ["file,patient_id,split,sampling_rate" + (",labels" if labels else "")]
    for number, (name, signal) in enumerate(zip(names, ecgs.signal, strict=True)):
        np.save(folder / f"{number}.npy", signal)
        split = ("test", "validation", "train")[min(number // 10, 2)]
        own = f",{name}|third" if several and number % 3 == 0 else f",{name}"
        lines.append(f"{number}.npy,p{number},{split},100{own if labels else ''}")
    (folder / "records.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_the_saved_folder_classifies_any_ecg(tuned):
    classifier = pipeline("ecg-classification", model=str(tuned))
    entries = classifier(ECG)
    assert {entry["label"] for entry in entries} >= {"superclass/NORM", "superclass/MI", "rhythm/AFIB", "rhythm/SR"}
    scores = [entry["score"] for entry in entries]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    config = classifier.model.config
    assert config.problem_type == "multi_label_classification"
    assert list(tasks_of(config)) == ["superclass", "rhythm"]
    assert [config.id2label[index].split("/")[0] for index in range(config.num_labels)] == config.label_tasks
    assert len(config.calibration["scale"]) == len(config.thresholds) == config.num_labels == len(entries)
    run = json.loads((tuned / "fine_tuning.json").read_text())
    assert set(run["validation"]) == {"auroc_superclass", "auroc_rhythm", "auroc"}


def test_the_tower_is_trained_or_kept_as_asked(finetune, tuned, checkpoint_dir, tmp_path):
    base = load_file(checkpoint_dir / "model.safetensors")
    assert finetune(tmp_path / "head", "--tasks", "rhythm", "--train", "head") == 0
    full, head = (load_file(folder / "model.safetensors") for folder in (tuned, tmp_path / "head"))
    tower = [name for name in base if name.startswith("ecg_model.") and base[name].is_floating_point()]
    assert tower
    for name in tower:
        torch.testing.assert_close(head[name], base[name], rtol=0, atol=0)
    assert any(not torch.equal(full[name], base[name]) for name in tower)


def test_adapters_are_merged_into_the_saved_tower_and_kept_beside_it(finetune, checkpoint_dir, tmp_path):
    folder = tmp_path / "lora"
    options = ("--train", "lora", "--lora_rank", 2, "--learning_rate", 0.05)
    assert finetune(folder, "--tasks", "rhythm", *options) == 0
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()
    base, merged = (load_file(place / "model.safetensors") for place in (checkpoint_dir, folder))
    kernels = [name for name in base if name.startswith("ecg_model.") and "conv" in name]
    assert kernels
    assert all(not torch.equal(merged[name], base[name]) for name in kernels)
    statistics = [name for name in base if name.startswith("ecg_model.") and "running" in name]
    assert all(torch.equal(merged[name], base[name]) for name in statistics)
    assert not any("lora" in name for name in merged)
    assert pipeline("ecg-classification", model=str(folder))(ECG, top_k=1)[0]["label"]


def test_own_labels_one_for_each_ecg_give_scores_that_add_up_to_one(finetune, tmp_path):
    data = write_folder(tmp_path / "own", several=False)
    options = ("--dataset", "folder", "--problem_type", "single_label", "--window_seconds", 2.5)
    assert finetune(tmp_path / "out", *options, data_dir=data) == 0
    classifier = pipeline("ecg-classification", model=str(tmp_path / "out"))
    entries = classifier(ECG)
    assert {entry["label"] for entry in entries} == set(FINDINGS)
    assert sum(entry["score"] for entry in entries) == pytest.approx(1)
    assert len(classifier(ECG, return_windows=True)[0]["windows"]) == 7  # 2.5 s each, half overlapping
    scale = classifier.model.config.calibration["scale"]
    assert scale == [scale[0]] * len(FINDINGS)


def test_a_fraction_of_the_labels_is_that_of_the_linear_probe(finetune, archive_dir, signals_cache, tmp_path):
    drawn = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = ("--tasks", "rhythm", "--train", "head", "--label_fraction", 0.2, "--seed", seed)
        assert finetune(tmp_path / name, *options) == 0
        run = json.loads((tmp_path / name / "fine_tuning.json").read_text())
        drawn[name] = (
            run["num_training_records"],
            load_file(tmp_path / name / "model.safetensors")["classifier.weight"],
        )
    training = open_archive("ptb_xl", archive_dir, cache_dir=signals_cache)["train"]
    targets, labelled = label_targets(training, "rhythm", label_names(training, "rhythm"))
    patients = np.array(training["patient_id"][:], dtype=object)[labelled]
    of_task = {"targets": targets[labelled], "patient_ids": patients}
    assert drawn["a"][0] == len(stratified_fraction(**of_task, fraction=0.2, seed=1)) < labelled.sum() / 3
    assert torch.equal(drawn["a"][1], drawn["b"][1])
    assert not torch.equal(drawn["a"][1], drawn["c"][1])


def test_a_run_that_was_interrupted_goes_on_to_the_same_weights(finetune, tmp_path, monkeypatch):
    options = ("--tasks", "rhythm", "--amplitude_range", 0.2, "--lead_dropout", 0.1, "--classifier_dropout", 0)
    assert finetune(tmp_path / "whole", *options) == 0
    whole_epoch = EcgBatches.set_epoch

    def stop_in_the_second(self, epoch):
        if epoch == 1:
            raise KeyboardInterrupt
        whole_epoch(self, epoch)

    monkeypatch.setattr(EcgBatches, "set_epoch", stop_in_the_second)
    assert finetune(tmp_path / "parts", *options) == cli.INTERRUPTED
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    monkeypatch.undo()
    assert finetune(tmp_path / "parts", *options, "--seed", 5, "--resume") == cli.USAGE
    assert finetune(tmp_path / "parts", *options, "--resume") == 0
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_training_stops_when_validation_no_longer_improves(finetune, tmp_path):
    options = ("--tasks", "rhythm", "--train", "head", "--num_epochs", 30, "--patience", 1)
    assert finetune(tmp_path / "out", *options) == 0
    (newest, *_) = sorted(
        (tmp_path / "out" / "checkpoints").glob("*/trainer_state.json"), key=lambda p: -p.stat().st_mtime
    )
    assert json.loads(newest.read_text())["epoch"] < 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tasks", "finding"], "ptb_xl has no task 'finding'; it has superclass, subclass"),
        (["--tasks", "rhythm", "form", "--problem_type", "single_label"], "--tasks names 2 tasks: rhythm, form. Name one"),
        (["--tasks", "rhythm", "--resume"], "holds no checkpoint; one is written after each epoch. Start without --resume."),
        (["--tasks", "rhythm", "--window_seconds", "11"], "reads 10 s at 100 Hz; take as many or fewer."),
        (["--label_fraction", "0"], "--label_fraction is above 0 and at most 1, got 0.0."),
        (["--train", "all"], "choose from full, head, lora"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_with_a_cure(finetune, tmp_path, capsys, options, message):
    assert finetune(tmp_path / "out", *options) == cli.USAGE
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_records_with_several_labels_are_no_single_ones(finetune, tmp_path, capsys):
    data = write_folder(tmp_path / "own")
    options = ("--dataset", "folder", "--problem_type", "single_label")
    assert finetune(tmp_path / "out", *options, data_dir=data) == cli.USAGE
    said = capsys.readouterr().err.splitlines()[-1]
    assert "13 train records have several labels, the first is" in said
    assert "and third. Take multi_label, or another task." in said


def test_a_table_without_labels_is_refused(finetune, tmp_path, capsys):
    data = write_folder(tmp_path / "own", labels=False)
    assert finetune(tmp_path / "out", "--dataset", "folder", data_dir=data) == cli.USAGE
    assert "has no label column 'labels'" in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_that_holds_a_model_is_not_written_over(finetune, tuned, tmp_path, capsys):
    assert finetune(tuned, "--tasks", "rhythm") == cli.USAGE
    assert "Go on with it by --resume, replace it by --overwrite, or" in capsys.readouterr().err


def test_a_classifier_can_be_the_base_of_another(finetune, tuned, tmp_path):
    assert finetune(tmp_path / "out", "--tasks", "form", "--train", "head", model=tuned) == 0
    config = pipeline("ecg-classification", model=str(tmp_path / "out")).model.config
    assert set(config.label_tasks) == {"form"}
    one, other = (load_file(folder / "model.safetensors") for folder in (tuned, tmp_path / "out"))
    assert torch.equal(one["ecg_model.stem.conv.weight"], other["ecg_model.stem.conv.weight"])


def test_overwriting_removes_checkpoints_by_name_and_nothing_behind_a_link(tmp_path):
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    for name in ("checkpoint-2", "checkpoint-10", "notes"):
        (folder / "checkpoints" / name).mkdir(parents=True)
        (elsewhere / name).mkdir(parents=True)
    args = SimpleNamespace(output_dir=folder, resume=False, overwrite=True)
    check_output_dir(args)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["notes"]
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "checkpoints").symlink_to(elsewhere)
    args.output_dir = tmp_path / "linked"
    with pytest.raises(OptionError, match="checkpoints is a link"):
        check_output_dir(args)
    assert len(list(elsewhere.iterdir())) == 3
