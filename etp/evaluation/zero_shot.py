"""etp evaluate zero-shot --model DIR --dataset ptb_xl --data_dir DIR --split test --output results.json

Classify ECGs by phrases alone, without one labelled ECG, and evaluate it: AUROC, average precision, F1, calibration.
"""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from etp.evaluation.anomaly import anomaly_records, distance_anomaly, normal_class, only_normal, zero_shot_anomaly
from etp.evaluation.arguments import DataArguments, RunArguments, ZeroShotArguments, refusing_bad_input
from etp.evaluation.baselines import constant_baselines, supervised_reference
from etp.evaluation.command import Evaluation, alone_in_its_output, open_evaluation
from etp.evaluation.embedding import EcgEmbeddings
from etp.evaluation.patients import PATIENT_TASKS, REPORTS, known_patients
from etp.evaluation.prompts import LabelPrompts, PromptOptions, describe, load_prompts
from etp.evaluation.splits import training_split
from etp.evaluation.tables import detail_table
from etp.file_hashes import file_sha256
from etp.progress import progress
from etp.scoring.labels import label_targets

from .task_metrics import TaskRecords, report_scores, summarise_scores

logger = logging.getLogger(__name__)


@alone_in_its_output
def main(data: DataArguments, run: RunArguments, args: ZeroShotArguments):
    with refusing_bad_input():
        of_patients = [task for task in PATIENT_TASKS if task in (args.tasks or ())]
        tasks = None if args.tasks is None else [task for task in args.tasks if task not in of_patients]
        prompts = []
        if tasks != [] or not of_patients:
            prompts = load_prompts(
                data.dataset, tasks, file=args.prompts, names=args.prompt_names, contrast=args.contrast
            )
        options = PromptOptions(args.templates, args.pooling, args.contrast, args.interpret_labels)
        normal = normal_class(data.dataset) if args.anomaly else None
        if args.anomaly and data.split in ("train", "all"):
            raise ValueError(
                f"--anomaly measures the distance to normal training ECGs, and --split {data.split} holds those."
            )
        evaluation = open_evaluation("zero_shot", data, run, options_of(args))
        prompts = [prompt.complete(evaluation.records.labels_of(prompt.column)) for prompt in prompts]
        records = [evaluation.records.of_task(prompt.column, prompt.labels) for prompt in prompts]
        for task in of_patients:
            known_patients(evaluation.records, task)

    results = evaluation.results
    left = [pair for pair in zip(prompts, records, strict=True) if pair[0].task not in results]
    find_anomalies = args.anomaly and "anomaly_distance" not in results
    patients_left = [task for task in of_patients if task not in results]
    if left or patients_left or find_anomalies:
        ecgs, untrained = evaluation.embed(), evaluation.embed(untrained=True)
    for prompt, (labelled, task_records) in progress(left, "Evaluating tasks", total=len(left), unit="task"):
        scores, baseline = score(evaluation, prompt, options, args, (ecgs, untrained))
        report = report_task(prompt, scores[labelled], baseline[labelled], task_records, run)
        labels = evaluation.records.labels_of(prompt.column)
        report["prompts"]["labels_without"] = without = [label for label in labels if label not in prompt.phrases]
        if without:
            logger.warning("Task %s: no phrases for %s, which are not evaluated.", prompt.task, ", ".join(without))
        # The reference is a mean over all labels.
        report["supervised_reference"] = None if without else supervised_reference(data.dataset, prompt.task)
        with refusing_bad_input():
            results.add(prompt.task, report)
    for task in patients_left:
        scorer = partial(evaluation.scores, sources=[ecgs, untrained], options=PromptOptions(args.templates))
        report = REPORTS[task](scorer, evaluation.records, num_resamples=run.num_resamples, seed=run.seed)
        with refusing_bad_input():
            results.add(task, report)
    if normal is not None and find_anomalies:
        report_anomalies(evaluation, data, normal, options, args, ecgs, run)
    print(detail_table(results.content))
    print(f"Written to {results.path}.")


def options_of(args: ZeroShotArguments) -> dict[str, Any]:
    """The options that decide a figure, a file of prompts by its content."""
    return {
        "prompts": str(args.prompts) if args.prompts else None,
        "prompts_sha256": file_sha256(args.prompts) if args.prompts else None,
        "prompt_names_sha256": file_sha256(args.prompt_names) if args.prompt_names else None,
        "templates": args.templates,
        "pooling": args.pooling,
        "contrast": args.contrast,
        "interpret_labels": args.interpret_labels,
        "describe_patient": args.describe_patient,
    }


def score(
    evaluation: Evaluation,
    prompt: LabelPrompts,
    options: PromptOptions,
    args: ZeroShotArguments,
    sources: Sequence[EcgEmbeddings],
) -> list[np.ndarray]:
    """Zero-shot scores `(records, labels)` of all records by each source of embeddings, with the patient where asked for."""
    descriptions = None
    if args.describe_patient:
        ages, sexes = (evaluation.records.dataset[column][:] for column in ("age", "sex"))
        descriptions = [describe(ages[row], sexes[row]) for source in sources for row in source.record.tolist()]
    return evaluation.scores(prompt, sources, options, descriptions=descriptions)


def report_task(
    prompt: LabelPrompts, scores: np.ndarray, baseline: np.ndarray, records: TaskRecords, run: RunArguments
) -> dict[str, Any]:
    """All metrics of one task beside its baselines."""
    report = report_scores(scores, records, num_resamples=run.num_resamples, seed=run.seed)
    report["baselines"] = {
        **constant_baselines(records.targets[records.evaluated]),
        "random_encoder": summarise_scores(baseline, records),
    }
    report["prompts"] = {"source": prompt.source, "num_phrases": sum(map(len, prompt.phrases.values()))}
    return report


def report_anomalies(
    evaluation: Evaluation,
    data: DataArguments,
    normal: tuple[str, str],
    options: PromptOptions,
    args: ZeroShotArguments,
    ecgs: EcgEmbeddings,
    run: RunArguments,
) -> None:
    """Add normal against anything else, by phrases and by distance to the normal ECGs of the training split."""
    task, label = normal
    (prompt,) = load_prompts(data.dataset, [task], contrast=args.contrast)
    prompt = prompt.complete(evaluation.records.labels_of(prompt.column))
    labelled, task_records = evaluation.records.of_task(prompt.column, prompt.labels)
    anomaly = anomaly_records(task_records, label)
    (scores,) = score(evaluation, prompt, options, args, [ecgs])
    zero_shot = zero_shot_anomaly(scores, prompt.labels, label)

    with refusing_bad_input():
        training = training_split(evaluation.splits)
    targets, _ = label_targets(training, prompt.column, prompt.labels)
    normal_ecgs = evaluation.embed(training.select(np.flatnonzero(only_normal(targets, prompt.labels, label))))
    distance = ecgs.pool_scores(
        distance_anomaly(ecgs.embeds, normal_ecgs.embeds), evaluation.embedder.conditions.windows
    )
    for name, anomalous in (("anomaly_zero_shot", zero_shot), ("anomaly_distance", distance)):
        report = report_scores(anomalous[labelled], anomaly, num_resamples=run.num_resamples, seed=run.seed)
        report["baselines"] = constant_baselines(anomaly.targets[anomaly.evaluated])
        with refusing_bad_input():
            evaluation.results.add(name, report)
