"""Fine-tuning as its command does it, on small archives."""

from pathlib import Path

import pytest

from etp import cli


@pytest.fixture(scope="session")
def signals_cache(tmp_path_factory) -> Path:
    """Where prepared archives and signals are kept, so that they are prepared once."""
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture(scope="session")
def finetune(checkpoint_dir, archive_dir, signals_cache):
    """Run `etp finetune` on the tiny checkpoint; returns the exit status."""

    def finetune(output_dir: Path, *options, data_dir: Path = archive_dir, model: Path = checkpoint_dir) -> int:
        words = ["finetune", "--model", model, "--data_dir", data_dir, "--cache_dir", signals_cache]
        words += ["--output_dir", output_dir, "--num_epochs", 2, "--batch_size", 32, "--precision", "fp32"]
        words += [] if "--head_start" in options else ["--head_start", "random"]
        return cli.main([str(word) for word in [*words, *options]])

    return finetune


@pytest.fixture(scope="session")
def tuned(finetune, tmp_path_factory) -> Path:
    """A classifier of two tasks, all of whose weights were trained."""
    folder = tmp_path_factory.mktemp("tuned") / "classifier"
    assert finetune(folder, "--tasks", "superclass", "rhythm") == 0
    return folder
