"""Write what N processes learn in a few steps, for several sets of options: `accelerate launch write_gradients.py FILE JSON`."""

import json
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from etp.options import parse_options
from etp.training import main as train
from etp.training.arguments import GROUPS, Arguments
from etp.training.processes.sharding import local, whole
from etp.training.steps import backward

NUM_STEPS = 3


def main(destination: Path, variants: dict[str, list[str]]) -> None:
    found: dict[str, torch.Tensor] = {}
    for name, argv in variants.items():
        args = Arguments(*parse_options(GROUPS, argv))
        accelerator = train.start_accelerator(args)
        found |= {f"{name}: {what}": tensor for what, tensor in learn(args, accelerator).items()}
    found["processes"] = torch.tensor(accelerator.num_processes)
    if accelerator.is_main_process:
        save_file({name: tensor.detach().clone().contiguous() for name, tensor in found.items()}, destination)
    train.end_training(accelerator)


def learn(args: Arguments, accelerator: Accelerator) -> dict[str, torch.Tensor]:
    """Losses, gradients and statistics of norms of the epoch's last, smaller batch; then the weights after some steps."""
    trainer, _ = train.make_trainer(args, accelerator)
    views = trainer.train_split.views.draw(0)
    trainer.prepare_texts(trainer.batches.texts_of_epoch(views, epoch=0))
    trainer.model.train()

    def step(index: int) -> dict[str, torch.Tensor]:
        records = trainer.plan.batch(trainer.plan.order(0), index)
        batch = trainer.batches.make(records, views, epoch=0, step=index)
        return backward(accelerator, trainer.model, batch, chunk=args.training.grad_cache_chunk)

    found = {f"loss {name}": value for name, value in step(trainer.plan.steps_per_epoch - 1).items()}
    for name, parameter in trainer.module.named_parameters():
        if parameter.requires_grad:
            found[f"gradient {name}"] = whole(parameter.grad).clone()
    trainer.optimizer.zero_grad()
    for index in range(NUM_STEPS):
        step(index)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
    found["shards"] = torch.tensor(sum(local(tensor).numel() < tensor.numel() for tensor in trainer.trained.values()))
    return found | {f"weights {name}": whole(tensor).clone() for name, tensor in trainer.trained.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
