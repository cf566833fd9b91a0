"""A tiny text tower, a small synthetic archive, and `train.py` run in this process or as a launched command."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel, BertTokenizerFast

from datasets_scripts.synthetic import write_archive
from etp.training import main as train

ROOT = Path(__file__).resolve().parents[2]
WORDS = (
    "sinus rhythm normal ecg atrial fibrillation left right bundle branch block premature ventricular supraventricular "
    "st depression elevation bradycardia tachycardia first degree av hypertrophy complete incomplete . , of with and"
).split()
TINY = (
    "--ecg_config hidden_sizes=[8,8] depths=[1,1] kernel_sizes=[7,5] --model_config projection_dim=16 "
    "--num_epochs 2 --batch_size 16 --log_every 1 --precision fp32 --num_threads 1"
).split()


@pytest.fixture(scope="session")
def text_tower(tmp_path_factory) -> Path:
    """A BERT of two layers with random weights and its tokenizer."""
    folder = tmp_path_factory.mktemp("text_tower")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(WORDS)]
    vocabulary += [*"abcdefghijklmnopqrstuvwxyz", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.5,  # enough for texts to differ
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    """80 records in PTB-XL's layout: 64 to train, 8 to validate, about."""
    return write_archive(tmp_path_factory.mktemp("archive") / "ptb-xl", num_records=80, seed=1)


@pytest.fixture(scope="session")
def common_options(archive, text_tower, tmp_path_factory) -> list[str]:
    """Options of a tiny run but its output folder; caches are shared by all tests."""
    cache = tmp_path_factory.mktemp("cache")
    paths = {"data_dir": archive, "cache_dir": cache, "feature_cache": cache / "texts", "text_model": text_tower}
    return [*TINY, *(word for name, path in paths.items() for word in (f"--{name}", str(path)))]


@pytest.fixture
def run(common_options):
    """Run `train.main` in this process; returns its exit code."""
    from accelerate.state import AcceleratorState, GradientState, PartialState

    def run(output_dir: Path, *options: str) -> int:
        for state in (AcceleratorState, GradientState, PartialState):
            state._reset_state()
        return train.main([*common_options, "--output_dir", str(output_dir), *options])

    return run


@pytest.fixture(scope="session")
def launch():
    """Start `accelerate launch SCRIPT ARGUMENTS` on CPUs and return the process, its output piped."""
    processes = []

    def launch(
        *command: str, num_processes: int = 1, machines: int = 1, launcher: Sequence[str] = (), own_group: bool = False
    ):
        options = ["--num_processes", str(num_processes), "--num_machines", str(machines)]
        options += ["--mixed_precision", "no", "--dynamo_backend", "no"]
        if "--config_file" not in launcher:
            options += ["--multi_gpu"] if num_processes > 1 else ["--cpu"]
        options += launcher or ["--main_process_port", "0"]
        environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-m", "accelerate.commands.launch", *options, *command],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=own_group,
        )
        processes.append(process)
        return process

    yield launch
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def launch_train(launch, common_options):
    """Start `accelerate launch train.py` on the tiny run."""

    def launch_train(output_dir: Path, *options: str, **launching) -> subprocess.Popen:
        return launch("train.py", *common_options, "--output_dir", str(output_dir), *options, **launching)

    return launch_train


@pytest.fixture
def assert_same_weights():
    """Compare what two runs saved."""

    def check(first: Path, second: Path, *, tolerance: float = 0.0) -> None:
        saved = [load_file(folder / "model.safetensors") for folder in (first, second)]
        torch.testing.assert_close(*saved, rtol=tolerance, atol=tolerance)

    return check
