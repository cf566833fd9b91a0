"""The work that is killed, starved of disk and run twice at once: each part of the package that writes, on small data."""

import hashlib
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

from processes import script

TRAINING = (
    "--num_epochs 3 --batch_size 16 --log_every 1 --checkpoint_every 2 --select_best loss --ema_decay 0.9 "
    "--precision fp32 --max_shift 0.1 --noise_mv 0.02 "
    "--ecg_config hidden_sizes=[8,8] depths=[1,1] kernel_sizes=[7,5] dropout=0.1 --model_config projection_dim=16"
).split()
TEXTS = [f"sinus rhythm number {number} {'with ' * (number % 7)}axis" for number in range(3000)]


def build(archive: Path, cache: Path) -> None:
    """Prepare the archive, whose records 3 and 30 are damaged, and leave those out."""
    from etp.archives import open_archive

    open_archive("ptb_xl", archive, cache_dir=cache, on_error="skip")


def download(url: str, folder: Path) -> None:
    from datasets_scripts import download

    download._FIRST_PAUSE = 0.01
    download.fetch_listed_files(url, folder, wanted=lambda path: True)


def embed_texts(text_model: Path, cache: Path) -> None:
    """Fill the cache of text features in 12 files; prints the hash of what is found there in the end."""
    import torch
    from transformers import AutoTokenizer, BertModel

    from etp.training.towers import text_cache

    text_cache.TEXTS_PER_FILE = 256
    tower, tokenizer = BertModel.from_pretrained(text_model).eval(), AutoTokenizer.from_pretrained(text_model)

    @torch.inference_mode()
    def encode(texts: list[str]) -> torch.Tensor:
        return tower(**tokenizer(texts, padding=True, return_tensors="pt")).pooler_output

    def lengths(texts: list[str]) -> list[int]:
        return [len(ids) for ids in tokenizer(texts)["input_ids"]]

    bank = text_cache.TextFeatures(encode, lengths, fingerprint="tower", cache_dir=cache)
    bank.add(TEXTS)
    print("features", hashlib.sha256(bank.features[bank.rows(TEXTS)].numpy().tobytes()).hexdigest())


def prepare(archive: Path, arrow: Path, store: Path) -> None:
    """Prepare the signals of the training split at the model's rate and length."""
    from etp.archives import open_archive
    from etp.prepared_signals import prepare_signals
    from modeling_etp.feature_extraction_etp import ETPFeatureExtractor

    rows = open_archive("ptb_xl", archive, cache_dir=arrow)["train"]
    prepare_signals(rows, ETPFeatureExtractor(), folder=store)


def train(archive: Path, text_model: Path, output: Path, caches: Path, *options: str) -> None:
    """Train, or go on training; `caches` holds the prepared archive and the features of texts."""
    paths = {"data_dir": archive, "text_model": text_model, "output_dir": output, "cache_dir": caches / "arrow"}
    words = [str(word) for name, path in paths.items() for word in (f"--{name}", path)]
    if "--feature_cache" not in options:
        words += ["--feature_cache", str(caches / "texts")]
    script("train.py", *words, *TRAINING, *options)


def evaluate(model: Path, archive: Path, output: Path, arrow: Path, embeddings: Path, *options: str) -> None:
    words = ["--model", model, "--data_dir", archive, "--output", output, "--cache_dir", arrow]
    words += ["--embedding_cache", embeddings, "--num_resamples", 50, "--tasks", "superclass", "subclass", "form"]
    script("evaluate_zeroshot.py", *words, *options)


def figures(results: Path) -> dict:
    """What an evaluation found, without when and by which command."""
    content = json.loads(results.read_text())
    return {name: value for name, value in content.items() if name not in ("command", "date", "commit")}


def files_in(folder: Path, *patterns: str) -> dict[str, bytes]:
    """Name below the folder -> content."""
    found = {path for pattern in patterns for path in folder.rglob(pattern) if path.is_file()}
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(found)}


def without_free_space_check(function: Callable, *arguments) -> None:
    """Let a training begin on a disk that is nearly full."""
    from etp.training import preflight

    preflight.FREE_BYTES = 0
    function(*arguments)


def with_jumping_clock(function: Callable, *arguments) -> None:
    """Let the wall clock jump by up to ten years, forth and back, whenever it is looked at."""
    import tqdm.std

    right, moments = time.time, random.Random(0)

    def wrong() -> float:
        return right() + moments.choice((0, 0, 1, -1)) * moments.uniform(0, 10 * 365 * 86_400)

    time.time = tqdm.std.time = wrong
    function(*arguments)
