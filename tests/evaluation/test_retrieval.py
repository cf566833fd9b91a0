"""Ranks of texts and ECGs, checked against a loop that follows the definition."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from etp import retrieval
from etp.evaluation.retrieval_metrics import report_retrieval
from etp.evaluation.tables import retrieval_table
from etp.retrieval import certain_recalls, retrieval_metrics, retrieval_ranks


def random_units(rows: int, *, seed: int, dim: int = 6) -> torch.Tensor:
    return F.normalize(torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed)), dim=-1)


def ranks_by_loop(similarity, text_index):
    """(ecgs, texts) similarities -> ranks of both directions, one candidate at a time."""
    ecg_ranks = [1 + sum(score > row[own] for score in row) for row, own in zip(similarity, text_index, strict=True)]
    text_ranks = []
    for text in sorted(set(text_index)):
        best = max(similarity[ecg][text] for ecg, own in enumerate(text_index) if own == text)
        text_ranks.append(1 + sum(similarity[ecg][text] > best for ecg, own in enumerate(text_index) if own != text))
    return ecg_ranks, text_ranks


def test_ranks_follow_the_definition_over_several_chunks(monkeypatch):
    monkeypatch.setattr(retrieval, "_CHUNK_ROWS", 7)
    ecg_embeds, text_embeds = random_units(40, seed=0), random_units(23, seed=1)
    text_index = torch.randint(0, 20, (40,), generator=torch.Generator().manual_seed(2)).tolist()
    ecg_ranks, text_ranks = retrieval_ranks(ecg_embeds, text_embeds, text_index)
    expected = ranks_by_loop((ecg_embeds @ text_embeds.T).tolist(), text_index)
    assert ecg_ranks.tolist() == expected[0]
    assert text_ranks.tolist() == expected[1]


def test_perfect_embeddings_have_rank_one_though_ecgs_share_a_text():
    text_embeds = torch.eye(3)
    metrics = retrieval_metrics(text_embeds[[0, 0, 0, 1, 2]], text_embeds, [0, 0, 0, 1, 2])
    assert metrics["ecg_to_text_recall_at_1"] == metrics["text_to_ecg_recall_at_1"] == 1.0
    assert metrics["ecg_to_text_median_rank"] == metrics["text_to_ecg_median_rank"] == 1.0
    assert (metrics["num_ecgs"], metrics["num_texts"]) == (5, 3)


def test_collapsed_embeddings_are_at_chance_not_at_rank_one():
    metrics = retrieval_metrics(torch.ones(101, 4), torch.ones(101, 4), torch.arange(101))
    assert metrics["ecg_to_text_recall_at_10"] == 0.0
    assert metrics["ecg_to_text_median_rank"] == metrics["text_to_ecg_median_rank"] == 51.0


@pytest.mark.parametrize(
    "text_index", [[0] * 20, [0] * 19 + [1], [0, 1, 2, 3, 4] * 4, list(range(20)), [0] * 6, [0, 0, 1]]
)
def test_recalls_that_any_model_reaches_are_those_of_the_worst_model(text_index):
    """The worst: every ECG is nearest to the texts of others and farthest from its own."""
    num_texts = max(text_index) + 1
    texts = torch.eye(num_texts)
    ecgs = F.normalize(1 - texts[text_index] + 1e-3, dim=-1) if num_texts > 1 else torch.ones(len(text_index), 1)
    metrics = retrieval_metrics(ecgs - 2 * texts[text_index], texts, text_index)
    reached = [name for name, value in metrics.items() if "recall" in name and value == 1]
    assert certain_recalls(text_index, num_texts=num_texts) == reached


def test_reports_that_are_all_alike_are_said_to_prove_nothing():
    def report(text_index):
        texts = random_units(max(text_index) + 1, seed=0)
        return report_retrieval(
            random_units(20, seed=1), texts, np.array(text_index), np.arange(20), num_resamples=0, seed=0
        ) | {"baselines": {}}

    alike, different = report([0] * 20), report(list(range(20)))
    assert alike["ecg_to_text_recall_at_1"] == 1
    assert alike["note"].startswith(
        "20 ECGs have 1 different text, so any model reaches 100% in ecg_to_text_recall_at_1"
    )
    assert "note" not in different
    result = {"name": "etp", "checkpoint_sha256": "0" * 64, "tasks": {"report": alike}}
    table = retrieval_table([result])
    assert table.endswith(f"\n\netp, report: {alike['note']}")
    assert "so any model" not in retrieval_table([{**result, "tasks": {"report": different}}])


def test_a_text_without_an_ecg_is_a_distractor_only():
    text_embeds = torch.eye(2)
    metrics = retrieval_metrics(torch.tensor([[0.6, 0.8]]), text_embeds, [0])
    assert metrics["ecg_to_text_median_rank"] == 2.0
    assert metrics["num_texts"] == 1


@pytest.mark.parametrize(
    ("ecgs", "texts", "text_index", "message"),
    [
        (torch.ones(2, 3), torch.ones(2, 4), [0, 1], "same dim"),
        (torch.ones(0, 3), torch.ones(2, 3), [], "at least one ECG"),
        (torch.ones(2, 3), torch.ones(2, 3), [0], "one text row per ECG"),
        (torch.ones(2, 3), torch.ones(2, 3), [0, 2], "from 0 to 1"),
        (torch.full((2, 3), torch.nan), torch.ones(2, 3), [0, 1], "NaN"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(ecgs, texts, text_index, message):
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(ecgs, texts, text_index)
