"""Negations: which are made, whom they are true of, and what their loss asks for."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from etp.texts.negations import NEGATIONS, NegationVocabulary
from etp.texts.statement_vocabulary import StatementVocabulary
from etp.training.objectives import absence_loss, negation_loss

RECORDS = [["sinus rhythm", "normal ECG"]] * 40 + [["atrial fibrillation"]] * 30 + [["no P waves"]] * 25


@pytest.fixture
def negations() -> NegationVocabulary:
    return NegationVocabulary(StatementVocabulary(RECORDS, paraphrase_rate=0.5, seed=0), seed=0)


def test_findings_are_denied_and_denials_and_normality_are_not(negations):
    assert negations.statements == ["sinus rhythm", "atrial fibrillation"]


def test_texts_are_a_denial_of_each_statement_and_then_the_statements(negations):
    for step in range(5):
        first, second, *statements = negations.texts(epoch=0, step=step)
        assert statements == negations.statements
        assert first != statements[0]
        assert {first, second, *statements} <= set(negations.paraphrases())
        assert negations.texts(epoch=0, step=step) == [first, second, *statements]
    assert len({negations.texts(epoch=0, step=step)[0] for step in range(20)}) > len(NEGATIONS) / 2


def test_a_denial_is_true_of_whom_the_statement_is_not(negations):
    weights = negations.weights(np.array([0, 1, 2, 45]))
    assert (np.sign(weights) == [[-1, 1], [-1, 1], [-1, 1], [1, -1]]).all()


def test_presence_and_absence_of_a_statement_weigh_the_same(negations):
    weights = negations.weights(np.array([0, 1, 2, 45, 80]))
    np.testing.assert_allclose(weights.sum(axis=0), 0, atol=1e-6)
    assert np.abs(weights).sum() == pytest.approx(1)


def test_a_statement_that_the_whole_batch_lacks_is_left_out(negations):
    assert not negations.weights(np.array([80, 81, 82])).any()


def test_the_loss_of_indistinguishable_pairs_is_that_of_a_coin():
    embeds = F.normalize(torch.ones(3, 4), dim=-1)
    weights = torch.tensor([[0.25], [-0.5], [0.25]])
    assert negation_loss(embeds, embeds[:2], torch.tensor(20.0), weights).item() == pytest.approx(np.log(2))


def test_the_loss_falls_when_the_true_text_of_each_pair_is_nearer():
    negation, statement = torch.eye(2)
    texts, ecgs = torch.stack([negation, statement]), torch.stack([negation, statement])
    right, wrong = torch.tensor([[0.5], [-0.5]]), torch.tensor([[-0.5], [0.5]])
    scale = torch.tensor(5.0)
    assert negation_loss(ecgs, texts, scale, right) < 0.01 < 4 < negation_loss(ecgs, texts, scale, wrong)


def test_absence_costs_a_coin_where_ecgs_lie_alike():
    embeds = F.normalize(torch.ones(4, 4), dim=-1)
    weights = torch.tensor([[0.25], [-0.5], [0.125], [0.125]])
    assert absence_loss(embeds, embeds[:1], torch.tensor(20.0), weights).item() == pytest.approx(np.log(2))


def test_absence_asks_a_negation_to_rank_ecgs_where_the_pair_is_told_apart_already():
    with_finding, without = ecgs = F.normalize(torch.tensor([[3.0, 1.0], [2.0, 2.0]]), dim=-1)
    statement, heard_as_finding = F.normalize(torch.tensor([[3.0, 1.0], [1.0, 0.4]]), dim=-1)
    scale, weights = torch.tensor(20.0), torch.tensor([[-0.5], [0.5]])
    pair = torch.stack([heard_as_finding, statement])
    assert heard_as_finding @ with_finding > heard_as_finding @ without
    assert negation_loss(ecgs, pair, scale, weights) < np.log(2)
    assert absence_loss(ecgs, heard_as_finding[None], scale, weights) > np.log(2)
    assert absence_loss(ecgs, torch.tensor([[0.0, 1.0]]), scale, weights) < 0.05


def test_absence_pulls_present_and_absent_apart_equally():
    ecgs = F.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), dim=-1).requires_grad_()
    text = F.normalize(torch.randn(1, 4, generator=torch.Generator().manual_seed(1)), dim=-1)
    weights = torch.tensor([[-0.5], [0.1], [0.1], [0.1], [0.1], [0.1]])
    absence_loss(ecgs, text, torch.tensor(5.0), weights).backward()
    along = (ecgs.grad @ text.T).flatten()
    assert along[0] > 0
    assert (along[1:] < 0).all()
