"""Tables of the open-vocabulary metrics: known and unseen paraphrases, one paraphrase at a time, negations."""

from collections.abc import Sequence
from typing import Any

from .arguments import STYLES
from .markdown import EMPTY, cell, markdown, named, percent

Result = dict[str, Any]
Reports = Sequence[dict[str, Any] | None]
NEGATION = {
    "negated_below_stated": "negation below statement",
    "contradicted_below_stated": "contradiction below statement",
    "macro_auroc_stated": "AUROC of the statement",
    "macro_auroc_negated": "AUROC of its negation",
    "macro_auroc_contradicted": "AUROC of a contradiction",
}


def open_vocabulary_table(results: Sequence[Result]) -> str:
    """Macro AUROC in percent by paraphrases (known, in no training text, the latter one at a time) and styles of prompts."""
    found = (name.partition("_")[2] for result in results for name in result["tasks"] if name != "negation")
    tasks = list(dict.fromkeys(found))
    rows = []
    for result in results:
        of_kind = {
            kind: [result["tasks"].get(f"{kind}_{task}") for task in tasks] for kind in ("known", "unseen", *STYLES)
        }
        unseen = of_kind["unseen"]
        titled = {
            "known": of_kind["known"],
            "unseen": unseen,
            "unseen, one at a time": [report and report["single_paraphrases"] for report in unseen],
            "unseen, random encoder": _untrained(unseen),
        }
        for style in STYLES:
            if any(of_kind[style]):
                titled |= {style: of_kind[style], f"{style}, random encoder": _untrained(of_kind[style])}
        rows += [[*named(result), title, *_with_mean(reports)] for title, reports in titled.items()]
    return markdown(["model", "weights", "prompts", *tasks, "mean"], rows)


def _untrained(reports: Reports) -> Reports:
    return [report and report["baselines"]["random_encoder"] for report in reports]


def _with_mean(reports: Reports) -> list[str]:
    """A cell for each task and the mean of all; no mean where a task is missing."""
    values = [report["macro_auroc"] for report in reports if report and report["macro_auroc"] is not None]
    mean = percent(sum(values) / len(values)) if len(values) == len(reports) else EMPTY
    return [*(cell(report, "macro_auroc") for report in reports), mean]


def negation_table(results: Sequence[Result]) -> str:
    """How each model takes a negation and a contradiction, over the labels of all tasks, in percent."""
    rows = []
    for result in results:
        report = result["tasks"].get("negation")
        pairs = str(report["num_pairs"]) if report else EMPTY
        rows.append([*named(result), pairs, *(cell(report, name) for name in NEGATION)])
    return markdown(["model", "weights", "label and record pairs", *NEGATION.values()], rows)
