"""Reference points of every metric: chance, untrained weights, published supervised networks."""

import copy
from typing import Any

import numpy as np
import torch

from datasets_scripts.archives import find_archive
from etp.scoring.metrics import SENSITIVITY, SPECIFICITY, macro
from modeling_etp.modeling_etp import ETPModel


def constant_baselines(targets: np.ndarray) -> dict[str, dict[str, float]]:
    """Expected metrics of scores that know nothing, and of calling every label present.

    Chance ranks at random and, for F1 and accuracy, guesses each label as often as it occurs.

    Args:
        targets: Boolean, of the evaluated records, `(records, labels)`.
    """
    fraction = targets.mean(axis=0)
    fraction = fraction[(fraction > 0) & (fraction < 1)]
    chance = {
        "macro_auroc": 0.5,
        "macro_average_precision": float(macro(fraction)),
        f"macro_{SENSITIVITY}": 1 - SPECIFICITY,
        "macro_f1": float(macro(fraction)),
        "macro_accuracy": float(macro(fraction**2 + (1 - fraction) ** 2)),
    }
    all_positive = {
        "macro_auroc": 0.5,
        "macro_average_precision": float(macro(fraction)),
        f"macro_{SENSITIVITY}": 0.0,  # nobody is called negative, so no threshold reaches the specificity
        "macro_f1": float(macro(2 * fraction / (1 + fraction))),
        "macro_accuracy": float(macro(fraction)),
    }
    return {"chance": chance, "all_positive": all_positive}


def random_ecg_side(model: ETPModel, *, seed: int) -> ETPModel:
    """The same architecture with an untrained ECG tower and projection, beside the text side as it is.

    What it reaches is owed to the architecture and to chance, not to pre-training.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        untrained = ETPModel(copy.deepcopy(model.config))
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("ecg_")}
    untrained.load_state_dict(state, strict=False)
    return untrained.eval().to(next(model.parameters()).device)


def supervised_reference(dataset: str, task: str) -> dict[str, Any] | None:
    """Macro AUROC of a supervised network and where it was published; None where none is known."""
    published = find_archive(dataset).supervised
    if task not in published:
        return None
    auroc, source = published[task]
    return {"macro_auroc": auroc, "source": source}
