"""etp evaluate fine-tuned --model DIR --dataset ptb_xl --data_dir DIR --split test --output fine-tuned.json

Evaluate a classifier that `etp finetune` made, task by task.
"""

from typing import Any

import numpy as np
from scipy.special import log_softmax

from etp.evaluation.arguments import DataArguments, FineTunedArguments, RunArguments, refusing_bad_input
from etp.evaluation.baselines import constant_baselines, supervised_reference
from etp.evaluation.command import FINE_TUNED, alone_in_its_output, open_evaluation
from etp.evaluation.tables import detail_table
from etp.progress import progress
from etp.scoring.heads import task_slices, tasks_of
from etp.scoring.labels import label_columns

from .task_metrics import TaskRecords, report_scores


@alone_in_its_output
def main(data: DataArguments, run: RunArguments, args: FineTunedArguments) -> None:
    with refusing_bad_input():
        if data.split in ("train", "all"):
            raise ValueError(f"--split {data.split} holds records that a classifier is trained on; take test.")
        evaluation = open_evaluation(FINE_TUNED, data, run, {})
        config: Any = evaluation.checkpoint.model.config
        tasks = tasks_of(config)
        columns = label_columns(data.dataset, chosen_tasks(tasks, args.tasks))
        records = {task: evaluation.records.of_task(columns[task], tasks[task]) for task in columns}
    results = evaluation.results
    left = [task for task in columns if task not in results]
    if left:
        embeddings = evaluation.embed()
        logits = embeddings.pool_scores(embeddings.embeds, data.windows)
    slices = task_slices(tasks)
    for task in progress(left, "Evaluating tasks", total=len(left), unit="task"):
        rows, task_records = records[task]
        own = logits[rows, slices[task]]
        # Labels of which each ECG has one are ranked by their probability, not by what is left of it.
        scores = log_softmax(own, axis=1) if config.problem_type == "single_label_classification" else own
        with refusing_bad_input():
            results.add(task, report_task(scores, task_records, data.dataset, task, run))
    print(detail_table(results.content))
    print(f"Written to {results.path}.")


def chosen_tasks(tasks: dict[str, list[str]], asked: list[str] | None) -> list[str]:
    """The tasks of a classifier that are asked for.

    Raises:
        ValueError: If one is none of them.
    """
    if unknown := [task for task in asked or () if task not in tasks]:
        raise ValueError(f"--tasks: the classifier was not trained on {unknown[0]!r}, but on {', '.join(tasks)}.")
    return asked or list(tasks)


def report_task(
    scores: np.ndarray, records: TaskRecords, dataset: str, task: str, run: RunArguments
) -> dict[str, Any]:
    """All metrics of one task, beside baselines and the supervised reference."""
    report = report_scores(scores, records, num_resamples=run.num_resamples, seed=run.seed)
    report["baselines"] = constant_baselines(records.targets[records.evaluated])
    report["supervised_reference"] = supervised_reference(dataset, task)
    return report
