"""etp evaluate tables RESULTS.json … --output results.md --picture results.png --rows FOLDER

Build one page of results, a picture of them, and a CSV of every evaluation, from the JSON files of the evaluation commands.
"""

from collections.abc import Sequence
from typing import Any

from etp.atomic_files import whole_file
from etp.outputs import check_output
from etp.retrieval import RECALL_AT
from etp.scoring.metrics import SENSITIVITY

from .arguments import TablesArguments, refusing_bad_input
from .markdown import cell, markdown, named, percent
from .open_vocabulary_tables import negation_table, open_vocabulary_table
from .patients import ERROR, classified, of_findings
from .provenance import identity_sha256
from .results import check_writable, load_results
from .rows import write_rows
from .task_metrics import ON_TEST

Result = dict[str, Any]
BASELINES = {"random_encoder": "random encoder", "chance": "chance", "all_positive": "all positive"}
COLUMNS = {
    "macro_auroc": "AUROC",
    "macro_average_precision": "average precision",
    f"macro_{SENSITIVITY}": "sensitivity at 90% specificity",
    "macro_f1": "F1",
    f"macro_f1_{ON_TEST}": "F1, threshold chosen on test",
    "macro_accuracy": "accuracy",
    f"macro_accuracy_{ON_TEST}": "accuracy, threshold chosen on test",
    "macro_calibration_error": "calibration error",
}
SUPERVISED_TITLE = "supervised, literature"
KINDS = {
    "zero_shot": "Zero-shot",
    "linear_probe": "Linear probe",
    "fine_tuned": "Fine-tuned",
    "retrieval": "Retrieval",
    "open_vocabulary": "Open vocabulary",
}


def detail_table(result: Result) -> str:
    """Every figure of one zero-shot or linear-probe run in percent, task by task beside its baselines; age below."""
    rows = []
    for task, report in classified(result)["tasks"].items():
        rows.append([task, str(report["num_records"]), result["name"], *(cell(report, name) for name in COLUMNS)])
        for name, title in BASELINES.items():
            if metrics := report["baselines"].get(name):
                rows.append([task, "", title, *(percent(metrics.get(column)) for column in COLUMNS)])
        if reference := report.get("supervised_reference"):
            rows.append([task, "", SUPERVISED_TITLE, *(percent(reference.get(column)) for column in COLUMNS)])
    table = markdown(["task", "records", "model", *COLUMNS.values()], rows) if rows else ""
    return "\n\n".join(filter(None, [table, age_table([result])]))


def sex_table(results: Sequence[Result]) -> str:
    """AUROC of women against men, beside a random encoder; blank where no run has it."""
    rows = [
        [
            *named(result),
            str(report["num_records"]),
            cell(report, "macro_auroc"),
            percent(report["baselines"]["random_encoder"]["macro_auroc"]),
        ]
        for result in results
        if (report := result["tasks"].get("sex"))
    ]
    return markdown(["model", "weights", "records", "sex, AUROC", "random encoder"], rows) if rows else ""


def age_table(results: Sequence[Result]) -> str:
    """Mean absolute error of the age in years, beside a random encoder and the median; blank where no run has it."""
    rows = []
    for result in results:
        if report := result["tasks"].get("age"):
            interval = report["intervals_95"].get(ERROR)
            own = f"{report[ERROR]:.1f}" + (f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else "")
            baselines = (f"{report['baselines'][name][ERROR]:.1f}" for name in ("random_encoder", "median"))
            rows.append([*named(result), str(report["num_records"]), own, *baselines])
    header = ["model", "weights", "records", "age, mean error in years", "random encoder", "always the median"]
    return markdown(header, rows) if rows else ""


def overview_table(results: Sequence[Result]) -> str:
    """Macro AUROC in percent of runs on the same records, one row a run, the baselines below."""
    tasks = _tasks(results)
    rows = [
        [*_with_windows(result), *(cell(result["tasks"].get(task), "macro_auroc") for task in tasks)]
        for result in results
    ]
    # The tasks of one kind on the same records share their baselines, but for the random encoder: that of the first run.
    reports = [next(result["tasks"][task] for result in results if task in result["tasks"]) for task in tasks]
    for name, title in BASELINES.items():
        rows.append(
            [title, "", *(percent(report["baselines"].get(name, {}).get("macro_auroc")) for report in reports)]
        )
    references = [report.get("supervised_reference") or {} for report in reports]
    rows.append([SUPERVISED_TITLE, "", *(percent(reference.get("macro_auroc")) for reference in references)])
    return markdown(["model", "weights", *tasks], rows)


def leads_table(results: Sequence[Result]) -> str:
    """Macro AUROC by the leads a model gets to see, and what is lost against all of them (points)."""
    tasks = _tasks(results)
    whole = {_without_leads(result): result for result in results if result["conditions"]["leads"] is None}
    rows = []
    for result in results:
        cells = []
        for task in tasks:
            all_leads = whole.get(_without_leads(result), {"tasks": {}})["tasks"].get(task)
            shown, report = cell(result["tasks"].get(task), "macro_auroc"), result["tasks"].get(task)
            if report and all_leads and result["conditions"]["leads"]:
                shown += f" ({100 * (report['macro_auroc'] - all_leads['macro_auroc']):+.1f})"
            cells.append(shown)
        rows.append([*named(result), leads_of(result), *cells])
    return markdown(["model", "weights", "leads", *tasks], rows)


def label_fraction_table(results: Sequence[Result]) -> str:
    """Linear probe: macro AUROC by the fraction of training labels, mean and standard deviation over seeds."""
    tasks = _tasks(results)
    fractions = list(
        dict.fromkeys(fraction for r in results for t in r["tasks"].values() for fraction in t["label_fractions"])
    )
    rows = []
    for result in results:
        for fraction in fractions:
            cells = []
            for task in tasks:
                metrics = result["tasks"].get(task, {}).get("label_fractions", {}).get(fraction)
                spread = (
                    f" ± {100 * metrics['macro_auroc_deviation']:.1f}" if metrics and metrics["num_runs"] > 1 else ""
                )
                cells.append(percent(metrics and metrics["macro_auroc"]) + spread)
            rows.append([*named(result), f"{float(fraction):.0%}", *cells])
    return markdown(["model", "weights", "labels", *tasks], rows)


def retrieval_table(results: Sequence[Result]) -> str:
    """Recall in percent and median rank, both ways, and under it the notes on recalls that mean nothing."""
    rows, notes = [], []
    for result in results:
        for text, report in result["tasks"].items():
            if "note" in report:
                notes.append(f"{result['name']}, {text}: {report['note']}")
            for direction, heading in (("ecg_to_text", "ECG to text"), ("text_to_ecg", "text to ECG")):
                for name, metrics in ((None, report), *report["baselines"].items()):
                    recalls = [cell(metrics, f"{direction}_recall_at_{k}") for k in RECALL_AT]
                    model = named(result) if name is None else (BASELINES[name], "")
                    counts = f"{report['num_ecgs']} / {report['num_texts']}"
                    rows.append([*model, text, counts, heading, *recalls, f"{metrics[f'{direction}_median_rank']:g}"])
    recalls = [f"R@{k}" for k in RECALL_AT]
    table = markdown(["model", "weights", "text", "ECGs / texts", "direction", *recalls, "median rank"], rows)
    return "\n\n".join([table, *notes])


def provenance_table(results: Sequence[Result]) -> str:
    """Command, seed, weights, code and date of every run."""
    rows = [
        [
            result["name"],
            f"`{result['command']}`",
            str(result["seed"]),
            f"`{result['checkpoint_sha256'][:12]}`",
            f"`{(result['commit'] or result['source_sha256'])[:12]}`",
            result["machine"],
            result["date"],
        ]
        for result in results
    ]
    return markdown(["model", "command", "seed", "weights", "code", "machine", "date"], rows)


def results_page(results: Sequence[Result]) -> str:
    """The macro metrics of all runs as one markdown page; classes are in the rows, see `write_rows`."""
    parts = ["# Results", "In percent; brackets: 95% interval over resampled patients."]
    for (kind, dataset, split), group in _grouped(results, "kind", "dataset", "split").items():
        heading = f"{KINDS[kind]}, {dataset}, {split} split"
        if kind == "retrieval":
            parts += [f"## {heading}", retrieval_table(group)]
            continue
        if kind == "open_vocabulary":
            parts += [f"## {heading}", open_vocabulary_table(group), negation_table(group)]
            continue
        of_patients = list(filter(None, [sex_table(group), age_table(group)]))
        group = [found for result in group if (found := of_findings(result))["tasks"]]
        if not group:
            parts += [f"## {heading}: sex and age", *of_patients]
            continue
        whole = [result for result in group if result["conditions"]["leads"] is None] or group
        parts += [f"## {heading}: macro AUROC", overview_table(whole)]
        if kind == "linear_probe":
            parts += [f"### {heading}: by fraction of labels", label_fraction_table(group)]
        if len({leads_of(result) for result in group}) > 1:
            parts += [f"### {heading}: by leads", leads_table(group)]
        if of_patients:
            parts += [f"### {heading}: sex and age", *of_patients]
    return "\n\n".join([*parts, "## How each result was made", provenance_table(results)]) + "\n"


def _with_windows(result: Result) -> tuple[str, str]:
    """Name and weights of a run, with how windows are pooled where it scores whole recordings."""
    name, weights = named(result)
    windows = result["conditions"].get("windows", "one")
    return name if windows == "one" else f"{name}, {windows} over windows", weights


def leads_of(result: Result) -> str:
    """The leads a run saw, in words."""
    leads = result["conditions"]["leads"]
    return "12 leads" if leads is None else f"{len(leads)} leads" if len(leads) > 3 else "+".join(leads)


def _tasks(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(task for result in results for task in result["tasks"]))


def _grouped(results: Sequence[Result], *names: str) -> dict[tuple, list[Result]]:
    groups: dict[tuple, list[Result]] = {}
    for result in results:
        groups.setdefault(tuple(result[name] for name in names), []).append(result)
    return groups


def _without_leads(result: Result) -> str:
    conditions = {name: value for name, value in result["conditions"].items() if name != "leads"}
    return identity_sha256(result["checkpoint_sha256"], result["data_sha256"], conditions, result["options"])


def main(args: TablesArguments):
    with refusing_bad_input():
        results = [load_results(path) for path in args.results]
        rows = [args.rows / f"{path.stem}.csv" for path in args.results] if args.rows else []
        for path in filter(None, (args.output, args.picture, *rows)):
            check_output(path, overwrite=args.overwrite, inputs=args.results)
            check_writable(path)
    page = results_page(results)
    if args.output is None:
        print(page)
    with refusing_bad_input():
        if args.output is not None:
            with whole_file(args.output) as unfinished:
                unfinished.write_text(page, encoding="utf-8")
        if args.picture is not None:
            from .pictures import draw_results

            draw_results(results, args.picture)
        for result, path in zip(results, rows, strict=False):
            write_rows(result, path)
