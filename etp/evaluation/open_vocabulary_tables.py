"""Tables of the open-vocabulary figures: known and unseen wordings, one wording at a time, denials."""

from collections.abc import Sequence
from typing import Any

from .markdown import EMPTY, cell, markdown, named, percent

Result = dict[str, Any]
NEGATION = {
    "denied_below_stated": "denial below statement",
    "contradicted_below_stated": "contradiction below statement",
    "macro_auroc_stated": "AUROC of the statement",
    "macro_auroc_denied": "AUROC of its denial",
    "macro_auroc_contradicted": "AUROC of a contradiction",
}


def open_vocabulary_table(results: Sequence[Result]) -> str:
    """Macro AUROC in percent by wordings: known, in no training text, and the latter one at a time."""
    found = (name.partition("_")[2] for result in results for name in result["tasks"] if name != "negation")
    tasks = list(dict.fromkeys(found))
    rows = []
    for result in results:
        known, unseen = ([result["tasks"].get(f"{kind}_{task}") for task in tasks] for kind in ("known", "unseen"))
        single = [report and report["single_wordings"] for report in unseen]
        untrained = [report and report["baselines"]["random_encoder"] for report in unseen]
        for title, reports in (
            ("known", known),
            ("unseen", unseen),
            ("unseen, one at a time", single),
            ("unseen, random encoder", untrained),
        ):
            rows.append([*named(result), title, *(cell(report, "macro_auroc") for report in reports)])
    return markdown(["model", "weights", "wordings", *tasks], rows)


def negation_table(results: Sequence[Result]) -> str:
    """How each model takes a denial and a contradiction, over the labels of all tasks, in percent."""
    rows = []
    for result in results:
        report = result["tasks"].get("negation")
        pairs = str(report["num_pairs"]) if report else EMPTY
        rows.append([*named(result), pairs, *(cell(report, name) for name in NEGATION)])
    return markdown(["model", "weights", "label and record pairs", *NEGATION.values()], rows)


def negation_class_table(report: dict[str, Any]) -> str:
    """The figures of every label that is denied."""
    names = [name.removeprefix("macro_") for name in NEGATION]
    rows = [[label, *(cell(figures, name) for name in names)] for label, figures in report["per_class"].items()]
    return markdown(["class", *NEGATION.values()], rows)


def wording_table(report: dict[str, Any]) -> str:
    """AUROC of every wording alone, beside that of its label by all of them."""
    rows = []
    for label, phrases in report["single_wordings"]["per_phrase"].items():
        figures = report["per_class"][label]
        rows.append([label, str(figures["num_positive"]), "all of them", cell(figures, "auroc")])
        rows += [["", "", phrase, percent(value)] for phrase, value in phrases.items()]
    return markdown(["class", "positive", "wording", "AUROC"], rows)
