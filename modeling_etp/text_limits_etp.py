"""How many tokens of a text the text tower reads, and which texts are longer."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .modeling_etp import ETPModel

_SHOWN_CHARACTERS = 80


def longest_text(model: "ETPModel", tokenizer: Any) -> int:
    """Tokens that tokenizer and text tower both take; a tokenizer that was saved without its limit says 10^30."""
    positions = getattr(model.config.text_config, "max_position_embeddings", None)
    return tokenizer.model_max_length if positions is None else min(tokenizer.model_max_length, positions)


def cut_texts(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> dict[str, int]:
    """The distinct texts that have more tokens than are read, and how many they have.

    For texts of a training, whose number is worth a line of its log, as for labels.

    Args:
        tokenizer: Of the text tower.
        texts: Any number of texts.
        max_tokens: What is read of a text, special tokens included; see [`longest_text`].
    """
    # A token has a byte at least, so most texts need no second look.
    special = tokenizer.num_special_tokens_to_add()
    long = [text for text in dict.fromkeys(texts) if len(text.encode(errors="replace")) + special > max_tokens]
    if not long:
        return {}
    tokens = tokenizer(long, truncation=False, padding=False, verbose=False)["input_ids"]
    return {text: len(own) for text, own in zip(long, tokens, strict=True) if len(own) > max_tokens}


def warn_of_cut_texts(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> None:
    """Warn, once for a text, that the end of texts is not read; names the first and counts the others."""
    cut = cut_texts(tokenizer, texts, max_tokens)
    if not cut:
        return
    text, tokens = next(iter(cut.items()))
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    others = f", and of {len(cut) - 1} more texts" if len(cut) > 1 else ""
    warnings.warn(
        f"of the text {shown!r} the first {max_tokens} of {tokens} tokens are read, the rest is cut off{others}. Two texts "
        "that differ only there score alike: say what matters first, or shorten it.",
        stacklevel=3,
    )


__all__ = ["cut_texts", "longest_text", "warn_of_cut_texts"]
