"""When the page may speak of probabilities."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from datasets_scripts.label_sets import LABEL_TASKS, label_set_versions, load_label_set
from etp.app.calibrations import find_calibrations
from etp.app.handlers import Handlers
from etp.app.labels import label_lines, label_set, parse_labels
from etp.app.scorer import EcgScorer
from etp.app.sources import AppError, ExampleEcg, UploadedEcg
from etp.evaluation.prompts import PromptOptions, load_prompts, score_labels
from etp.pretrained import DEFAULT_MODEL, SHIPPED

TASK = "superclass"
TEMPLATE = "ECG: {}"
PLATT = {"NORM": (0.5, -1.0), "MI": (2.0, 0.5), "STTC": (1.0, 0.0), "CD": (0.0, -2.0), "HYP": (0.1, 1.0)}


@pytest.fixture
def results(checkpoint, tmp_path):
    """Write what evaluate_zeroshot.py writes, with changes; returns the file."""

    def results(*, options=None, conditions=None, source=None, threshold=0.0, **changes):
        per_class = {
            label: {"threshold": threshold, "calibration": {"scale": scale, "bias": bias}}
            for label, (scale, bias) in PLATT.items()
        }
        task = {"per_class": per_class, "prompts": {"source": source or label_set_versions(TASK)}}
        content = {
            "format_version": 1,
            "kind": "zero_shot",
            "checkpoint_sha256": checkpoint.weights_sha256,
            "dataset": "ptb_xl",
            "options": {
                "prompts": None,
                "templates": [TEMPLATE],
                "pooling": "mean",
                "contrast": "none",
                "describe_patient": False,
                **(options or {}),
            },
            "conditions": {"leads": None, "seconds": None, "windows": "one", **(conditions or {})},
            "tasks": {TASK: task},
            **changes,
        }
        file = tmp_path / "results.json"
        file.write_text(json.dumps(content))
        return file

    return results


def test_probabilities_are_those_of_the_evaluation(checkpoint, results):
    scorer = EcgScorer(checkpoint, calibrations=find_calibrations(checkpoint, [results()]))
    recording = ExampleEcg("normal").read()
    (prompts,) = load_prompts("ptb_xl", [TASK])
    embeds = torch.from_numpy(scorer.classifier.embed_ecgs(recording))
    options = PromptOptions((TEMPLATE,), "mean")
    logits = score_labels(checkpoint.model, checkpoint.processor.tokenizer, prompts, embeds, options)[0].numpy()
    scale, bias = np.array([PLATT[label] for label in prompts.labels]).T
    expected = 1 / (1 + np.exp(-(scale * logits + bias)))
    scores = scorer.score(recording, prompts.phrases)
    assert scores.kind == "calibrated"
    assert scores.by_label == pytest.approx(dict(zip(prompts.labels, expected.tolist(), strict=True)), abs=1e-5)
    assert list(scores.by_label.values()) == sorted(scores.by_label.values(), reverse=True)


def test_the_page_calls_only_calibrated_scores_probabilities(checkpoint, results):
    handlers = Handlers(EcgScorer(checkpoint, calibrations=find_calibrations(checkpoint, [results()])))

    def shown(labels):
        return handlers.score(ExampleEcg("normal"), None, "", "", labels, False).scores

    lines = list(label_lines(load_label_set(TASK)).values())
    calibrated = shown(lines)
    assert 'data-kind="calibrated"' in calibrated
    assert "fitted on validation records of PTB-XL" in calibrated
    assert 'data-kind="calibrated"' in shown(lines[:1])  # a part of the labels: each has its own
    assert 'data-kind="calibrated"' in shown([lines[0].replace("NORM = ", "nothing found = ")])  # by its phrases
    mixed = shown([*lines, "afib"])
    assert 'data-kind="shares"' in mixed
    assert "No probability: no calibration is known of “afib” as worded here." in mixed
    other_words = label_lines({"NORM": load_label_set(TASK)["NORM"][:1], "MI": ["infarct"]})
    assert 'data-kind="shares"' in shown(list(other_words.values()))


def test_a_recording_of_another_length_gets_no_probability(checkpoint, results, tmp_path):
    scorer = EcgScorer(checkpoint, calibrations=find_calibrations(checkpoint, [results()]))
    (prompts,) = load_prompts("ptb_xl", [TASK])
    for seconds, kind in ((10, "calibrated"), (5, "shares"), (30, "shares")):
        np.save(tmp_path / "ecg.npy", np.tile(ExampleEcg("normal").read().signal, 3)[:, : seconds * 100])
        recording = UploadedEcg({"ecg.npy": (tmp_path / "ecg.npy").read_bytes()}).read(sampling_rate=100)
        scores = scorer.score(recording, prompts.phrases)
        assert scores.kind == kind
        assert scores.uncalibrated == ("" if kind == "calibrated" else "the calibration is of recordings of 10 s")


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "linear_probe"},
        {"options": {"prompts": "own.json"}},
        {"options": {"contrast": "neutral"}},
        {"options": {"describe_patient": True}},
        {"conditions": {"leads": ["II"]}},
        {"conditions": {"seconds": 5}},
        {"source": {"superclass": "0", "statements": "0"}},
    ],
)
def test_what_was_scored_otherwise_calibrates_nothing(checkpoint, results, changes):
    assert find_calibrations(checkpoint, [results()])
    assert find_calibrations(checkpoint, [results(**changes)]) == []


def test_a_label_that_no_validation_record_had_is_not_calibrated(checkpoint, results):
    (calibration,) = find_calibrations(checkpoint, [results(threshold=None)])
    assert calibration.not_covered({"NORM": calibration.phrases["NORM"]}) == ["NORM"]


def test_results_of_other_weights_or_no_results_are_refused(checkpoint, results, tmp_path):
    with pytest.raises(AppError, match="it is of other weights than"):
        find_calibrations(checkpoint, [results(checkpoint_sha256="0" * 64)])
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(AppError, match=r"--results: .*list\.json is not a results file of format 1"):
        find_calibrations(checkpoint, [tmp_path / "list.json"])


def test_a_checkpoint_may_carry_its_results(checkpoint, results, tmp_path):
    (tmp_path / "results").mkdir()
    results().rename(tmp_path / "results" / "zero-shot.json")
    carrying = replace(checkpoint, folder=tmp_path)
    assert [found.task for found in find_calibrations(carrying)] == [TASK]
    assert find_calibrations(checkpoint) == []


def test_results_of_other_weights_that_a_checkpoint_carries_calibrate_nothing(checkpoint, results, tmp_path):
    (tmp_path / "results").mkdir()
    results(checkpoint_sha256="0" * 64).rename(tmp_path / "results" / "zero-shot.json")
    assert find_calibrations(replace(checkpoint, folder=tmp_path)) == []


def test_the_shipped_results_calibrate_the_labels_of_an_empty_page(checkpoint):
    """By the weights that were evaluated: the joined model has them, see the test of the shipped model."""
    file = SHIPPED / DEFAULT_MODEL / "results" / "zero-shot-ptb-xl.json"
    sha256 = json.loads(file.read_text())["checkpoint_sha256"]
    found = find_calibrations(replace(checkpoint, files={"model.safetensors": sha256}), [file])
    labels = parse_labels(list(label_lines(label_set("")).values()))
    assert {calibration.task for calibration in found} == set(LABEL_TASKS) - {"cpsc2018"}
    assert [calibration.task for calibration in found if not calibration.not_covered(labels)] == ["all"]
