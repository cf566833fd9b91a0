"""A tiny model behind the page."""

import pytest

from etp.app.interface import Handlers
from etp.app.scorer import EcgScorer
from etp.loading import Checkpoint, load_checkpoint


@pytest.fixture(scope="session")
def checkpoint(checkpoint_dir) -> Checkpoint:
    return load_checkpoint(checkpoint_dir)


@pytest.fixture(scope="session")
def handlers(checkpoint) -> Handlers:
    return Handlers(EcgScorer(checkpoint))
