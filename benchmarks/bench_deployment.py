"""python benchmarks/bench_deployment.py --model DIR [--exports DIR] [--threads 1] [--repeats 7] [--data_dir PTB_XL]

What it takes to embed ECGs and texts on a CPU with PyTorch, a torch.export program and ONNX Runtime, side by side:
milliseconds for one, items per second in batches of 64. The sides take turns and the fastest run of each counts, because
other work on the machine only slows them. With --data_dir also int8 with constants fitted on training ECGs (a next run
finds it in --exports), and the zero-shot macro AUROC of every side on the validation fold. `--repeats 0` measures no
time. Prints one JSON line.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from etp.archives import open_archive
from etp.arrow_batches import read_signals
from etp.evaluation.prompts import load_prompts
from etp.export import TextEmbedder, export_checkpoint, open_program, towers_of
from etp.loading import Checkpoint, load_checkpoint
from etp.scoring.labels import label_targets
from etp.scoring.metrics import ranking_metrics
from modeling_etp.ecg_microvolts_etp import to_millivolts
from modeling_etp.zero_shot_etp import LabelEmbeddings, label_logits

BATCH_SIZE = 64
CALIBRATION_ECGS = 256
REPORT = "sinus rhythm, left axis deviation, incomplete right bundle branch block, non-specific T wave changes"
EXACT = "torch_float32"

Arrays = tuple[np.ndarray, ...]
Side = Callable[[Arrays], np.ndarray]


def main(argv: list[str] | None = None) -> None:
    """Export the model unless that is done, run every side, print the table."""
    args = parse_arguments(argv)
    torch.set_num_threads(args.threads)
    checkpoint = load_checkpoint(args.model)
    result = {
        "benchmark": "deployment",
        "machine": platform.processor() or platform.machine(),
        "threads": args.threads,
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "checkpoint_sha256": checkpoint.weights_sha256,
        "batch_size": BATCH_SIZE,
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.exports or Path(temporary)
        for format in ("onnx", "torch"):
            if not (folder / format).is_dir():
                export_checkpoint(checkpoint, folder / format, format=format)
        archive = open_archive("ptb_xl", args.data_dir, cache_dir=args.cache_dir) if args.data_dir else None
        training = None if archive is None else read_inputs(checkpoint, archive["train"], CALIBRATION_ECGS)
        sides = {tower.name: open_sides(tower, folder, args.threads, training) for tower in towers_of(checkpoint)}
        for tower in towers_of(checkpoint):
            inputs = inputs_of(tower, checkpoint.processor)
            result[tower.name] = {name: {} for name in sides[tower.name]}
            for name, figures in measure(sides[tower.name], inputs, args.repeats).items():
                result[tower.name][name] |= figures
            for name, cosine in least_cosines(sides[tower.name], inputs).items():
                result[tower.name][name]["least_cosine"] = cosine
        if archive is not None:
            result["macro_auroc_of_validation"] = evaluate(checkpoint, archive["validation"], sides)
    print(json.dumps(result))


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a checkpoint")
    parser.add_argument("--exports", type=Path, metavar="DIR", help="keeps what is exported for a next run")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each side, of which the fastest counts")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of every side")
    parser.add_argument("--data_dir", type=Path, metavar="PTB_XL", help="the unpacked archive")
    parser.add_argument("--cache_dir", type=Path, help="where prepared archives are kept")
    return parser.parse_args(argv)


def inputs_of(tower, processor) -> Arrays:
    """A batch: noise of the size of an ECG, or one report of usual length again and again."""
    if isinstance(tower, TextEmbedder):
        tokens = processor.tokenizer([REPORT] * BATCH_SIZE, return_tensors="np")
        return tokens["input_ids"], tokens["attention_mask"]
    return (tower.inputs(BATCH_SIZE, seed=0)["input_values"].numpy(),)


def read_inputs(checkpoint: Checkpoint, dataset, count: int | None = None) -> np.ndarray:
    """`input_values` of the records of a data set, or of `count` of them spread over it."""
    rows = np.linspace(0, len(dataset) - 1, count or len(dataset)).astype(int)
    signals = to_millivolts(np.asarray(read_signals(dataset, rows)))
    rate = float(dataset[0]["sampling_rate"])
    return checkpoint.processor.feature_extractor(signals, sampling_rate=rate, return_tensors="np")["input_values"]


def open_sides(tower, folder: Path, threads: int, training: np.ndarray | None) -> dict[str, Side]:
    """Name -> function from arrays to unit vectors."""

    def eager(inputs: Arrays, bf16: bool = False) -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return tower(*map(torch.from_numpy, inputs)).float().numpy()

    onnx_path = folder / "onnx" / f"{tower.name}.onnx"
    sides: dict[str, Side] = {
        EXACT: eager,
        "torch_bfloat16": lambda inputs: eager(inputs, bf16=True),
        "torch_export_float32": open_program(folder / "torch" / f"{tower.name}.pt2"),
        "onnx_float32": open_session(onnx_path, threads),
        "onnx_int8_dynamic": open_session(quantise(onnx_path), threads),
    }
    static = onnx_path.with_suffix(".static.onnx")
    if training is not None and not isinstance(tower, TextEmbedder):
        quantise_with_constants(onnx_path, static, training)
    if static.exists():
        sides["onnx_int8_static"] = open_session(static, threads)
    return sides


def open_session(path: Path, threads: int) -> Side:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))[0]


def quantise(path: Path) -> Path:
    """Weights in int8, activations quantised as they come; what is no matrix product or convolution stays float32."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = path.with_suffix(".int8.onnx")
    if not target.exists():
        quantize_dynamic(path, target, weight_type=QuantType.QInt8)
    return target


def quantise_with_constants(path: Path, target: Path, training: np.ndarray) -> None:
    """Weights per channel and activations in int8, the scale of each activation taken from training ECGs."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Batches(CalibrationDataReader):
        def __init__(self):
            self.batches = iter(np.split(training, len(training) // BATCH_SIZE))

        def get_next(self):
            batch = next(self.batches, None)
            return None if batch is None else {"input_values": batch}

    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
    quantize_static(path, target, Batches(), quant_format=QuantFormat.QDQ, **types)


def measure(sides: Mapping[str, Side], inputs: Arrays, repeats: int) -> dict[str, dict]:
    """Milliseconds of one item and items per second of a batch, per side; nothing without repeats."""
    if not repeats:
        return {}
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


def seconds(run: Side, inputs: Arrays) -> float:
    start = time.perf_counter()
    run(inputs)
    return time.perf_counter() - start


def least_cosines(sides: Mapping[str, Side], inputs: Arrays) -> dict[str, float]:
    """How far each side turns the vectors of the model."""
    exact = sides[EXACT](inputs)
    return {name: round(float((exact * run(inputs)).sum(axis=1).min()), 5) for name, run in sides.items()}


def evaluate(checkpoint: Checkpoint, dataset, sides: Mapping[str, Mapping[str, Side]]) -> dict[str, dict[str, float]]:
    """Side -> task -> zero-shot macro AUROC; ECGs by that side and texts exact, or both in int8."""
    scale = checkpoint.model.get_logit_scale().item()
    input_values = read_inputs(checkpoint, dataset)
    starts = range(0, len(input_values), BATCH_SIZE)

    def embed(run: Side) -> torch.Tensor:
        parts = [run((input_values[start : start + BATCH_SIZE],)) for start in starts]
        return torch.from_numpy(np.concatenate(parts))

    ecg_embeds = {name: embed(run) for name, run in sides["ecg_tower"].items()}
    pairs = {name: (embeds, sides["text_tower"][EXACT]) for name, embeds in ecg_embeds.items()}
    int8 = "onnx_int8_dynamic"
    pairs["texts_too_onnx_int8_dynamic"] = (ecg_embeds[int8], sides["text_tower"][int8])
    found: dict[str, dict[str, float]] = {name: {} for name in pairs}
    for prompts in load_prompts("ptb_xl"):
        targets, labelled = label_targets(dataset, prompts.column, prompts.labels)
        phrases = {tower: embed_phrases(tower, checkpoint, prompts.phrases) for _, tower in pairs.values()}
        for name, (embeds, text_tower) in pairs.items():
            scores = label_logits(embeds, phrases[text_tower], scale).numpy()
            auroc = ranking_metrics(scores[labelled], targets[labelled])["auroc"]
            found[name][prompts.task] = round(float(np.nanmean(auroc)), 5)
    return found


def embed_phrases(text_tower: Side, checkpoint: Checkpoint, phrases: Mapping[str, tuple[str, ...]]) -> LabelEmbeddings:
    texts = [phrase for own in phrases.values() for phrase in own]
    tokens = checkpoint.processor.tokenizer(texts, padding=True, truncation=True, return_tensors="np")
    embeds = text_tower((tokens["input_ids"], tokens["attention_mask"]))
    index = [number for number, own in enumerate(phrases.values()) for _ in own]
    return LabelEmbeddings(tuple(phrases), torch.from_numpy(embeds), torch.tensor(index))


if __name__ == "__main__":
    main()
