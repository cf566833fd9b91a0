"""The metrics of an evaluation as a compact CSV: one row for each task, baseline and class."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from etp.csv_files import write_csv

NAMES = ("task", "row", "records", "metric", "value", "low", "high")


def write_rows(result: Mapping[str, Any], path: Path) -> None:
    """Write the macro metrics, their baselines and the AUROC of every class; values are fractions, ends of 95% intervals.

    Args:
        result: Content of a results file.
        path: The CSV file.

    Raises:
        NotWrittenError: If it can't be written.
    """
    rows = [
        [task, row, records, name, _short(value), *map(_short, interval)]
        for task, metrics in result["tasks"].items()
        for row, records, name, value, interval in _rows(metrics)
    ]
    write_csv(path, NAMES, rows)


def _rows(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Any, str, float, list[float]]]:
    records = metrics.get("num_records", metrics.get("num_ecgs", ""))
    yield from _values("all", records, metrics)
    for fraction, own in metrics.get("label_fractions", {}).items():
        yield from _values(f"fraction of labels {fraction}", records, own)
    if "single_paraphrases" in metrics:
        yield from _values("one paraphrase at a time", records, metrics["single_paraphrases"])
    for label, phrases in metrics.get("single_paraphrases", metrics).get("per_phrase", {}).items():
        for phrase, auroc in phrases.items():
            yield f"{label}: {phrase}", metrics["per_class"][label]["num_positive"], "auroc", auroc, []
    for name, own in metrics.get("baselines", {}).items():
        yield from _values(name, records, own)
    for label, own in metrics.get("per_class", {}).items():
        if own.get("auroc") is not None:
            yield label, own["num_positive"], "auroc", own["auroc"], own["intervals_95"].get("auroc", [])


def _values(row: str, records: Any, metrics: Mapping[str, Any]) -> Iterator[tuple[str, Any, str, float, list[float]]]:
    intervals = metrics.get("intervals_95", {})
    for name, value in metrics.items():
        if isinstance(value, float):
            yield row, records, name.removeprefix("macro_"), value, intervals.get(name, [])


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
