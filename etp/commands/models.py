"""Open the model named on a command line."""

from typing import TYPE_CHECKING

from etp.options import OptionError

if TYPE_CHECKING:
    from etp.loading import Checkpoint
    from modeling_etp.pipeline_etp import ZeroShotEcgClassificationPipeline


def open_checkpoint(model: str | None, *, device: str = "cpu", max_gap_seconds: float | None = None) -> "Checkpoint":
    """Open a checkpoint, whole or not at all.

    Args:
        model: As of `load_checkpoint`.
        max_gap_seconds: Longest run of missing samples that is bridged; what the checkpoint says if omitted.

    Raises:
        OptionError: If it is missing, incomplete, damaged or of another kind, or there is no such device.
    """
    from transformers.utils import logging

    from etp.devices import choose_device
    from etp.loading import CheckpointError, load_checkpoint

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    chosen = choose_device(device)
    try:
        checkpoint = load_checkpoint(model, device=chosen)
    except CheckpointError as error:
        raise OptionError(str(error)) from error
    if max_gap_seconds is not None:
        checkpoint.processor.feature_extractor.max_gap_seconds = max_gap_seconds
    return checkpoint


def make_classifier(checkpoint: "Checkpoint", **options) -> "ZeroShotEcgClassificationPipeline":
    """The pipeline around a checkpoint, on its device, with the defaults of its calls.

    Raises:
        OptionError: If an option is impossible.
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
        raise OptionError(str(error)) from error
