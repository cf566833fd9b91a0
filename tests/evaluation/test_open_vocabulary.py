"""Paraphrases that no training text has, and how negations and contradictions are evaluated."""

import json

import numpy as np
import pytest
import torch

from datasets_scripts.archives import CPSC2018, PTB_XL
from datasets_scripts.label_sets import load_label_set
from datasets_scripts.report_glossary import own_phrases, phrases
from etp.archives import open_archive
from etp.evaluation.arguments import NEGATIONS, UNSEEN
from etp.evaluation.paraphrase_metrics import (
    Negation,
    known_paraphrases,
    load_negations,
    one_at_a_time,
    paraphrase_key,
    report_negations,
    single_paraphrase_metrics,
    states,
)
from etp.evaluation.prompts import PromptOptions, load_prompts, score_labels
from etp.evaluation.task_metrics import TaskRecords
from etp.loading import load_checkpoint
from etp.scoring.metrics import macro, ranking_metrics
from etp.texts.training_texts import training_texts

UNSEEN_LABELS = json.loads(UNSEEN.read_text(encoding="utf-8"))
TASKS = [(archive.name, task) for archive in (PTB_XL, CPSC2018) for task in archive.default_tasks]


@pytest.fixture(scope="module")
def prompts():
    return [prompt for dataset, task in TASKS for prompt in load_prompts(dataset, [task], file=UNSEEN)]


@pytest.mark.parametrize(("dataset", "task"), TASKS)
def test_every_label_has_several_unseen_wordings_of_its_own(dataset, task):
    labels = UNSEEN_LABELS[task]
    assert list(labels) == list(load_label_set(task))
    assert min(map(len, labels.values())) >= 3
    keys = [paraphrase_key(phrase) for own in labels.values() for phrase in own]
    assert len(set(keys)) == len(keys)


def test_no_unseen_wording_is_one_of_a_report_or_made_of_one(prompts):
    statements = [[phrase] for phrase, of_kind in own_phrases() if of_kind.kind == "finding"]
    written = {source for source, _ in phrases()}
    assert known_paraphrases(prompts, written | training_texts(statements)) == []


def test_no_unseen_wording_is_a_phrase_of_a_label_set(prompts):
    known = [phrase for _, task in TASKS for own in load_label_set(task).values() for phrase in own]
    assert known_paraphrases(prompts, known) == []


@pytest.mark.real_data
def test_no_unseen_wording_is_a_training_text_of_ptb_xl(data_root, tmp_path, prompts):
    training = open_archive("ptb_xl", data_root / "ptb-xl", cache_dir=tmp_path)["train"]
    reports = [sentence for report in training["report"][:] for sentence in (report, *report.split("."))]
    assert known_paraphrases(prompts, {*reports, *training_texts(training["statements"][:])}) == []


def test_a_wording_is_known_up_to_case_plural_articles_and_order(prompts):
    texts = {"Flipped T wave.", "The sinoatrial tachycardia", "atrial fibrillation"}
    assert known_paraphrases(prompts, texts) == ["flipped T waves", "sinoatrial tachycardia"]
    assert paraphrase_key("no T wave inversion") != paraphrase_key("T wave inversion")


def test_training_texts_hold_what_follows_and_all_other_wordings():
    texts = training_texts([["probable old inferior myocardial infarction"], ["atrial fibrillation"]])
    assert {"myocardial infarction", "inferior myocardial infarction", "atrial fibrillation"} <= texts
    assert len(texts) > 10


def test_a_single_wording_is_judged_as_the_only_one_of_its_label(checkpoint_dir):
    checkpoint = load_checkpoint(checkpoint_dir)
    (prompt,) = load_prompts("ptb_xl", ["superclass"], file=UNSEEN)
    random = np.random.default_rng(0)
    embeds = torch.nn.functional.normalize(torch.from_numpy(random.normal(size=(60, 8))).float(), dim=-1)
    everyone = np.ones(60, dtype=bool)
    records = TaskRecords(prompt.labels, random.random((60, 5)) < 0.3, everyone, everyone, np.arange(60))
    towers = checkpoint.model, checkpoint.processor.tokenizer

    def score(prompts):
        return score_labels(*towers, prompts, embeds, PromptOptions()).double().numpy()

    report = single_paraphrase_metrics(score(one_at_a_time(prompt)), prompt, records, num_resamples=20, seed=0)

    first = {label: own[:1] for label, own in prompt.phrases.items()}
    alone = type(prompt)(prompt.task, prompt.column, first, None, {})
    expected = ranking_metrics(score(alone), records.targets)["auroc"][0]
    found = [next(iter(report["per_phrase"][label].values())) for label in prompt.labels]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    mean = macro(np.array([np.mean([*own.values()]) for own in report["per_phrase"].values()]))
    assert report["macro_auroc"] == pytest.approx(mean, abs=1e-12)
    low, high = report["intervals_95"]["macro_auroc"]
    assert low < report["macro_auroc"] < high


def judge_negations(embed) -> dict:
    """Metrics of a model whose texts are embedded by `embed`, for ECGs on a half circle, those above 45 degrees stating X."""
    angle = np.linspace(0, np.pi / 2, 40)
    ecgs = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    has = angle > np.pi / 4
    everyone = np.ones(40, dtype=bool)
    records = TaskRecords(["X"], has[:, None], everyone, everyone, np.arange(40))
    negation = Negation("X", "x", ("no x", "without x"), ("y",))
    return report_negations(
        lambda texts: ecgs @ np.array([embed(text) for text in texts]).T,
        {"task": [negation]},
        {"task": (everyone, records)},
        {"task": {"X": has}},
        np.arange(40),
        num_resamples=50,
        seed=0,
    )


def test_a_model_that_reads_the_no_ranks_the_denial_the_other_way_round():
    report = judge_negations(lambda text: [0.0, 1.0] if text == "x" else [1.0, 0.0])
    assert report["negated_below_stated"] == report["contradicted_below_stated"] == 1
    assert (report["macro_auroc_stated"], report["macro_auroc_negated"]) == (1, 0)
    assert report["num_pairs"] == 20


def test_a_model_that_is_deaf_to_the_no_is_found_out():
    report = judge_negations(lambda text: [1.0, 0.0] if text == "y" else [0.0, 1.0 + 0.1 * len(text)])
    assert report["negated_below_stated"] == 0
    assert report["macro_auroc_negated"] == 1
    assert (report["contradicted_below_stated"], report["macro_auroc_contradicted"]) == (1, 0)
    assert report["per_class"]["task/X"]["negated_below_stated"] == 0


def test_of_two_denials_each_counts():
    vectors = {"x": [0.0, 1.0], "no x": [1.0, 0.0], "without x": [0.0, 2.0], "y": [0.0, 2.0]}
    report = judge_negations(vectors.__getitem__)
    assert report["negated_below_stated"] == 0.5
    assert report["intervals_95"]["negated_below_stated"] == [0.5, 0.5]
    assert report["contradicted_below_stated"] == 0


def test_a_report_states_a_phrase_in_any_order_of_words_but_not_its_denial():
    reports = [["T waves, inverted"], ["no inverted T waves"], [], ["sinus rhythm", "inverted T wave"]]
    assert states(reports, ["inverted T waves"]).tolist() == [True, False, False, True]


def test_denials_speak_of_labels_of_their_task_in_the_words_of_the_statement():
    labels = {task: list(load_label_set(task)) for _, task in TASKS}
    content = json.loads(NEGATIONS.read_text(encoding="utf-8"))
    negations = load_negations(labels)
    assert {task: len(own) for task, own in negations.items()} == {
        task: len(own) for task, own in content["tasks"].items()
    }
    for own in negations.values():
        for negation in own:
            assert all(negation.stated in text for text in negation.negated)
            assert len(negation.negated) == len(content["negations"])
            assert negation.stated not in negation.contradicted
    assert [negation.label for negation in load_negations({"rhythm": ["AFIB"]})["rhythm"]] == ["AFIB"]


def test_a_malformed_file_of_denials_is_refused(tmp_path):
    file = tmp_path / "negations.json"
    file.write_text('{"negations": [], "tasks": {"rhythm": {"AFIB": {}}}}')
    with pytest.raises(ValueError, match="must hold"):
        load_negations({"rhythm": ["AFIB"]}, file)
