"""Processes to kill and to run on full disks, and a text tower that trains in seconds."""

import os
from pathlib import Path

import pytest
from processes import ROOT, Processes


@pytest.fixture(scope="session")
def processes(tmp_path_factory) -> Processes:
    here = Path(__file__).parent
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, here, here.parent)))
    return Processes(tmp_path_factory.mktemp("printed"))


@pytest.fixture(scope="session")
def text_folder(checkpoint_dir, tmp_path_factory) -> Path:
    """The text tower of the tiny model with its tokenizer, as `--text_model` takes it."""
    from transformers import AutoTokenizer

    from modeling_etp.modeling_etp import ETPModel

    folder = tmp_path_factory.mktemp("text")
    ETPModel.from_pretrained(checkpoint_dir).text_model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(checkpoint_dir).save_pretrained(folder)
    return folder
