"""A model in evaluation mode for as long as it is used, whatever mode it was in."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

_LOCK = threading.Lock()


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Dropout off and running statistics left alone; afterwards every part is in the mode it was in.

    Threads may share the model: the first that comes switches it, the last that leaves switches it back.
    """
    with _LOCK:
        users, training = model.__dict__.get("_evaluating", (0, None))
        if training is None:
            training = [module for module in model.modules() if module.training]
        if training and not users:
            model.eval()
        model.__dict__["_evaluating"] = users + 1, training
    try:
        yield
    finally:
        with _LOCK:
            users, training = model.__dict__.pop("_evaluating")
            if users > 1:
                model.__dict__["_evaluating"] = users - 1, training
            else:
                for module in training:
                    module.training = True


__all__ = ["evaluation_mode"]
