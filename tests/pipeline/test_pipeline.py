"""Scores, windows, label embeddings and arguments of the pipeline."""

import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from transformers import pipeline

from modeling_etp import label_cache_etp
from modeling_etp.ecg_windows_etp import window_starts
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.pipeline_etp import NEUTRAL_PHRASES, ZeroShotEcgClassificationPipeline
from modeling_etp.processing_etp import ETPProcessor
from modeling_etp.zero_shot_etp import embed_labels, embed_texts, label_logits

LABELS = ["normal ecg", "atrial fibrillation", "sinus rhythm"]
PHRASES = {
    "AF": ["atrial fibrillation", "atrial flutter"],
    "NORM": ["normal ecg"],
    "LBBB": ["left bundle branch block"],
}


def by_label(scores):
    return {entry["label"]: entry["score"] for entry in scores}


def reference_logits(pipe, ecg, labels, **kwargs):
    embeds = torch.from_numpy(pipe.embed_ecgs(ecg, sampling_rate=100))
    return label_logits(
        embeds, embed_labels(pipe.model, pipe.tokenizer, labels), pipe.model.get_logit_scale(), **kwargs
    )


@pytest.fixture
def embedding_count(monkeypatch):
    """How often labels were embedded so far."""
    calls = []

    def counted(*args, **kwargs):
        calls.append(args)
        return embed_labels(*args, **kwargs)

    monkeypatch.setattr(label_cache_etp, "embed_labels", counted)
    return lambda: len(calls)


def test_scores_are_the_softmax_of_the_models_own_logits(classifier, model, tokenizer, ecg):
    tokens = tokenizer(LABELS, padding=True, return_tensors="pt")
    with torch.no_grad():
        input_values = classifier.feature_extractor(ecg, sampling_rate=100, return_tensors="pt").input_values
        logits = classifier.model(input_values, **tokens).logits_per_ecg[0]
    scores = classifier(ecg, LABELS, sampling_rate=100)
    assert [entry["score"] for entry in scores] == sorted((entry["score"] for entry in scores), reverse=True)
    for label, expected in zip(LABELS, logits.softmax(dim=0).tolist(), strict=True):
        assert by_label(scores)[label] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("pooling", ["logsumexp", "mean", "max"])
def test_phrases_of_a_label_are_pooled(classifier, ecg, pooling):
    scores = by_label(classifier(ecg, PHRASES, sampling_rate=100, phrase_pooling=pooling))
    expected = reference_logits(classifier, ecg, PHRASES, pooling=pooling)[0].softmax(dim=0)
    np.testing.assert_allclose([scores[label] for label in PHRASES], expected.detach(), atol=1e-6)


def test_labels_are_judged_against_what_may_be_said_of_any_ecg(classifier, ecg):
    scores = by_label(classifier(ecg, PHRASES, sampling_rate=100, multi_label=True))
    neutral = reference_logits(classifier, ecg, {"neutral": NEUTRAL_PHRASES})
    expected = torch.sigmoid(reference_logits(classifier, ecg, PHRASES) - neutral)[0]
    np.testing.assert_allclose([scores[label] for label in PHRASES], expected.detach(), atol=1e-6)
    assert sum(scores.values()) != pytest.approx(1, abs=1e-3)


def test_labels_of_a_siglip_model_are_judged_by_its_bias(make_classifier, make_model, ecg):
    classifier = make_classifier(make_model(loss_type="siglip", logit_bias_init_value=-2.0))
    scores = by_label(classifier(ecg, LABELS, sampling_rate=100, multi_label=True))
    expected = torch.sigmoid(reference_logits(classifier, ecg, LABELS) - 2)[0]
    np.testing.assert_allclose([scores[label] for label in LABELS], expected.detach(), atol=1e-6)


def test_a_labels_score_does_not_depend_on_the_other_labels_with_multi_label(classifier, ecg):
    alone = classifier(ecg, ["sinus rhythm"], sampling_rate=100, multi_label=True)
    among = classifier(ecg, LABELS, sampling_rate=100, multi_label=True)
    assert by_label(among)["sinus rhythm"] == pytest.approx(alone[0]["score"], abs=1e-6)


def test_templates_are_applied(classifier, ecg):
    templated = by_label(classifier(ecg, LABELS, sampling_rate=100, hypothesis_template="ecg shows {}"))
    labels = [f"ecg shows {label}" for label in LABELS]
    written = by_label(classifier(ecg, labels, sampling_rate=100, interpret_labels=False))
    assert list(templated.values()) == pytest.approx(list(written.values()), abs=1e-6)
    assert list(templated.values()) != pytest.approx(
        list(by_label(classifier(ecg, LABELS, sampling_rate=100)).values())
    )


def test_top_k_and_threshold_cut_the_same_list(classifier, ecg):
    scores = classifier(ecg, LABELS, sampling_rate=100)
    assert classifier(ecg, LABELS, sampling_rate=100, top_k=2) == scores[:2]
    assert classifier(ecg, LABELS, sampling_rate=100, top_k=9) == scores
    assert classifier(ecg, LABELS, sampling_rate=100, threshold=scores[1]["score"]) == scores[:2]
    assert classifier(ecg, LABELS, sampling_rate=100, threshold=1.0) == []


def test_arguments_given_to_the_constructor_are_defaults(make_classifier, model, ecg):
    classifier = make_classifier(model, candidate_labels=LABELS, sampling_rate=100, top_k=1, batch_size=2)
    assert len(classifier(ecg)) == 1
    assert len(classifier(ecg, top_k=2)) == 2
    assert {entry["label"] for entry in classifier(ecg, PHRASES, top_k=3)} == set(PHRASES)
    assert len(classifier([ecg, ecg, ecg])) == 3


def test_a_processor_brings_feature_extractor_and_tokenizer(classifier, model, tokenizer, ecg):
    processor = ETPProcessor(ETPFeatureExtractor(), tokenizer)
    expected = by_label(classifier(ecg, LABELS, sampling_rate=100))
    for joined in (
        ZeroShotEcgClassificationPipeline(model=model, processor=processor, device="cpu"),
        pipeline("zero-shot-ecg-classification", model=model, processor=processor, device="cpu"),
    ):
        assert by_label(joined(ecg, LABELS, sampling_rate=100)) == pytest.approx(expected, abs=1e-6)


def test_the_processor_is_of_the_parts_in_use(classifier, make_classifier, model, tokenizer):
    assert (classifier.processor.feature_extractor, classifier.processor.tokenizer) == (
        classifier.feature_extractor,
        classifier.tokenizer,
    )
    other = ETPFeatureExtractor(sampling_rate=250, num_samples=2500)
    mixed = ZeroShotEcgClassificationPipeline(
        model=model, processor=classifier.processor, tokenizer=tokenizer, feature_extractor=other, device="cpu"
    )
    assert mixed.processor.feature_extractor is other


def test_a_pipeline_without_feature_extractor_or_tokenizer_is_refused(model, tokenizer):
    with pytest.raises(ValueError, match="the pipeline has no feature_extractor"):
        ZeroShotEcgClassificationPipeline(model=model, tokenizer=tokenizer, device="cpu")
    with pytest.raises(ValueError, match="the pipeline has no tokenizer"):
        ZeroShotEcgClassificationPipeline(model=model, feature_extractor=ETPFeatureExtractor(), device="cpu")


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_batches_equal_singles(classifier, make_ecg, batch_size):
    ecgs = [make_ecg(seed) for seed in range(5)]
    together = classifier(ecgs, PHRASES, sampling_rate=100, batch_size=batch_size)
    for ecg, scores in zip(ecgs, together, strict=True):
        alone = classifier(ecg, PHRASES, sampling_rate=100)
        assert by_label(scores) == pytest.approx(by_label(alone), abs=1e-6)
    assert len({scores[0]["score"] for scores in together}) == 5


def test_a_generator_runs_in_batches_in_half_precision(make_classifier, make_model, make_ecg):
    classifier = make_classifier(make_model().half())
    ecgs = ({"array": make_ecg(seed), "sampling_rate": 100} for seed in range(3))
    scores = list(classifier(ecgs, LABELS, batch_size=2))
    full = make_classifier()([make_ecg(seed) for seed in range(3)], LABELS, sampling_rate=100)
    for half_scores, full_scores in zip(scores, full, strict=True):
        assert by_label(half_scores) == pytest.approx(by_label(full_scores), abs=0.02)


def test_windows_cover_the_recording_and_overlap(classifier, make_ecg):
    scores = classifier(make_ecg(seconds=27.5), LABELS, sampling_rate=100, return_windows=True)
    windows = [(window["start"], window["end"]) for window in scores[0]["windows"]]
    assert windows == [(0, 10), (5, 15), (10, 20), (15, 25), (17.5, 27.5)]


def test_windows_are_scored_as_records_of_their_own(classifier, make_ecg):
    ecg = make_ecg(seconds=20)
    scores = classifier(ecg, LABELS, sampling_rate=100, return_windows=True, window_overlap=0)
    own = [by_label(classifier(half, LABELS, sampling_rate=100)) for half in (ecg[:, :1000], ecg[:, 1000:])]
    for entry in scores:
        for window, expected in zip(entry["windows"], own, strict=True):
            assert window["score"] == pytest.approx(expected[entry["label"]], abs=1e-6)


@pytest.mark.parametrize("multi_label", [False, True])
def test_logits_of_windows_are_pooled_by_mean_or_max(classifier, make_ecg, multi_label):
    ecg = make_ecg(seconds=20)
    halves = [{"array": half, "sampling_rate": 100} for half in (ecg[:, :1000], ecg[:, 1000:])]
    logits = torch.cat([reference_logits(classifier, half, LABELS) for half in halves])
    if multi_label:
        neutral = {"neutral": NEUTRAL_PHRASES}
        logits = logits - torch.cat([reference_logits(classifier, half, neutral) for half in halves])
    for pooling, pool in (("mean", torch.mean), ("max", torch.amax)):
        pooled = pool(logits, dim=0)
        expected = (pooled.sigmoid() if multi_label else pooled.softmax(dim=0)).tolist()
        scores = by_label(
            classifier(
                ecg, LABELS, sampling_rate=100, window_overlap=0, window_pooling=pooling, multi_label=multi_label
            )
        )
        assert [scores[label] for label in LABELS] == pytest.approx(expected, abs=1e-6)


def test_per_window_scores_of_a_batch_are_those_of_singles(classifier, make_ecg):
    ecgs = [make_ecg(0, seconds=20), make_ecg(1), make_ecg(2, seconds=12)]
    together = classifier(ecgs, LABELS, sampling_rate=100, return_windows=True, batch_size=3)
    assert [len(scores[0]["windows"]) for scores in together] == [3, 1, 2]
    for ecg, scores in zip(ecgs, together, strict=True):
        for entry, alone in zip(scores, classifier(ecg, LABELS, sampling_rate=100, return_windows=True), strict=True):
            assert entry["label"] == alone["label"]
            for window, expected in zip(entry["windows"], alone["windows"], strict=True):
                assert window == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("length", "overlap", "starts"),
    [
        (1000, 0.5, [0]),
        (400, 0.5, [0]),
        (1049, 0.5, [0]),
        (1050, 0.5, [0, 50]),
        (2000, 0.0, [0, 1000]),
        (2040, 0.0, [0, 1040]),
        (2500, 0.0, [0, 1000, 1500]),
        (2500, 0.9, [*range(0, 1500, 100), 1500]),
    ],
)
def test_starts_of_windows(length, overlap, starts):
    assert window_starts(length, 1000, overlap=overlap, least_rest=50) == starts


def test_windows_last_as_long_at_any_rate(classifier, make_ecg):
    for rate in (100, 250, 257, 360, 500):
        scores = classifier(make_ecg(seconds=20, rate=rate), LABELS, sampling_rate=rate, return_windows=True)
        assert [window["start"] for window in scores[0]["windows"]] == pytest.approx([0, 5, 10], abs=0.02)


def test_an_error_in_a_long_recording_names_the_window(classifier, make_ecg):
    ecg = make_ecg(seconds=20)
    ecg[1, 1700] = np.nan
    with pytest.raises(ValueError, match=r"ECG 0, 10 to 20 s: NaN.* II\b"):
        classifier([ecg], LABELS, sampling_rate=100)


def test_labels_are_embedded_once(classifier, make_ecg, embedding_count):
    for seed in range(3):
        classifier(make_ecg(seed), PHRASES, sampling_rate=100)
    classifier([make_ecg(seed) for seed in range(6)], PHRASES, sampling_rate=100, batch_size=2)
    assert embedding_count() == 1
    classifier(make_ecg(), LABELS, sampling_rate=100)
    classifier(make_ecg(), PHRASES, sampling_rate=100)
    assert embedding_count() == 2


def test_the_same_words_under_other_labels_or_in_another_order_are_other_labels(classifier, ecg):
    one = by_label(classifier(ecg, {"a": ["normal ecg"], "b": ["sinus rhythm"]}, sampling_rate=100))
    other = by_label(classifier(ecg, {"a": ["sinus rhythm"], "b": ["normal ecg"]}, sampling_rate=100))
    assert one["a"] == pytest.approx(other["b"], abs=1e-6)
    assert one["a"] != pytest.approx(other["a"], abs=1e-4)


def add_in_place(pipe):
    with torch.no_grad():
        pipe.model.text_projection.layers[0].weight.add_(torch.eye(8, 16))


def add_behind_autograds_back(pipe):
    pipe.model.text_projection.layers[0].weight.data.add_(torch.eye(8, 16))


def load_other_weights(pipe):
    pipe.model.load_state_dict({**pipe.model.state_dict(), "text_projection.layers.0.weight": torch.eye(8, 16)})


def replace_a_parameter(pipe):
    pipe.model.text_projection.layers[0].weight = torch.nn.Parameter(torch.eye(8, 16))


@pytest.mark.parametrize(
    "change",
    [add_in_place, add_behind_autograds_back, load_other_weights, replace_a_parameter],
    ids=lambda f: f.__name__,
)
def test_label_embeddings_follow_the_weights(classifier, ecg, change):
    before = by_label(classifier(ecg, LABELS, sampling_rate=100))
    change(classifier)
    after = by_label(classifier(ecg, LABELS, sampling_rate=100))
    expected = reference_logits(classifier, ecg, LABELS)[0].softmax(dim=0)
    assert [after[label] for label in LABELS] == pytest.approx(expected.tolist(), abs=1e-6)
    assert after != pytest.approx(before, abs=1e-5)


def test_label_embeddings_follow_a_training_step(classifier, ecg, tokenizer):
    classifier(ecg, LABELS, sampling_rate=100)
    optimizer = torch.optim.SGD(classifier.model.parameters(), lr=1.0)
    tokens = tokenizer(LABELS, padding=True, return_tensors="pt")
    ecgs = torch.randn(3, 12, 1000, generator=torch.Generator().manual_seed(0))
    classifier.model(ecgs, **tokens, return_loss=True).loss.backward()
    optimizer.step()
    after = by_label(classifier(ecg, LABELS, sampling_rate=100))
    expected = reference_logits(classifier, ecg, LABELS)[0].softmax(dim=0)
    assert [after[label] for label in LABELS] == pytest.approx(expected.tolist(), abs=1e-6)


def test_weights_live_as_long_as_embeddings_made_with_them(classifier, make_model, ecg):
    """Otherwise another model could be given their address and pass for them."""
    classifier(ecg, LABELS, sampling_rate=100)
    weight = weakref.ref(classifier.model.text_projection.layers[0].weight)
    classifier.model = make_model()
    gc.collect()
    assert weight() is not None
    classifier(ecg, LABELS, sampling_rate=100)
    gc.collect()
    assert weight() is None


def test_labels_can_be_forgotten(classifier, ecg, embedding_count):
    classifier(ecg, LABELS, sampling_rate=100)
    classifier.forget_labels()
    classifier(ecg, LABELS, sampling_rate=100)
    assert embedding_count() == 2


def test_the_cache_does_not_grow_without_end(classifier, ecg):
    for index in range(40):
        classifier(ecg, [f"label {index}"], sampling_rate=100)
    assert len(classifier._label_cache._entries) == label_cache_etp.CACHED_LABEL_SETS


def test_threads_that_meet_an_empty_cache_embed_once(classifier, make_ecg, monkeypatch):
    calls = []

    def slowly(*args, **kwargs):
        calls.append(args)
        time.sleep(0.05)
        return embed_labels(*args, **kwargs)

    monkeypatch.setattr(label_cache_etp, "embed_labels", slowly)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: classifier(make_ecg(seed), LABELS, sampling_rate=100), range(4)))
    assert len(calls) == 1


def test_threads_get_the_scores_of_their_own_records_and_labels(classifier, make_ecg):
    work = [(make_ecg(seed), labels) for seed in range(8) for labels in (LABELS, PHRASES, [f"{seed}", "normal ecg"])]
    expected = [classifier(ecg, labels, sampling_rate=100) for ecg, labels in work]
    classifier.forget_labels()
    barrier = threading.Barrier(4)

    def classify(index):
        if index < 4:
            barrier.wait()  # so that four meet an empty cache at once
        return classifier(work[index][0], work[index][1], sampling_rate=100)

    with ThreadPoolExecutor(4) as pool:
        for scores, alone in zip(pool.map(classify, range(len(work))), expected, strict=True):
            assert by_label(scores) == pytest.approx(by_label(alone), abs=1e-6)


def test_a_model_in_training_mode_scores_as_in_evaluation(make_classifier, make_model, ecg):
    classifier = make_classifier(make_model().train())
    assert by_label(classifier(ecg, LABELS, sampling_rate=100)) == by_label(
        make_classifier()(ecg, LABELS, sampling_rate=100)
    )


def test_embeddings_of_ecgs_are_unit_vectors_in_order(classifier, make_ecg):
    ecgs = [make_ecg(0), make_ecg(1, seconds=30), make_ecg(2)]
    embeds = classifier.embed_ecgs(ecgs, sampling_rate=100, batch_size=2)
    assert embeds.shape == (3, 8)
    assert embeds.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeds, axis=1), 1, atol=1e-6)
    for ecg, embed in zip(ecgs, embeds, strict=True):
        np.testing.assert_allclose(classifier.embed_ecgs(ecg, sampling_rate=100)[0], embed, atol=1e-6)


def test_an_embedding_of_windows_is_their_normalised_mean(classifier, make_ecg):
    ecg = make_ecg(seconds=20)
    halves = classifier.embed_ecgs([ecg[:, :1000], ecg[:, 1000:]], sampling_rate=100).mean(axis=0)
    embed = classifier.embed_ecgs(ecg, sampling_rate=100, window_overlap=0)[0]
    np.testing.assert_allclose(embed, halves / np.linalg.norm(halves), atol=1e-6)


def test_embeddings_of_texts(classifier):
    texts = ["normal ecg", "sinus rhythm"]
    expected = embed_texts(classifier.model, classifier.tokenizer, texts)
    np.testing.assert_allclose(classifier.embed_texts(texts), expected, atol=1e-6)
    assert classifier.embed_texts("normal ecg").shape == (1, 8)


def test_no_ecg_to_embed_is_refused(classifier):
    with pytest.raises(ValueError, match="there is no ECG to embed"):
        classifier.embed_ecgs([])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"`candidate_labels` is missing. Pass a list"),
        ({"candidate_labels": []}, "`candidate_labels` must not be empty"),
        ({"candidate_labels": "normal ecg"}, r"Pass \['normal ecg'\] for one label"),
        ({"candidate_labels": LABELS, "hypothesis_template": "ecg"}, r"must hold \{\} where the phrase goes"),
        (
            {"candidate_labels": LABELS, "window_overlap": 1},
            r"`window_overlap` is a share of the window in \[0, 1\), got 1",
        ),
        ({"candidate_labels": LABELS, "window_overlap": "half"}, r"in \[0, 1\), got 'half'"),
        ({"candidate_labels": LABELS, "window_pooling": "median"}, "`window_pooling` must be one of mean, max"),
        (
            {"candidate_labels": LABELS, "phrase_pooling": "sum"},
            "`phrase_pooling` must be one of logsumexp, mean, max",
        ),
        ({"candidate_labels": LABELS, "top_k": 0}, "`top_k` must be a whole number of at least 1"),
        ({"candidate_labels": LABELS, "threshold": 50}, "`threshold` is a score between 0 and 1, got 50"),
        ({"candidate_labels": LABELS, "threshold": "0.5"}, "`threshold` is a score between 0 and 1, got '0.5'"),
        (
            {"candidate_labels": LABELS, "sample_rate": 100},
            r"unknown argument\(s\) sample_rate; there are sampling_rate",
        ),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(classifier, ecg, arguments, message):
    with pytest.raises(ValueError, match=message):
        classifier(ecg, **arguments)
