"""A fine-tuned classifier in the pipeline, on the command line, in the evaluation, and loaded otherwise."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForAudioClassification, pipeline

from etp import cli
from etp.loading import CheckpointError, load_checkpoint, load_classifier
from modeling_etp import (
    STANDARD_LEADS,
    EcgClassificationPipeline,
    ETPFeatureExtractor,
    ETPForEcgClassification,
    ETPModel,
)

SIGNAL = np.random.default_rng(0).standard_normal((12, 1000)).astype(np.float32)
REMOTE = """
import sys, numpy as np
from transformers import pipeline
assert "modeling_etp" not in sys.modules
classifier = pipeline("ecg-classification", model=sys.argv[1], trust_remote_code=True)
signal = np.random.default_rng(0).standard_normal((12, 1000)).astype(np.float32)
print(classifier(signal, sampling_rate=100, top_k=1)[0])
"""


@pytest.fixture(scope="module")
def classifier(tuned):
    return pipeline("ecg-classification", model=str(tuned))


@pytest.fixture
def evaluate(archive_dir, signals_cache, tmp_path):
    """Run `etp evaluate fine-tuned`; returns the exit status and the file."""

    def evaluate(model, *options):
        words = ["evaluate", "fine-tuned", "--model", model, "--data_dir", archive_dir, "--cache_dir", signals_cache]
        words += ["--output", tmp_path / "out.json", "--num_resamples", 20, "--precision", "fp32", *options]
        return cli.main([str(word) for word in words]), tmp_path / "out.json"

    return evaluate


def test_every_kind_of_input_gives_the_same_scores(classifier):
    expected = classifier(SIGNAL, sampling_rate=100)
    row = {"ecg": np.rint(SIGNAL * 1000).astype(np.int16), "sampling_rate": 100}
    assert classifier({"array": SIGNAL, "sampling_rate": 100}) == expected
    assert classifier([SIGNAL, SIGNAL], sampling_rate=100) == [expected, expected]
    assert list(classifier((ecg for ecg in [SIGNAL]), sampling_rate=100)) == [expected]
    assert [entry["label"] for entry in classifier(row)] == [entry["label"] for entry in expected]


def test_scores_are_the_calibrated_probabilities_of_the_logits(classifier):
    model, extractor = classifier.model, classifier.feature_extractor
    with torch.no_grad():
        logits = model.eval()(**extractor(SIGNAL, sampling_rate=100, return_tensors="pt")).logits[0]
    scale, bias = (torch.tensor(model.config.calibration[name]) for name in ("scale", "bias"))
    expected = dict(zip(model.config.id2label.values(), torch.sigmoid(scale * logits + bias).tolist(), strict=True))
    assert any(value != 1 for value in scale.tolist())
    assert {e["label"]: e["score"] for e in classifier(SIGNAL, sampling_rate=100)} == pytest.approx(expected, abs=1e-6)


def test_own_thresholds_select_the_labels_that_reach_them(classifier):
    config = classifier.model.config
    lowest = {config.id2label[index]: value for index, value in enumerate(config.thresholds)}
    every = {entry["label"]: entry["score"] for entry in classifier(SIGNAL, sampling_rate=100)}
    chosen = {entry["label"] for entry in classifier(SIGNAL, sampling_rate=100, threshold="own")}
    assert chosen == {name for name, score in every.items() if lowest[name] is not None and score >= lowest[name]}
    assert None in lowest.values()  # a label that no validation record had


def test_notes_and_windows_are_those_of_the_zero_shot_pipeline(classifier, checkpoint_dir):
    zero_shot = pipeline("zero-shot-ecg-classification", model=str(checkpoint_dir))
    ecg = {
        "array": np.tile(SIGNAL[:8], 3),
        "sampling_rate": 125,
        "lead_names": ["I", "II", *(f"V{n}" for n in range(1, 7))],
    }
    wanted = {"return_notes": True, "return_windows": True, "top_k": 1}
    (own,), (other,) = classifier(ecg, **wanted), zero_shot(ecg, ["a", "b"], **wanted)
    assert own["notes"] == other["notes"]
    assert len(own["notes"]) == 3
    spans = [[(window["start"], window["end"]) for window in entry["windows"]] for entry in (own, other)]
    assert spans[0] == spans[1]


def test_an_unknown_argument_and_a_model_without_labels_are_refused(classifier, checkpoint_dir):
    with pytest.raises(ValueError, match=r"unknown argument.* templates; there are sampling_rate"):
        classifier(SIGNAL, sampling_rate=100, templates=["a"])
    with pytest.raises(ValueError, match="the model is a ETPModel, which has no labels of its own"):
        EcgClassificationPipeline(
            model=ETPModel.from_pretrained(checkpoint_dir), feature_extractor=ETPFeatureExtractor(), task="ecg"
        )


def test_candidate_labels_are_refused_with_the_pipeline_that_takes_them(classifier, tuned):
    message = (
        r"labels of its own \(superclass/NORM, .*, …\), so this pipeline takes no candidate labels .* by position; labels "
        r'as text are for `pipeline\("zero-shot-ecg-classification"\)`'
    )
    with pytest.raises(ValueError, match=message):
        classifier(SIGNAL, ["atrial fibrillation", "sinus rhythm"], sampling_rate=100)
    with pytest.raises(ValueError, match=message):
        classifier(SIGNAL, sampling_rate=100, candidate_labels=["atrial fibrillation"])
    with pytest.raises(ValueError, match=message):
        pipeline("ecg-classification", model=str(tuned), candidate_labels=["atrial fibrillation"])


def test_the_folder_brings_its_own_code(tuned, tmp_path, classifier):
    done = subprocess.run(
        [sys.executable, "-c", REMOTE, str(tuned)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1] == str(classifier(SIGNAL, sampling_rate=100, top_k=1)[0])


def test_the_tower_alone_says_that_the_head_is_left_out(tuned):
    with pytest.warns(UserWarning, match="its head is left out: ETPEcgModel .*`ETPForEcgClassification`, or"):
        AutoModel.from_pretrained(tuned)
    assert isinstance(AutoModelForAudioClassification.from_pretrained(tuned), ETPForEcgClassification)


def test_a_classifier_is_no_checkpoint_of_two_towers_nor_the_other_way_round(tuned, checkpoint_dir):
    with pytest.raises(CheckpointError, match="fine-tuned classifier, which has labels of its own"):
        load_checkpoint(tuned)
    with pytest.raises(CheckpointError, match="holds no fine-tuned classifier"):
        load_classifier(checkpoint_dir)


def test_files_are_classified_without_labels(tuned, tmp_path, capsys, classifier):
    np.save(tmp_path / "a.npy", SIGNAL)
    words = ["classify", str(tmp_path / "a.npy"), "--sampling_rate", "100", "--model", str(tuned), "--json", "-k", "2"]
    assert cli.main(words) == 0
    (line,) = capsys.readouterr().out.splitlines()
    (expected,) = classifier([str(tmp_path / "a.npy")], sampling_rate=100, top_k=2)
    assert json.loads(line)["scores"] == expected


def test_a_picture_shows_the_scores_of_the_classifiers_own_labels(tuned, tmp_path, capsys, classifier):
    np.save(tmp_path / "a.npy", SIGNAL)
    words = ["plot", str(tmp_path / "a.npy"), "--sampling_rate", "100", "--lead_names", *STANDARD_LEADS]
    for name, scored in (("bare.svg", []), ("scored.svg", ["--model", str(tuned)])):
        assert cli.main([*words, "-o", str(tmp_path / name), *scored]) == 0
    drawn = {name: (tmp_path / name).read_text() for name in ("bare.svg", "scored.svg")}
    highest = classifier(SIGNAL, sampling_rate=100, top_k=3)
    for entry in highest:  # a text is a comment before the glyphs it is drawn with
        assert f"<!-- {entry['label']} -->" in drawn["scored.svg"]
        assert f"<!-- {entry['label']} -->" not in drawn["bare.svg"]
    assert f"<!-- {highest[0]['score']:.2f} -->" in drawn["scored.svg"]
    capsys.readouterr()
    options = ["-o", str(tmp_path / "mixed.svg"), "--model", str(tuned), "--labels", "sinus rhythm"]
    assert cli.main([*words, *options]) == cli.USAGE
    assert "was fine-tuned on labels of its own: leave out --labels" in capsys.readouterr().err
    assert not (tmp_path / "mixed.svg").exists()


def test_the_numbers_of_a_regression_are_not_drawn(tuned, tmp_path, capsys):
    folder = shutil.copytree(tuned, tmp_path / "regression")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"problem_type": "regression", "calibration": None}))
    np.save(tmp_path / "a.npy", SIGNAL)
    words = ["plot", str(tmp_path / "a.npy"), "--sampling_rate", "100", "--lead_names", *STANDARD_LEADS]
    assert cli.main([*words, "-o", str(tmp_path / "a.svg"), "--model", str(folder)]) == cli.USAGE
    assert "is a regression, whose numbers are no scores to draw" in capsys.readouterr().err


def test_info_names_the_labels_of_a_classifier(tuned, capsys, classifier):
    assert cli.main(["info", str(tuned), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "classifier"
    assert facts["labels"] == list(classifier.model.config.id2label.values())
    assert facts["calibrated"] is True


def test_labels_as_text_and_labels_of_the_model_are_not_mixed(tuned, checkpoint_dir, tmp_path, capsys):
    np.save(tmp_path / "a.npy", SIGNAL)
    words = ["classify", str(tmp_path / "a.npy"), "--sampling_rate", "100", "--model"]
    assert cli.main([*words, str(tuned), "--labels", "sinus rhythm"]) == cli.USAGE
    assert "was fine-tuned on labels of its own: leave out --labels" in capsys.readouterr().err
    assert cli.main([*words, str(checkpoint_dir)]) == cli.USAGE
    assert "labels are required: give them by --labels, --task or --prompts." in capsys.readouterr().err


def test_the_evaluation_reports_each_task_with_intervals_and_baselines(evaluate, tuned):
    status, file = evaluate(tuned)
    assert status == 0
    result = json.loads(file.read_text())
    assert (result["kind"], list(result["tasks"])) == ("fine_tuned", ["superclass", "rhythm"])
    for task in result["tasks"].values():
        low, high = task["intervals_95"]["macro_auroc"]
        assert low <= task["macro_auroc"] <= high
        assert task["baselines"]["chance"]["macro_auroc"] == 0.5
    assert set(result["tasks"]["superclass"]["per_class"]) == {"NORM", "MI", "STTC", "CD", "HYP"}
    assert result["tasks"]["superclass"]["supervised_reference"]["macro_auroc"] == 0.93


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tasks", "form"], "the classifier was not trained on 'form', but on superclass, rhythm."),
        (["--split", "train"], "--split train holds records that a classifier is trained on; take test."),
    ],
)
def test_an_evaluation_that_can_not_be_is_refused(evaluate, tuned, capsys, options, message):
    assert evaluate(tuned, *options)[0] == cli.USAGE
    assert message in capsys.readouterr().err
