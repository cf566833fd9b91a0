"""Texts of a training whose end the text tower doesn't read."""

import logging
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from modeling_etp.text_limits_etp import cut_texts

logger = logging.getLogger(__name__)


class CutTexts:
    """Counts texts that are longer than the text tower reads, and says so once for each number.

    Args:
        tokenizer: Of the text tower; its `model_max_length` is what is read.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self._tokenizer = tokenizer
        self._seen: set[str] = set()
        self._cut = 0

    def count(self, texts: Sequence[str]) -> None:
        """Log a line if there are new texts that are cut; of texts that were counted before nothing is said."""
        new = [text for text in dict.fromkeys(texts) if text not in self._seen]
        self._seen.update(new)
        most = self._tokenizer.model_max_length
        cut = cut_texts(self._tokenizer, new, most)
        if cut:
            self._cut += len(cut)
            logger.warning(
                "Of %d of %d texts only the first %d tokens are read, the rest is cut off; the longest has %d. Put "
                "into the text what matters first, or take a text tower that reads more.",
                self._cut,
                len(self._seen),
                most,
                max(cut.values()),
            )
