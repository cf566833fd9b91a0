"""etp evaluate ablations RESULTS.json … --output ablations.md --picture ablations.png

One row for each named run, in the order given: zero-shot, unseen paraphrases, probe, minutes; over seeds mean ± deviation.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etp.atomic_files import whole_file
from etp.outputs import check_output

from .arguments import STYLES, TablesArguments, refusing_bad_input
from .markdown import EMPTY, markdown, percent
from .results import check_writable, load_results

# known, unseen: paraphrases; styles: mean over tasks, each prompt by itself
GROUPS = ("zero-shot", "known", "unseen", "styles", "negation below statement", "linear probe")
Column = tuple[str, str]  # group, task


@dataclass
class Row:
    """Runs of one name, which differ by seed only: what every one of them reached.

    Attributes:
        metrics: Column -> weights -> share.
        intervals: Column -> 95% interval of the last run read.
        minutes: Weights -> minutes of training, where they are logged.
    """

    name: str
    metrics: dict[Column, dict[str, float]] = field(default_factory=dict)
    intervals: dict[Column, list[float]] = field(default_factory=dict)
    minutes: dict[str, float] = field(default_factory=dict)
    weights: set[str] = field(default_factory=set)

    def mean(self, column: Column) -> float | None:
        values = self.metrics.get(column)
        return statistics.fmean(values.values()) if values else None


def collect(results: Sequence[tuple[Path, Mapping[str, Any]]]) -> tuple[list[Column], list[Row]]:
    """Columns by group, and one row for each name in the order of the files.

    Raises:
        ValueError: If a column would mix data sets, splits or protocols, or two files give the same figure of the same
            weights; names the files.
    """
    rows: dict[str, Row] = {}
    protocols: dict[Column, tuple[Path, dict[str, Any]]] = {}
    sources: dict[tuple[str, str, Column], Path] = {}
    for path, result in results:
        row, weights = rows.setdefault(result["name"], Row(result["name"])), result["checkpoint_sha256"]
        row.weights.add(weights)
        if (seconds := result.get("training_seconds")) is not None:
            row.minutes[weights] = seconds / 60
        for column, tasks, value, interval in _metrics(result):
            protocol = {name: result[name] for name in ("dataset", "config", "split", "data_sha256", "conditions")}
            protocol["tasks"] = tasks
            first, expected = protocols.setdefault(column, (path, protocol))
            if differing := [name for name in protocol if protocol[name] != expected[name]]:
                raise ValueError(
                    f"{first} and {path} can't stand in one column ({', '.join(column)}): they differ in "
                    f"{', '.join(differing)}. Give results of the same records under the same conditions."
                )
            twice = sources.setdefault((row.name, weights, column), path)
            if twice != path:
                raise ValueError(
                    f"{twice} and {path} both give {', '.join(column)} of {row.name}, weights {weights[:12]}. Give one of "
                    "them, or name the runs apart (--name of the evaluation commands)."
                )
            row.metrics.setdefault(column, {})[weights] = value
            if interval and None not in interval:
                row.intervals[column] = list(interval)
    return sorted(protocols, key=lambda column: GROUPS.index(column[0])), list(rows.values())


Figure = tuple[Column, list[str], float, Sequence[float] | None]


def _metrics(result: Mapping[str, Any]) -> list[Figure]:
    """Column, tasks, share and interval of every figure of a result that the table shows."""
    found = []
    for task, report in result["tasks"].items():
        column, name = ("zero-shot", task), "macro_auroc"
        if result["kind"] == "linear_probe":
            column = ("linear probe", task)
        elif result["kind"] == "open_vocabulary" and task == "negation":
            column, name = ("negation below statement", "all"), "negated_below_stated"
        elif result["kind"] == "open_vocabulary" and task.startswith(("known_", "unseen_")):
            paraphrases, _, task_name = task.partition("_")
            column = (paraphrases, task_name)
        elif result["kind"] != "zero_shot":
            continue
        if report.get(name) is not None:
            found.append((column, [task], report[name], report["intervals_95"].get(name)))
    return [*found, *_styles(result)]


def _styles(result: Mapping[str, Any]) -> list[Figure]:
    """One figure for each style of prompts, the mean over the tasks that have one."""
    found: list[Figure] = []
    for style in STYLES:
        of_style = {name: report for name, report in result["tasks"].items() if name.startswith(f"{style}_")}
        values = [report["macro_auroc"] for report in of_style.values()]
        if result["kind"] != "open_vocabulary" or not values or None in values:
            continue
        if len(values) == 1:
            ((task, report),) = of_style.items()
            column = ("styles", f"{style}, {task.partition('_')[2]}")
            found.append((column, [task], values[0], report["intervals_95"].get("macro_auroc")))
        else:
            column = ("styles", f"{style}, mean of {len(values)} tasks")
            found.append((column, list(of_style), statistics.fmean(values), None))
    return found


def ablation_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """The rows in percent, with their difference from the first one in points."""
    header = ["run", "seeds", "minutes", *(f"{group}: {task}" for group, task in columns)]
    return markdown(
        header,
        [
            [row.name, str(len(row.weights)), _minutes(row), *(_cell(row, rows[0], column) for column in columns)]
            for row in rows
        ],
    )


def _minutes(row: Row) -> str:
    return f"{statistics.fmean(row.minutes.values()):.1f}" if row.minutes else EMPTY


def _cell(row: Row, first: Row, column: Column) -> str:
    value, reference = row.mean(column), first.mean(column)
    if value is None:
        return EMPTY
    runs = [*row.metrics[column].values()]
    if len(runs) > 1:
        cell = f"{percent(value)} ± {100 * statistics.stdev(runs):.1f}"
    else:
        cell = percent(value, row.intervals.get(column))
    if row is not first and reference is not None:
        cell += f" ({100 * (value - reference):+.1f})"
    return cell


def draw_ablations(columns: Sequence[Column], rows: Sequence[Row], path: Path) -> None:
    """One panel per group of columns, one line per run: every seed as a dot, their mean as a bar."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from .pictures import COLORS

    groups = [group for group in GROUPS if any(column[0] == group for column in columns)]
    figure = Figure(figsize=(3 + 3.2 * len(groups), 1.5 + 0.45 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, group in zip(figure.subplots(1, len(groups), sharey=True, squeeze=False)[0], groups, strict=True):
        for number, column in enumerate(column for column in columns if column[0] == group):
            color = COLORS[number % len(COLORS)]
            for y, row in enumerate(rows):
                values = [100 * value for value in row.metrics.get(column, {}).values()]
                if not values:
                    continue
                seen = axes.get_legend_handles_labels()[1]
                label = None if column[1] in seen else column[1]
                axes.plot(values, [y] * len(values), "o", color=color, alpha=0.6, markersize=4, label=label)
                axes.plot(statistics.fmean(values), y, "|", color=color, markersize=16, markeredgewidth=2)
        axes.set_title(group, fontsize=10)
        axes.set_xlabel("percent" if group == "negation below statement" else "macro AUROC (%)")
        axes.grid(axis="y", linewidth=0.4)
        axes.legend(fontsize=7, loc="best")
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.invert_yaxis()
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, format=path.suffix[1:].lower(), dpi=110)


def main(args: TablesArguments):
    with refusing_bad_input():
        columns, rows = collect([(path, load_results(path)) for path in args.results])
        if not columns:
            raise ValueError("None of the files holds a figure of zero-shot, linear-probe or open-vocabulary runs.")
        for path in filter(None, (args.output, args.picture)):
            check_output(path, overwrite=args.overwrite, inputs=args.results)
            check_writable(path)
    table = ablation_table(columns, rows)
    if args.output is None:
        print(table)
    else:
        with refusing_bad_input(), whole_file(args.output) as unfinished:
            unfinished.write_text(table + "\n", encoding="utf-8")
    if args.picture is not None:
        draw_ablations(columns, rows, args.picture)
