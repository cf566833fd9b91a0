"""Losses and times between two lines of the log."""

import time

import torch


class Meter:
    """Sums since the last line of the log; losses stay on the device until it is written."""

    def __init__(self):
        self.unchecked: list = []
        self.learning_rate = 0.0
        self.grad_norm: torch.Tensor | float | None = None
        self.restart()

    def restart(self) -> None:
        self._started = time.perf_counter()
        self.data_seconds = 0.0
        self.other_seconds = 0.0  # checkpoints: no part of the speed of training
        self.pairs = 0
        self._steps = 0
        self._losses: dict[str, torch.Tensor] = {}

    def add(self, step: int, records, losses: dict[str, torch.Tensor]) -> None:
        self.unchecked.append((step, records, losses["loss"]))
        self.pairs += len(records)
        self._steps += 1
        for name, loss in losses.items():
            self._losses[name] = self._losses.get(name, 0) + loss

    def figures(self) -> dict[str, float]:
        losses = {
            name if name == "loss" else f"loss_{name}": (total / self._steps).item()
            for name, total in self._losses.items()
        }
        seconds = (
            time.perf_counter() - self._started - self.other_seconds
        )  # read after `.item()`, which waits for the device
        norm = {} if self.grad_norm is None else {"grad_norm": float(self.grad_norm)}
        return {
            **losses,
            **norm,
            "learning_rate": self.learning_rate,
            "pairs_per_second": self.pairs / seconds,
            "data_wait_fraction": self.data_seconds / seconds,
        }
