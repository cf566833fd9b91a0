"""Remove held-out findings from the training texts."""

import logging
import re
from collections.abc import Sequence

from etp.options import OptionError

logger = logging.getLogger(__name__)


def check_patterns(patterns: Sequence[str]) -> None:
    """Refuse what is not a regular expression, or would match every text.

    Raises:
        OptionError: Names the pattern.
    """
    for pattern in patterns:
        try:
            matches_empty_text = re.search(pattern, "") is not None
        except re.error as error:
            raise OptionError(f"--held_out_findings: {pattern!r} is not a regular expression: {error}.") from error
        if matches_empty_text:
            raise OptionError(
                f"--held_out_findings: {pattern!r} matches the empty text, so nothing would be left to train on."
            )


def compile_finding(pattern: str) -> re.Pattern:
    """What finds a pattern from word to word, whatever the case."""
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)


def without_finding(
    statements: Sequence[Sequence[str]], patterns: Sequence[str], *, must_match: bool
) -> list[list[str]]:
    """The statements of each record but those that name a finding.

    A statement names it if one of the patterns matches, from word to word and whatever the case, the statement, what
    follows from it with less detail, or a paraphrase of either: no text that training makes of the rest names it
    (descriptions and rare terms that do, `StatementVocabulary` leaves out). Negations name a finding too.

    Args:
        patterns: Regular expressions.
        must_match: Whether every pattern has to leave something out.

    Raises:
        OptionError: A pattern that matches nothing, where it must.
    """
    from etp.texts.training_texts import training_texts  # brings torch, which checking options doesn't need

    compiled = {pattern: compile_finding(pattern) for pattern in patterns}
    texts = {
        own: training_texts([[own]], of_terms=False)
        for own in dict.fromkeys(text for record in statements for text in record)
    }
    found = {
        pattern: {own for own, made in texts.items() if any(regex.search(text) for text in made)}
        for pattern, regex in compiled.items()
    }
    if must_match and (idle := [pattern for pattern, own in found.items() if not own]):
        raise OptionError(
            f"--held_out_findings {idle[0]!r} matches none of the {len(texts)} distinct statements, so nothing is left out. "
            "Statements are English, such as 'atrial fibrillation'; `python -m datasets_scripts.ptb_xl_reports` shows them."
        )
    gone = set().union(*found.values())
    kept = [[text for text in record if text not in gone] for record in statements]
    logger.info(
        "--held_out_findings: %d of %d distinct statements are left out, from %d of %d records.",
        len(gone),
        len(texts),
        sum(len(after) < len(before) for before, after in zip(statements, kept, strict=True)),
        len(statements),
    )
    return kept
