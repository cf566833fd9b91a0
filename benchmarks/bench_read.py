"""python benchmarks/bench_read.py --data_dir ptb-xl [--batch_size 256] [--cache_dir DIR]

Records per second of `read_signals` on the training split of PTB-XL at 100 Hz, for neighbouring and for shuffled rows,
with and without the conversion to mV, against the same rows through `Dataset.with_format("numpy")`. Prints one JSON line.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from etp.archives import open_archive
from etp.arrow_batches import read_signals
from modeling_etp.ecg_microvolts_etp import to_millivolts


def records_per_second(read: Callable[[np.ndarray], object], batches: list[np.ndarray], repeats: int) -> float:
    """Median over the repeats."""
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        for batch in batches:
            read(batch)
        rates.append(sum(map(len, batches)) / (time.perf_counter() - start))
    return round(statistics.median(rates))


def main() -> None:
    """Measure as the command line says and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True, help="folder of PTB-XL")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cache_dir", help="of `datasets`, where the archive is or will be prepared")
    arguments = parser.parse_args()
    train = open_archive("ptb_xl", arguments.data_dir, cache_dir=arguments.cache_dir)["train"]
    size = arguments.batch_size
    order = np.random.default_rng(0).permutation(len(train))
    shuffled = [order[start : start + size] for start in range(0, len(train), size)]
    neighbours = [np.arange(start, min(start + size, len(train))) for start in range(0, len(train), size)]
    formatted = train.select_columns(["ecg"]).with_format("numpy", dtype=np.int16)
    result = {
        "records": len(train),
        "batch_size": size,
        # A sum, so that the samples are touched even where the batch is a view of the file.
        "neighbours_touched": records_per_second(
            lambda rows: read_signals(train, rows).sum(), neighbours, arguments.repeats
        ),
        "shuffled": records_per_second(lambda rows: read_signals(train, rows), shuffled, arguments.repeats),
        "shuffled_millivolts": records_per_second(
            lambda rows: to_millivolts(read_signals(train, rows)), shuffled, arguments.repeats
        ),
        "with_format_numpy": records_per_second(lambda rows: formatted[rows]["ecg"], shuffled[:10], 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
