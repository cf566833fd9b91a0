"""Tables of the open-vocabulary metrics: known and unseen paraphrases, one paraphrase at a time, negations."""

from collections.abc import Sequence
from typing import Any

from .markdown import EMPTY, cell, markdown, named

Result = dict[str, Any]
NEGATION = {
    "negated_below_stated": "negation below statement",
    "contradicted_below_stated": "contradiction below statement",
    "macro_auroc_stated": "AUROC of the statement",
    "macro_auroc_negated": "AUROC of its negation",
    "macro_auroc_contradicted": "AUROC of a contradiction",
}


def open_vocabulary_table(results: Sequence[Result]) -> str:
    """Macro AUROC in percent by paraphrases: known, in no training text, and the latter one at a time."""
    found = (name.partition("_")[2] for result in results for name in result["tasks"] if name != "negation")
    tasks = list(dict.fromkeys(found))
    rows = []
    for result in results:
        known, unseen = ([result["tasks"].get(f"{kind}_{task}") for task in tasks] for kind in ("known", "unseen"))
        single = [report and report["single_paraphrases"] for report in unseen]
        untrained = [report and report["baselines"]["random_encoder"] for report in unseen]
        for title, reports in (
            ("known", known),
            ("unseen", unseen),
            ("unseen, one at a time", single),
            ("unseen, random encoder", untrained),
        ):
            rows.append([*named(result), title, *(cell(report, "macro_auroc") for report in reports)])
    return markdown(["model", "weights", "paraphrases", *tasks], rows)


def negation_table(results: Sequence[Result]) -> str:
    """How each model takes a negation and a contradiction, over the labels of all tasks, in percent."""
    rows = []
    for result in results:
        report = result["tasks"].get("negation")
        pairs = str(report["num_pairs"]) if report else EMPTY
        rows.append([*named(result), pairs, *(cell(report, name) for name in NEGATION)])
    return markdown(["model", "weights", "label and record pairs", *NEGATION.values()], rows)
