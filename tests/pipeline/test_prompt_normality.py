"""Descriptions of a normal ECG and of sinus rhythm, in other people's words, and those that only sound like it."""

import json
from pathlib import Path

import pytest

from etp.texts.descriptions import descriptions_of
from etp.texts.paraphrases import can_be_negated, term_groups
from modeling_etp.prompt_grammar_etp import Prompt, read_prompt
from modeling_etp.prompt_normality_etp import described_normality

DESCRIBED = json.loads(Path(__file__).with_name("described_ecgs.json").read_text(encoding="utf-8"))
NORMAL = "Upright P waves in I and II, PR 120-200 ms, QRS under 110 ms, normal axis, isoelectric ST segments, upright T waves."


def test_a_description_by_normal_parts_is_scored_as_what_it_describes():
    assert read_prompt(NORMAL) == Prompt(("normal ECG",))
    assert read_prompt("72-year-old woman with sinus rhythm, PR 160 ms, narrow QRS and no ST-T changes") == Prompt(
        ("normal ECG",)
    )
    sinus = "P waves upright in I, II and aVF, inverted in aVR, one before each QRS, rate 60 to 100 per minute"
    assert read_prompt(sinus) == Prompt(("sinus rhythm",))


@pytest.mark.parametrize(
    ("part", "abnormal"),
    [
        ("PR 120-200 ms", "PR 240 ms"),
        ("PR 120-200 ms", "PR under 120 ms"),
        ("PR 120-200 ms", "PR > 200 ms"),
        ("PR 120-200 ms", "PR 0.24 s"),
        ("PR 120-200 ms", "PR 160 to 280 ms"),
        ("PR 120-200 ms", "rate 45 bpm"),
        ("PR 120-200 ms", "rate below 60 per minute"),
        ("QRS under 110 ms", "QRS under 140 ms"),
        ("QRS under 110 ms", "QRS well over 110 ms"),
        ("QRS under 110 ms", "QRS 140 ms"),
        ("normal axis", "axis -45 degrees"),
        ("normal axis", "abnormal axis"),
        ("isoelectric ST segments", "ST segments 2 mm above the baseline"),
        ("isoelectric ST segments", "no normal ST segments"),
        ("isoelectric ST segments", "no ST elevation but ST depression in V5"),
        ("upright T waves", "inverted T waves"),
        ("upright T waves", "T waves not upright"),
        ("upright T waves", "T waves upright in aVR"),
        ("upright T waves", "tall upright T waves"),
        ("Upright P waves in I and II", "No P waves"),
        ("Upright P waves in I and II", "P waves inverted in II"),
        ("Upright P waves in I and II", "P waves after each QRS"),
        ("Upright P waves in I and II", "Small q waves in II, III and aVF"),
        ("Upright P waves in I and II", "Are there upright P waves in I and II?"),
    ],
)
def test_one_part_that_is_not_normal_or_not_certain_makes_it_a_text_like_any_other(part, abnormal):
    assert part in NORMAL
    assert described_normality(NORMAL.replace(part, abnormal)) is None


@pytest.mark.parametrize(
    "text",
    [
        "normal sinus rhythm",
        "normal axis",
        "normal PR interval",
        "normal sinus rhythm, normal ECG",
        "upright T waves",
        "sinus rhythm, normal axis",
        "normal P waves and normal QRS complexes",
        "regular narrow QRS complexes without P waves",
        "",
    ],
)
def test_a_name_and_a_part_alone_describe_no_whole(text):
    assert described_normality(text) is None


def test_no_nearly_normal_ecg_is_taken_for_a_normal_one():
    assert len(DESCRIBED["neither"]) > 200
    assert [text for text in DESCRIBED["neither"] if described_normality(text)] == []


@pytest.mark.parametrize("kind", ["normal ECG", "sinus rhythm"])
def test_most_descriptions_of_others_are_recognised_and_none_as_something_else(kind):
    read = [described_normality(text) for text in DESCRIBED[kind]]
    assert set(read) <= {kind, None}
    assert read.count(kind) > 0.5 * len(read)


def test_no_description_of_a_finding_is_taken_for_a_normal_ecg():
    sinus = {"sinus rhythm", "sinus beats"}
    findings = [own[0] for own in term_groups() if can_be_negated(own[0]) and own[0] not in sinus]
    texts = [text for name in findings for text in descriptions_of(name)]
    assert len(texts) > 2000
    assert [text for text in texts if described_normality(text)] == []
