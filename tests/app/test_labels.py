"""The text box of labels."""

import pytest

from datasets_scripts.label_sets import LABEL_TASKS, load_label_set
from etp.app.labels import (
    COMMON_FINDINGS,
    MAX_CHARACTERS,
    MAX_LABELS,
    label_lines,
    label_set,
    label_set_titles,
    parse_labels,
)
from etp.app.sources import AppError


def test_a_line_is_a_label_and_an_equals_sign_brings_its_phrases():
    assert parse_labels("normal ECG\n\n  AF = atrial fibrillation ; no P waves;\n2:1 AV block") == {
        "normal ECG": ("normal ECG",),
        "AF": ("atrial fibrillation", "no P waves"),
        "2:1 AV block": ("2:1 AV block",),
    }


@pytest.mark.parametrize("task", LABEL_TASKS)
def test_every_label_set_passes_through_the_text_box_unchanged(task):
    lines = list(label_lines(label_set(task)).values())
    expected = {label: tuple(phrases) for label, phrases in load_label_set(task).items()}
    assert parse_labels(lines) == parse_labels("\n".join(lines)) == expected


def test_the_labels_of_the_empty_page_have_a_name_that_states_them():
    found = parse_labels(list(label_lines(label_set("")).values()))
    assert list(found) == list(COMMON_FINDINGS)
    allowed = {"normal ECG", "ST depression", "first-degree AV block"}
    assert all(name in phrases or name in allowed for name, phrases in found.items())


def test_every_label_set_is_offered_with_its_number_of_labels():
    titles = label_set_titles()
    assert set(titles) == {"", *LABEL_TASKS}
    assert titles["superclass"] == "PTB-XL: superclass (5)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" \n ", "There is no label"),
        ("AF\nAF = atrial fibrillation", "'AF' comes twice, again in line 2"),
        ("normal\n= atrial fibrillation", "Line 2 of the labels is '= atrial fibrillation'"),
        ("AF = ;", "Line 1 of the labels is 'AF = ;'"),
        ("AF = fibrillation; fibrillation", "'fibrillation' more than once"),
        ("\n".join(map(str, range(MAX_LABELS + 1))), "101 labels with 101 phrases came, this page takes up to 100"),
        ("x" * (MAX_CHARACTERS + 1), "40,001 characters of labels came"),
    ],
)
def test_labels_that_cannot_be_scored_are_refused_with_the_reason(text, message):
    with pytest.raises(AppError, match=message):
        parse_labels(text)
