"""etp evaluate retrieval --model DIR --dataset ptb_xl --data_dir DIR --split test --output retrieval.json

Find the report of an ECG among all reports, and the ECG of a report among all ECGs; distinct texts count once.
"""

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor

from etp.evaluation.arguments import DataArguments, RetrievalArguments, RunArguments, refusing_bad_input
from etp.evaluation.command import Evaluation, alone_in_its_output, open_evaluation
from etp.evaluation.embedding import EcgEmbeddings
from etp.evaluation.tables import retrieval_table
from etp.progress import progress
from modeling_etp.zero_shot_etp import embed_texts

from .retrieval_metrics import report_retrieval


@alone_in_its_output
def main(data: DataArguments, run: RunArguments, args: RetrievalArguments):
    with refusing_bad_input():
        evaluation = open_evaluation("retrieval", data, run, {})
        texts = {kind: texts_of(evaluation, kind, data) for kind in args.text_kinds}

    results = evaluation.results
    left = [kind for kind in texts if kind not in results]
    if left:
        ecgs, untrained = evaluation.embed(), evaluation.embed(untrained=True)
    for kind in progress(left, "Searching", total=len(left), unit="text"):
        rows, row_texts = texts[kind]
        text_embeds, text_index = embed_distinct(evaluation, row_texts)
        report, baseline = (
            report_retrieval(
                record_embeds(source)[torch.from_numpy(rows)],
                text_embeds,
                text_index,
                evaluation.records.patient[rows],
                num_resamples=run.num_resamples,
                seed=run.seed,
            )
            for source in (ecgs, untrained)
        )
        report["baselines"]["random_encoder"] = baseline
        with refusing_bad_input():
            results.add(kind, report)
    print(retrieval_table([results.content]))
    print(f"Written to {results.path}.")


def texts_of(evaluation: Evaluation, kind: str, data: DataArguments) -> tuple[np.ndarray, list[str]]:
    """The evaluated records that have a text, as rows, and those texts."""
    records = evaluation.records
    rows = np.flatnonzero(records.evaluated)
    texts = [text.strip() for text in read_texts(records.dataset.select(rows), kind)]
    kept = [position for position, text in enumerate(texts) if text]
    if not kept:
        raise ValueError(f"No record of the split {data.split!r} of {data.dataset} has a text of the kind {kind!r}.")
    return rows[kept], [texts[position] for position in kept]


def read_texts(dataset: Dataset, kind: str) -> list[str]:
    """One text per record, statements joined as in training."""
    if kind == "report":
        return [report or "" for report in dataset["report"][:]]
    return [". ".join(statements or []) for statements in dataset["statements"][:]]


def embed_distinct(evaluation: Evaluation, texts: list[str]) -> tuple[Tensor, np.ndarray]:
    """Embeddings of the distinct texts, and the row among them of each text."""
    distinct = list(dict.fromkeys(texts))
    row_of = {text: row for row, text in enumerate(distinct)}
    checkpoint = evaluation.checkpoint
    embeds = embed_texts(checkpoint.model, checkpoint.processor.tokenizer, distinct).cpu()
    return embeds, np.array([row_of[text] for text in texts])


def record_embeds(ecgs: EcgEmbeddings) -> Tensor:
    """One unit vector per record, the normalised mean over its windows."""
    return F.normalize(torch.from_numpy(ecgs.pool_scores(ecgs.embeds, "mean")).float(), dim=-1)
