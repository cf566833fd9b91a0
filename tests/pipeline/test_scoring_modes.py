"""Scores do not depend on the model's mode, on autocast, or on the process that computes them."""

import copy
import multiprocessing
import pickle
import threading

import numpy as np
import pytest
import torch

from etp.explain import explain_label
from modeling_etp.label_cache_etp import LabelCache
from modeling_etp.zero_shot_etp import embed_ecgs, evaluation_mode

LABELS = ["normal ecg", "atrial fibrillation", "sinus rhythm"]

# Every way to a score or an embedding.
PATHS = {
    "call": lambda pipe, ecg: pipe(ecg, LABELS, sampling_rate=100),
    "several": lambda pipe, ecg: pipe([ecg, ecg], LABELS, sampling_rate=100, multi_label=True, batch_size=2),
    "generator": lambda pipe, ecg: list(pipe(({"array": ecg, "sampling_rate": 100} for _ in range(2)), LABELS)),
    "windows": lambda pipe, ecg: pipe(
        np.concatenate([ecg, ecg], axis=1), LABELS, sampling_rate=100, return_windows=True
    ),
    "embed_ecgs": lambda pipe, ecg: pipe.embed_ecgs(ecg, sampling_rate=100).tolist(),
    "embed_texts": lambda pipe, ecg: pipe.embed_texts(LABELS).tolist(),
    "function": lambda pipe, ecg: embed_ecgs(pipe.model, pipe.feature_extractor, [ecg], sampling_rate=100).tolist(),
    "label cache": lambda pipe, ecg: (
        LabelCache().get(pipe.model, pipe.tokenizer, {"a": ["normal ecg"]}, ("{}",)).phrase_embeds.tolist()
    ),
    "explain": lambda pipe, ecg: explain_label(
        pipe.model, pipe.processor, ecg, LABELS[0], sampling_rate=100, candidate_labels=LABELS, steps=2
    ).values.tolist(),
}


@pytest.fixture
def classifier(make_classifier, make_model):
    """Dropout in both towers and running statistics: all that training changes."""
    model = make_model(projection_dropout=0.5, ecg_projection_hidden_size=16, text_projection_hidden_size=16)
    assert any("running_mean" in name for name, _ in model.named_buffers())
    return make_classifier(model)


@pytest.mark.parametrize("path", PATHS)
def test_a_model_in_training_scores_as_in_evaluation_and_stays_as_it_was(classifier, ecg, path):
    expected = PATHS[path](classifier, ecg)
    classifier.forget_labels()
    classifier.model.train()
    before = copy.deepcopy(classifier.model.state_dict())
    assert PATHS[path](classifier, ecg) == expected
    assert all(module.training for module in classifier.model.modules())
    assert all(torch.equal(value, before[name]) for name, value in classifier.model.state_dict().items())


def test_a_pipeline_around_a_model_in_training_leaves_it_training(make_classifier, make_model, ecg):
    model = make_model().train()
    make_classifier(model)
    assert model.training


def test_the_first_thread_to_finish_does_not_switch_the_others_to_training(model):
    model.train()
    entered, left = threading.Event(), threading.Event()

    def second():
        with evaluation_mode(model):
            entered.set()
            left.wait(10)
            modes.append(model.training)

    modes: list[bool] = []
    thread = threading.Thread(target=second)
    with evaluation_mode(model):
        thread.start()
        assert entered.wait(10)
    left.set()
    thread.join(10)
    assert modes == [False]
    assert model.training


def test_labels_that_were_first_asked_for_under_autocast_are_those_in_full_precision(make_classifier, ecg):
    expected = make_classifier()(ecg, LABELS, sampling_rate=100)
    classifier = make_classifier()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        classifier(ecg, LABELS, sampling_rate=100)
    assert classifier(ecg, LABELS, sampling_rate=100) == expected


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pipe: pickle.loads(pickle.dumps(pipe))])
def test_a_copy_scores_alike_and_by_its_own_weights(classifier, ecg, copied):
    expected = classifier(ecg, LABELS, sampling_rate=100)
    twin = copied(classifier)
    assert twin(ecg, LABELS, sampling_rate=100) == expected
    with torch.no_grad():
        classifier.model.text_projection.layers[1].weight.add_(torch.eye(16))
    assert classifier(ecg, LABELS, sampling_rate=100) != expected
    assert twin(ecg, LABELS, sampling_rate=100) == expected


def _score(pipe, ecg):
    torch.set_num_threads(1)
    return pipe(ecg, LABELS, sampling_rate=100)


def test_a_spawned_process_scores_alike(classifier, ecg):
    expected = classifier(ecg, LABELS, sampling_rate=100)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (scores,) = pool.starmap(_score, [(classifier, ecg)])
    assert {entry["label"]: entry["score"] for entry in scores} == pytest.approx(
        {entry["label"]: entry["score"] for entry in expected}, abs=1e-6
    )
