"""Evaluations see all of a long recording and read labels as the pipeline does, unless told otherwise."""

import json
from pathlib import Path

import numpy as np
import pytest

from datasets_scripts.synthetic_ecg import CONDITIONS, simulate_ecgs
from etp import cli

LABELS = ("atrial fibrillation", "normal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """24 ECGs of a hospital, of 25 s at 100 Hz."""
    folder = tmp_path_factory.mktemp("hospital") / "long"
    folder.mkdir()
    signals = simulate_ecgs([CONDITIONS[LABELS[row % 2]] for row in range(72)], sampling_rate=100, seed=1).signal
    lines = ["file,patient_id,report,labels,split,sampling_rate"]
    for row in range(24):
        np.save(folder / f"{row}.npy", np.concatenate(signals[[row, row + 24, row + 48]], axis=-1)[:, :2500])
        split = ("test", "validation", "train")[row % 3]
        lines.append(f"{row}.npy,p{row},{LABELS[row % 2].capitalize()}.,{LABELS[row % 2]},{split},100")
    (folder / "records.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def evaluate(checkpoint_dir, arrow_cache, tmp_path):
    """Run an evaluation as its command does, and read what it wrote."""

    def evaluate(protocol, dataset, data_dir, *extra):
        output = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
        argv = ["--model", checkpoint_dir, "--dataset", dataset, "--data_dir", data_dir, "--cache_dir", arrow_cache]
        argv += ["--output", output, "--num_resamples", "0", "--precision", "fp32"]
        assert cli.main([str(word) for word in ("evaluate", protocol, *argv, *extra)]) == 0
        return json.loads(output.read_text())

    return evaluate


def fitted(result, task="labels"):
    """What the scores of the validation records decide."""
    return tuple(own["threshold"] for own in result["tasks"][task]["per_class"].values())


def test_all_of_a_long_recording_is_scored_unless_one_window_is_asked_for(evaluate, folder):
    usual = evaluate("zero-shot", "folder", folder)
    assert usual["conditions"]["windows"] == "mean"
    assert fitted(evaluate("zero-shot", "folder", folder, "--windows", "mean")) == fitted(usual)
    different = {fitted(evaluate("zero-shot", "folder", folder, "--windows", name)) for name in ("one", "max")}
    assert len(different | {fitted(usual)}) == 3


def test_recordings_of_one_window_are_what_they_were(evaluate, archive_dir):
    usual = evaluate("zero-shot", "ptb_xl", archive_dir, "--tasks", "superclass")
    one = evaluate("zero-shot", "ptb_xl", archive_dir, "--tasks", "superclass", "--windows", "one")
    assert usual["conditions"]["windows"] == one["conditions"]["windows"] == "one"
    assert usual["tasks"] == one["tasks"]
    assert usual["run_sha256"] == one["run_sha256"]


def test_open_vocabulary_pools_windows_as_zero_shot_does(evaluate, folder, tmp_path):
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"labels": {LABELS[0]: ["quivering upper chambers"], LABELS[1]: ["all as usual"]}}))
    split = ("--split", "test")
    own = evaluate("zero-shot", "folder", folder, "--prompts", prompts, *split)
    unseen = evaluate("open-vocabulary", "folder", folder, "--unseen", prompts, *split)
    assert list(unseen["tasks"]) == ["known_labels", "unseen_labels"]
    assert unseen["conditions"]["windows"] == "mean"
    assert fitted(unseen, "unseen_labels") == pytest.approx(fitted(own), abs=1e-5)
    one = evaluate("open-vocabulary", "folder", folder, "--unseen", prompts, *split, "--windows", "one")
    assert fitted(one, "unseen_labels") != pytest.approx(fitted(own), abs=1e-5)


@pytest.mark.parametrize("protocol", ["zero-shot", "open-vocabulary"])
def test_labels_are_read_unless_told_otherwise(evaluate, folder, tmp_path, protocol):
    prompts = tmp_path / "prompts.json"
    listed = {LABELS[0]: ["quivering chambers, AF, fibrillating atria"], LABELS[1]: ["all as usual, fine, regular"]}
    prompts.write_text(json.dumps({"labels": listed}))
    flag, task = ("--prompts", "labels") if protocol == "zero-shot" else ("--unseen", "unseen_labels")
    asked = (protocol, "folder", folder, flag, prompts)
    usual, as_written = evaluate(*asked), evaluate(*asked, "--interpret_labels", "false")
    assert fitted(usual, task) == fitted(evaluate(*asked, "--interpret_labels", "true"), task)
    assert fitted(usual, task) != fitted(as_written, task)
    assert [result["options"]["interpret_labels"] for result in (usual, as_written)] == [True, False]
