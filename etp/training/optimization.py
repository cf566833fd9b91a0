"""AdamW with layer-wise rates, warmup and cosine, and the moving average of the weights."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from etp.training.processes.sharding import cut_like, local, whole


def parameter_groups(
    module: nn.Module, *, learning_rate: float, weight_decay: float, layer_rates: dict[str, float]
) -> list[dict]:
    """Trainable parameters by learning rate and decay: matrices and kernels decay; biases, norms and temperature do not.

    Args:
        layer_rates: Learning rate of the parameters whose names start with a key; the longest key wins.
    """
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        prefix = max((key for key in layer_rates if name.startswith(key)), key=len, default=None)
        rate = learning_rate if prefix is None else layer_rates[prefix]
        decay = weight_decay if parameter.ndim >= 2 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in groups.items()]


def make_optimizer(
    groups: list[dict], *, num_steps: int, warmup_ratio: float, one_by_one: bool = False
) -> tuple[AdamW, LambdaLR]:
    """AdamW and its schedule.

    Args:
        one_by_one: Whether each parameter has a step of its own: no kernel takes shards and whole tensors together.
    """
    kernels = {"foreach": False} if one_by_one else {"fused": True}
    optimizer = AdamW(groups, betas=(0.9, 0.98), **kernels)
    return optimizer, make_schedule(optimizer, num_steps=num_steps, warmup_ratio=warmup_ratio)


def make_schedule(optimizer: Optimizer, *, num_steps: int, warmup_ratio: float) -> LambdaLR:
    """Learning rates that rise linearly, then fall to zero along a cosine after `num_steps`."""
    warmup_steps = max(1, round(warmup_ratio * num_steps)) if warmup_ratio else 0

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = (step - warmup_steps) / max(1, num_steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return LambdaLR(optimizer, factor)


class WeightAverage:
    """Exponential moving average of what is trained and of the running statistics of norms.

    The decay starts low, `(1 + step) / (10 + step)`, so that the random start does not linger.

    Args:
        module: Whose trainable parameters and floating-point buffers are averaged.
        decay: Share of the old average that a step keeps, in (0, 1).
    """

    def __init__(self, module: nn.Module, *, decay: float):
        self._decay = decay
        self._step = 0
        trained = trained_tensors(module)
        self._live = {name: tensor for name, tensor in trained.items() if tensor.is_floating_point()}
        self._average = {name: tensor.detach().clone() for name, tensor in self._live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after an optimizer step."""
        self._step += 1
        decay = min(self._decay, (1 + self._step) / (10 + self._step))
        averages, lives = ([local(tensor) for tensor in tensors.values()] for tensors in (self._average, self._live))
        torch._foreach_lerp_(averages, lives, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module has the averaged weights inside this context and its own after it."""
        own = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        self._copy(self._average)
        try:
            yield
        finally:
            self._copy(own)

    def state_dict(self) -> dict[str, Tensor]:
        """Whole tensors; every process has to ask at the same time."""
        return {**whole(self._average), "step": torch.tensor(self._step)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._step = int(state["step"])
        for name, tensor in self._average.items():
            tensor.copy_(cut_like(state[name], tensor))

    @torch.no_grad()
    def _copy(self, source: dict[str, Tensor]) -> None:
        for name, tensor in self._live.items():
            tensor.copy_(source[name])


def trained_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Trainable parameters and the buffers beside them by name: all that a run changes."""
    named: dict[str, Tensor] = {
        name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad
    }
    frozen = frozen_prefixes(module)
    for name, buffer in module.named_buffers():
        if not name.startswith(frozen):
            named[name] = buffer
    return named


def frozen_prefixes(module: nn.Module) -> tuple[str, ...]:
    """Names of submodules of which nothing is trained, with a trailing dot."""
    return tuple(
        f"{name}."
        for name, child in module.named_modules()
        if name and any(True for _ in child.parameters()) and not any(p.requires_grad for p in child.parameters())
    )
