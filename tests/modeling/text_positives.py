"""Positives by content, to try losses on: an ECG matches every text that says the same as one of its own."""

from torch import Tensor


def same_text_positives(ecg_text_ids: Tensor, text_ids: Tensor) -> Tensor:
    """Boolean `(ecgs, texts)` from text ids `(ecgs,)` or `(ecgs, k)`, where -1 is none, and `(texts,)`."""
    own_ids = ecg_text_ids.reshape(len(ecg_text_ids), -1, 1)
    return ((own_ids == text_ids) & (own_ids >= 0)).any(dim=1)
