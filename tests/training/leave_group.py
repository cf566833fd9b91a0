"""Train, and say what still holds the process group when it is left: `accelerate launch leave_group.py OPTIONS`."""

import gc
import sys

import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from etp.training import main as train

made = []
prepare, leave = DistributedDataParallel.__init__, dist.destroy_process_group


def count(model, *arguments, **options):
    made.append(type(model))
    prepare(model, *arguments, **options)


def report(*arguments, **options):
    alive = sum(issubclass(type(thing), DistributedDataParallel) for thing in gc.get_objects())
    print(f"models made {len(made)}, alive {alive}", flush=True)
    leave(*arguments, **options)


if __name__ == "__main__":
    DistributedDataParallel.__init__, dist.destroy_process_group = count, report
    sys.exit(train.main(sys.argv[1:]))
