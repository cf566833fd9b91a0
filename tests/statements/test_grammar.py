"""How qualifiers find their finding."""

import pytest

from datasets_scripts.ptb_xl_reports import report_statements
from datasets_scripts.report_grammar import Statement


@pytest.mark.parametrize(
    ("statement", "sentences"),
    [
        # The region is part of what a muscle has, the place of what a wave shows, and nothing to a rhythm.
        (Statement("myocardial infarction", regions=("inferior", "lateral")), ["inferior and lateral myocardial infarction"]),
        (Statement("T-wave inversion", regions=("inferior", "lateral"), groups=("lateral leads",)), ["T-wave inversion in inferior leads", "T-wave inversion in lateral leads"]),
        (Statement("sinus rhythm", regions=("inferior",)), ["sinus rhythm"]),
        (Statement("ST depression", leads=("I", "aVL", "V4", "V5")), ["ST depression in leads I, aVL", "ST depression in leads V4-V5"]),
    ],
)  # fmt: skip
def test_where_a_finding_is(statement, sentences):
    assert statement.sentences() == sentences


@pytest.mark.parametrize(
    ("report", "statements"),
    [
        ("grenzwertige st senkung", ["borderline ST depression"]),
        ("infarkt inferior alt", ["old inferior myocardial infarction"]),
        ("alter inferiorer infarkt", ["old inferior myocardial infarction"]),
        # A rhythm has no age.
        ("sinus rhythm, probably old", ["sinus rhythm"]),
        # Of two alternatives the qualifier after them belongs to the last.
        ("anteriorer infarkt oder inferiorer infarkt alt", ["anterior myocardial infarction or old inferior myocardial infarction"]),
        ("infarkt oder ischaemie inferior alt", ["myocardial infarction or old inferior myocardial ischemia"]),
        # "These leads" are those of the finding before.
        ("st depression v1-v3 and t wave inversion in these leads", ["ST depression in leads V1-V3", "T-wave inversion in leads V1-V3"]),
        ("t wave inversion in inferior leads. st depression in these leads.", ["T-wave inversion in inferior leads", "ST depression in inferior leads"]),
        ("leads v4, v5 show t wave inversion", ["T-wave inversion in leads V4-V5"]),
    ],
)  # fmt: skip
def test_which_finding_a_qualifier_belongs_to(report, statements):
    assert report_statements(report) == statements
