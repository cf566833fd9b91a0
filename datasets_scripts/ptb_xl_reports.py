"""Reports of PTB-XL, German, English or Swedish, to lists of single English statements."""

import argparse
import collections
import csv
import functools
import re
from dataclasses import dataclass
from pathlib import Path

from .report_glossary import fold, tokenize
from .report_grammar import Assembler
from .report_items import read_items
from .report_negation import read_negation
from .report_readings import ASSERTED
from .report_stretch import NEGATORS

#: From here on a report holds SCP codes with likelihoods: the labels, which no text may carry.
LABEL_TEXT = re.compile(r"\bedit:.*", re.IGNORECASE | re.DOTALL)
#: Software version and "unconfirmed report" as carts print them, cut off anywhere by the length of the field.
DEVICE_TEXT = re.compile(r"\s4\.46(\s.*|$)|\s{6,}(unb\w*.*|!\s*)?$", re.DOTALL)
#: Length of the field that reports were cut to, in the middle of a word if need be.
FIELD_LENGTH = 255
LAST_LETTER = re.compile(r"\b[a-z]$")
#: "qsiii", "tnegv": a wave and its lead written as one word.
WAVE_AND_LEAD = re.compile(r"\b(qs|qrs|qr|q|rsr|rs|r|st|tneg|t|s)(i{1,3}|av[rlf]|v(?=\d))(?![^\W\d_])")
PARAGRAPH = re.compile(r"\s*\n\s*\n\s*")
LINE_END = re.compile(r"\s*\n\s*")
DASHES = (" -", " \u2013", " \u2014")
#: A dash between words; that of "v1 - v4" and "i - avf" is a range.
DASH = re.compile(r"(?<=[a-z)])(?<!\bi)(?<!\bii)(?<!\biii)(?<!\bav[rlf]) [-\u2013\u2014]+ (?=[a-z]{2})")
SWEDISH = re.compile(
    r"rytm|axel\b|foermak|extraslag|kammar|skaenkel|saasom|normalt|vaenster|kardi\b|saekert|foerlopp|avledning|misstaenkt|extrasystoli\b"
    r"|\b(?:ing(?:en|et|a)|inte|ej|utan|saknas|varken)\b|\b(?:tecken|utesl|hjaert)|ischemi\b"
)
GERMAN = re.compile(
    r"rhythmus|typ\b|lage|ekg|hebung|senkung|veraender|vorhof|kardie|block (links|rechts)|infarkt|ischaemie|\b(?:kein|nicht\b|ohne\b)"
)
#: Swedish "i avl" is "in aVL", not the leads I and aVL; "block i" and "och i" are lead and grade there too.
SWEDISH_IN = re.compile(r"(?<!block)(?<!och)(?<!samt)(?<!,) i (?=[a-z])")

#: Advice, comparisons with other tracings and what those showed: none of it is seen in this ECG.
REMARK = re.compile(
    r"(progress trace|holter monitor|suggest (repeat|check|enzyme|cardiolog|urgent))[^.]*\.?"
    r"|the computer has[^.]*\.( please ignore this\.?)?"
    r"|compared with (submitted )?tracings? ((of|dated) )?(earlier today|[\d:.,& ]+(and [\d:.,& ]+)?)[.,]?"
    r"|compared with recent tracings"
    r"|(the )?rhythm was previously [^.]*\.?|previously there were [^.]*\.|t waves were (previously )?inverted[^.]*\.?"
    r"|\(previously[^)]*\)|whereas previously [^,.]*|the previously (noted|inverted)"
    r"|st segment depression is now negligible|st (segment depression|t wave changes) ha(s|ve) resolved"
    r"|(st t wave|st-t wave) changes have resolved|t waves are no longer inverted[^.]*"
    r"|rather than (old infarction|(slightly )?inverted)|(the )?(atrial fibrillation|rhythm) has reverted to"
    r"|,? ?but vpbs are not recorded[^.]*|,? ?except (for|that) [^.]*"
    r"|no (significant )?change since [^.]*?(?=normal|\.|$)|(ekg )?(jmf med|som inte fanns paa) ekg \d+"
    r"|since (ecg|tracing) of [\d:/. ]+|since \d[\d:/. ]+"
)


@dataclass(frozen=True)
class Translation:
    """English statements of one report, and the words that no table knows among its `num_words`."""

    statements: tuple[str, ...]
    untranslated: tuple[str, ...]
    num_words: int


def report_statements(report: str) -> list[str]:
    """Translate a report to English statements, in the order of the report.

    Label text (`Edit: NORM 100, (NORM 100)`), device text, recommendations and a last word that the length of the
    field cut off are left out; a report of nothing else gives an empty list. The result depends on nothing but
    `report` and the tables in `glossary/`.
    """
    return list(translate(report).statements)


@functools.lru_cache(maxsize=16_384)
def translate(report: str) -> Translation:
    """Translate a report, and say which of its words no table knows; the statements leave those out."""
    text, language = report_text(report)
    tokens, is_german = tokenize(text), language == "de"
    items = read_items(tokens)
    readings = read_negation(items, dots_abbreviate=is_german)
    assembler = Assembler(postposes=is_german)
    untranslated: list[str] = []
    num_trailing = 0
    for index, item in enumerate(items):
        if item.is_mark:
            if item.text == "." and not is_german:  # German abbreviates: "neg. t"
                assembler.end_sentence()
            continue
        if item.phrase:
            assembler.add(item.phrase, readings.get(index, ASSERTED))
        elif item.leads:
            if not readings.get(index, ASSERTED).is_left_out:
                assembler.add_leads(item.leads)
        elif item.role not in NEGATORS and item.text.isalpha():
            assembler.detach()
        if item.phrase or item.leads or item.role:
            num_trailing = 0
        elif item.text.isalpha():
            untranslated.append(item.text)
            num_trailing += 1
    if is_cut_off(report):
        untranslated = untranslated[: len(untranslated) - num_trailing]
        assembler.end_cut_off()
    num_words = sum(token.isalpha() for token in tokens)
    return Translation(tuple(assembler.sentences()), tuple(untranslated), num_words)


def report_findings_text(report: str) -> str:
    """Cut label and device text off a report, in lower case, with single spaces."""
    return " ".join(DEVICE_TEXT.sub("", LABEL_TEXT.sub("", report).lower()).split())


def report_text(report: str) -> tuple[str, str]:
    """Cut off label and device text and remarks that are no findings; fold the rest and split run-together words.

    Returns:
        The text, with "¦" for the end of a line and "|" for a dash between words, and its language.
    """
    lines = PARAGRAPH.sub(" ; ", report) if "\n" in report else report
    text = fold(report_findings_text(LINE_END.sub(" ¦ ", lines) if "\n" in lines else lines))
    language = text_language(text)
    if is_cut_off(report):  # "inverted in i, avl and i": the start of another word, not lead I
        text = LAST_LETTER.sub("", text)
    if any(dash in text for dash in DASHES):
        text = DASH.sub(" | ", text)
    text = WAVE_AND_LEAD.sub(r"\1 \2", REMARK.sub(" ", text))
    return SWEDISH_IN.sub(" in ", text) if language == "sv" else text, language


def report_language(report: str) -> str:
    """Return "de", "sv" or "en", told by words that only one of the three has."""
    return text_language(fold(report_findings_text(report)))


def text_language(text: str) -> str:
    """The language of a folded text."""
    if SWEDISH.search(text):
        return "sv"
    return "de" if GERMAN.search(text) else "en"


def is_cut_off(report: str) -> bool:
    """Whether a report fills its field, so that its last word may not be whole."""
    return len(LABEL_TEXT.sub("", report)) >= FIELD_LENGTH


@dataclass
class Coverage:
    """How much of a set of reports the tables translate."""

    num_reports: int
    num_complete: int
    num_words: int
    untranslated: collections.Counter[str]
    statements: collections.Counter[str]


def measure_coverage(reports: list[str]) -> Coverage:
    """Translate all `reports` and count."""
    coverage = Coverage(len(reports), 0, 0, collections.Counter(), collections.Counter())
    for report in reports:
        translation = translate(report)
        coverage.num_complete += not translation.untranslated
        coverage.num_words += translation.num_words
        coverage.untranslated.update(translation.untranslated)
        coverage.statements.update(translation.statements)
    return coverage


def main(argv: list[str] | None = None) -> None:
    """Print how much of the column `report` of a table is translated."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("table", type=Path, help="ptbxl_database.csv, or any table with a column `report`")
    parser.add_argument("--top", type=int, default=40, help="untranslated words and statements to list")
    args = parser.parse_args(argv)
    with args.table.open(encoding="utf-8", newline="") as file:
        coverage = measure_coverage([row["report"] for row in csv.DictReader(file)])

    num_missing = coverage.untranslated.total()
    num_statements = coverage.statements.total()
    frequent = sum(count for _, count in coverage.statements.most_common(300))
    print(f"reports     {coverage.num_reports}, {coverage.num_complete / coverage.num_reports:.2%} complete")
    print(f"words       {coverage.num_words}, {1 - num_missing / coverage.num_words:.3%} translated")
    print(f"statements  {num_statements}, {len(coverage.statements)} distinct")
    print(f"            the 300 commonest are {frequent / num_statements:.1%} of all")
    print("untranslated", ", ".join(f"{word} {count}" for word, count in coverage.untranslated.most_common(args.top)))
    for statement, count in coverage.statements.most_common(args.top):
        print(f"{count:6d} {statement}")


if __name__ == "__main__":
    main()
