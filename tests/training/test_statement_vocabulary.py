"""The statement vocabulary: columns, what follows from a statement, and paraphrases."""

import json
import re

import numpy as np
import pytest

from etp.texts.paraphrases import (
    PARAPHRASES,
    SENTENCES,
    find_paraphrases,
    generalisations,
    hypernyms_of,
    in_sentences,
    is_clause,
)
from etp.texts.statement_vocabulary import StatementVocabulary

RECORDS = [
    ["sinus rhythm", "probable old inferior myocardial infarction"],
    ["sinus rhythm", "left bundle branch block"],
    ["atrial fibrillation", "left bundle branch block"],
    ["sinus rhythm"],
]


def vocabulary(**settings) -> StatementVocabulary:
    return StatementVocabulary(RECORDS, seed=0, **settings)


def test_the_commonest_statements_come_first():
    assert vocabulary(size=2).statements == ["sinus rhythm", "left bundle branch block"]
    assert vocabulary(min_count=3).statements == ["sinus rhythm"]


def test_positives_are_the_statements_of_the_record():
    columns = vocabulary(size=2)
    assert columns.positives(np.array([3, 1])).tolist() == [[1, 0], [1, 1]]


def test_a_record_also_has_what_follows_from_its_statements():
    columns = vocabulary(generalise=True)
    have = {text for text, has in zip(columns.statements, columns.positives(np.array([0]))[0], strict=True) if has}
    assert have == {*RECORDS[0], "inferior myocardial infarction", "myocardial infarction"}


def test_the_bank_does_not_depend_on_the_order_of_records():
    assert (
        StatementVocabulary(RECORDS[::-1], seed=0, generalise=True).statements
        == vocabulary(generalise=True).statements
    )


def test_wordings_change_with_the_step_and_repeat_with_the_seed():
    columns = vocabulary(paraphrase_rate=0.9)
    drawn = [columns.texts(epoch=0, step=step) for step in range(20)]
    assert drawn == [vocabulary(paraphrase_rate=0.9).texts(epoch=0, step=step) for step in range(20)]
    assert len({texts[0] for texts in drawn}) > 2
    assert {text for texts in drawn for text in texts} <= set(columns.paraphrases())
    assert vocabulary().texts(epoch=0, step=3) == vocabulary().statements


@pytest.mark.parametrize(
    ("statement", "broader"),
    [
        ("probable old inferior myocardial infarction", ["inferior myocardial infarction", "myocardial infarction"]),
        ("ST depression in leads I, aVL", ["ST depression"]),
        ("possible high lateral myocardial ischemia or left ventricular strain", None),
        ("low or flat T waves in limb leads", ["low or flat T waves"]),
        ("incomplete right bundle branch block, probably a normal variant", []),
        ("abnormal ECG", []),
        ("borderline ECG", []),
        ("no evidence of myocardial ischemia", []),
        ("normal axis in lead V2", []),
        ("incomplete right bundle branch block", []),
    ],
)
def test_less_detail_follows_and_denials_give_nothing(statement, broader):
    expected = ["high lateral myocardial ischemia", "myocardial ischemia"] if broader is None else broader
    assert generalisations(statement) == expected


def test_a_synonym_replaces_the_longest_term_only():
    texts = find_paraphrases("incomplete right bundle branch block", limit=100)
    assert "IRBBB" in texts
    assert not any("complete complete" in text or text == "incomplete complete RBBB" for text in texts)


def test_paraphrases_keep_doubt_and_leads():
    doubts = ("possibl", "cannot exclude", "may be", "maybe", "consider", "questionable", "conceivable")
    for text in find_paraphrases("possible ST depression in leads I, V6", limit=100):
        assert text.endswith("in leads I, V6")
        assert text.startswith(doubts)


def test_the_table_of_synonyms_is_in_order():
    groups = json.loads(PARAPHRASES.read_text(encoding="utf-8"))["groups"]
    terms = [term for term, *_ in groups]
    assert len(set(terms)) == len(terms)
    for group in groups:
        assert len({text.casefold() for text in group}) == len(group), group
        assert all(text == text.strip(" .") and text for text in group), group
    # One of two findings is no synonym of what both fall under: --held_out_findings would take it for a name of either.
    for finding in ("LBBB", "LVH", "RVH", "LAE", "RAE", "LAD", "RAD"):
        naming = [text for _, *texts in groups for text in texts if re.search(rf"\b{finding}\b", text)]
        assert not [text for text in naming if re.search(r"\b(or|nor)\b", text)], finding


def test_a_sentence_stands_in_no_other_and_is_not_denied():
    clauses = [
        text
        for text in vocabulary(paraphrase_rate=1.0, max_paraphrases=100, sentence_fraction=1.0).paraphrases()
        if is_clause(text)
    ]
    assert "conduction through the left bundle is blocked" in clauses
    framed = [
        text for text in clauses if any(text == sentence.format(other) for sentence in SENTENCES for other in clauses)
    ]
    assert not framed
    assert not [
        text
        for column in range(len(vocabulary()))
        for text in vocabulary(paraphrase_rate=1.0).phrases_of(column)
        if is_clause(text)
    ]


def test_paraphrases_are_no_more_than_asked_for():
    assert len(find_paraphrases("atrial fibrillation", limit=2)) == 2
    assert find_paraphrases("atrial fibrillation", limit=0) == []
    assert find_paraphrases("a paraphrase that no table knows", limit=5) == []


def test_sentences_hold_the_wordings_and_differ_between_statements():
    paraphrases = ["atrial fibrillation", "AF", "AFib"]
    sentences = in_sentences(paraphrases, count=5)
    assert len(set(sentences)) == 5
    possible = {sentence.format(paraphrase) for sentence in SENTENCES for paraphrase in paraphrases}
    assert set(sentences) <= possible
    starts = {in_sentences([statement], count=1)[0].replace(statement, "{}") for statement in vocabulary().statements}
    assert len(starts) > 1


def test_a_bank_shows_sentences_only_when_asked_to():
    def framed(texts: list[str]) -> list[str]:
        frames = [sentence.replace("{}", "").strip() for sentence in SENTENCES]
        return [text for text in texts if any(frame in text for frame in frames)]

    assert not framed(vocabulary(paraphrase_rate=0.5, max_paraphrases=2).paraphrases())
    assert framed(vocabulary(paraphrase_rate=0.5, max_paraphrases=2, sentence_fraction=0.5).paraphrases())


@pytest.mark.parametrize(
    ("statement", "hypernyms"),
    [
        ("left anterior fascicular block", {"fascicular block", "conduction disturbance"}),
        ("first-degree AV block", {"AV block", "conduction disturbance"}),
        ("possible left ventricular hypertrophy", {"ventricular hypertrophy", "hypertrophy"}),
        ("atrial fibrillation with rapid ventricular response", {"tachycardia"}),
        ("possible hypertrophy or left bundle branch block", set()),
        (
            "low or flat T waves",
            {"T-wave abnormality", "ST-T changes", "nonspecific ST-T changes", "nonspecific ST-T abnormality"},
        ),
        (
            "voltage criteria for left ventricular hypertrophy",
            {"left ventricular hypertrophy", "ventricular hypertrophy", "hypertrophy"},
        ),
        ("supraventricular tachycardia", {"tachycardia"}),
        ("early repolarization", {"normal ECG"}),
        (
            "ventricular bigeminy",
            {"bigeminy", "premature ventricular complexes", "premature complexes", "ventricular arrhythmia"},
        ),
        ("no left bundle branch block", set()),
        ("sinus rhythm", set()),
    ],
)
def test_a_finding_falls_under_its_umbrella_terms(statement, hypernyms):
    assert set(hypernyms_of(statement)) == hypernyms


def test_a_record_also_has_the_umbrella_terms_of_its_findings():
    columns = vocabulary(hypernyms=True)
    have = {text for text, has in zip(columns.statements, columns.positives(np.array([1]))[0], strict=True) if has}
    assert have == {*RECORDS[1], "bundle branch block", "conduction disturbance"}
