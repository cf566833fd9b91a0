"""Open the model named on a command line."""

import argparse
from typing import TYPE_CHECKING

from .errors import UsageError

if TYPE_CHECKING:
    from etp.loading import Checkpoint
    from modeling_etp.pipeline_etp import ZeroShotEcgClassificationPipeline


def add_model_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument(
        "--model",
        required=required,
        metavar="DIR",
        help="folder of a checkpoint (model and processor), or its name on the Hub",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 …; auto takes a GPU if there is one")


def open_checkpoint(model: str, *, device: str = "cpu") -> "Checkpoint":
    """Open a checkpoint, whole or not at all.

    Raises:
        UsageError: If it is missing, incomplete, damaged or of another kind, or there is no such device.
    """
    import torch
    from transformers.utils import logging

    from etp.loading import CheckpointError, load_checkpoint

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the second from a torch without CUDA
        reason = str(error).partition("\n")[0]
        raise UsageError(f"--device {device}: {reason}. Take cpu, or a device of this machine.") from error
    try:
        return load_checkpoint(model, device=device)
    except CheckpointError as error:
        raise UsageError(str(error)) from error


def make_classifier(checkpoint: "Checkpoint", **options) -> "ZeroShotEcgClassificationPipeline":
    """The pipeline around a checkpoint, on its device, with the defaults of its calls.

    Raises:
        UsageError: If an option is impossible.
    """
    from modeling_etp.pipeline_etp import TASK, ZeroShotEcgClassificationPipeline

    try:
        return ZeroShotEcgClassificationPipeline(
            model=checkpoint.model,
            processor=checkpoint.processor,
            device=checkpoint.model.device,
            task=TASK,
            **options,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
