"""Denials: which are made, whom they are true of, and what their loss asks for."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from etp.pretraining.bank import StatementBank
from etp.pretraining.denials import DENIALS, DenialBank
from etp.pretraining.objectives import denial_loss

RECORDS = [["sinus rhythm", "normal ECG"]] * 40 + [["atrial fibrillation"]] * 30 + [["no P waves"]] * 25


@pytest.fixture
def denials() -> DenialBank:
    return DenialBank(StatementBank(RECORDS, rewording=0.5, seed=0), seed=0)


def test_findings_are_denied_and_denials_and_normality_are_not(denials):
    assert denials.statements == ["sinus rhythm", "atrial fibrillation"]


def test_texts_are_a_denial_of_each_statement_and_then_the_statements(denials):
    for step in range(5):
        first, second, *statements = denials.texts(epoch=0, step=step)
        assert statements == denials.statements
        assert first != statements[0]
        assert {first, second, *statements} <= set(denials.wordings())
        assert denials.texts(epoch=0, step=step) == [first, second, *statements]
    assert len({denials.texts(epoch=0, step=step)[0] for step in range(20)}) > len(DENIALS) / 2


def test_a_denial_is_true_of_whom_the_statement_is_not(denials):
    weights = denials.weights(np.array([0, 1, 2, 45]))
    assert (np.sign(weights) == [[-1, 1], [-1, 1], [-1, 1], [1, -1]]).all()


def test_presence_and_absence_of_a_statement_weigh_the_same(denials):
    weights = denials.weights(np.array([0, 1, 2, 45, 80]))
    np.testing.assert_allclose(weights.sum(axis=0), 0, atol=1e-6)
    assert np.abs(weights).sum() == pytest.approx(1)


def test_a_statement_that_the_whole_batch_lacks_is_left_out(denials):
    assert not denials.weights(np.array([80, 81, 82])).any()


def test_the_loss_of_indistinguishable_pairs_is_that_of_a_coin():
    embeds = F.normalize(torch.ones(3, 4), dim=-1)
    weights = torch.tensor([[0.25], [-0.5], [0.25]])
    assert denial_loss(embeds, embeds[:2], torch.tensor(20.0), weights).item() == pytest.approx(np.log(2))


def test_the_loss_falls_when_the_true_text_of_each_pair_is_nearer():
    denial, statement = torch.eye(2)
    texts, ecgs = torch.stack([denial, statement]), torch.stack([denial, statement])
    right, wrong = torch.tensor([[0.5], [-0.5]]), torch.tensor([[-0.5], [0.5]])
    scale = torch.tensor(5.0)
    assert denial_loss(ecgs, texts, scale, right) < 0.01 < 4 < denial_loss(ecgs, texts, scale, wrong)
