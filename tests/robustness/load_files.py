"""python tests/robustness/load_files.py --model build/etp-ptb-xl --files 20000

Classify many files by `etp classify`, one in a hundred of them damaged: all others right, the bad ones named, memory flat.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
RECORDS = 50  # different ECGs; each file is a link to one of them
LABELS = ["normal ECG", "atrial fibrillation", "left bundle branch block", "inferior infarction"]
DAMAGE = {
    "empty header": lambda header, signal: header.write_bytes(b""),
    "header of another format": lambda header, signal: header.write_bytes(b"%PDF-1.7\n"),
    "signal cut short": lambda header, signal: signal.write_bytes(signal.read_bytes()[:1001]),
    "signal missing": lambda header, signal: signal.unlink(),
    "wrong checksum": lambda header, signal: signal.write_bytes(bytes(10) + signal.read_bytes()[10:]),
    "no lead of an ECG": lambda header, signal: header.write_text(re.sub(r"(?m)^(\S+\.dat .*) \S+$", r"\1 ABP", header.read_text())),
    "signal out of the folder": lambda header, signal: (signal.unlink(), signal.symlink_to("/etc/passwd")),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--bad_share", type=float, default=0.01)
    parser.add_argument("--seconds", type=float, default=3600, help="stop after this time")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        records = write_records(folder / "records")
        expected = {
            record.stem: scores for record, scores in zip(records, scores_of(records, args.model), strict=True)
        }
        good, bad = write_tree(folder / "tree", records, args)
        report = classify(folder, args)
        report |= evaluate(folder, good, bad, expected, report.pop("status"))
    print(json.dumps(report))
    return 0 if report["right"] else 1


def write_records(folder: Path) -> list[Path]:
    """Headers of different synthetic ECGs."""
    from datasets_scripts.synthetic import write_archive

    write_archive(folder, num_records=RECORDS, seed=3)
    return sorted(folder.rglob("*_lr.hea"))


def scores_of(records: list[Path], model: Path) -> list[dict[str, float]]:
    """What the pipeline gives for each record by itself."""
    from transformers import pipeline

    import modeling_etp  # noqa: F401  (registers the task)

    classifier = pipeline("zero-shot-ecg-classification", model=str(model), device="cpu")
    scored = [classifier(str(record), candidate_labels=LABELS) for record in records]
    return [{entry["label"]: entry["score"] for entry in scores} for scores in scored]


def write_tree(folder: Path, records: list[Path], args: argparse.Namespace) -> tuple[set[str], dict[str, str]]:
    """Make the files. Returns paths of the good ones, and path -> damage of the bad ones."""
    moments = random.Random(args.seed)
    damaged = set(moments.sample(range(args.files), round(args.files * args.bad_share)))
    good, bad = set(), {}
    for number in range(args.files):
        record = records[number % len(records)]
        place = folder / f"{number // len(records):05d}"
        place.mkdir(parents=True, exist_ok=True)
        header, signal = place / record.name, place / record.with_suffix(".dat").name
        if number in damaged:
            header.write_bytes(record.read_bytes())
            signal.write_bytes(record.with_suffix(".dat").read_bytes())
            kind = moments.choice(list(DAMAGE))
            DAMAGE[kind](header, signal)
            bad[str(header)] = kind
        else:
            os.link(record, header)
            os.link(record.with_suffix(".dat"), signal)
            good.add(str(header))
    (folder / "names").write_text("\n".join(sorted({*good, *bad})))
    return good, bad


def classify(folder: Path, args: argparse.Namespace) -> dict:
    """Run the command on a glob of all headers, and watch its memory."""
    command = ["classify", str(folder / "tree/*/*.hea"), "--model", str(args.model), "--labels", *LABELS, "--json"]
    started = time.monotonic()
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "etp.cli", *command], stdout=out, stderr=err, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )  # fmt: skip
        timer = threading.Timer(args.seconds, process.kill)
        timer.start()
        watched, memory = psutil.Process(process.pid), []
        while process.poll() is None:
            try:
                memory.append((time.monotonic() - started, watched.memory_info().rss / 1e6))
            except psutil.NoSuchProcess:
                break
            time.sleep(0.5)
        timer.cancel()
    seconds = time.monotonic() - started
    cpu = os.times().children_user + os.times().children_system
    return {
        "status": process.wait(),
        "files": args.files,
        "seconds": round(seconds),
        "cpu_seconds": round(cpu),
        "files_per_second": round(args.files / seconds, 1),
        **memory_figures(memory),
    }


def memory_figures(memory: list[tuple[float, float]]) -> dict[str, float]:
    """Slope of a line through the memory (MB) over the time (s) after the first quarter, and the largest."""
    times, sizes = np.array(memory).T
    steady = times > times[-1] / 4
    slope = np.polyfit(times[steady] / 60, sizes[steady], 1)[0] if steady.sum() > 2 else float("nan")
    return {"peak_mb": round(float(sizes.max())), "mb_per_minute": round(float(slope), 2)}


def evaluate(folder: Path, good: set[str], bad: dict[str, str], expected: dict, status: int) -> dict:
    """Compare what was printed with what had to be."""
    lines = [json.loads(line) for line in (folder / "out").read_text().splitlines()]
    errors = (folder / "err").read_text().splitlines()
    wrong, differences = 0, [0.0]
    for line in lines:
        scores = {entry["label"]: entry["score"] for entry in line["scores"]}
        right = expected[Path(line["file"]).stem]
        differences.append(max(abs(scores[label] - right[label]) for label in LABELS))
        wrong += differences[-1] > 1e-4
    scored, named = [line["file"] for line in lines], [path for path in bad if sum(e.startswith(f"{path}:") for e in errors) == 1]  # fmt: skip
    missed = {kind: 0 for kind in DAMAGE}
    for path, kind in bad.items():
        missed[kind] += path not in named
    return {
        "bad": len(bad),
        "scored": len(scored),
        "wrong": wrong,
        "largest_difference": float(f"{max(differences):.1e}"),
        "bad_named": len(named),
        "not_named": {kind: count for kind, count in missed.items() if count},
        "exit_status": status,
        "right": (sorted(scored), len(named), len(errors), wrong, status) == (sorted(good), len(bad), len(bad), 0, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
