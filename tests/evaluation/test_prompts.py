"""Label sets as prompts, built in or from a file."""

import json

import pytest
import torch
import torch.nn.functional as F

from datasets_scripts.label_sets import load_label_set
from etp.evaluation.prompts import PromptOptions, describe, load_prompts, score_labels
from etp.loading import load_checkpoint
from modeling_etp.zero_shot_etp import embed_texts


@pytest.fixture(scope="module")
def checkpoint(checkpoint_dir):
    return load_checkpoint(checkpoint_dir)


@pytest.fixture(scope="module")
def ecg_embeds():
    return F.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(1)), dim=-1)


@pytest.fixture
def prompts_file(tmp_path):
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps({"rhythm": {"AFIB": ["irregular rhythm"], "SR": ["normal beat", "regular beat"]}}))
    return file


def score(checkpoint, prompts, ecg_embeds, descriptions=None, **options):
    model, tokenizer = checkpoint.model, checkpoint.processor.tokenizer
    return score_labels(model, tokenizer, prompts, ecg_embeds, PromptOptions(**options), descriptions=descriptions)


def test_the_usual_tasks_and_their_labels():
    prompts = load_prompts("ptb_xl")
    assert [prompt.task for prompt in prompts] == ["superclass", "subclass", "form", "rhythm"]
    assert all(prompt.labels == list(load_label_set(prompt.task)) for prompt in prompts)
    assert [prompt.column for prompt in load_prompts("cpsc2018")] == ["labels"]


@pytest.mark.parametrize(
    ("dataset", "tasks", "message"),
    [
        ("ptb_xl", ["rhytm"], "ptb_xl has no task 'rhytm'; it has superclass, "),
        ("cpsc2018", ["rhythm"], "cpsc2018 has no task 'rhythm'; it has cpsc2018. It is a task of ptb_xl."),
        ("ptb_xl", ["form", "form"], "each task once"),
        ("ptb_xl", [], "each task once, got none"),
    ],
)
def test_a_task_that_is_not_the_data_sets_is_refused(dataset, tasks, message):
    with pytest.raises(ValueError, match=message):
        load_prompts(dataset, tasks)


def test_own_phrases_come_from_a_file(prompts_file, checkpoint, ecg_embeds):
    (prompts,) = load_prompts("ptb_xl", file=prompts_file)
    assert (prompts.task, prompts.column, prompts.labels) == ("rhythm", "rhythm", ["AFIB", "SR"])
    scores = score(checkpoint, prompts, ecg_embeds, pooling="max")
    phrases = embed_texts(
        checkpoint.model, checkpoint.processor.tokenizer, ["irregular rhythm", "normal beat", "regular beat"]
    )
    logits = checkpoint.model.get_logit_scale().detach() * ecg_embeds @ phrases.T
    torch.testing.assert_close(scores, torch.stack([logits[:, 0], logits[:, 1:].amax(dim=1)], dim=1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "can't be read as JSON"),
        ("3", "must hold"),
        ('{"rhythm": ["AFIB"]}', "names no tasks, and 4 are evaluated"),
        ('{"rhythm": {"AFIB": 3}}', "phrases of label 'AFIB' must be a list or a text, got 3"),
        ('{"rhythm": {"AFIB": ["a"]}, "form": ["b"]}', "the phrases of label 'rhythm' must be a list or a text"),
        ('{"beats": {"AFIB": ["a"]}}', "no task 'beats'"),
    ],
)
def test_a_prompts_file_that_is_none_is_refused(tmp_path, content, message):
    file = tmp_path / "prompts.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=message):
        load_prompts("ptb_xl", file=file)


def test_a_task_missing_from_the_file_is_named(prompts_file):
    with pytest.raises(ValueError, match=r"has no task form; it has rhythm"):
        load_prompts("ptb_xl", ["form"], file=prompts_file)


def test_contrast_takes_off_what_suits_any_ecg_and_keeps_the_order_of_labels(prompts_file, checkpoint, ecg_embeds):
    (prompts,) = load_prompts("ptb_xl", file=prompts_file)
    plain, neutral = (score(checkpoint, prompts, ecg_embeds, contrast=kind) for kind in ("none", "neutral"))
    difference = plain - neutral
    torch.testing.assert_close(difference[:, 0], difference[:, 1])
    assert difference.abs().min() > 0


def test_a_label_is_contrasted_with_its_own_denial(checkpoint, ecg_embeds):
    (prompts,) = load_prompts("ptb_xl", ["rhythm"], contrast="negated")
    (plain,) = load_prompts("ptb_xl", ["rhythm"])
    negated = score(checkpoint, prompts, ecg_embeds, contrast="negated")
    difference = score(checkpoint, plain, ecg_embeds) - negated
    label = prompts.labels.index("AFIB")
    negations = embed_texts(checkpoint.model, checkpoint.processor.tokenizer, prompts.negations["AFIB"])
    logits = checkpoint.model.get_logit_scale().detach() * ecg_embeds @ negations.T
    expected = logits.logsumexp(dim=1) - torch.tensor(float(logits.shape[1])).log()
    torch.testing.assert_close(difference[:, label], expected, atol=1e-4, rtol=1e-4)


def test_each_patient_is_described_in_its_own_prompts(prompts_file, checkpoint, ecg_embeds):
    (prompts,) = load_prompts("ptb_xl", file=prompts_file)
    descriptions = [describe(72, "female"), "", describe(72, "female"), "", "", describe(40, "male")]
    mixed = score(checkpoint, prompts, ecg_embeds, descriptions)
    for row, description in enumerate(descriptions):
        alone = score(checkpoint, prompts, ecg_embeds[row : row + 1], templates=[description + "{}"])
        torch.testing.assert_close(mixed[row : row + 1], alone)


@pytest.mark.parametrize(
    ("age", "sex", "text"),
    [
        (72, "female", "72-year-old woman. "),
        (40, None, "40-year-old patient. "),
        (90, "male", "Man over 89 years old. "),
        (None, "male", "Man. "),
        (None, None, ""),
    ],
)
def test_what_is_not_known_of_a_patient_is_not_said(age, sex, text):
    assert describe(age, sex) == text


def test_a_template_without_a_place_for_the_phrase_is_refused():
    with pytest.raises(ValueError, match=r"must hold \{\}"):
        PromptOptions(templates=["ECG"])
