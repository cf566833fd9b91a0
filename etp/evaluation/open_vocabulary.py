"""etp evaluate open-vocabulary --model DIR --dataset ptb_xl --data_dir DIR --output results.json

Evaluate a model by paraphrases that occur in no training text, beside the known ones, by prompts in the styles in which
others write them, and by prompts that negate or contradict.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.report_glossary import own_phrases
from etp.evaluation.arguments import UNSEEN, DataArguments, OpenVocabularyArguments, RunArguments, refusing_bad_input
from etp.evaluation.baselines import constant_baselines
from etp.evaluation.command import Evaluation, alone_in_its_output, open_evaluation
from etp.evaluation.embedding import EcgEmbeddings
from etp.evaluation.open_vocabulary_tables import negation_table, open_vocabulary_table
from etp.evaluation.prompts import LabelPrompts, PromptOptions, load_prompts
from etp.evaluation.splits import training_split
from etp.evaluation.styles import FILES, load_styles, style_metrics
from etp.file_hashes import file_sha256
from etp.progress import progress
from etp.scoring.labels import label_columns
from etp.texts.paraphrases import generalisations
from etp.texts.training_texts import training_texts
from modeling_etp.zero_shot_etp import embed_texts

from .paraphrase_metrics import (
    Negation,
    Score,
    known_paraphrases,
    load_negations,
    one_at_a_time,
    report_negations,
    single_paraphrase_metrics,
    states,
)
from .task_metrics import TaskRecords, report_scores, summarise_scores


@alone_in_its_output
def main(data: DataArguments, run: RunArguments, args: OpenVocabularyArguments):
    with refusing_bad_input():
        tasks = list(label_columns(data.dataset, args.tasks))
        unseen = load_unseen(data.dataset, tasks, args.unseen)
        styles = load_styles(data.dataset, tasks, args.styles)
        negations = load_negations({prompt.task: prompt.labels for prompt in unseen}, args.negations)
        files = {"unseen": args.unseen, "negations": args.negations, **{style: FILES[style] for style in styles}}
        sha256 = {name: file_sha256(file) for name, file in files.items()}
        decisive = {"tasks": tasks, "files_sha256": sha256, "interpret_labels": args.interpret_labels}
        evaluation = open_evaluation("open_vocabulary", data, run, decisive)
        usual = [
            prompt.complete(evaluation.records.labels_of(prompt.column))
            for prompt in load_prompts(data.dataset, tasks)
        ]
        known = [same_labels(*pair) for pair in zip(usual, unseen, strict=True)]
        texts = texts_of_training(evaluation)
        refuse_known(unseen, texts, args.unseen)
        named = {
            f"{kind}_{prompt.task}": (kind, prompt, evaluation.records.of_task(prompt.column, prompt.labels))
            for kind, of_kind in {"known": known, "unseen": unseen, **styles}.items()
            for prompt in of_kind
        }

    results = evaluation.results
    left = [name for name in named if name not in results]
    negate = any(negations.values()) and "negation" not in results  # a data set of one's own may have none
    if left or negate:
        ecgs, untrained = evaluation.embed(), evaluation.embed(untrained=True)
    for name in progress(left, "Evaluating paraphrases", total=len(left), unit="task"):
        kind, prompt, (labelled, records) = named[name]
        sources = [ecgs.keep(labelled), untrained.keep(labelled)]
        options = PromptOptions(interpret_labels=args.interpret_labels)
        score = partial(evaluation.scores, sources=sources, options=options)
        resampling = {"num_resamples": run.num_resamples, "seed": run.seed}
        if kind in styles:
            report = style_metrics(score, prompt, records, texts, **resampling)
        else:
            report = paraphrase_metrics(score, prompt, records, **resampling)
        results.add(name, report)
    if negate:
        records_of = {prompt.task: named[f"unseen_{prompt.task}"][2] for prompt in unseen}
        results.add("negation", report_negation(evaluation, negations, known, ecgs, records_of, run))
    print(open_vocabulary_table([results.content]), negation_table([results.content]), sep="\n\n")
    print(f"Written to {results.path}.")


def load_unseen(dataset: str, tasks: list[str], file: Path) -> list[LabelPrompts]:
    """Paraphrases of each task that occur in no training text.

    Raises:
        ValueError: If the file has none of a task; says how to give them.
    """
    try:
        return load_prompts(dataset, tasks, file=file, flag="--unseen")
    except ValueError as error:
        if file != UNSEEN:
            raise
        raise ValueError(
            f"--dataset {dataset}: no paraphrases of its labels are shipped. Give your own that no training text has: "
            "--unseen FILE with {task: {label: [phrases]}}."
        ) from error


def same_labels(known: LabelPrompts, unseen: LabelPrompts) -> LabelPrompts:
    """The known phrases of the labels that have unseen ones, so that both are evaluated on the same labels."""
    phrases = {label: own for label, own in known.phrases.items() if label in unseen.phrases}
    if list(phrases) != unseen.labels:
        raise ValueError(
            f"--unseen, task {unseen.task}: its labels must be some of {', '.join(known.labels)}, in that order."
        )
    return LabelPrompts(known.task, known.column, phrases, known.negations, known.source)


def texts_of_training(evaluation: Evaluation) -> set[str]:
    """What a training could have shown the model: the archive's reports, or all that PTB-XL's say where it has none."""
    statements = training_split(evaluation.splits)["statements"][:]
    if not any(statements):
        statements = [[phrase] for phrase, entry in own_phrases() if entry.kind == "finding"]
    return training_texts(statements)


def refuse_known(unseen: list[LabelPrompts], texts: set[str], file: Path) -> None:
    """Refuse paraphrases that a training could have shown the model.

    Raises:
        ValueError: Names them.
    """
    if known := known_paraphrases(unseen, texts):
        raise ValueError(
            f"--unseen {file}: {len(known)} paraphrases are no test, training texts have them: "
            f"{'; '.join(known[:5])}{' …' if known[5:] else ''}. Take them out of one or the other."
        )


def paraphrase_metrics(
    score: Score,
    prompt: LabelPrompts,
    records: TaskRecords,
    *,
    num_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """All metrics of one task under one set of paraphrases: pooled as in zero-shot classification, and one at a time.

    Args:
        score: Labels -> scores `(records, labels)`, of the model and of its untrained twin.
    """
    scores, baseline = score(prompt)
    report = report_scores(scores, records, num_resamples=num_resamples, seed=seed)
    report["single_paraphrases"] = single_paraphrase_metrics(
        score(one_at_a_time(prompt))[0], prompt, records, num_resamples=num_resamples, seed=seed
    )
    report["baselines"] = {
        **constant_baselines(records.targets[records.evaluated]),
        "random_encoder": summarise_scores(baseline, records),
    }
    report["prompts"] = {"source": prompt.source, "num_phrases": sum(map(len, prompt.phrases.values()))}
    return report


def report_negation(
    evaluation: Evaluation,
    negations: dict[str, list[Negation]],
    known: list[LabelPrompts],
    ecgs: EcgEmbeddings,
    records: dict[str, tuple[np.ndarray, TaskRecords]],
    run: RunArguments,
) -> dict[str, Any]:
    """Negations and contradictions, on the evaluated records whose report states the label; without reports, its label."""
    evaluated = evaluation.records.evaluated
    rows = np.flatnonzero(evaluated)
    statements = evaluation.records.dataset["statements"][:]
    statements = [statements[row] for row in rows]
    said = [[text for own in record for text in (own, *generalisations(own))] for record in statements]
    stating: dict[str, dict[str, np.ndarray]] = {}
    of_task = {}
    for prompt in known:
        labelled, task_records = records[prompt.task]
        of_task[prompt.task] = labelled[evaluated], task_records.keep(task_records.evaluated)
        targets = np.zeros((len(rows), len(prompt.labels)), dtype=bool)
        targets[labelled[evaluated]] = of_task[prompt.task][1].targets
        stating[prompt.task] = {
            entry.label: states(said, (entry.stated, *prompt.phrases[entry.label]))
            if any(statements)
            else targets[:, prompt.labels.index(entry.label)]
            for entry in negations.get(prompt.task, ())
        }
    own = ecgs.keep(evaluated)

    def similarity(texts: list[str]) -> np.ndarray:
        embeds = embed_texts(evaluation.checkpoint.model, evaluation.checkpoint.processor.tokenizer, texts).cpu()
        return own.pool_scores(own.embeds @ embeds.T, evaluation.embedder.conditions.windows)

    return report_negations(
        similarity,
        negations,
        of_task,
        stating,
        evaluation.records.patient[evaluated],
        num_resamples=run.num_resamples,
        seed=run.seed,
    )
