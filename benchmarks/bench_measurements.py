"""python benchmarks/bench_measurements.py [--per_condition 8] [--rate 500] [--ptb_xl FOLDER --records 24]

Compare `etp.measurements` with simulated ECGs of known intervals and, if given, with the axis and rhythm statements of PTB-XL.
"""

import argparse
import ast
import csv
import json
import random
import time
from pathlib import Path

import numpy as np

from datasets_scripts.synthetic_ecg import CONDITIONS, simulate_ecgs
from etp.measurements import EcgMeasurements, measure
from modeling_etp import STANDARD_LEADS, EcgRecording, read_ecg

# Statement -> whether a measurement agrees with it; axes as PTB-XL's annotators name them.
AGREES = {
    "SBRAD": lambda own: own.heart_rate < 60,
    "STACH": lambda own: own.heart_rate > 100,
    "1AVB": lambda own: own.pr_interval is not None and own.pr_interval > 200,
    "CLBBB": lambda own: own.qrs_duration >= 120,
    "CRBBB": lambda own: own.qrs_duration >= 120,
    "LNGQT": lambda own: own.qtc_fridericia is not None and own.qtc_fridericia > 460,
    "AFIB": lambda own: own.pr_interval is None,
    "MID": lambda own: own.axis is not None and -30 <= own.axis <= 90,
    "LAD": lambda own: own.axis is not None and own.axis < -10,
    "RAD": lambda own: own.axis is not None and own.axis > 80,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[2])
    parser.add_argument("--per_condition", type=int, default=8)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--ptb_xl", type=Path, help="measure records of PTB-XL at 100 Hz too, of folds 1 to 9")
    parser.add_argument("--records", type=int, default=24, help="of PTB-XL, per statement")
    args = parser.parse_args()
    print(json.dumps(against_simulation(args.per_condition, args.rate), indent=1))
    if args.ptb_xl:
        print(json.dumps(against_statements(args.ptb_xl, args.records), indent=1))


def against_simulation(per_condition: int, rate: int) -> dict:
    """Errors by measurement: records, not measured, median absolute error, bias, 95th percentile."""
    conditions = [condition for condition in CONDITIONS.values() for _ in range(per_condition)]
    truth = simulate_ecgs(conditions, sampling_rate=rate, seed=7)
    started = time.process_time()
    measured = [measure(EcgRecording(signal, rate, STANDARD_LEADS)) for signal in truth.signal]
    seconds = (time.process_time() - started) / len(measured)
    table: dict = {"records": len(measured), "seconds of a core per ECG": round(seconds, 2)}
    for name in ("heart_rate", "pr_interval", "qrs_duration", "qt_interval", "axis"):
        known = getattr(truth, name)
        own = np.array([np.nan if (value := getattr(each, name)) is None else value for each in measured])
        errors = own - known
        if name == "axis":
            errors = (errors + 180) % 360 - 180
        errors = errors[np.isfinite(known)]
        there = errors[np.isfinite(errors)]
        table[name] = {
            "n": len(errors),
            "not measured": len(errors) - len(there),
            "median absolute error": round(float(np.median(np.abs(there))), 1),
            "bias": round(float(np.median(there)), 1),
            "95th percentile": round(float(np.percentile(np.abs(there), 95)), 1),
            "measured where there is none": int(np.isfinite(own[~np.isfinite(known)]).sum()),
        }
    return table


def against_statements(folder: Path, count: int) -> dict:
    """Share of the records with a statement whose measurement agrees with it, and of normal sinus records."""
    with (folder / "ptbxl_database.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if int(row["strat_fold"]) <= 9]
    drawn = random.Random(0).sample(rows, len(rows))
    normal = [row for row in drawn if {"NORM", "SR"} <= statements_of(row) and "MID" in statements_of(row)][:count]
    normal_measured = [measured_row(folder, row) for row in normal]
    table = {}
    for statement, agrees in AGREES.items():
        chosen = [row for row in drawn if statement in statements_of(row)][:count]
        measured = [own for row in chosen if (own := measured_row(folder, row)).heart_rate is not None]
        table[statement] = {
            "n": len(chosen),
            "not measured": len(chosen) - len(measured),
            "agree": sum(map(agrees, measured)),
            "of normal ones": sum(agrees(own) for own in normal_measured if own.heart_rate is not None),
        }
    return {"normal": len(normal), **table}


def statements_of(row: dict[str, str]) -> set[str]:
    return {*ast.literal_eval(row["scp_codes"]), row["heart_axis"]}


def measured_row(folder: Path, row: dict[str, str]) -> EcgMeasurements:
    return measure(read_ecg(folder / f"{row['filename_lr']}.hea"))


if __name__ == "__main__":
    main()
