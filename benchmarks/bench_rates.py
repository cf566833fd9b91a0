"""python benchmarks/bench_rates.py --model build/etp-ptb-xl --ptb_xl DIR --ptb_xl_500hz DIR: the same ECGs at 100 and at 500 Hz.

One JSON line: how alike their embeddings are, whether each finds itself, and whether zero-shot says the same of both.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from scipy.stats import spearmanr

from etp.archives import open_archive
from etp.evaluation.embedding import Conditions, embed_ecgs
from etp.evaluation.prompts import PromptOptions, load_prompts, score_labels
from etp.loading import Checkpoint, load_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--ptb_xl", type=Path, required=True, help="archive with the records at 100 Hz")
    parser.add_argument("--ptb_xl_500hz", type=Path, required=True, help="archive with some or all of them at 500 Hz")
    args = parser.parse_args()
    checkpoint = load_checkpoint(args.model)
    fast, slow = same_records(all_splits(args.ptb_xl_500hz, "500hz"), all_splits(args.ptb_xl, "100hz"))
    embeds = [embed(checkpoint, dataset) for dataset in (fast, slow)]
    cosines = embeds[0] @ embeds[1].T
    own = cosines.diagonal()
    print(
        json.dumps(
            {
                "benchmark": "rates",
                "checkpoint_sha256": checkpoint.weights_sha256,
                "records": len(fast),
                "least_cosine": round(own.min().item(), 4),
                "median_cosine": round(own.median().item(), 4),
                "median_cosine_of_others": round(cosines[~torch.eye(len(own), dtype=torch.bool)].median().item(), 4),
                "nearest_is_itself": int((cosines.argmax(dim=1) == torch.arange(len(own))).sum()),
                "tasks": {prompts.task: agreement(checkpoint, prompts, embeds) for prompts in load_prompts("ptb_xl")},
            }
        )
    )


def all_splits(folder: Path, config: str) -> Dataset:
    return concatenate_datasets(list(open_archive("ptb_xl", folder, config=config).values()))


def same_records(first: Dataset, second: Dataset) -> tuple[Dataset, Dataset]:
    """The records that both have, in one order."""
    rows = [{record: row for row, record in enumerate(dataset["record_id"][:])} for dataset in (first, second)]
    common = sorted(rows[0].keys() & rows[1].keys())
    if not common:
        raise SystemExit("The two archives have no record in common: give the same records at both rates.")
    return first.select([rows[0][record] for record in common]), second.select([rows[1][record] for record in common])


def embed(checkpoint: Checkpoint, dataset: Dataset) -> torch.Tensor:
    extractor = checkpoint.processor.feature_extractor
    return embed_ecgs(checkpoint.model, extractor, dataset, conditions=Conditions()).embeds


def agreement(checkpoint: Checkpoint, prompts, embeds: list[torch.Tensor]) -> dict[str, float]:
    """Same best label, and the rank correlation of each label's scores over the records (least and median label)."""
    scores = [
        score_labels(checkpoint.model, checkpoint.processor.tokenizer, prompts, part, PromptOptions()).numpy()
        for part in embeds
    ]
    ranks = [spearmanr(fast, slow).statistic for fast, slow in zip(scores[0].T, scores[1].T, strict=True)]
    same = scores[0].argmax(axis=1) == scores[1].argmax(axis=1)
    return {
        "same_best_label": round(float(same.mean()), 3),
        "least_rank_correlation": round(float(np.min(ranks)), 3),
        "median_rank_correlation": round(float(np.median(ranks)), 3),
    }


if __name__ == "__main__":
    main()
