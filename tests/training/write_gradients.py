"""Write the losses and gradients of one global batch of a run: `accelerate launch write_gradients.py FILE --options …`."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

import train
from etp.pretraining.arguments import GROUPS, Arguments
from etp.pretraining.options import parse_options
from etp.pretraining.steps import backward


def main(destination: Path, argv: list[str]) -> None:
    args = Arguments(*parse_options(GROUPS, argv))
    accelerator = train.start_accelerator(args)
    trainer, _ = train.make_trainer(args, accelerator)
    views = trainer.train_split.views.draw(0)
    trainer.prepare_texts(trainer.batches.texts_of_epoch(views))
    trainer.model.train()
    last = trainer.plan.steps_per_epoch - 1  # the smaller one, with `--drop_last false`
    batch = trainer.batches.make(trainer.plan.batch(trainer.plan.order(0), last), views, epoch=0, step=last)
    losses = backward(accelerator, trainer.model, batch, chunk=args.training.grad_cache_chunk)
    if accelerator.is_main_process:
        tensors = {f"gradient {name}": parameter.grad for name, parameter in trainer.module.named_parameters()}
        tensors |= {f"buffer {name}": buffer for name, buffer in trainer.module.named_buffers() if "num_" not in name}
        tensors |= {f"loss {name}": value for name, value in losses.items()}
        tensors["processes"] = torch.tensor(accelerator.num_processes)
        kept = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items() if tensor is not None}
        save_file(kept, destination)
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
