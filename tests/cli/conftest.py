"""ECG files of several kinds, good and bad, and the command run in this process."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from etp import cli


@pytest.fixture(scope="session")
def ecg_folder(archive_dir, tmp_path_factory) -> Path:
    """Four WFDB records and, deeper, one .npy file; a README beside them is no ECG."""
    folder = tmp_path_factory.mktemp("ecgs")
    for header in sorted(archive_dir.rglob("0000[1-4]_lr.hea")):
        for suffix in (".hea", ".dat"):
            shutil.copy(header.with_suffix(suffix), folder)
    (folder / "deeper").mkdir()
    np.save(folder / "deeper" / "noise.npy", np.random.default_rng(0).normal(size=(12, 1000)).astype(np.float32))
    (folder / "README").write_text("no ECG")
    return folder


@pytest.fixture
def bad_files(tmp_path) -> list[Path]:
    """A file that is no ECG, a truncated one, and one whose values only the feature extractor refuses."""
    words, cut, flat = tmp_path / "words.edf", tmp_path / "cut.npy", tmp_path / "flat.npy"
    words.write_bytes(bytes(range(256)))
    np.save(cut, np.ones((12, 1000), np.float32))
    cut.write_bytes(cut.read_bytes()[:-100])
    np.save(flat, np.zeros((12, 1000), np.float32))
    return [words, cut, flat]


@pytest.fixture
def etp(capsys):
    """Run a command line; returns exit status, stdout and stderr."""

    def run(*argv: object) -> tuple[int, str, str]:
        try:
            status = cli.main([str(word) for word in argv])
        except SystemExit as stop:  # argparse
            status = stop.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
