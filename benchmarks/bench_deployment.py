"""python benchmarks/bench_deployment.py --model DIR [--repeats 7] [--threads 1] [--int8]

What it takes to embed ECGs and texts on a CPU with PyTorch, a torch.export program and ONNX Runtime, float32 side by
side: milliseconds for one, items per second in batches of 64. With --int8 also ONNX Runtime's dynamic quantisation, and
how far it turns the vectors. The sides take turns and the fastest run of each counts, because other work on the machine
only slows them. Prints one JSON line.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from etp.evaluation.checkpoints import load_checkpoint
from etp.export import TextEmbedder, export_checkpoint, open_program, towers_of

BATCH_SIZE = 64
REPORT = "sinus rhythm, left axis deviation, incomplete right bundle branch block, non-specific T wave changes"


def main(argv: list[str] | None = None) -> None:
    """Export the model, run every side, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a checkpoint")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each side, of which the fastest counts")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of every side")
    parser.add_argument("--int8", action="store_true", help="also ONNX Runtime's dynamic int8 quantisation")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    checkpoint = load_checkpoint(args.model)
    result = {
        "benchmark": "deployment",
        "machine": platform.processor() or platform.machine(),
        "threads": args.threads,
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "checkpoint_sha256": checkpoint.sha256,
        "batch_size": BATCH_SIZE,
    }
    with tempfile.TemporaryDirectory() as folder:
        for format in ("onnx", "torch"):
            export_checkpoint(checkpoint, Path(folder, format), format=format)
        for tower in towers_of(checkpoint):
            inputs = inputs_of(tower, checkpoint.processor)
            sides = open_sides(tower, Path(folder), args)
            result[tower.name] = measure(sides, inputs, args.repeats)
            if args.int8:
                result[tower.name]["onnx_int8"] |= turned_by(sides["onnx_float32"], sides["onnx_int8"], inputs)
    print(json.dumps(result))


def inputs_of(tower, processor) -> tuple[np.ndarray, ...]:
    """A batch: noise of the size of an ECG, or one report of usual length again and again."""
    if isinstance(tower, TextEmbedder):
        tokens = processor.tokenizer([REPORT] * BATCH_SIZE, return_tensors="np")
        return tokens["input_ids"], tokens["attention_mask"]
    return (tower.inputs(BATCH_SIZE, seed=0)["input_values"].numpy(),)


def open_sides(tower, folder: Path, args: argparse.Namespace) -> dict[str, Callable]:
    """Name -> function from arrays to unit vectors."""

    def eager(inputs):
        with torch.inference_mode():
            return tower(*map(torch.from_numpy, inputs)).numpy()

    onnx_path = folder / "onnx" / f"{tower.name}.onnx"
    sides = {
        "torch_float32": eager,
        "torch_export_float32": open_program(folder / "torch" / f"{tower.name}.pt2"),
        "onnx_float32": open_session(onnx_path, args.threads),
    }
    if args.int8:
        sides["onnx_int8"] = open_session(quantise(onnx_path), args.threads)
    return sides


def open_session(path: Path, threads: int) -> Callable:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))[0]


def quantise(path: Path) -> Path:
    """Weights in int8, activations quantised as they come; what is no matrix product or convolution stays float32."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = path.with_suffix(".int8.onnx")
    quantize_dynamic(path, target, weight_type=QuantType.QInt8)
    return target


def measure(sides: dict[str, Callable], inputs: tuple[np.ndarray, ...], repeats: int) -> dict[str, dict]:
    """Milliseconds of one item and items per second of a batch, per side."""
    one = tuple(values[:1] for values in inputs)
    single: dict[str, list[float]] = {name: [] for name in sides}
    batch: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, run in sides.items():
            times = [seconds(run, one) for _ in range(5)], [seconds(run, inputs)]
            if turn:  # the first warms up
                single[name] += times[0]
                batch[name] += times[1]
    return {
        name: {
            "single_ms": round(1e3 * min(single[name]), 2),
            "items_per_s": round(BATCH_SIZE / min(batch[name]), 1),
        }
        for name in sides
    }


def seconds(run: Callable, inputs: tuple[np.ndarray, ...]) -> float:
    start = time.perf_counter()
    run(inputs)
    return time.perf_counter() - start


def turned_by(exact: Callable, quantised: Callable, inputs: tuple[np.ndarray, ...]) -> dict[str, float]:
    """Least cosine between a float32 vector and its int8 counterpart."""
    return {"least_cosine": round(float((exact(inputs) * quantised(inputs)).sum(axis=1).min()), 4)}


if __name__ == "__main__":
    main()
