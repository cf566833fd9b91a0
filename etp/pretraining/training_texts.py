"""Every text that a training on reports can show a model, whatever its options."""

from collections.abc import Iterable, Sequence

from .bank import StatementBank
from .wordings import paraphrases

_ALL = 1_000_000


def training_texts(statements: Sequence[Iterable[str]]) -> set[str]:
    """The statements of the records, what follows from them with less detail, and all other wordings of both.

    Sentences around wordings are left out: a wording in a sentence is no other wording.
    """
    bank = StatementBank([list(record) for record in statements], broader=True, umbrellas=True, rewording=1.0, seed=0)
    return {*bank.wordings(), *(text for own in bank.statements for text in paraphrases(own, limit=_ALL))}
