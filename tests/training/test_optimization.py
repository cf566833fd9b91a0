"""Learning rates over steps and layers, weight decay, and the moving average."""

import itertools

import pytest
import torch
from torch import nn

from etp.training.optimization import WeightAverage, make_optimizer, parameter_groups, trained_tensors


def rates(num_steps: int, warmup_ratio: float) -> list[float]:
    optimizer, scheduler = make_optimizer(
        [{"params": [nn.Parameter(torch.zeros(1))], "lr": 1.0}], num_steps=num_steps, warmup_ratio=warmup_ratio
    )
    found = []
    for _ in range(num_steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return [*found, optimizer.param_groups[0]["lr"]]


def test_the_rate_rises_to_its_peak_then_falls_along_a_cosine_to_zero():
    found = rates(100, 0.1)
    assert found[0] == pytest.approx(0.1)
    assert found[9] == found[10] == pytest.approx(1.0)
    assert found[55] == pytest.approx(0.5)
    assert found[100] == pytest.approx(0.0, abs=1e-9)
    assert all(later < earlier for earlier, later in itertools.pairwise(found[10:]))


def test_without_warmup_the_first_step_has_the_peak_rate():
    assert rates(10, 0.0)[0] == 1.0


def test_matrices_decay_and_biases_norms_and_scalars_do_not():
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    module.temperature = nn.Parameter(torch.zeros(()))
    module[0].weight.requires_grad_(True)
    groups = parameter_groups(module, learning_rate=0.1, weight_decay=0.5, layer_rates={})
    decays = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert decays.pop(id(module[0].weight)) == 0.5
    assert set(decays.values()) == {0.0}
    assert len(decays) == 4


def test_the_longest_prefix_decides_the_rate_and_frozen_parameters_are_left_out():
    module = nn.ModuleDict({"text": nn.ModuleList([nn.Linear(1, 1, bias=False) for _ in range(3)])})
    module["text"][2].requires_grad_(False)
    groups = parameter_groups(module, learning_rate=1.0, weight_decay=0.0, layer_rates={"text.": 0.1, "text.1.": 0.2})
    assert {id(group["params"][0]): group["lr"] for group in groups} == {
        id(module["text"][0].weight): 0.1,
        id(module["text"][1].weight): 0.2,
    }


def test_the_average_follows_its_recurrence_and_gives_the_weights_back():
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    average = WeightAverage(module, decay=0.9)
    expected = 0.0
    for step in range(1, 101):
        nn.init.constant_(module.weight, step)
        average.update()
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    with average.applied():
        assert module.weight.item() == pytest.approx(expected, rel=1e-5)
    assert module.weight.item() == 100


def test_what_is_trained_are_parameters_with_gradient_and_statistics_beside_them():
    module = nn.ModuleDict({"ecg": nn.BatchNorm1d(2), "text": nn.BatchNorm1d(2).requires_grad_(False)})
    names = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    assert trained_tensors(module).keys() == {f"ecg.{name}" for name in names}
