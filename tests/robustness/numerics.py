"""Embeddings and AUROC of a checkpoint under number types, amplitudes, dead leads and lengths it was not trained on.

PYTHONPATH=. python tests/robustness/numerics.py build/etp-ptb-xl data/ptb-xl [types] [amplitudes] [leads] [lengths]
"""

import copy
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from etp.archives import open_archive
from etp.arrow_batches import read_signals
from etp.evaluation.prompts import PromptOptions, load_prompts, score_labels
from etp.scoring.labels import label_targets
from etp.scoring.metrics import macro, ranking_metrics
from modeling_etp.ecg_microvolts_etp import to_millivolts
from modeling_etp.modeling_etp import ETPModel
from modeling_etp.processing_etp import ETPProcessor

RATE = 100
BATCH = 64
FEW = 256  # records of the tables of amplitudes and dead leads
LABELS = ["normal ECG", "atrial fibrillation"]


def main(model_folder: str, data_dir: str, *tests: str) -> None:
    if not tests or set(tests) - {"lengths"}:
        model = ETPModel.from_pretrained(model_folder, dtype="float32").eval()
        processor = ETPProcessor.from_pretrained(model_folder)
        dataset = open_archive("ptb_xl", Path(data_dir))["validation"]
        ecgs = np.stack([to_millivolts(signal) for signal in read_signals(dataset, np.arange(len(dataset)))])
        embed = Embedder(model, processor)
        if not tests or "types" in tests:
            compare_types(model, processor, dataset, ecgs, embed)
        few, reference = ecgs[:FEW], embed(ecgs[:FEW])
        if not tests or "amplitudes" in tests:
            for scale in (1e-3, 0.02, 0.1, 0.5, 2, 5, 10, 100, 1000):
                show(test="amplitude", factor=scale, **one_by_one(embed, few * np.float32(scale), reference))
        if not tests or "leads" in tests:
            for constant in (0.0, 2.5):
                for dead in (1, 3, 6, 11, 12):
                    changed = few.copy()
                    changed[:, 12 - dead :] = constant
                    show(test="constant leads", value=constant, leads=dead, **one_by_one(embed, changed, reference))
    if not tests or "lengths" in tests:
        for rate in (100, 500):
            for seconds in (1, 10, 3600, 86_400):
                show(
                    test="length", rate=rate, seconds=seconds, **in_process(classify_long, model_folder, seconds, rate)
                )


def compare_types(model: ETPModel, processor: ETPProcessor, dataset, ecgs: np.ndarray, embed: "Embedder") -> None:
    reference = embed(ecgs)
    show(test="float32", records=len(ecgs), auroc=aurocs(model, processor, dataset, reference))
    variants = {
        "bfloat16 autocast": lambda: embed(ecgs, autocast=True),
        "bfloat16 weights": lambda: Embedder(copy.deepcopy(model).to(torch.bfloat16), processor)(ecgs),
        "float16 signals": lambda: embed(ecgs.astype(np.float16)),
        "int16 µV signals": lambda: embed(np.round(ecgs * 1000).astype(np.int16), units="uV"),
    }
    for name, variant in variants.items():
        embeds = variant()
        show(test=name, **cosines(embeds, reference), auroc=aurocs(model, processor, dataset, embeds))


def show(**row) -> None:
    print(json.dumps(row), flush=True)


class Embedder:
    """ECGs in, unit vectors in float32 out."""

    def __init__(self, model: ETPModel, processor: ETPProcessor):
        self.model, self.extractor = model, processor.feature_extractor

    def __call__(self, ecgs: np.ndarray, *, autocast: bool = False, units: str = "mV") -> Tensor:
        parts = []
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            for start in range(0, len(ecgs), BATCH):
                values = self.extractor(
                    ecgs[start : start + BATCH], sampling_rate=RATE, units=units, return_tensors="pt"
                )["input_values"]
                parts.append(self.model.get_ecg_features(values.to(self.model.dtype)).pooler_output.float())
        return torch.cat(parts)


def one_by_one(embed: Embedder, ecgs: np.ndarray, reference: Tensor) -> dict:
    """Records that are refused, and the cosine of the others with what they were unchanged."""
    kept, embeds = [], []
    for index, ecg in enumerate(ecgs):
        try:
            embeds.append(embed(ecg[None]))
        except ValueError:
            continue
        kept.append(index)
    refused = {"refused": len(ecgs) - len(kept)}
    return refused | (cosines(torch.cat(embeds), reference[kept]) if kept else {})


def cosines(embeds: Tensor, reference: Tensor) -> dict:
    cosine = F.cosine_similarity(embeds.double(), reference.double(), dim=-1)
    return {
        "finite": bool(embeds.isfinite().all()),
        "lowest_cosine": round(cosine.min().item(), 6),
        "median_cosine": round(cosine.median().item(), 6),
    }


def aurocs(model: ETPModel, processor: ETPProcessor, dataset, embeds: Tensor) -> dict[str, float]:
    """Zero-shot macro AUROC of each task, percent."""
    figures = {}
    for prompt in load_prompts("ptb_xl"):
        targets, labelled = label_targets(dataset, prompt.column, prompt.labels)
        scores = score_labels(model, processor.tokenizer, prompt, F.normalize(embeds, dim=-1), PromptOptions())
        values = ranking_metrics(scores.numpy()[labelled], targets[labelled])["auroc"]
        figures[prompt.task] = round(100 * float(macro(values)[0]), 2)
    return figures


def classify_long(model_folder: str, seconds: int, rate: int) -> dict:
    """Scores of one recording of `seconds`, and the memory (MB) that it took beside model and signal."""
    from transformers import pipeline

    classifier = pipeline("zero-shot-ecg-classification", model=model_folder)
    beats = np.random.default_rng(0).normal(0, 0.3, (12, rate * min(seconds, 10))).astype(np.float32)
    classifier(beats, LABELS, sampling_rate=rate)
    ecg = np.tile(beats, (1, -(-seconds // 10)))
    before, start = peak_mb(), time.process_time()
    scores = classifier(ecg, LABELS, sampling_rate=rate)
    spent = time.process_time() - start
    return {
        "finite": bool(np.isfinite([entry["score"] for entry in scores]).all()),
        "signal_mb": round(ecg.nbytes / 2**20),
        "more_mb": round(peak_mb() - before),
        "cpu_seconds": round(spent, 1),
    }


def in_process(function: Callable[..., dict], *arguments) -> dict:
    """Call it in a process of its own, whose peak of memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
