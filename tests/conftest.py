"""Options and fixtures that every part of the suite shares."""

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_server import ArchiveServer

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# The code of models and metrics is copied to a cache to be imported: a new one, which runs side by side don't share.
# Set here, because `transformers` reads it when it is first imported.
_hf_home = tempfile.TemporaryDirectory(prefix="etp-tests-")
os.environ["HF_HOME"] = _hf_home.name

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--data", type=Path, help="folder holding the restored archives ptb-xl/, cpsc2018/ …")
    parser.addoption("--fuzz-count", type=int, default=100, help="mutated inputs for each target")
    parser.addoption("--fuzz-seed", type=int, default=0, help="another seed makes other inputs")
    parser.addoption("--fuzz-seconds", type=float, default=float("inf"), help="stop a target after this time")


def pytest_unconfigure() -> None:
    _hf_home.cleanup()


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command writes on stderr is the same however slow this machine is."""
    from etp import progress

    monkeypatch.setattr(progress, "QUIET_SECONDS", float("inf"))
    monkeypatch.setattr(progress, "LINE_SECONDS", float("inf"))


@pytest.fixture(scope="session")
def data_root(pytestconfig: pytest.Config) -> Path:
    """Folder of the real archives; tests that use it are marked `real_data`."""
    root = pytestconfig.getoption("--data")
    if root is None:
        pytest.skip("needs the real archives: pytest -m real_data --data=DIR")
    return root


@pytest.fixture(scope="session")
def checkpoint_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model of random weights with its processor."""
    import torch
    from transformers import BertConfig

    from modeling_etp.configuration_etp import ETPConfig, ETPEcgConfig
    from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
    from modeling_etp.modeling_etp import ETPModel
    from modeling_etp.processing_etp import ETPProcessor

    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    tokenizer = _tokenizer(tmp_path_factory.mktemp("vocabulary"))
    text = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    ecg = ETPEcgConfig(hidden_sizes=(4, 8), depths=(1, 1), kernel_sizes=(3, 3))
    torch.manual_seed(7)
    model = ETPModel(ETPConfig(ecg_config=ecg, text_config=text, projection_dim=8, text_pooling="mean"))
    model.save_pretrained(folder)
    ETPProcessor(ETPFeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder


def _tokenizer(folder: Path):
    """A tokenizer that knows every word of the label sets."""
    from transformers import BertTokenizerFast

    from datasets_scripts.label_sets import LABEL_TASKS, load_label_set

    words = {
        word
        for task in LABEL_TASKS
        for phrases in load_label_set(task).values()
        for p in phrases
        for word in p.split()
    }
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        ".",
        ",",
        "-",
        *sorted({w.lower() for w in words} - {".", ",", "-"}),
    ]
    file = folder / "vocab.txt"
    file.write_text("\n".join(dict.fromkeys(vocabulary)), encoding="utf-8")
    return BertTokenizerFast(str(file), model_max_length=64)


@pytest.fixture(scope="session")
def archive_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 synthetic ECGs in PTB-XL's layout, 30 in each of the folds 9 (validation) and 10 (test)."""
    from datasets_scripts.synthetic import write_archive

    return write_archive(tmp_path_factory.mktemp("archive") / "ptb-xl", num_records=300, seed=0)


@pytest.fixture(scope="session")
def arrow_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the prepared archive is kept, so that it is prepared once."""
    return tmp_path_factory.mktemp("arrow")


@pytest.fixture
def serve() -> Iterator:
    """Start a loopback server of a folder; see `archive_server`."""
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
