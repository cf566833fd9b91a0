"""The tables of the report translator."""

import pytest

from datasets_scripts import report_glossary
from datasets_scripts.ptb_xl_reports import report_statements
from datasets_scripts.report_glossary import GlossaryError, fold, negation_trie, phrase_trie, phrases, spellings

#: Words that would show that a German or Swedish phrase went into the English column.
NOT_ENGLISH = set(
    "und oder mit ohne nicht kein infarkt schenkelblock hebung senkung lagetyp rhythmus ekg ableitungen wahrscheinlich "
    "och eller rytm axel kammar vaenster hoeger infarkten skada ischaemia ischaemic hypokalaemia".split()
)


@pytest.fixture
def glossary(tmp_path, monkeypatch):
    """A glossary of one's own in place of the real one."""
    tables = {
        "findings.tsv": "source\tstatement\nsinusrhythmus\tsinus rhythm\n",
        "modifiers.tsv": "source\tkind\tqualifier\nmöglich\tcertainty-after\tpossible\n",
        "residue.tsv": "source\tkind\nis\tfiller\n",
        "spelling.tsv": "variant\tword\n",
        "negation.tsv": "source\trole\nkein\tnegator-before\n",
    }

    def write(**changes: str) -> None:
        for name, text in {**tables, **{f"{name}.tsv": text for name, text in changes.items()}}.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        monkeypatch.setattr(report_glossary, "GLOSSARY", tmp_path)
        clear()

    def clear() -> None:
        spellings.cache_clear()
        phrase_trie.cache_clear()
        negation_trie.cache_clear()

    yield write
    monkeypatch.undo()
    clear()


def test_every_target_is_english():
    for source, phrase in phrases():
        assert phrase.target.isascii(), source
        assert not NOT_ENGLISH & set(fold(phrase.target).replace("-", " ").split()), source


def test_the_tables_hold_no_empty_target_but_for_residue():
    for source, phrase in phrases():
        assert bool(phrase.target) != (phrase.kind in report_glossary.RESIDUE_KINDS), source


def test_every_english_statement_means_itself():
    for source, phrase in phrases():
        if phrase.kind == "finding":
            assert report_statements(". ".join(phrase.target.split(" | "))) == phrase.target.split(" | "), source


def test_spellings_do_not_chain():
    for wrong, right in spellings().items():
        for word in right.split():
            assert spellings().get(word, word) == word, wrong


def test_an_unsorted_table_is_refused(glossary):
    glossary(findings="source\tstatement\nsinusrhythmus\tsinus rhythm\nlinkstyp\tleftward axis\n")
    with pytest.raises(GlossaryError, match=r"findings\.tsv line 3: 'linkstyp' must come after 'sinusrhythmus', once"):
        phrase_trie()


def test_a_phrase_in_two_tables_is_refused(glossary):
    glossary(findings="source\tstatement\nmoeglich\tpossible\n")
    with pytest.raises(GlossaryError, match="'möglich' is in the glossary twice"):
        phrase_trie()


def test_a_short_row_is_refused(glossary):
    glossary(modifiers="source\tkind\tqualifier\nmöglich\tpossible\n")
    with pytest.raises(GlossaryError, match=r"modifiers\.tsv line 2: expected 3 cells"):
        phrase_trie()


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("modifiers", "source\tkind\tqualifier\nmöglich\tcertainty\tpossible\n"),
        ("residue", "source\tkind\nis\tnothing\n"),
    ],
)
def test_an_unknown_kind_is_refused(glossary, table, text):
    glossary(**{table: text})
    with pytest.raises(GlossaryError, match="kind must be one of"):
        phrase_trie()


def test_an_unknown_role_in_a_negation_is_refused(glossary):
    glossary(negation="source\trole\nkein\tdenial\n")
    with pytest.raises(GlossaryError, match=r"negation\.tsv, 'kein': role must be one of"):
        negation_trie()


def test_a_doubled_word_of_negation_is_refused(glossary):
    glossary(negation="source\trole\nfuer nie\tnegator\nfür nie\tnegator\n")
    with pytest.raises(GlossaryError, match="'für nie' is there twice"):
        negation_trie()


def test_umlauts_that_a_keyboard_lacks_are_read():
    assert spellings()["formaksflimmer"] == "foermaksflimmer"
    assert spellings()["ischamia"] == "ischaemia"
