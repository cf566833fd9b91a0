"""Lists, negations, single labels and long texts, from `embed_labels` to the pipeline's scores."""

import warnings

import pytest
import torch
import torch.nn.functional as F

from etp.evaluation.prompts import LabelPrompts, PromptOptions, score_labels
from etp.explain import explain_label
from modeling_etp.processing_etp import ETPProcessor
from modeling_etp.text_limits_etp import cut_texts
from modeling_etp.zero_shot_etp import NEUTRAL_PHRASES, embed_labels, embed_texts, label_logits

LIST = "atrial fibrillation, atrial flutter, sinus rhythm"
PARTS = ["atrial fibrillation", "atrial flutter", "sinus rhythm"]


@pytest.fixture
def ecg_embeds():
    return F.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(1)), dim=-1)


@pytest.fixture
def logits(model, tokenizer, ecg_embeds):
    """Logits of labels, shape `(ecgs, labels)`."""
    return lambda labels, pooling="logsumexp", **kwargs: label_logits(
        ecg_embeds, embed_labels(model, tokenizer, labels, **kwargs), 10.0, pooling=pooling
    )


def by_label(scores):
    return {entry["label"]: entry["score"] for entry in scores}


def alternatives(logits: torch.Tensor) -> torch.Tensor:
    """By hand, of the parts and the whole: the log of the mean of the odds' square roots, doubled; halfway to the whole."""
    parts, whole = logits[:, :-1], logits[:, -1:]
    return ((parts / 2).exp().mean(dim=1, keepdim=True).log() * 2 + whole) / 2


@pytest.mark.parametrize("pooling", ["logsumexp", "mean", "max"])
def test_a_list_scores_as_its_alternatives(logits, pooling):
    expected = alternatives(logits([*PARTS, LIST], interpret_labels=False))
    torch.testing.assert_close(logits([LIST], pooling), expected)
    torch.testing.assert_close(logits({"a": [LIST]}, pooling), expected)
    assert not torch.allclose(logits([LIST], pooling, interpret_labels=False), expected)


def test_of_a_description_that_is_too_long_the_sentences_count_alone(logits):
    sentences = ["Sinus rhythm.", *["Atrial flutter and normal ecg."] * 60, "Atrial fibrillation."]
    found = logits([" ".join(sentences)])
    distinct = logits(list(dict.fromkeys(sentences)), interpret_labels=False)
    torch.testing.assert_close(found, 2 * (distinct / 2).exp().mean(dim=1, keepdim=True).log(), rtol=1e-4, atol=1e-5)


def test_phrases_of_a_label_are_pooled_after_the_alternatives_of_each(logits):
    both = torch.cat([logits([LIST]), logits(["normal ecg"])], dim=1)
    labels = {"b": ["sinus rhythm"], "a": [LIST, "normal ecg"]}
    torch.testing.assert_close(
        logits(labels, "mean"), torch.cat([logits(["sinus rhythm"]), both.mean(1, True)], dim=1)
    )
    torch.testing.assert_close(logits(labels, "max")[:, 1], both.amax(1))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("*** Atrial fibrillation ***", "Atrial fibrillation"),
        ("Atrial fibrillation (disorder)", "Atrial fibrillation"),
        ("Electrocardiogram abnormal: Q wave abnormal (finding)", "Q wave abnormal"),
        ("ECG: left axis deviation", "left axis deviation"),
    ],
)
def test_what_nomenclatures_put_around_a_name_goes(logits, written, name):
    assert torch.equal(logits([written]), logits([name]))
    assert not torch.allclose(logits([written], interpret_labels=False), logits([name]))


def test_what_is_not_interpreted_is_the_text_as_it_is(model, tokenizer):
    for text in (LIST, "no atrial fibrillation", "sinus rhythm. ECG shows flutter."):
        embeddings = embed_labels(model, tokenizer, [text], interpret_labels=False)
        assert embeddings.negations is None
        torch.testing.assert_close(embeddings.phrase_embeds, embed_texts(model, tokenizer, [text]))


def test_templates_are_applied_to_each_alternative_and_to_what_is_negated(model, tokenizer, logits):
    template = "ecg shows {}"
    torch.testing.assert_close(
        logits([LIST], templates=template),
        alternatives(logits([*PARTS, LIST], templates=template, interpret_labels=False)),
        rtol=1e-4,
        atol=1e-5,
    )
    negations = embed_labels(model, tokenizer, ["no atrial flutter"], templates=template).negations
    torch.testing.assert_close(negations.embeds, embed_texts(model, tokenizer, ["ecg shows atrial flutter"]))


@pytest.mark.parametrize("pooling", ["logsumexp", "mean", "max"])
def test_the_log_odds_of_an_absence_are_the_opposite_of_those_of_the_finding(logits, pooling):
    neutral = logits({"neutral": NEUTRAL_PHRASES}, pooling)
    found = logits(["atrial flutter"], pooling) - neutral
    torch.testing.assert_close(logits(["no atrial flutter"], pooling) - neutral, -found)
    torch.testing.assert_close(logits({"a": ["without atrial flutter"]}, pooling) - neutral, -found)


def test_an_absence_of_several_is_the_absence_of_any(logits):
    neutral = logits({"neutral": NEUTRAL_PHRASES})
    any_of = logits({"a": ["atrial fibrillation", "atrial flutter"]}) - neutral
    torch.testing.assert_close(
        logits(["no atrial fibrillation or atrial flutter"]) - neutral, -any_of, atol=1e-5, rtol=0
    )


def test_one_thing_without_another_is_charged_the_log_probability_of_the_absence(logits):
    absent = torch.sigmoid(logits({"neutral": NEUTRAL_PHRASES}) - logits(["atrial flutter"]))
    expected = logits(["sinus rhythm"]) + absent.log()
    torch.testing.assert_close(logits(["sinus rhythm without atrial flutter"]), expected)
    assert (expected <= logits(["sinus rhythm"])).all()


def test_other_labels_keep_their_logits_beside_a_negation(logits):
    together = logits(["sinus rhythm", "no atrial flutter", "normal ecg"])
    torch.testing.assert_close(together[:, [0, 2]], logits(["sinus rhythm", "normal ecg"]))
    torch.testing.assert_close(together[:, [1]], logits(["no atrial flutter"]))


def test_a_finding_and_its_negation_add_up_to_one(classifier, ecg):
    labels = ["atrial flutter", "no atrial flutter", "sinus rhythm"]
    scores = by_label(classifier(ecg, labels, sampling_rate=100, multi_label=True))
    assert scores["atrial flutter"] + scores["no atrial flutter"] == pytest.approx(1, abs=1e-6)
    raw = by_label(classifier(ecg, labels, sampling_rate=100, multi_label=True, interpret_labels=False))
    assert raw["no atrial flutter"] != pytest.approx(scores["no atrial flutter"], abs=1e-4)
    assert raw["sinus rhythm"] == pytest.approx(scores["sinus rhythm"], abs=1e-6)


def test_the_zero_of_a_siglip_model_is_its_bias(make_classifier, make_model, ecg):
    classifier = make_classifier(make_model(loss_type="siglip", logit_bias_init_value=-2.0))
    labels = ["atrial flutter", "no atrial flutter"]
    for bias in (-2.0, 1.0):
        with torch.no_grad():
            classifier.model.logit_bias.fill_(bias)
        scores = by_label(classifier(ecg, labels, sampling_rate=100, multi_label=True))
        assert sum(scores.values()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("labels", [[LIST, "normal ecg"], ["sinus rhythm without atrial flutter", "no normal ecg"]])
def test_pipeline_evaluation_processor_and_explanation_read_labels_alike(classifier, ecg, labels):
    model, tokenizer = classifier.model, classifier.tokenizer
    embeds = torch.from_numpy(classifier.embed_ecgs(ecg, sampling_rate=100))
    scale = model.get_logit_scale().item()
    expected = label_logits(embeds, embed_labels(model, tokenizer, labels), scale)
    by_processor = classifier.processor.embed_labels(model, labels)
    torch.testing.assert_close(label_logits(embeds, by_processor, scale), expected)
    prompts = LabelPrompts("task", "labels", {label: (label,) for label in labels}, None, {})
    torch.testing.assert_close(score_labels(model, tokenizer, prompts, embeds, PromptOptions()), expected)
    raw = score_labels(model, tokenizer, prompts, embeds, PromptOptions(interpret_labels=False))
    torch.testing.assert_close(
        raw, label_logits(embeds, embed_labels(model, tokenizer, labels, interpret_labels=False), scale)
    )
    scores = by_label(classifier(ecg, labels, sampling_rate=100))
    assert [scores[label] for label in labels] == pytest.approx(expected.softmax(dim=1)[0].tolist(), abs=1e-6)
    explained = explain_label(
        model, classifier.processor, ecg, labels[0], sampling_rate=100, candidate_labels=labels, steps=2
    )
    assert explained.score == pytest.approx((expected[0, 0] - expected[0, 1]).item(), abs=1e-4)


def test_a_contrast_with_negations_takes_them_as_the_model_reads_them(model, tokenizer, ecg_embeds, logits):
    prompts = LabelPrompts("task", "labels", {"AFLT": ("atrial flutter",)}, {"AFLT": ("no atrial flutter",)}, {})
    scores = score_labels(model, tokenizer, prompts, ecg_embeds, PromptOptions(contrast="negated"))
    scale = model.get_logit_scale().item()
    embeds = embed_texts(model, tokenizer, ["atrial flutter", "no atrial flutter"])
    torch.testing.assert_close(scores[:, 0], scale * ecg_embeds @ (embeds[0] - embeds[1]))


def test_the_same_words_read_and_taken_as_they_are_are_kept_apart(classifier, ecg):
    read = classifier(ecg, [LIST, "normal ecg"], sampling_rate=100)
    raw = classifier(ecg, [LIST, "normal ecg"], sampling_rate=100, interpret_labels=False)
    assert by_label(read) != pytest.approx(by_label(raw), abs=1e-4)


@pytest.mark.parametrize("labels", [["sinus rhythm"], {"SR": ["sinus rhythm", "normal ecg"]}])
def test_a_single_label_is_judged_by_itself(classifier, make_ecg, labels):
    scores = [classifier(make_ecg(seed), labels, sampling_rate=100)[0]["score"] for seed in range(3)]
    alone = [classifier(make_ecg(seed), labels, sampling_rate=100, multi_label=True)[0]["score"] for seed in range(3)]
    assert scores == alone
    assert len({round(score, 4) for score in scores}) == 3
    windows = classifier(make_ecg(seconds=20), labels, sampling_rate=100, return_windows=True)[0]["windows"]
    assert all(0 < window["score"] < 1 for window in windows)


def test_a_label_that_is_cut_is_named_once(classifier, ecg):
    long = " ".join(["sinus rhythm"] * 20)
    labels = [f"{long} with flutter", "normal ecg"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        classifier(ecg, labels, sampling_rate=100)
        classifier(ecg, labels, sampling_rate=100)
    (warning,) = caught
    assert "of the text 'sinus rhythm sinus" in str(warning.message)
    assert "the first 16 of 44 tokens are read" in str(warning.message)


@pytest.mark.parametrize("length", [14, 15])
def test_a_text_of_just_the_longest_length_is_not_cut(model, tokenizer, length):
    text = " ".join(["rhythm"] * length)  # and the two special tokens
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        embed_texts(model, tokenizer, [text, "ecg"])
    assert len(caught) == (length > 14)
    assert cut_texts(tokenizer, [text, "ecg", text], 16) == ({} if length == 14 else {text: 17})


def test_the_processor_says_what_it_cuts(classifier, tokenizer):
    tokenizer.model_max_length, limit = 8, tokenizer.model_max_length
    try:
        processor = ETPProcessor(classifier.feature_extractor, tokenizer)
        with pytest.warns(UserWarning, match="the first 8 of 12 tokens are read"):
            processor(text=["sinus rhythm " * 5, "normal ecg"])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            processor(text=["sinus rhythm", "normal ecg"])
            processor(text=["sinus rhythm " * 5], truncation=False)
    finally:
        tokenizer.model_max_length = limit


def test_negations_stay_finite_far_from_the_zero(model, tokenizer):
    embeds = embed_texts(model, tokenizer, ["atrial flutter"])
    for pooling in ("logsumexp", "mean", "max"):
        labels = embed_labels(model, tokenizer, ["no atrial flutter", "sinus rhythm without atrial flutter"])
        assert torch.isfinite(label_logits(embeds, labels, 1e4, pooling=pooling)).all()
