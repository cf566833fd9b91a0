"""The text box of labels."""

import pytest

from datasets_scripts.label_sets import LABEL_TASKS, load_label_set
from etp.app.labels import DEFAULT_LABELS, MAX_CHARACTERS, MAX_LABELS, format_labels, label_set_text, parse_labels
from etp.app.sources import AppError


def test_a_line_is_a_label_and_an_equals_sign_brings_its_phrases():
    assert parse_labels("normal ECG\n\n  AF = atrial fibrillation ; no P waves;\n2:1 AV block") == {
        "normal ECG": ("normal ECG",),
        "AF": ("atrial fibrillation", "no P waves"),
        "2:1 AV block": ("2:1 AV block",),
    }


@pytest.mark.parametrize("task", LABEL_TASKS)
def test_every_label_set_passes_through_the_text_box_unchanged(task):
    assert parse_labels(label_set_text(task)) == {
        label: tuple(phrases) for label, phrases in load_label_set(task).items()
    }


def test_the_labels_of_the_empty_page_can_be_scored():
    assert format_labels(parse_labels("\n".join(DEFAULT_LABELS))) == "\n".join(DEFAULT_LABELS)


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
