"""Results as a picture: macro AUROC with intervals beside the baselines, and how far probabilities can be trusted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from etp.atomic_files import whole_file
from etp.evaluation.patients import of_findings

TITLES = {"zero_shot": "zero-shot", "linear_probe": "linear probe", "fine_tuned": "fine-tuned"}
COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)  # Okabe and Ito's, safe for colour blindness

PAGE_INCHES = 9.0  # wide; a page of documentation shows it without scaling letters below 9 points
FEWEST_IN_BIN = 20  # a frequency among fewer predictions says nothing


def draw_results(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw all zero-shot, linear-probe and fine-tuned runs into one file.

    Args:
        results: Contents of results files.
        path: `.png`, `.svg` or `.pdf`.

    Raises:
        ValueError: If none of the runs is of these kinds, or matplotlib can't write that kind of file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Sex and age are no findings: their reliability would pass for that of the findings.
    runs = [of_findings(result) for result in results if result["kind"] in TITLES]
    runs = [run for run in runs if run["tasks"]]
    if not runs:
        raise ValueError(
            "--picture shows zero-shot, linear-probe and fine-tuned results, and none of the files holds such."
        )
    tasks = list(dict.fromkeys((run["dataset"], task) for run in runs for task in run["tasks"]))
    figure = Figure(figsize=(PAGE_INCHES, 8.5), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, height_ratios=[5, 3])
    _draw_auroc(upper, runs, tasks)
    _draw_reliability(lower, runs)
    figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, format=path.suffix[1:].lower(), dpi=110)


def _draw_auroc(axes, runs: Sequence[dict[str, Any]], tasks: Sequence[tuple[str, str]]) -> None:
    """One dot and interval per run and task, in percent."""
    titles = _titles(runs)
    width = 0.7 / len(titles)
    for run in runs:
        number = titles.index(_title(run))
        for column, (dataset, task) in enumerate(tasks):
            report = run["tasks"].get(task)
            if run["dataset"] != dataset or report is None or report["macro_auroc"] is None:
                continue
            value, x = 100 * report["macro_auroc"], column + (number - (len(titles) - 1) / 2) * width
            low, high = report["intervals_95"].get("macro_auroc", [report["macro_auroc"]] * 2)
            color = COLORS[number % len(COLORS)]
            axes.plot([x, x], [100 * low, 100 * high], color=color, linewidth=2)
            axes.plot(x, value, "o", color=color, label=_label_once(axes, _title(run)))
            untrained = report["baselines"].get("random_encoder")
            if untrained:
                y = 100 * untrained["macro_auroc"]
                axes.plot(x, y, "x", color="grey", label=_label_once(axes, "random encoder"))
            if reference := report.get("supervised_reference"):
                ends = [column - 0.4, column + 0.4]
                level = [100 * reference["macro_auroc"]] * 2
                axes.plot(ends, level, "k--", linewidth=1, label=_label_once(axes, "supervised, literature"))
    axes.axhline(50, color="grey", linewidth=0.8, label="chance")
    axes.set_xticks(
        range(len(tasks)),
        [f"{task}\n{dataset}" for dataset, task in tasks],
        rotation=35,
        ha="right",
        rotation_mode="anchor",
    )
    axes.set_ylabel("macro AUROC (%), 95% interval")
    axes.set_ylim(40, 100)


def _draw_reliability(axes, runs: Sequence[dict[str, Any]]) -> None:
    """Observed frequency against calibrated probability, all labels of all tasks of a run together."""
    datasets = list(dict.fromkeys(run["dataset"] for run in runs))
    for run in runs:
        color = COLORS[_titles(runs).index(_title(run)) % len(COLORS)]
        style = ("-", "--", ":")[datasets.index(run["dataset"]) % 3]
        bins: dict[int, list[float]] = {}
        for report in run["tasks"].values():
            for row in report["reliability"]:
                total = bins.setdefault(min(int(row["probability"] * 10), 9), [0.0, 0.0, 0.0])
                for index, value in enumerate((row["probability"], row["frequency"], 1.0)):
                    total[index] += value * row["count"]
        points = [(p / n, f / n) for _, (p, f, n) in sorted(bins.items()) if n >= FEWEST_IN_BIN]
        axes.plot([p for p, _ in points], [f for _, f in points], f"o{style}", color=color)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.set_xlabel("calibrated probability")
    axes.set_ylabel("observed frequency")
    others = f", {', '.join(datasets[1:])} dashed" if datasets[1:] else ""
    axes.set_title(f"Reliability, bins of {FEWEST_IN_BIN} and more{others}", fontsize=10)


def _title(run: dict[str, Any]) -> str:
    leads = run["conditions"]["leads"]
    return f"{run['name']}, {TITLES[run['kind']]}" + (f", {'+'.join(leads)}" if leads else "")


def _titles(runs: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(map(_title, runs)))


def _label_once(axes, label: str) -> str | None:
    """The label, unless the legend has it."""
    return None if label in axes.get_legend_handles_labels()[1] else label
