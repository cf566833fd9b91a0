"""CPU threads per process."""

import os

import joblib
import torch

# What `accelerate launch` and torchrun give the processes they start.
_LAUNCHED = ("ACCELERATE_DYNAMO_BACKEND", "TORCHELASTIC_RUN_ID")


def use_threads(num_threads: int | None = None) -> int:
    """Compute with so many threads from now on.

    `accelerate launch`, and torchrun with several processes, set OMP_NUM_THREADS to 1 where nobody set it, and a run would
    leave all cores but one idle. So, unless a number is given, 1 counts as nothing said in a process that they started,
    and it takes its share of the cores; whoever means 1 gives it here. Any other number is kept.

    Returns:
        The number of threads.
    """
    launched = any(name in os.environ for name in _LAUNCHED)
    if num_threads is None and launched and os.environ.get("OMP_NUM_THREADS") == "1":
        # Of the cores that this process may use: affinity and the quotas of containers count.
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        num_threads = max(1, joblib.cpu_count(only_physical_cores=True) // processes)
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    return torch.get_num_threads()
