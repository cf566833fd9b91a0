"""Reports of PTB-XL, German, English or Swedish, to lists of single English statements."""

import argparse
import collections
import csv
import functools
import re
from dataclasses import dataclass
from pathlib import Path

from .report_glossary import fold, longest_phrase, tokenize
from .report_grammar import Assembler
from .report_leads import lead_list

#: From here on a report holds SCP codes with likelihoods: the labels, which no text may carry.
LABEL_TEXT = re.compile(r"\bedit:.*", re.IGNORECASE | re.DOTALL)
#: Software version and "unconfirmed report" as carts print them, cut off anywhere by the length of the field.
DEVICE_TEXT = re.compile(r"\s4\.46(\s.*|$)|\s{6,}(unb\w*.*|!\s*)?$", re.DOTALL)
#: Length of the field that reports were cut to, in the middle of a word if need be.
FIELD_LENGTH = 255
#: "qsiii", "tnegv": a wave and its lead written as one word.
WAVE_AND_LEAD = re.compile(r"\b(qs|qrs|qr|q|rsr|rs|r|st|tneg|t|s)(i{1,3}|av[rlf]|v(?=\d))(?![^\W\d_])")
SWEDISH = re.compile(r"rytm|axel\b|foermak|extraslag|kammar|skaenkel|saasom|normalt|vaenster")
#: Swedish "i avl" is "in aVL", not the leads I and aVL; "block i" and "och i" are lead and grade there too.
SWEDISH_IN = re.compile(r"(?<!block)(?<!och)(?<!samt)(?<!,) i (?=[a-z])")


@dataclass(frozen=True)
class Translation:
    """English statements of one report, and the words that no table knows among its `num_words`."""

    statements: tuple[str, ...]
    untranslated: tuple[str, ...]
    num_words: int


def report_statements(report: str) -> list[str]:
    """Translate a report to English statements, in the order of the report.

    Label text (`Edit: NORM 100, (NORM 100)`), device text, recommendations and a last word that the length of the
    field cut off are left out; a report of nothing else gives an empty list. The result depends on nothing but `report` and the tables in `glossary/`.
    """
    return list(translate(report).statements)


@functools.lru_cache(maxsize=16_384)
def translate(report: str) -> Translation:
    """Translate a report, and say which of its words no table knows; the statements leave those out."""
    tokens = report_tokens(report)
    assembler, untranslated = Assembler(), []
    position = 0
    while position < len(tokens):
        leads, after_leads = lead_list(tokens, position)
        phrase, after_phrase = longest_phrase(tokens, position)
        if phrase and after_phrase >= after_leads:
            assembler.add(phrase)
            position = after_phrase
        elif leads:
            assembler.add_leads(leads)
            position = after_leads
        else:
            is_cut_off = position == len(tokens) - 1 and len(LABEL_TEXT.sub("", report)) >= FIELD_LENGTH
            if tokens[position].isalpha() and not is_cut_off:
                untranslated.append(tokens[position])
            position += 1
    num_words = sum(token.isalpha() for token in tokens)
    return Translation(tuple(assembler.sentences()), tuple(untranslated), num_words)


def report_tokens(report: str) -> list[str]:
    """Cut label and device text off and split the rest into folded, correctly spelled words, numbers and marks."""
    text = fold(DEVICE_TEXT.sub("", LABEL_TEXT.sub("", report).lower()))
    text = WAVE_AND_LEAD.sub(r"\1 \2", text)
    if SWEDISH.search(text):
        text = SWEDISH_IN.sub(" in ", text)
    return tokenize(text)


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
