"""python benchmarks/bench_build.py --data_dir ptb-xl [--wfdb_records 21799] [--sizes 1000 2000 5000 10000 20000]

Building PTB-XL at 100 Hz against reading the same records with `wfdb.rdrecord`, in one run with warm files: ours, wfdb,
ours again, each build in a fresh process with an empty cache. Checks that the signals are equal to the bit. Then seconds
and peak memory of builds of growing parts of the archive, and what the single steps cost per record. Prints one JSON line.
"""

import argparse
import csv
import json
import multiprocessing
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import wfdb

from datasets_scripts.ecg_records import read_equal_records
from datasets_scripts.ptb_xl import PtbXl
from datasets_scripts.ptb_xl_reports import report_statements
from datasets_scripts.ptb_xl_table import read_table
from etp.archives import open_archive
from etp.arrow_batches import read_signals


def peak_megabytes() -> float:
    """Largest resident size of this process so far; `ru_maxrss` would begin with that of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def build(data_dir: str, cache_dir: str) -> dict[str, float]:
    """Build into an empty cache: seconds from the call to the opened data set, and peak memory in MB."""
    datasets.disable_progress_bars()
    before = peak_megabytes()
    start = time.perf_counter()
    splits = open_archive("ptb_xl", data_dir, cache_dir=cache_dir)
    seconds = time.perf_counter() - start
    peak = peak_megabytes()
    return {
        "records": sum(map(len, splits.values())),
        "seconds": seconds,
        "megabytes_before": before,
        "megabytes": peak,
    }


def apart(work: Callable[..., dict[str, float]], *arguments) -> dict[str, float]:
    """Call in a process of its own, so that nothing is remembered from an earlier call."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def build_apart(data_dir: Path) -> dict[str, float]:
    """`build` in a process of its own."""
    with tempfile.TemporaryDirectory() as cache:
        return apart(build, str(data_dir), cache)


def read_with_wfdb(data_dir: Path, files: list[str]) -> float:
    """Seconds that `wfdb.rdrecord` takes for records, one after another."""
    start = time.perf_counter()
    for file in files:
        wfdb.rdrecord(str(data_dir / file))
    return time.perf_counter() - start


def check_equal(data_dir: Path, cache_dir: str, every: int) -> int:
    """Compare every n-th row with wfdb's samples; the number of rows compared."""
    compared = 0
    for split in open_archive("ptb_xl", data_dir, cache_dir=cache_dir).values():
        rows = range(0, len(split), every)
        for row, signal in zip(rows, read_signals(split, rows), strict=True):
            file = f"{int(split[row]['record_id']):05d}_lr"
            record = wfdb.rdrecord(str(data_dir / "records100" / f"{file[:2]}000" / file), physical=False)
            if not np.array_equal(record.d_signal.T, signal):
                raise AssertionError(f"record {file} differs from wfdb's")
            compared += 1
    return compared


def cut_archive(data_dir: Path, folder: Path, num_records: int) -> Path:
    """An archive of the first records: a shorter table over the same records."""
    folder.mkdir()
    (folder / "records100").symlink_to(data_dir / "records100")
    (folder / "scp_statements.csv").write_bytes((data_dir / "scp_statements.csv").read_bytes())
    with (
        (data_dir / "ptbxl_database.csv").open(newline="") as source,
        (folder / "ptbxl_database.csv").open("w", newline="") as target,
    ):
        rows = csv.reader(source)
        csv.writer(target).writerows(row for index, row in enumerate(rows) if index <= num_records)
    return folder


def measure_scaling(data_dir: Path, sizes: list[int], repeats: int) -> dict:
    """Median seconds and memory of growing builds, and the slope of log seconds over log records."""
    with tempfile.TemporaryDirectory() as folder:
        parts = [cut_archive(data_dir, Path(folder) / str(size), size) for size in sizes]
        runs = [[build_apart(part) for part in parts] for _ in range(repeats)]  # in turn: the machine isn't ours alone
    seconds = [statistics.median(run[index]["seconds"] for run in runs) for index in range(len(sizes))]
    return {
        "records": sizes,
        "seconds": [round(value, 3) for value in seconds],
        "megabytes": [
            round(statistics.median(run[index]["megabytes"] for run in runs)) for index in range(len(sizes))
        ],
        "slope": round(float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]), 3),
    }


def measure_steps(data_dir: Path) -> dict[str, float]:
    """Microseconds per record of the steps of a build, each alone."""

    def microseconds(work: Callable[[], object], count: int) -> float:
        start = time.perf_counter()
        work()
        return round((time.perf_counter() - start) / count * 1e6, 1)

    table = read_table(data_dir, "filename_lr")
    headers = [f"{data_dir}/{file}.hea" for file in table["file"].to_pylist()[:2000]]
    reports = table["report"].to_pylist()
    distinct = list(dict.fromkeys(reports))
    return {
        "table": microseconds(lambda: read_table(data_dir, "filename_lr"), len(table)),
        "headers_samples_checksums": microseconds(
            lambda: [
                read_equal_records(headers[i : i + 250], sampling_rate=100, num_samples=1000)
                for i in range(0, 2000, 250)
            ],
            len(headers),
        ),
        "statements": microseconds(lambda: [report_statements(report) for report in distinct], len(reports)),
        "tables_and_folders_hashed": microseconds(lambda: PtbXl._fingerprint(data_dir), len(table)),
    }


def main() -> None:
    """Measure as the command line says and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True, help="folder of PTB-XL")
    parser.add_argument("--wfdb_records", type=int, default=21799, help="records that wfdb reads; fewer are scaled up")
    parser.add_argument("--compare_every", type=int, default=50, help="every n-th row is compared with wfdb's")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 2000, 5000, 10000, 20000])
    parser.add_argument("--repeats", type=int, default=3, help="of the growing builds")
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    data_dir = arguments.data_dir.absolute()
    table = read_table(data_dir, "filename_lr")
    files = table["file"].to_pylist()
    for file in files:  # the files of both sides are warm
        (data_dir / f"{file}.dat").read_bytes(), (data_dir / f"{file}.hea").read_bytes()
    first = build_apart(data_dir)
    some = files[:: max(1, len(files) // arguments.wfdb_records)]
    wfdb_seconds = read_with_wfdb(data_dir, some) * len(files) / len(some)
    second = build_apart(data_dir)
    ours = (first["seconds"] + second["seconds"]) / 2
    with tempfile.TemporaryDirectory() as cache:
        compared = check_equal(data_dir, cache, arguments.compare_every)
    result = {
        "records": len(files),
        "build_seconds": [round(first["seconds"], 2), round(second["seconds"], 2)],
        "wfdb_seconds": round(wfdb_seconds, 2),
        "times_faster": round(wfdb_seconds / ours, 1),
        "rows_equal_to_wfdb": compared,
        "steps_microseconds_per_record": apart(measure_steps, data_dir),
    }
    if arguments.sizes:
        result["scaling"] = measure_scaling(data_dir, arguments.sizes, arguments.repeats)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
