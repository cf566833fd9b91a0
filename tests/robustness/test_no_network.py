"""Whatever is not asked for by name is never looked for elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Sockets fail, names are not resolved, and the Hub is not told to be offline: nothing but good manners keeps it out.
BLOCKED = """
import socket, sys

def refuse(event, arguments):
    if event not in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        return
    address = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
    if isinstance(address, (str, bytes)) and event in ("socket.connect", "socket.sendto"):
        return  # a socket of this machine's file system, between processes
    if (address[0] if isinstance(address, tuple) else address) in ("127.0.0.1", "::1", "localhost", None):
        return  # this machine, as the app that asks whether it is up
    print("NETWORK", event, arguments[1:], file=sys.stderr, flush=True)
    raise OSError("the network is blocked")

sys.addaudithook(refuse)
"""

CODE = {
    "import": "import modeling_etp; modeling_etp.ETPModel; modeling_etp.ETPProcessor; import etp.archives, datasets_scripts.ptb_xl",
    "from_pretrained": "from modeling_etp import ETPModel, ETPProcessor; ETPModel.from_pretrained(M); ETPProcessor.from_pretrained(M)",
    "pipeline": """
import numpy as np, modeling_etp
from transformers import pipeline
ecg = np.random.default_rng(0).normal(0, 0.3, (12, 5000))
print(pipeline("zero-shot-ecg-classification", model=M)(ecg, sampling_rate=500, candidate_labels=["normal ecg", "atrial fibrillation"]))
""",
    "commands": """
import sys
from etp import cli
sys.exit(cli.main(["classify", E, "--model", M, "--labels", "normal ecg"]) or cli.main(["index", E, "--model", M, "-o", O]))
""",
    "app": """
from etp.app import main as app
from etp.app.arguments import AppArguments
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
args = AppArguments(model=M, port=port)
import gradio as gr
gr.Blocks.block_thread = lambda self: self.close()
app.serve(app.open_scorer(args), args, O)
""",
    "join": "from modeling_etp import ETPModel, ETPEcgConfig; ETPModel.from_ecg_text_pretrained(ETPEcgConfig(), T)",
}  # fmt: skip


def run_blocked(code: str, *, home: Path) -> subprocess.CompletedProcess:
    offline = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
    environment = {name: value for name, value in os.environ.items() if name not in offline}
    environment |= {"HF_HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280
    )


@pytest.mark.parametrize("what", CODE)
def test_local_work_stays_local(what, checkpoint_dir, text_folder, archive_dir, tmp_path):
    ecg = archive_dir / "records100/00000/00001_lr.hea"
    paths = {"M": checkpoint_dir, "T": text_folder, "E": ecg, "O": tmp_path / "made"}
    names = "".join(f"{name} = {str(path)!r}\n" for name, path in paths.items())
    done = run_blocked(names + CODE[what], home=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "NETWORK" not in done.stderr


def test_the_block_notices_a_download(tmp_path):
    done = run_blocked("from modeling_etp import ETPModel; ETPModel.from_pretrained('nobody/nothing')", home=tmp_path)
    assert done.returncode != 0
    assert "NETWORK" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_training_and_evaluation_of_local_data_stay_local(checkpoint_dir, text_folder, archive_dir, tmp_path):
    train = ["--data_dir", archive_dir, "--text_model", text_folder, "--output_dir", tmp_path / "run", "--cache_dir"]
    train += [tmp_path / "arrow", "--feature_cache", tmp_path / "texts", "--num_epochs", "1", "--batch_size", "32"]
    train += "--ecg_config hidden_sizes=[8,8] depths=[1,1] kernel_sizes=[7,5] --model_config projection_dim=16 --precision fp32".split()
    code = f"from etp.training import main as train; raise SystemExit(train.main({[str(word) for word in train]!r}))"
    done = run_blocked(code, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "NETWORK" not in done.stderr

    evaluate = ["--model", tmp_path / "run", "--data_dir", archive_dir, "--output", tmp_path / "results.json"]
    evaluate += ["--cache_dir", tmp_path / "arrow", "--num_resamples", "20", "--tasks", "superclass"]
    words = [str(word) for word in ["evaluate_zeroshot.py", *evaluate]]
    code = f"import runpy, sys; sys.argv = {words!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    done = run_blocked(code, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "NETWORK" not in done.stderr
