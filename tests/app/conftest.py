"""A tiny model behind the page."""

from pathlib import Path

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


@pytest.fixture
def uploads(tmp_path, monkeypatch) -> Path:
    """The folder of uploads, as the server has it."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    return tmp_path / "uploads"


@pytest.fixture
def upload(uploads):
    """Files as an upload leaves them, each in a folder of its own; returns their paths."""

    def upload(files: dict[str, bytes]) -> list[str]:
        paths = []
        for number, (name, content) in enumerate(files.items()):
            folder = uploads / str(number)
            folder.mkdir(parents=True)
            (folder / name).write_bytes(content)
            paths.append(str(folder / name))
        return paths

    return upload
