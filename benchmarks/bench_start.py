"""Seconds from launch to the first step with warm caches, and peak memory: `python benchmarks/bench_start.py --data_dir PTB_XL`.

Prints one JSON line. The first run fills the caches of the archive and of the text features; the second is timed; the third
makes two steps of a large batch in chunks.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]


def launch(preset: Path, output_dir: Path, options: list[str]) -> tuple[float, list[dict]]:
    """Run `accelerate launch train.py`; seconds until its first step is in the metrics, and their lines."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "train.py", str(preset)]
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, "--output_dir", str(output_dir), "--log_every", "1", *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    metrics = output_dir / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.read_text()):
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    if process.wait():
        raise SystemExit(f"train.py failed; run it by hand: {' '.join(process.args)}")
    return seconds, [json.loads(line) for line in metrics.read_text().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True, help="unpacked PTB-XL")
    parser.add_argument("--preset", type=Path, default=ROOT / "examples" / "configs" / "etp-base.yaml")
    parser.add_argument("--cache_dir", type=Path, help="caches to use and fill; none: new ones")
    parser.add_argument("--batch_size", type=int, default=4096)
    parser.add_argument("--grad_cache_chunk", type=int, default=128)
    parser.add_argument("--skip_large_batch", action="store_true", help="only the seconds to the first step")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.cache_dir or Path(temporary) / "cache"
        common = ["--data_dir", str(options.data_dir.resolve()), "--cache_dir", str(cache)]
        common += ["--feature_cache", str(cache / "texts")]
        cold, _ = launch(options.preset, Path(temporary) / "cold", [*common, "--max_steps", "1"])
        warm, lines = launch(options.preset, Path(temporary) / "warm", [*common, "--max_steps", "1"])
        result = {
            "benchmark": "start",
            "seconds_to_first_step_cold": round(cold, 1),
            "seconds_to_first_step_warm": round(warm, 1),
            "peak_memory_gb": round(lines[-1]["peak_memory_gb"], 2),
        }
        if not options.skip_large_batch:
            large = ["--batch_size", str(options.batch_size), "--grad_cache_chunk", str(options.grad_cache_chunk)]
            _, lines = launch(options.preset, Path(temporary) / "large", [*common, *large, "--max_steps", "2"])
            result |= {
                "batch_size": options.batch_size,
                "grad_cache_chunk": options.grad_cache_chunk,
                "peak_memory_gb_of_batch_size": round(max(line["peak_memory_gb"] for line in lines), 2),
            }
    result |= {"preset": options.preset.stem, "threads": torch.get_num_threads(), "torch": torch.__version__}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
