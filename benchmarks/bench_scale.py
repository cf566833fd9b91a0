"""How time and memory of a training's start and step grow with the archive: `python benchmarks/bench_scale.py 20000 200000`.

Synthetic records with reports as in MIMIC-IV-ECG: two to five of some thousand statements in skewed frequencies, and of
800,000 reports about 150,000 distinct ones.
For each size a fresh process measures, and prints as one JSON line, seconds of processor time to prepare the signals, to
start a second time, of one epoch's order and texts, and of one step's batch, and the peak of memory that is its own; then
one line gives the slopes on logarithmic axes, 1 where the work grows as the records do.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, List, Value

NUM_STATEMENTS = 4000
SAMPLES_AT_500_HZ = (
    500  # a second: the work per record is the same for any length, and a million of them fit on a disk
)
TEXT_HIDDEN = 384
BATCH_SIZE = 256
STEPS = 50


def _processor_seconds() -> float:
    """Of this process and of those it started and that ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in (own, children))


def _skewed(size: int, exponent: float) -> np.ndarray:
    weights = 1 / np.arange(1, size + 1) ** exponent
    return weights / weights.sum()


def write_archive(folder: Path, num_records: int) -> Dataset:
    """Rows as a builder makes them, on disk; written in parts, so that memory does not grow."""
    random = np.random.default_rng(0)
    statements = np.array([f"finding number {index} in the inferior leads" for index in range(NUM_STATEMENTS)])
    # A pool of a quarter as many reports, drawn from in skewed frequencies: about 0.19 of the records differ.
    reports = [
        statements[random.choice(NUM_STATEMENTS, size=random.integers(2, 6), p=_skewed(NUM_STATEMENTS, 1))].tolist()
        for _ in range(num_records // 4)
    ]
    drawn = random.choice(len(reports), size=num_records, p=_skewed(len(reports), 0.8))
    samples = (random.normal(size=(64, 12, SAMPLES_AT_500_HZ)).cumsum(axis=2) * 20).astype(np.int16)
    features = Features(
        {
            "record_id": Value("string"),
            "ecg": List(List(Value("int16"), length=SAMPLES_AT_500_HZ), length=12),
            "sampling_rate": Value("int32"),
            "statements": List(Value("string")),
        }
    )

    def parts():
        for start in range(0, num_records, 4096):
            size = min(4096, num_records - start)
            of_records = pa.array([reports[index] for index in drawn[start : start + size]], pa.list_(pa.string()))
            flat = pa.array(samples[np.arange(start, start + size) % len(samples)].ravel())
            ecg = pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(flat, SAMPLES_AT_500_HZ), 12)
            names = pa.array([f"s{record:08d}" for record in range(start, start + size)])
            columns = [names, ecg, pa.array(np.full(size, 500, np.int32)), of_records]
            yield pa.table(columns, schema=features.arrow_schema)

    folder.mkdir()
    path = folder / "rows.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, features.arrow_schema) as writer:
        for table in parts():
            writer.write_table(table)
    return Dataset.from_file(str(path))


def measure(dataset: Dataset, folder: Path) -> dict[str, Any]:
    """Seconds of processor time and megabytes of one process."""
    import torch

    from etp.texts.statement_vocabulary import StatementVocabulary
    from etp.training.arguments import DataArguments
    from etp.training.data.batches import BatchPlan
    from etp.training.data.records import load_split
    from etp.training.towers.text_cache import TextFeatures
    from modeling_etp.feature_extraction_etp import ETPFeatureExtractor

    args = DataArguments(cache_dir=folder, text_views={"report": 1})
    extractor = ETPFeatureExtractor(num_samples=100)
    seconds: dict[str, float] = {}

    def clock(name: str, started: float) -> None:
        seconds[name] = round(_processor_seconds() - started, 3)

    def load():
        return load_split(dataset, args, extractor, name="train", seed=0, device=torch.device("cpu"), progress=False)

    def encode(texts: list[str]) -> torch.Tensor:
        return torch.zeros(len(texts), TEXT_HIDDEN)

    started = _processor_seconds()
    split = load()
    clock("prepare", started)
    del split
    started = _processor_seconds()
    split = load()
    vocabulary = StatementVocabulary(split.statements, min_count=3, generalise=True, hypernyms=True, seed=0)
    plan = BatchPlan(len(split), BATCH_SIZE, True, 0)
    features = TextFeatures(encode, lambda texts: [len(text) for text in texts], fingerprint="tower", cache_dir=folder)
    features.add(split.views.text(key) for key in dict.fromkeys(split.views.reports()))
    clock("start", started)
    started = _processor_seconds()
    order, views = plan.order(1), split.views.draw(1)
    features.add(split.views.text(key) for key in dict.fromkeys(views))
    clock("epoch", started)
    started = _processor_seconds()
    for step in range(STEPS):
        records = plan.batch(order, step)
        keys = list(dict.fromkeys(views[record] for record in records))
        split.signals.batch(records)
        split.views.positives(records, keys)
        features.features[features.rows([split.views.text(key) for key in keys])]
        vocabulary.positives(records)
    clock("steps", started)
    own = int(
        next(line for line in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in line).split()[1]
    )
    return {
        "records": len(split),
        "texts": len(features.features),
        "statements": len(vocabulary),
        "seconds": seconds,
        "own_memory_mb": own >> 10,
        "peak_with_mapped_files_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def slopes(lines: list[dict[str, Any]]) -> dict[str, float]:
    """Growth between the smallest and the largest size on logarithmic axes."""
    first, last = lines[0], lines[-1]
    growth = np.log(last["records"] / first["records"])
    values = {name: (first["seconds"][name], last["seconds"][name]) for name in first["seconds"]}
    values["own_memory"] = (first["own_memory_mb"], last["own_memory_mb"])
    return {name: round(float(np.log(after / before) / growth), 3) for name, (before, after) in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="+", type=int, help="numbers of records")
    parser.add_argument("--folder", type=Path, help="where archives are written; a temporary folder if omitted")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        dataset = Dataset.from_file(str(options.folder / "archive" / "rows.arrow"))
        print(json.dumps(measure(dataset, options.folder)))
        return
    lines = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            write_archive(Path(folder) / "archive", size)
            command = [sys.executable, __file__, str(size), "--folder", folder, "--one"]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            lines.append(json.loads(output.splitlines()[-1]))
        print(json.dumps(lines[-1]), flush=True)
    if len(lines) > 1:
        print(json.dumps({"benchmark": "scale", "slopes": slopes(lines)}))


if __name__ == "__main__":
    main()
