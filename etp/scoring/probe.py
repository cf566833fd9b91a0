"""Linear probe: L2-regularised logistic regression on frozen features, all labels of a task at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .metrics import macro, ranking_metrics

# As scikit-learn's C: the weight of the data term summed over records, against half the squared norm of the weights.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
_MAX_STEPS = 200


@dataclass(frozen=True)
class LinearProbe:
    """`score = (features - centre) / spread @ weight + bias`; weight `(features, labels)`."""

    centre: Tensor
    spread: Tensor
    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> np.ndarray:
        """Logits of shape `(records, labels)`, float64."""
        return ((features - self.centre) / self.spread @ self.weight + self.bias).double().numpy()


def fit_probe(
    features: Tensor,
    targets: np.ndarray,
    *,
    strength: float,
    start: LinearProbe | None = None,
    max_steps: int = _MAX_STEPS,
) -> LinearProbe:
    """Minimise `strength * cross-entropy + |weight|² / 2` of every label by full-batch L-BFGS.

    Args:
        features: Of the training records, `(records, features)`; standardised here by their own mean and deviation.
        targets: Boolean, `(records, labels)`.
        strength: scikit-learn's `C`. The bias is not penalised.
        start: Probe of the same records to start from, such as that of the next smaller strength.
    """
    centre, spread = features.mean(dim=0), features.std(dim=0, correction=0)
    spread = torch.where(spread > 0, spread, torch.ones_like(spread))
    inputs = (features - centre) / spread
    goals = torch.from_numpy(np.asarray(targets)).to(features.dtype)
    weight = (
        torch.zeros(inputs.shape[1], goals.shape[1], dtype=features.dtype) if start is None else start.weight.clone()
    )
    fraction = ((goals.sum(dim=0) + 0.5) / (len(goals) + 1)).logit()
    bias = fraction if start is None else start.bias.clone()
    weight.requires_grad_(True), bias.requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=max_steps, history_size=20, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )
    # Dividing by records and strength leaves the minimum where it is and makes tolerances mean the same for all.
    penalty = 0.5 / (strength * len(inputs))

    def loss() -> Tensor:
        optimizer.zero_grad()
        entropy = F.binary_cross_entropy_with_logits(inputs @ weight + bias, goals, reduction="none").mean(dim=0).sum()
        value = entropy + penalty * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return LinearProbe(centre, spread, weight.detach(), bias.detach())


def choose_probe(
    features: Tensor,
    targets: np.ndarray,
    validation_features: Tensor,
    validation_targets: np.ndarray,
    *,
    strengths: Sequence[float] = STRENGTHS,
    max_steps: int = _MAX_STEPS,
) -> tuple[LinearProbe, float]:
    """Fit every strength on the training records, keep the one of the best macro AUROC on the validation records.

    Args:
        strengths: From the smallest to the largest; each fit starts from the one before.
        max_steps: Of each fit.

    Returns:
        The probe and its strength; the smaller of equally good ones.
    """
    probe, fitted = None, []
    for strength in strengths:
        probe = fit_probe(features, targets, strength=strength, start=probe, max_steps=max_steps)
        auroc = float(macro(ranking_metrics(probe(validation_features), validation_targets)["auroc"][0]))
        fitted.append((auroc, probe, strength))
    if np.isnan(fitted[0][0]):
        raise ValueError("No label has both positives and negatives among the validation records: C can't be chosen.")
    _, probe, strength = max(fitted, key=lambda candidate: candidate[0])
    return probe, strength
