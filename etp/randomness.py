"""Randomness as a function of (seed, purpose, epoch, step), so that nothing about it has to be saved or shared.

Every process and every resumed run draws the same numbers, whatever was drawn before.
"""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What is drawn; each purpose has a stream of its own."""

    ORDER = 1
    TEXT_VIEWS = 2
    AUGMENTATION = 3
    DROPOUT = 4
    WEIGHTS = 5
    PARAPHRASES = 6
    NEGATIONS = 7
    TERM_VIEWS = 8
    BESIDE = 9
    PATIENTS = 10


def generator(seed: int, purpose: Purpose, *position: int) -> np.random.Generator:
    """The generator of one purpose at one position, e.g. an epoch, or an epoch and a step."""
    return np.random.default_rng([seed, int(purpose), *position])


def seed_torch(seed: int, purpose: Purpose, *position: int) -> None:
    """Seed torch's global generators, which dropout and weight initialisation draw from."""
    state = np.random.SeedSequence([seed, int(purpose), *position]).generate_state(1, dtype=np.uint64)
    torch.manual_seed(int(state[0]))
