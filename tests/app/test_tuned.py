"""A fine-tuned classifier behind the page."""

import re

import pytest
import torch

from etp import cli
from etp.app import main as app
from etp.app.handlers import Handlers
from etp.app.interface import build_interface
from etp.app.sources import ExampleEcg
from etp.app.tuned_scorer import TunedScorer
from etp.loading import load_classifier
from modeling_etp.classification_etp import ETPForEcgClassification
from modeling_etp.configuration_etp import ETPEcgConfig
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor

LABELS = ("NORM", "MI", "own finding")
FIELDS = (ExampleEcg("normal"), None, "", "", ["atrial fibrillation"], False)


@pytest.fixture
def classifier(tmp_path):
    """Save a tiny classifier with a configuration; returns its folder."""

    def classifier(**config):
        torch.manual_seed(0)
        config = ETPEcgConfig(
            hidden_sizes=(8, 8),
            depths=(1, 1),
            kernel_sizes=(3, 3),
            id2label=dict(enumerate(LABELS)),
            label2id={label: number for number, label in enumerate(LABELS)},
            **{"problem_type": "multi_label_classification", **config},
        )
        ETPForEcgClassification(config).save_pretrained(tmp_path / "classifier")
        ETPFeatureExtractor(sampling_rate=100, num_samples=1000).save_pretrained(tmp_path / "classifier")
        return tmp_path / "classifier"

    return classifier


def handlers_of(folder) -> Handlers:
    return Handlers(TunedScorer(load_classifier(folder)))


def shown_labels(html: str) -> set[str]:
    return {label.strip() for label in re.findall(r'<th scope="row">([^<]*)', html)}


def test_a_classifier_shows_its_own_labels_whatever_is_asked(classifier):
    results = handlers_of(classifier()).score(*FIELDS)
    assert shown_labels(results.scores) == set(LABELS)
    assert "<small>normal ECG</small>" in results.scores  # what the code NORM stands for
    assert 'data-kind="tuned_raw"' in results.scores
    assert "They were not calibrated" in results.scores


def test_a_calibration_of_its_own_makes_probabilities(classifier):
    calibration = {"scale": [1.0, 2.0, 1.0], "bias": [0.0, 0.5, -1.0]}
    assert 'data-kind="tuned"' in handlers_of(classifier(calibration=calibration)).score(*FIELDS).scores


def test_its_labels_are_explained(classifier):
    for problem_type, compared in (
        ("multi_label_classification", "by itself"),
        ("single_label_classification", "against the other labels"),
    ):
        html = handlers_of(classifier(problem_type=problem_type)).explain(True, "own finding", *FIELDS)
        assert f"Integrated gradients of “own finding” {compared}" in html
        assert "<img" in html


def test_the_page_offers_no_labels_to_type(classifier):
    page = build_interface(TunedScorer(load_classifier(classifier()))).get_config_file()
    parts = {part["id"]: part for part in page["components"]}
    (labels,) = (key for key, part in parts.items() if part["props"].get("elem_id") == "labels")

    def above(tree, wanted, found=()):
        if tree["id"] == wanted:
            return found
        return next(
            filter(None, (above(child, wanted, (*found, child["id"])) for child in tree.get("children", ()))), ()
        )

    path = next(filter(None, (above(child, labels, (child["id"],)) for child in page["layout"]["children"])))
    assert any(parts[key]["props"].get("visible") is False for key in path if key in parts)


def test_the_app_opens_it(classifier, monkeypatch):
    served = []
    monkeypatch.setattr(app, "serve", lambda scorer, args, uploads: served.append(scorer))
    assert cli.main(["app", "--model", str(classifier()), "--device", "cpu"]) == 0
    assert list(served[0].own_labels) == list(LABELS)


def test_a_regression_and_options_of_two_towers_are_refused(classifier, capsys, tmp_path):
    model = ["app", "--device", "cpu", "--model", str(classifier())]
    assert cli.main([*model, "--results", str(tmp_path / "r.json")]) == 2
    assert "has no text tower for --index" in capsys.readouterr().err
    assert cli.main([*model[:-1], str(classifier(problem_type="regression"))]) == 2
    assert "a regression has no labels to show" in capsys.readouterr().err
