"""The first weights of a head: a linear probe of the tower as it is (arXiv:2202.10054)."""

import numpy as np
import torch

from etp.progress import progress
from etp.scoring.probe import choose_probe
from modeling_etp.modeling_etp import ETPForEcgClassification

from .features import FeatureBatches
from .labels import LabelHead

# A start need be no minimum to the last digit, and the evaluation's largest strengths fit too closely: with all labels
# of PTB-XL each task chooses 1e-2.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
MAX_STEPS = 50


@torch.no_grad()
def start_from_probe(
    model: ETPForEcgClassification,
    head: LabelHead,
    training: tuple[FeatureBatches, np.ndarray],
    validation: tuple[FeatureBatches, np.ndarray],
) -> dict[str, float]:
    """Set the head to one linear probe a task, of the records with a label of it, each label against all others.

    Args:
        model: Its head is changed in place.
        training: Features, and targets `(records, labels)`: 1, 0 or unknown.
        validation: The same of the records by which each probe's strength is chosen.

    Returns:
        Strength of each task's probe, as scikit-learn's `C`.
    """
    strengths = {}
    for task, own in progress(head.slices.items(), "Linear probes", total=len(head.slices), unit="task"):
        split = []
        for features, targets in (training, validation):
            known = targets[:, own.start] >= 0
            split += [features.features[torch.from_numpy(known)], targets[known, own] == 1]
        with torch.enable_grad():
            probe, strengths[task] = choose_probe(*split, strengths=STRENGTHS, max_steps=MAX_STEPS)
        weight = (probe.weight / probe.spread[:, None]).mT
        model.classifier.weight[own] = weight.to(model.device)
        model.classifier.bias[own] = (probe.bias - weight @ probe.centre).to(model.device)
    return strengths
