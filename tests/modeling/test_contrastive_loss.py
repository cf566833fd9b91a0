"""The contrastive losses on one process, against their closed forms."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from modeling_etp.loss_etp import info_nce_loss, pairwise_logits, siglip_loss

SCALE = torch.tensor(5.0)


def unit_vectors(rows: int, seed: int, dim: int = 6) -> Tensor:
    return F.normalize(torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.fixture
def ecg_embeds() -> Tensor:
    return unit_vectors(5, seed=0)


@pytest.fixture
def text_embeds() -> Tensor:
    return unit_vectors(5, seed=1)


def test_info_nce_is_the_mean_of_both_cross_entropies(ecg_embeds, text_embeds):
    logits, targets = SCALE * ecg_embeds @ text_embeds.T, torch.arange(5)
    expected = (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
    torch.testing.assert_close(info_nce_loss(ecg_embeds, text_embeds, SCALE), expected)


def test_info_nce_of_equal_embeddings_is_the_log_of_their_number():
    alike = unit_vectors(1, seed=0).expand(8, -1)
    assert info_nce_loss(alike, alike, SCALE).item() == pytest.approx(math.log(8), abs=1e-5)


def test_several_positives_are_the_targets_of_a_soft_cross_entropy(ecg_embeds):
    text_embeds = unit_vectors(3, seed=2)
    positives = torch.tensor([[1.0, 0, 0], [1, 3, 0], [0, 1, 1], [0, 0, 2], [1, 1, 1]])
    logits = SCALE * ecg_embeds @ text_embeds.T
    per_ecg = F.cross_entropy(logits, positives / positives.sum(1, keepdim=True))
    per_text = F.cross_entropy(logits.T, positives.T / positives.T.sum(1, keepdim=True))
    torch.testing.assert_close(info_nce_loss(ecg_embeds, text_embeds, SCALE, positives), (per_ecg + per_text) / 2)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_a_text_counts_by_a_power_of_its_number_of_ecgs(ecg_embeds, text_embeds, exponent):
    positives = torch.tensor(
        [[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0]]
    ).float()
    logits = SCALE * ecg_embeds @ text_embeds.T
    per_ecg = -(logits.log_softmax(dim=1) * positives).sum(dim=1) / positives.sum(dim=1)
    counts = torch.tensor([3.0, 1.0, 2.0])
    per_text = -(logits.log_softmax(dim=0) * positives).sum(dim=0)[:3] / counts
    expected = (per_ecg.mean() + (per_text * counts**exponent).sum() / (counts**exponent).sum()) / 2
    loss = info_nce_loss(ecg_embeds, text_embeds, SCALE, positives, text_count_exponent=exponent)
    torch.testing.assert_close(loss, expected)


def test_rows_and_columns_without_positives_are_negatives_only(ecg_embeds, text_embeds):
    positives = torch.eye(5)
    positives[1] = 0
    positives[:, 4] = 0
    logits = SCALE * ecg_embeds @ text_embeds.T
    ecgs, texts = torch.tensor([0, 2, 3]), torch.tensor([0, 2, 3])
    expected = (F.cross_entropy(logits[ecgs], ecgs) + F.cross_entropy(logits.T[texts], texts)) / 2
    torch.testing.assert_close(info_nce_loss(ecg_embeds, text_embeds, SCALE, positives), expected)


def test_one_ecg_with_a_positive_is_a_whole_mean(ecg_embeds, text_embeds):
    positives = torch.zeros(5, 5)
    positives[3, 2] = 1
    logits = SCALE * ecg_embeds @ text_embeds.T
    expected = (logits[3].logsumexp(0) + logits[:, 2].logsumexp(0)) / 2 - logits[3, 2]
    torch.testing.assert_close(info_nce_loss(ecg_embeds, text_embeds, SCALE, positives), expected)


def test_no_positive_at_all_gives_zero_and_no_nan_gradient(ecg_embeds, text_embeds):
    ecg_embeds.requires_grad_()
    loss = info_nce_loss(ecg_embeds, text_embeds, SCALE, torch.zeros(5, 5))
    loss.backward()
    assert loss.item() == 0
    torch.testing.assert_close(ecg_embeds.grad, torch.zeros(5, 6))


def test_perfect_embeddings_of_repeated_reports_leave_only_the_entropy_of_the_choice_between_them():
    text_embeds = torch.eye(6)[[0, 0, 0, 3, 3]]
    positives = torch.block_diag(torch.ones(3, 3), torch.ones(2, 2))
    loss = info_nce_loss(text_embeds, text_embeds, torch.tensor(100.0), positives)
    assert loss.item() == pytest.approx((3 * math.log(3) + 2 * math.log(2)) / 5, abs=1e-4)


def test_siglip_pushes_ecgs_of_the_same_report_apart_unless_told_that_it_is_the_same():
    text_embeds, bias = torch.eye(6)[[0, 0]], torch.tensor(0.0)
    pulls = []
    for positives in (None, torch.ones(2, 2)):
        ecg_embeds = text_embeds.clone().requires_grad_()
        siglip_loss(ecg_embeds, text_embeds, SCALE, bias, positives).backward()
        pulls.append(-ecg_embeds.grad[0, 0].item())
    by_row, by_content = pulls
    assert by_row < 0 < by_content


def test_siglip_is_the_sum_of_binary_cross_entropies_per_ecg(ecg_embeds, text_embeds):
    bias, positives = torch.tensor(-2.0), torch.eye(5)
    positives[0, 3] = 0.5  # any positive weight is a match
    logits = SCALE * ecg_embeds @ text_embeds.T + bias
    expected = F.binary_cross_entropy_with_logits(logits, (positives > 0).float(), reduction="sum") / 5
    torch.testing.assert_close(siglip_loss(ecg_embeds, text_embeds, SCALE, bias, positives), expected)
    identity = F.binary_cross_entropy_with_logits(logits, torch.eye(5), reduction="sum") / 5
    torch.testing.assert_close(siglip_loss(ecg_embeds, text_embeds, SCALE, bias), identity)


def test_the_loss_does_not_depend_on_the_order_of_the_batch(ecg_embeds, text_embeds):
    order = torch.tensor([3, 0, 4, 1, 2])
    shuffled = info_nce_loss(ecg_embeds[order], text_embeds[order], SCALE)
    torch.testing.assert_close(shuffled, info_nce_loss(ecg_embeds, text_embeds, SCALE))


def test_autocast_does_not_round_the_logits(ecg_embeds, text_embeds):
    exact = pairwise_logits(ecg_embeds, text_embeds, torch.tensor(100.0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(
            pairwise_logits(ecg_embeds, text_embeds, torch.tensor(100.0)), exact, rtol=0, atol=0
        )
        torch.testing.assert_close(
            info_nce_loss(ecg_embeds, text_embeds, SCALE), info_nce_loss(ecg_embeds.float(), text_embeds, SCALE)
        )


@pytest.mark.parametrize("loss", [info_nce_loss, lambda *args: siglip_loss(*args[:3], torch.tensor(0.0), *args[3:])])
def test_what_does_not_fit_is_refused(loss, ecg_embeds, text_embeds):
    with pytest.raises(ValueError, match="paired by row, got 5 ECGs and 3 texts"):
        loss(ecg_embeds, text_embeds[:3], SCALE)
    with pytest.raises(ValueError, match=r"shape \(ECGs, texts\) = \(5, 3\), got \(3, 5\)"):
        loss(ecg_embeds, text_embeds[:3], SCALE, torch.ones(3, 5))
    with pytest.raises(ValueError, match=r"non-negative weights, got -1\.0"):
        loss(ecg_embeds, text_embeds, SCALE, -torch.eye(5))
