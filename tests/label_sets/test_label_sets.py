"""The label sets against the datasets' classes, and the rules their phrases keep."""

import json
from pathlib import Path

import pytest

import datasets_scripts.label_sets as label_sets
from datasets_scripts.label_sets import LABEL_TASKS, label_set_versions, load_label_set, load_negated_phrases
from datasets_scripts.ptb_xl_labels import STATEMENTS, TASK_CLASSES

FOLDER = Path(label_sets.__file__).parent
PTB_XL_TASKS = [task for task, (dataset, _) in LABEL_TASKS.items() if dataset == "ptb_xl"]


@pytest.mark.parametrize("task", PTB_XL_TASKS)
def test_classes_stand_in_the_order_of_the_label_column(task):
    assert tuple(load_label_set(task)) == TASK_CLASSES[LABEL_TASKS[task][1]]


def test_cpsc2018_has_the_nine_classes_of_the_challenge():
    assert list(load_label_set("cpsc2018")) == "NORM AFIB 1AVB CLBBB CRBBB PAC VPC STD STE".split()


@pytest.mark.parametrize("task", LABEL_TASKS)
def test_every_class_has_several_phrases_and_a_denial(task):
    assert all(len(phrases) >= 3 for phrases in load_label_set(task).values())
    assert all(load_negated_phrases(task).values())
    assert list(load_negated_phrases(task)) == list(load_label_set(task))


@pytest.mark.parametrize("task", LABEL_TASKS)
def test_no_phrase_speaks_for_two_classes_of_a_task(task):
    owner: dict[str, str] = {}
    for label, phrases in load_label_set(task).items():
        for phrase in phrases:
            assert owner.setdefault(phrase.casefold(), label) == label, phrase


@pytest.mark.parametrize("task", LABEL_TASKS)
def test_no_class_repeats_a_phrase_or_denies_what_it_states(task):
    absent = load_negated_phrases(task)
    for label, phrases in load_label_set(task).items():
        folded = [phrase.casefold() for phrase in phrases]
        assert len(set(folded)) == len(folded), label
        assert not {phrase.casefold() for phrase in absent[label]} & set(folded), label


def test_phrases_are_single_trimmed_statements():
    for phrases in [*load_label_set("all").values(), *load_label_set("superclass").values()]:
        for phrase in phrases:
            assert phrase == phrase.strip()
            assert phrase.isprintable()
            assert not phrase.endswith(".")
            assert len(phrase.split()) <= 12


def test_a_superclass_is_any_of_its_statements():
    statements = load_label_set("all")
    for label, phrases in load_label_set("superclass").items():
        members = [code for code, (superclass, *_) in STATEMENTS.items() if superclass == label]
        assert all(phrase in phrases for code in members for phrase in statements[code])


def test_abbreviations_are_distinct_from_codes_that_contain_them():
    """The trap of matching labels as substrings: AF is a phrase of AFIB and of no other rhythm."""
    owners = [label for label, phrases in load_label_set("rhythm").items() if "AF" in phrases]
    assert owners == ["AFIB"]


def test_the_statements_file_speaks_of_every_code_and_no_other():
    file = json.loads((FOLDER / "statements.json").read_text(encoding="utf-8"))
    assert set(file["statements"]) == set(STATEMENTS)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_each_file_carries_its_name_version_and_provenance(path):
    file = json.loads(path.read_text(encoding="utf-8"))
    assert file["name"] == path.stem
    assert file["provenance"]
    assert file["version"].count(".") == 2
    if path.stem != "statements":
        assert (file["dataset"], file["column"]) == LABEL_TASKS[path.stem]


def test_versions_name_both_files_of_a_task():
    assert set(label_set_versions("rhythm")) == {"rhythm", "statements"}


def test_what_the_caller_does_to_a_label_set_does_not_stay():
    load_label_set("superclass")["NORM"].clear()
    assert load_label_set("superclass")["NORM"]


def test_an_unknown_task_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no label set 'superclas'; there are superclass, subclass"):
        load_label_set("superclas")
