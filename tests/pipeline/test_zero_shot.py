"""Phrases, templates and pooling against closed forms."""

import math

import pytest
import torch
import torch.nn.functional as F

from modeling_etp.zero_shot_etp import (
    LabelEmbeddings,
    check_labels,
    check_templates,
    embed_ecgs,
    embed_labels,
    embed_texts,
    evaluation_mode,
    label_logits,
)

LABELS = {"AF": ["atrial fibrillation", "atrial flutter"], "NORM": ["normal ecg"]}


@pytest.fixture
def label_embeddings():
    phrases = F.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    return LabelEmbeddings(("a", "b", "c"), phrases, torch.tensor([0, 0, 0, 1, 2, 2]))


@pytest.fixture
def ecg_embeds():
    return F.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(1)), dim=-1)


def test_logsumexp_pooling_is_the_log_of_the_mean_exponential(label_embeddings, ecg_embeds):
    logits = label_logits(ecg_embeds, label_embeddings, 10.0)
    own = 10 * ecg_embeds @ label_embeddings.phrase_embeds[:3].T
    torch.testing.assert_close(logits[:, 0], own.exp().mean(dim=1).log())


@pytest.mark.parametrize(("pooling", "pool"), [("mean", torch.mean), ("max", torch.amax)])
def test_mean_and_max_pooling(label_embeddings, ecg_embeds, pooling, pool):
    logits = label_logits(ecg_embeds, label_embeddings, 10.0, pooling=pooling)
    expected = [10 * ecg_embeds @ label_embeddings.phrase_embeds[rows].T for rows in ([0, 1, 2], [3], [4, 5])]
    torch.testing.assert_close(logits, torch.stack([pool(own, dim=1) for own in expected], dim=1))


@pytest.mark.parametrize("pooling", ["logsumexp", "mean", "max"])
def test_a_label_of_one_phrase_is_the_scaled_cosine(label_embeddings, ecg_embeds, pooling):
    logits = label_logits(ecg_embeds, label_embeddings, 10.0, pooling=pooling)
    torch.testing.assert_close(logits[:, 1], 10 * ecg_embeds @ label_embeddings.phrase_embeds[3])


@pytest.mark.parametrize("pooling", ["logsumexp", "mean", "max"])
def test_repeating_every_phrase_gains_a_label_nothing(ecg_embeds, label_embeddings, pooling):
    twice = LabelEmbeddings(
        label_embeddings.labels, label_embeddings.phrase_embeds.repeat(2, 1), label_embeddings.label_index.repeat(2)
    )
    torch.testing.assert_close(
        label_logits(ecg_embeds, twice, 10.0, pooling=pooling),
        label_logits(ecg_embeds, label_embeddings, 10.0, pooling=pooling),
    )


def test_an_unknown_pooling_is_refused(label_embeddings, ecg_embeds):
    with pytest.raises(ValueError, match="`pooling` must be one of logsumexp, mean, max, got 'sum'"):
        label_logits(ecg_embeds, label_embeddings, 10.0, pooling="sum")


def test_label_embeddings_are_those_of_the_texts(model, tokenizer):
    embeddings = embed_labels(model, tokenizer, LABELS)
    phrases = ["atrial fibrillation", "atrial flutter", "normal ecg"]
    assert embeddings.labels == ("AF", "NORM")
    assert embeddings.label_index.tolist() == [0, 0, 1]
    torch.testing.assert_close(embeddings.phrase_embeds, embed_texts(model, tokenizer, phrases))


def test_a_list_of_labels_is_a_mapping_of_each_to_itself(model, tokenizer):
    listed = embed_labels(model, tokenizer, ["normal ecg", "sinus rhythm"])
    mapped = embed_labels(model, tokenizer, {"normal ecg": ["normal ecg"], "sinus rhythm": ["sinus rhythm"]})
    assert listed.labels == mapped.labels
    assert torch.equal(listed.phrase_embeds, mapped.phrase_embeds)


def test_templates_are_averaged_and_normalised(model, tokenizer):
    templates = ("{}", "ecg shows {}")
    embeddings = embed_labels(model, tokenizer, ["sinus rhythm"], templates=templates)
    texts = embed_texts(model, tokenizer, [template.format("sinus rhythm") for template in templates])
    torch.testing.assert_close(embeddings.phrase_embeds[0], F.normalize(texts.mean(dim=0), dim=-1))


def test_braces_in_a_phrase_or_template_are_taken_as_they_are(model, tokenizer):
    torch.testing.assert_close(
        embed_labels(model, tokenizer, ["{left} block"], templates="{ecg} shows {}").phrase_embeds,
        embed_texts(model, tokenizer, ["{ecg} shows {left} block"]),
    )


def test_texts_come_back_in_their_order_whatever_their_length_batch_and_repetition(model, tokenizer):
    texts = ["left bundle branch block", "ecg", "sinus rhythm", "ecg", "no atrial fibrillation"]
    together = embed_texts(model, tokenizer, texts, batch_size=2)
    for text, embed in zip(texts, together, strict=True):
        torch.testing.assert_close(embed, embed_texts(model, tokenizer, [text])[0], rtol=0, atol=1e-6)
    assert torch.equal(together[1], together[3])


def test_a_text_longer_than_the_text_tower_takes_is_cut(model, tokenizer):
    assert tokenizer.model_max_length > 10**9  # so that the tower's own limit is what counts
    long = " ".join(["sinus rhythm"] * 50)
    assert torch.isfinite(embed_texts(model, tokenizer, [long])).all()


def test_texts_are_embedded_without_dropout_and_training_goes_on_afterwards(model, tokenizer):
    expected = embed_texts(model, tokenizer, ["sinus rhythm"])
    model.train()
    assert torch.equal(embed_texts(model, tokenizer, ["sinus rhythm"]), expected)
    assert model.training
    assert model.text_model.training


def test_a_frozen_part_is_still_in_evaluation_mode_afterwards(model):
    model.train()
    model.ecg_model.eval()
    with evaluation_mode(model):
        assert not model.training
    assert model.training
    assert not model.ecg_model.training


def test_ecgs_are_embedded_alike_in_any_batch_size(model, make_classifier, make_ecg):
    extractor = make_classifier(model).feature_extractor
    ecgs = [make_ecg(seed, rate=500) for seed in range(3)]
    embeds = embed_ecgs(model, extractor, ecgs, sampling_rate=500, batch_size=2)
    single = embed_ecgs(model, extractor, ecgs[2:], sampling_rate=500)
    assert embeds.shape == (3, 8)
    torch.testing.assert_close(embeds[2:], single, rtol=0, atol=1e-6)
    assert math.isclose(embeds[0].norm().item(), 1, abs_tol=1e-6)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "`candidate_labels` must not be empty"),
        (None, "`candidate_labels` must not be empty"),
        ({}, "`candidate_labels` must not be empty"),
        ("normal ecg", r"got the string 'normal ecg'. Pass \['normal ecg'\]"),
        (["normal ecg", ""], "must be texts that are not blank, got ''"),
        (["normal ecg", 3], "must be texts that are not blank, got 3"),
        (["normal ecg", "normal ecg"], "must be distinct, got 'normal ecg' more than once"),
        ({"AF": "atrial fibrillation"}, r"the phrases of label 'AF' must be a list, got the string"),
        ({"AF": []}, "the phrases of label 'AF' must not be empty"),
        ({"AF": ["atrial flutter", "atrial flutter"]}, "the phrases of label 'AF' must be distinct"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        check_labels(labels)


@pytest.mark.parametrize(
    ("templates", "message"),
    [("ECG", r"must hold \{\} where the phrase goes, got 'ECG'"), ([], "A template is needed"), ([None], "got None")],
)
def test_templates_that_cannot_be_used_are_refused(templates, message):
    with pytest.raises(ValueError, match=message):
        check_templates(templates)


@pytest.mark.parametrize(
    ("texts", "message"), [("ecg", r"Pass \['ecg'\]"), ([], "`texts` is empty"), (["ecg", None], "got None")]
)
def test_texts_that_cannot_be_used_are_refused(model, tokenizer, texts, message):
    with pytest.raises(ValueError, match=message):
        embed_texts(model, tokenizer, texts)
