"""Findings that a report negates, excludes, doubts or tells as past are not asserted."""

import csv
import re
from pathlib import Path

import pytest

from datasets_scripts.ptb_xl_reports import report_statements

HERE = Path(__file__).parent
NEGATED = re.compile(r"^no\b")
DOUBTED = re.compile(r"\b(possible|possibly|probable|probably|cannot be excluded|unlikely)\b")
PAST = re.compile(r"\bold\b")
#: What is still read wrong, and the finding that it is read wrong of.
KNOWN_ERRORS = {
    ("Keine ischämietyp. ST-Senkung", "ST depression"),  # the dot of an abbreviation that no table knows
    ("Infarction is unlikely", "infarction"),  # "myocardial infarction, unlikely"
    ("Post inferior infarction, no acute ischemia", "infarction"),  # "post." is "posterior" elsewhere
    ("Förmaksflimmer utan större förändring mot tidigare", "atrial fibrillation"),  # lost, not wrong
    ("Kein Wechsel des Vorhofflimmerns in den Sinusrhythmus.", "sinus rhythm"),  # what it did not change to
    ("Indication: suspected atrial flutter. Sinus rhythm, RBBB.", "atrial flutter"),  # "no indication of" is evidence
}
#: What the placeholders of a wording stand for, and how the statements name it.
FINDINGS = {
    "de": {"Vorhofflimmern": "atrial fibrillation", "Ischämie": "ischemia", "Linksschenkelblock": "left bundle"},
    "en": {"atrial fibrillation": "atrial fibrillation", "ischemia": "ischemia", "ST elevation": "ST elevation"},
    "sv": {"förmaksflimmer": "atrial fibrillation", "ischemi": "ischemia", "ST-höjning": "ST elevation"},
}


def table(name: str) -> list[list[str]]:
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    return [[cell.replace("\\n", "\n") for cell in row] for row in rows]


def reading(statement: str) -> str:
    """What one statement says of its finding."""
    if NEGATED.search(statement):
        return "no"
    if DOUBTED.search(statement):
        return "maybe"
    return "past" if PAST.search(statement) else "yes"


def is_right(statements: list[str], finding: str, expected: str) -> bool:
    """Whether `statements` say of a finding what is expected; what is negated or past may be left out."""
    said = {reading(statement) for statement in statements if finding.lower() in statement.lower()}
    if expected == "no":
        return said <= {"no"}
    if expected == "past":
        return said <= {"past", "maybe"}
    if expected == "some":
        return said in ({"yes"}, {"maybe"})
    return said == {expected}


def sentences() -> list[tuple[str, str]]:
    rows = [row for name in ("", "_second", "_third", "_last") for row in table(f"negation{name}.tsv")]
    return [(sentence, expected) for _, _, sentence, expected in rows]


@pytest.mark.parametrize(("sentence", "expected"), sentences())
def test_what_a_sentence_says_of_its_findings(sentence, expected):
    statements = report_statements(sentence)
    for pair in expected.split("; "):
        finding, outcome = pair.split("=")
        is_known_error = (sentence, finding) in KNOWN_ERRORS
        assert is_right(statements, finding, outcome) != is_known_error, f"{pair}: {statements}"


@pytest.mark.parametrize(("sentence", "expected", "unread"), [row[2:] for row in table("negation_fourth.tsv")])
def test_what_no_table_knows_is_left_out_and_never_turned_round(sentence, expected, unread):
    statements = report_statements(sentence)
    for pair in expected.split("; "):
        finding, outcome = pair.split("=")
        if finding in unread.split("; "):
            assert not any(finding.lower() in statement.lower() for statement in statements), f"{pair}: {statements}"
        else:
            is_known_error = (sentence, finding) in KNOWN_ERRORS
            assert is_right(statements, finding, outcome) != is_known_error, f"{pair}: {statements}"


@pytest.mark.parametrize("write", [str, str.lower, str.upper], ids=["as is", "lower", "upper"])
@pytest.mark.parametrize(("language", "wording", "expected"), table("negation_wordings.tsv"))
def test_a_wording_says_the_same_of_every_finding(language, wording, expected, write):
    names = list(FINDINGS[language])
    for turn in range(len(names)):
        turned = dict(zip("XYZ", names[turn:] + names[:turn], strict=True))
        statements = report_statements(write(wording.format(**turned)))
        for pair in filter(None, expected.split("; ")):
            placeholder, outcome = pair.split("=")
            finding = FINDINGS[language][turned[placeholder]]
            assert is_right(statements, finding, outcome) or (outcome == "maybe" and not statements), statements


@pytest.mark.parametrize(
    ("report", "statements"),
    [
        # Before the finding, after it, and as an answer.
        ("kein hinweis auf ischämie", ["no evidence of myocardial ischemia"]),
        ("vorhofflimmern ausgeschlossen", ["no atrial fibrillation"]),
        ("ischämie nicht nachweisbar", ["no myocardial ischemia"]),
        ("ej förmaksflimmer", ["no atrial fibrillation"]),
        ("ruled out: infarction", ["no myocardial infarction"]),
        ("infarkt: nein, vorhofflimmern: ja", ["no myocardial infarction", "atrial fibrillation"]),
        ("atrial fibrillation - no", ["no atrial fibrillation"]),
        ("ischemi? nej", ["no myocardial ischemia"]),
        # "negativ" answers of a disease and describes a wave.
        ("ischämie negativ", ["no myocardial ischemia"]),
        ("t negativ in v2", ["T-wave inversion in lead V2"]),
        # A scope holds the list that it begins, and in telegram style nothing else.
        ("kein infarkt sinusrhythmus", ["no myocardial infarction", "sinus rhythm"]),
        ("weder infarkt noch ischämie", ["no myocardial infarction", "no myocardial ischemia"]),
        ("no infarction, ischemia or atrial fibrillation", ["no myocardial infarction", "no myocardial ischemia or atrial fibrillation"]),
        ("infarkt, ischämie und vorhofflimmern ausgeschlossen", ["no myocardial infarction", "no myocardial ischemia", "no atrial fibrillation"]),
        ("no infarction but atrial fibrillation", ["no myocardial infarction", "atrial fibrillation"]),
        ("inte förmaksflimmer utan sinusrytm", ["no atrial fibrillation", "sinus rhythm"]),
        ("vorhofflimmern gesucht, aber nicht gefunden", []),
        # Two negations are doubt.
        ("infarkt nicht sicher auszuschließen", ["myocardial infarction cannot be excluded"]),
        ("not excluded: infarction", ["myocardial infarction cannot be excluded"]),
        ("kan inte utesluta ischemi", ["myocardial ischemia cannot be excluded"]),
        ("infarkt?", ["possible myocardial infarction"]),
        # It is a change that is negated, not what changes.
        ("keine zunahme der st-hebung", ["ST elevation"]),
        ("not only ischemia but also infarction", ["myocardial ischemia", "myocardial infarction"]),
        ("infarkt fehlt nicht", ["myocardial infarction"]),
        # What became of a finding is negated of it, unless that is itself negated.
        ("vorhofflimmern ist in sinusrhythmus übergegangen", ["no atrial fibrillation", "sinus rhythm"]),
        ("atrial fibrillation has not converted to sinus rhythm", ["atrial fibrillation"]),
        ("converted to sinus rhythm", ["sinus rhythm"]),
        # A question, advice, a relative and an earlier ECG are no findings of this one.
        ("fragestellung: vorhofflimmern? sinusrhythmus", ["sinus rhythm"]),
        ("family history of infarction, sinus rhythm", ["sinus rhythm"]),
        ("linksschenkelblock, im vor-ekg noch sinusrhythmus", ["left bundle branch block"]),
        ("linksschenkelblock, im vor-ekg noch nicht vorhanden", ["left bundle branch block"]),
        # Leads that are negated by themselves are left out, the finding stays.
        ("st-hebung in ii, keine in v1", ["ST elevation in lead II"]),
        ("st elevation in v1-v3, not in v4", ["ST elevation in leads V1-V3"]),
        # A list goes on with "likewise"; an answer ends it.
        ("infarkt fehlt, ebenso ischämie", ["no myocardial infarction", "no myocardial ischemia"]),
        ("vorhofflimmern: kein nachweis, sinusrhythmus", ["no evidence of atrial fibrillation", "sinus rhythm"]),
        # An adjective said of another noun is no finding of the ECG or the T wave.
        ("p waves are normal", ["P waves"]),
        ("the ecg is normal", ["normal ECG"]),
        ("der xyzindex ist negativ", []),
        # What is past stays as a scar, or is not seen in this ECG.
        ("z. n. vorderwandinfarkt", ["old anterior myocardial infarction"]),
        ("history of atrial fibrillation, now sinus rhythm", ["sinus rhythm"]),
        ("kein z. n. infarkt", ["no old myocardial infarction"]),
        # Around words that no table knows nothing is asserted.
        ("kein xyzismus mit vorhofflimmern", []),
        ("infarkt xyzte sich nicht", []),
        # "o." may be "ohne" or "oder".
        ("infarkt o. ischämie", ["myocardial infarction"]),
        # Abbreviations end no sentence, line ends no scope that still looks for its finding.
        ("kein hinweis z. b. auf ischämie", ["no evidence of myocardial ischemia"]),
        ("kein\nhinweis auf\nischämie", ["no evidence of myocardial ischemia"]),
        ("kein infarkt\nlinksschenkelblock", ["no myocardial infarction", "left bundle branch block"]),
        # A cause is no finding that the doubt is about.
        ("infarkt wegen linksschenkelblock nicht auszuschließen", ["myocardial infarction cannot be excluded", "left bundle branch block"]),
        # Umlauts in every spelling: composed of two characters, in capitals, spelled out, left out.
        ("kein hinweis auf ischa\u0308mie", ["no evidence of myocardial ischemia"]),
        ("KEIN HINWEIS AUF ISCHÄMIE", ["no evidence of myocardial ischemia"]),
        ("kein hinweis auf ischaemie", ["no evidence of myocardial ischemia"]),
        ("inget formaksflimmer", ["no atrial fibrillation"]),
    ],
)  # fmt: skip
def test_the_scope_of_a_negation(report, statements):
    assert report_statements(report) == statements
