"""Fixtures of the archive builders' tests."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from small_archives import ArchiveServer, signal_of, write_challenge_record, write_original_record, write_ptb_xl


@pytest.fixture(autouse=True)
def quiet_datasets():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture(scope="session")
def ptb_xl_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written once, because wfdb takes its time; tests change copies of it."""
    return write_ptb_xl(tmp_path_factory.mktemp("template") / "ptb-xl")


@pytest.fixture
def ptb_xl(tmp_path: Path, ptb_xl_template: Path) -> Path:
    """Six records at 100 Hz in PTB-XL's layout: three for training, two for validation, one for test."""
    return Path(shutil.copytree(ptb_xl_template, tmp_path / "ptb-xl"))


@pytest.fixture
def cpsc2018(tmp_path: Path) -> Path:
    """Records of CPSC2018 in both forms, with all three ways to write labels."""
    root = tmp_path / "cpsc2018"
    challenge = root / "training" / "cpsc_2018"
    write_challenge_record(challenge / "g1", "A0001", signal_of(1, 3000), age="74", sex="Male", dx="59118001")
    write_challenge_record(challenge / "g1", "A0002", signal_of(2, 3500), age="NaN", sex="Female", dx="Normal")
    write_challenge_record(challenge / "g2", "A0015", signal_of(3, 3000), age="49", sex="Female", dx="AF,STD")
    write_original_record(root / "original", "A0025", signal_of(4, 4000), age=61, sex="Male")
    (root / "REFERENCE.csv").write_text(
        "Recording,First_label,Second_label,Third_label\nA0001,5,,\nA0002,1,,\nA0025,7,3,\nA0015,2,8,\n"
    )
    return root


@pytest.fixture
def serve() -> Iterator:
    """Start a server of a folder."""
    servers = []

    def start(root: Path) -> ArchiveServer:
        server = ArchiveServer(root)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
