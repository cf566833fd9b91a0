"""Logs of a run: metrics.jsonl, trackers, learning curves, options and versions."""

import importlib.metadata
import json
import platform
import resource
import shutil
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import yaml

from etp.atomic_files import whole_file, writing
from etp.csv_files import write_csv
from etp.run_files import (
    CONFIG_FILE,
    ECG_MODEL_RUN,
    METRICS_FILE,
    RUN_FILE,
    TEXT_MODEL_RUN,
    VERSIONS_FILE,
    read_metrics,
)

from .arguments import Arguments

UNUSABLE_FILE = "unusable_records.csv"
PACKAGES = ("etp-ecg", "torch", "transformers", "accelerate", "datasets", "numpy", "tokenizers")


class MetricsFile:
    """One JSON object a line; each has `step` and either training or validation figures.

    Args:
        path: Appended to.
        first_step: Lines of this step and later are of a future that a resumed run computes again: they go.
    """

    def __init__(self, path: Path, *, first_step: int):
        self._path = path
        kept = [line for line in read_metrics(path) if line["step"] < first_step] if path.exists() else []
        with whole_file(path) as unfinished:
            unfinished.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def append(self, figures: dict[str, Any]) -> None:
        with writing(self._path), self._path.open("a") as file:
            file.write(json.dumps(figures) + "\n")


def process_figures() -> dict[str, float]:
    """Seconds since this process started, and its largest memory so far in GB, shared libraries and mapped files included."""
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "seconds": time.monotonic() - _process_start(),
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9,
    }


@cache
def _process_start() -> float:
    """When this process started, on the clock that nobody sets."""
    return time.monotonic() - (time.time() - psutil.Process().create_time())


def write_unusable(output_dir: Path, splits: Mapping[str, Mapping[str, str]]) -> None:
    """List the records that are left out in `unusable_records.csv`; no file where there are none.

    Args:
        splits: Name -> record id -> reason.
    """
    if not any(splits.values()):
        return
    rows = [[name, record_id, reason] for name, own in splits.items() for record_id, reason in own.items()]
    write_csv(output_dir / UNUSABLE_FILE, ("split", "record_id", "reason"), rows)


def write_run_files(output_dir: Path, args: Arguments, *, resumes: bool) -> None:
    """Write the options, as a preset that repeats the run, and the versions it runs on.

    Args:
        resumes: Whether the run goes on from a checkpoint: its towers are what they were, whatever the folders hold now.
    """
    for name, text in (
        (CONFIG_FILE, yaml.safe_dump(args.to_dict(), sort_keys=False)),
        (VERSIONS_FILE, json.dumps(versions(), indent=2) + "\n"),
    ):
        with whole_file(output_dir / name) as unfinished:
            unfinished.write_text(text)
    for tower, name in ((args.model.ecg_model, ECG_MODEL_RUN), (args.model.text_model, TEXT_MODEL_RUN)):
        if tower is not None and not (resumes and (output_dir / name).is_dir()):
            _keep_run_of_tower(Path(tower), output_dir / name)


def _keep_run_of_tower(run: Path, destination: Path) -> None:
    """Copy how the tower was trained, where `train.py` left that beside it: both runs made the model."""
    for name in (CONFIG_FILE, METRICS_FILE, VERSIONS_FILE, RUN_FILE):
        if (run / name).is_file():
            destination.mkdir(exist_ok=True)
            with whole_file(destination / name) as unfinished:
                shutil.copyfile(run / name, unfinished)


def versions() -> dict[str, str]:
    """Versions of Python, the machine and every package that takes part."""
    found = {"python": platform.python_version(), "machine": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
            found[package] = "not installed"
    return found


def plot_curves(metrics: Path, picture: Path) -> None:
    """Draw losses, recall and learning rate over the steps.

    Each objective has a line of its own: only that of `batch` is of the kind that validation computes, not their sum.
    """
    from matplotlib.figure import Figure

    lines = read_metrics(metrics)
    training = [line for line in lines if "loss" in line]
    validation = [line for line in lines if "validation_loss" in line]
    by_windows = bool(validation) and "window_to_window_recall_at_1" in validation[0]  # trained without texts
    direction, of_what = ("window_to_window", "windows") if by_windows else ("ecg_to_text", "batch")
    figure = Figure(figsize=(12, 3.5), layout="constrained")
    loss_axes, recall_axes, rate_axes = figure.subplots(1, 3)
    trained = [line["step"] for line in training]
    for name in sorted(name for name in (training[0] if training else ()) if name.startswith("loss_")):
        label = f"training, {name.removeprefix('loss_')}"
        loss_axes.plot(trained, [line[name] for line in training], linewidth=1, label=label)
    steps = [line["step"] for line in validation]
    loss_axes.plot(
        steps, [line["validation_loss"] for line in validation], "ko-", markersize=4, label=f"validation, {of_what}"
    )
    loss_axes.set(title="Loss (nats)", xlabel="step")
    loss_axes.legend()
    for k in (1, 5, 10):
        recall_axes.plot(steps, [line[f"{direction}_recall_at_{k}"] for line in validation], "o-", label=f"R@{k}")
    recall_axes.set(
        title=f"{direction.replace('_', ' ').replace('ecg', 'ECG')}, validation", xlabel="step", ylim=(0, None)
    )
    recall_axes.legend()
    rate_axes.plot(trained, [line["learning_rate"] for line in training])
    rate_axes.set(title="Learning rate", xlabel="step")
    with whole_file(picture) as unfinished:
        figure.savefig(unfinished, format=picture.suffix[1:], dpi=100)
