"""Every text that training on given reports can show a model."""

from collections.abc import Iterable, Sequence

from .paraphrases import find_paraphrases
from .statement_vocabulary import StatementVocabulary

_ALL = 1_000_000


def training_texts(statements: Sequence[Iterable[str]], *, of_terms: bool = True) -> set[str]:
    """The statements of the records, what follows from them with less detail, and all paraphrases of both.

    Sentences around paraphrases are left out: sentence templates do not count as new paraphrases.

    Args:
        of_terms: Whether with what the tables say of terms whatever the records say: descriptions and rare terms.
    """
    rate = 1.0 if of_terms else 0.0
    vocabulary = StatementVocabulary(
        [list(record) for record in statements],
        generalise=True,
        hypernyms=True,
        paraphrase_rate=1.0,
        description_rate=rate,
        rare_term_rate=rate,
        seed=0,
    )
    return {
        *vocabulary.paraphrases(),
        *(text for own in vocabulary.statements for text in find_paraphrases(own, limit=_ALL)),
    }
