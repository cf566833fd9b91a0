"""Lists of wordings and descriptions among the texts of the statement vocabulary."""

import numpy as np
import pytest

from etp.options import OptionError
from etp.texts.descriptions import descriptions_of
from etp.texts.lists import MAX_NARROWER, MAX_OWN, make_lists
from etp.texts.negations import NegationVocabulary
from etp.texts.statement_vocabulary import StatementVocabulary
from etp.training.arguments import TrainingArguments

RECORDS = [["left bundle branch block", "sinus rhythm"], ["complete left bundle branch block"], ["sinus rhythm"]]


def make(**options) -> StatementVocabulary:
    return StatementVocabulary(RECORDS, generalise=True, paraphrase_rate=0.7, max_paraphrases=16, seed=0, **options)


def test_a_list_has_a_wording_of_the_statement_and_at_most_so_many_of_each_kind():
    wordings, narrower = ["LBBB", "left BBB", "left bundle block"], [f"narrower {index}" for index in range(9)]
    lists = make_lists(wordings, narrower, count=30, seed=0)
    assert len(lists) > 15
    for text in lists:
        members = text.split(", ")
        own = set(members) & set(wordings)
        assert 1 <= len(own) <= MAX_OWN
        assert 2 <= len(members) <= len(own) + MAX_NARROWER
        assert set(members) <= {*wordings, *narrower}
    assert any(set(text.split(", ")) & set(narrower) for text in lists)


def test_a_statement_of_one_wording_has_no_list():
    assert make_lists(["sinus rhythm"], [], count=5, seed=0) == []
    assert make_lists([], ["narrower"], count=5, seed=0) == []


def test_lists_hold_narrower_statements_of_the_vocabulary_only():
    vocabulary = make(list_rate=1.0)
    column = vocabulary.statements.index("left bundle branch block")
    shown = {vocabulary.texts(epoch=0, step=step)[column] for step in range(60)}
    assert any("complete left bundle branch block" in text.split(", ") for text in shown)
    assert not any("sinus" in text for text in shown)
    assert shown <= set(vocabulary.paraphrases())


def test_descriptions_are_shown_as_often_as_asked_for():
    vocabulary = make(description_rate=0.2)
    column = vocabulary.statements.index("left bundle branch block")
    described = [
        vocabulary.texts(epoch=0, step=step)[column] in descriptions_of("left bundle branch block")
        for step in range(400)
    ]
    assert 0.13 < np.mean(described) < 0.27
    assert set(descriptions_of("left bundle branch block")) <= set(vocabulary.paraphrases())


def test_without_rates_texts_are_what_they_were_before_there_were_any():
    plain, zero = make(), make(list_rate=0.0, description_rate=0.0)
    assert plain.texts(epoch=1, step=2) == zero.texts(epoch=1, step=2)
    assert not any(text in plain.paraphrases() for text in descriptions_of("left bundle branch block"))
    mixed = make(description_rate=0.5).texts(epoch=1, step=2)
    kept = [text for text, own in zip(mixed, plain.texts(epoch=1, step=2), strict=True) if text == own]
    assert kept  # what is not described stands as it would


@pytest.mark.parametrize(
    "options", [{"list_rate": 0.1}, {"description_rate": 0.1}, {"paraphrase_rate": 0.5, "list_rate": 1.5}]
)
def test_rates_need_paraphrases_and_are_fractions(options, tmp_path):
    with pytest.raises(OptionError, match=r"need --paraphrase_rate|must be in"):
        TrainingArguments(output_dir=tmp_path, objectives={"vocabulary": 1.0}, **options)


def test_rates_add_up_to_one_at_most(tmp_path):
    rates = {"paraphrase_rate": 0.5, "list_rate": 0.6, "description_rate": 0.6}
    with pytest.raises(OptionError, match="must not exceed 1 together"):
        TrainingArguments(output_dir=tmp_path, objectives={"vocabulary": 1.0}, **rates)


def test_a_rare_term_stands_in_for_what_it_falls_under_and_only_if_no_statement_says_it():
    records = [["normal ECG"], ["ventricular arrhythmia", "tachycardia"], ["premature ventricular complexes"]]
    vocabulary = StatementVocabulary(records, paraphrase_rate=0.5, rare_term_rate=1.0, seed=0)
    shown = {name: set() for name in vocabulary.statements}
    for step in range(80):
        for name, text in zip(vocabulary.statements, vocabulary.texts(epoch=0, step=step), strict=True):
            shown[name].add(text)
    assert "early repolarization" in shown["normal ECG"]
    assert "ventricular tachycardia" in shown["ventricular arrhythmia"] & shown["tachycardia"]
    for texts in shown.values():
        assert "premature ventricular complexes" not in texts - shown["premature ventricular complexes"]
        assert "premature ventricular complex" not in texts - shown["premature ventricular complexes"]
    assert {text for texts in shown.values() for text in texts} <= set(vocabulary.paraphrases())


def test_a_term_that_a_statement_holds_as_a_part_is_not_rare():
    records = [["conduction disturbance"], ["Wolff-Parkinson-White pattern type A"]]
    vocabulary = StatementVocabulary(records, paraphrase_rate=0.5, rare_term_rate=1.0, seed=0)
    rare = vocabulary._rare_terms[vocabulary.statements.index("conduction disturbance")]
    assert "Wolff-Parkinson-White pattern" not in rare
    assert "right bundle branch block" in rare


def test_a_statement_stands_beside_negations_of_what_is_not_part_of_it():
    records = (
        [["left bundle branch block"]] * 20 + [["sinus rhythm"]] * 20 + [["complete left bundle branch block"]] * 20
    )
    vocabulary = StatementVocabulary(records, generalise=True, paraphrase_rate=0.5, beside_rate=1.0, seed=0)
    columns = dict(zip(vocabulary.statements, vocabulary._beside, strict=True))
    assert columns["sinus rhythm"]
    assert all("bundle branch block" in text for text in columns["sinus rhythm"])
    for name in ("left bundle branch block", "complete left bundle branch block"):
        assert columns[name]
        assert all("sinus rhythm" in text for text in columns[name])
    again = StatementVocabulary(records, generalise=True, paraphrase_rate=0.5, beside_rate=1.0, seed=0)
    assert again._beside == vocabulary._beside


def test_another_grade_is_a_positive_in_part_and_no_example_of_the_negation():
    records = [["leftward axis"], ["left axis deviation"], ["normal axis"]]
    vocabulary = StatementVocabulary(records, hypernyms=True, seed=0)
    column = vocabulary.statements.index("left axis deviation")
    assert vocabulary.positives(np.arange(3))[:, column].tolist() == pytest.approx([0.3, 1.0, 0.0])
    assert vocabulary.counts[column] == 1
    plain = StatementVocabulary(records, seed=0)
    assert set(plain.positives(np.arange(3)).flatten()) == {0.0, 1.0}
    many = StatementVocabulary([record for record in records for _ in range(20)], hypernyms=True, seed=0)
    negations = NegationVocabulary(many, seed=0)
    own = negations.statements.index("left axis deviation")
    leftward, deviation, normal = negations.weights(np.arange(60))[[0, 20, 40], own]
    assert deviation < 0 < leftward == normal


def test_no_description_and_no_rare_term_names_a_finding_that_is_held_out():
    records = [["incomplete left bundle branch block"], ["ventricular arrhythmia"], ["normal ECG"]]
    rates = {"paraphrase_rate": 0.5, "description_rate": 0.5, "rare_term_rate": 0.5, "seed": 0}
    everything = StatementVocabulary(records, **rates).paraphrases()
    kept = StatementVocabulary(
        records, held_out_findings=["ventricular tachycardia|VT", "PR|qrs"], **rates
    ).paraphrases()
    gone = set(everything) - set(kept)
    assert "ventricular tachycardia" in gone
    assert any("QRS of 110 to 119 ms" in text for text in gone)
    assert "early repolarization" in kept
