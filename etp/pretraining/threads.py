"""How many threads a process of a run computes with on CPUs."""

import os

import joblib
import torch

# What `accelerate launch` and torchrun give their processes.
_LAUNCHED = ("ACCELERATE_DYNAMO_BACKEND", "TORCHELASTIC_RUN_ID")


def use_threads(num_threads: int | None = None) -> int:
    """Compute with so many threads from now on, with this process's share of the machine's cores if none are said.

    `accelerate launch` and torchrun set OMP_NUM_THREADS to 1 where nobody set it, and a run would leave all cores but one
    idle. So in a process that they started, 1 counts as nothing said; any other number is kept, and so is what a process
    started by hand was given.

    Returns:
        The number of threads.
    """
    if num_threads is None and os.environ.get("OMP_NUM_THREADS") == "1" and any(map(os.environ.get, _LAUNCHED)):
        # Of the cores that this process may use: affinity and the quotas of containers count.
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        num_threads = max(1, joblib.cpu_count(only_physical_cores=True) // processes)
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    return torch.get_num_threads()
