"""Lists of wordings joined by commas, as people write down all that they know for a finding."""

import zlib
from collections.abc import Sequence

import numpy as np

MAX_OWN, MAX_NARROWER = 4, 3


def make_lists(wordings: Sequence[str], narrower: Sequence[str], *, count: int, seed: int) -> list[str]:
    """`count` lists of up to `MAX_OWN` wordings of a statement and up to `MAX_NARROWER` narrower ones, in random order.

    A list of one is left out, so there may be fewer.
    """
    if not wordings:
        return []
    random = np.random.default_rng([seed, zlib.crc32(wordings[0].encode())])
    return list(dict.fromkeys(text for _ in range(count) if "," in (text := draw_list(wordings, narrower, random))))


def draw_list(wordings: Sequence[str], narrower: Sequence[str], random: np.random.Generator) -> str:
    """One list; at least one of the wordings is in it."""
    own = random.permutation(len(wordings))[: random.integers(1, MAX_OWN + 1)]
    others = random.permutation(len(narrower))[: random.integers(0, MAX_NARROWER + 1)]
    members = [*(wordings[index] for index in own), *(narrower[index] for index in others)]
    return ", ".join(dict.fromkeys(members[index] for index in random.permutation(len(members))))
