"""etp evaluate linear --model DIR --dataset ptb_xl --data_dir DIR --split test --output linear.json

Linear probe of the frozen ECG tower: logistic regression with 1%, 10% and 100% of the training labels.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from etp.evaluation.arguments import DataArguments, LinearArguments, RunArguments, refusing_bad_input
from etp.evaluation.baselines import constant_baselines, supervised_reference
from etp.evaluation.command import alone_in_its_output, open_evaluation
from etp.evaluation.splits import training_split
from etp.evaluation.tables import detail_table, label_fraction_table
from etp.progress import progress
from etp.scoring.labels import label_columns, label_targets, stratified_fraction
from etp.scoring.probe import choose_probe

from .task_metrics import TaskRecords, report_scores, summarise_scores


@dataclass(frozen=True)
class ProbeTask:
    """Features and labels of one task; the probe is fitted on `training_*` and evaluated on `records`.

    Attributes:
        training_patients: Patient of each training record; fractions are drawn by patient.
        fitted: (fraction, seed) -> scores and strength, so that nothing is fitted twice.
    """

    training_features: Tensor
    training_targets: np.ndarray
    training_patients: np.ndarray
    features: Tensor
    records: TaskRecords
    fitted: dict[tuple[float, int], tuple[np.ndarray, float]] = field(default_factory=dict)

    def scores(self, fraction: float, seed: int) -> tuple[np.ndarray, float]:
        """Scores of all of `records` after training on a fraction of the labels, and the strength that was chosen."""
        if (fraction, seed) not in self.fitted:
            self.fitted[fraction, seed] = self._fit(fraction, seed)
        return self.fitted[fraction, seed]

    def _fit(self, fraction: float, seed: int) -> tuple[np.ndarray, float]:
        rows = stratified_fraction(
            self.training_targets, fraction, seed=seed, patient_ids=self.training_patients.tolist()
        )
        validation = self.records.validation
        probe, strength = choose_probe(
            self.training_features[rows],
            self.training_targets[rows],
            self.features[validation],
            self.records.targets[validation],
        )
        return probe(self.features), strength


@alone_in_its_output
def main(data: DataArguments, run: RunArguments, args: LinearArguments):
    with refusing_bad_input():
        columns = label_columns(data.dataset, args.tasks)
        if data.split in ("train", "all"):
            raise ValueError(f"--split {data.split} holds the records that the probe is trained on; take test.")
        options = {"label_fractions": args.label_fractions, "num_seeds": args.num_seeds}
        evaluation = open_evaluation("linear_probe", data, run, options)
        training = training_split(evaluation.splits)
        labels = {task: evaluation.records.labels_of(column) for task, column in columns.items()}
        records = {task: evaluation.records.of_task(columns[task], labels[task]) for task in columns}

    results = evaluation.results
    left = [task for task in columns if task not in results]
    if left:
        evaluated, known = evaluation.features(), evaluation.features(training)
        patients = np.array(training["patient_id"][:], dtype=object)
        untrained = evaluation.features(untrained=True), evaluation.features(training, untrained=True)
    for task in progress(left, "Evaluating tasks", total=len(left), unit="task"):
        targets, labelled = label_targets(training, columns[task], labels[task])
        rows, task_records = records[task]
        own = targets[labelled], patients[labelled]
        probe = ProbeTask(known[labelled], *own, evaluated[rows], task_records)
        baseline = ProbeTask(untrained[1][labelled], *own, untrained[0][rows], task_records)
        report = report_task(probe, baseline, args, run)
        report["supervised_reference"] = supervised_reference(data.dataset, task)
        with refusing_bad_input():
            results.add(task, report)
    print(detail_table(results.content))
    print(label_fraction_table([results.content]))
    print(f"Written to {results.path}.")


def report_task(probe: ProbeTask, baseline: ProbeTask, args: LinearArguments, run: RunArguments) -> dict[str, Any]:
    """All metrics at the largest fraction of labels, beside baselines and the smaller fractions."""
    largest, records = max(args.label_fractions), probe.records
    scores, strength = probe.scores(largest, run.seed)
    report = report_scores(scores, records, num_resamples=run.num_resamples, seed=run.seed)
    untrained, _ = baseline.scores(largest, run.seed)
    report["baselines"] = {
        **constant_baselines(records.targets[records.evaluated]),
        "random_encoder": summarise_scores(untrained, records),
    }
    report["num_training_records"] = len(probe.training_targets)
    report["strength"] = strength
    report["label_fractions"] = {
        str(fraction): fraction_metrics(probe, fraction, args, run) for fraction in args.label_fractions
    }
    return report


def fraction_metrics(probe: ProbeTask, fraction: float, args: LinearArguments, run: RunArguments) -> dict[str, Any]:
    """Macro metrics at one fraction of the labels: mean and deviation over the draws; all labels can be drawn one way."""
    seeds = [run.seed] if fraction == 1 else range(run.seed, run.seed + args.num_seeds)
    runs = []
    for seed in seeds:
        scores, strength = probe.scores(fraction, seed)
        runs.append({"seed": seed, "strength": strength, **summarise_scores(scores, probe.records)})
    names = [name for name in runs[0] if name.startswith("macro_")]
    means = {name: float(np.mean([metrics[name] for metrics in runs])) for name in names}
    deviation = float(np.std([metrics["macro_auroc"] for metrics in runs], ddof=1)) if len(runs) > 1 else 0.0
    return {**means, "macro_auroc_deviation": deviation, "num_runs": len(runs), "runs": runs}
