"""Open the model named on a command line."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from etp.options import OptionError

if TYPE_CHECKING:
    from etp.loading import Checkpoint, ClassifierCheckpoint
    from modeling_etp.classification_pipeline_etp import EcgClassificationPipeline
    from modeling_etp.pipeline_etp import ZeroShotEcgClassificationPipeline


def open_checkpoint(model: str | None, *, device: str = "cpu", max_gap_seconds: float | None = None) -> "Checkpoint":
    """Open a checkpoint of two towers, whole or not at all; arguments and errors as of [`open_model`]."""
    from etp.loading import load_checkpoint

    return _open(load_checkpoint, model, device, max_gap_seconds)


def open_model(
    model: str | None, *, device: str = "cpu", max_gap_seconds: float | None = None
) -> "Checkpoint | ClassifierCheckpoint":
    """Open a checkpoint of two towers or a fine-tuned classifier, whole or not at all.

    Args:
        model: As of `load_checkpoint`.
        max_gap_seconds: Longest run of missing samples that is bridged; what the checkpoint says if omitted.

    Raises:
        OptionError: If it is missing, incomplete, damaged or of another kind, or there is no such device.
    """
    from etp.loading import load_model

    return _open(load_model, model, device, max_gap_seconds)


def _open(load: Callable[..., Any], model: str | None, device: str, max_gap_seconds: float | None) -> Any:
    from transformers.utils import logging

    from etp.devices import choose_device
    from etp.loading import CheckpointError

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    chosen = choose_device(device)
    try:
        checkpoint = load(model, device=chosen)
    except CheckpointError as error:
        raise OptionError(str(error)) from error
    if max_gap_seconds is not None:
        checkpoint.feature_extractor.max_gap_seconds = max_gap_seconds
    return checkpoint


def make_classifier(checkpoint: "Checkpoint", **options) -> "ZeroShotEcgClassificationPipeline":
    """The pipeline around a checkpoint, on its device, with the defaults of its calls.

    Raises:
        OptionError: If an option is impossible.
    """
    from modeling_etp.pipeline_etp import TASK, ZeroShotEcgClassificationPipeline

    own = {"model": checkpoint.model, "processor": checkpoint.processor, "task": TASK}
    return _make(ZeroShotEcgClassificationPipeline, {**own, **options})


def make_fine_tuned(checkpoint: "ClassifierCheckpoint", **options) -> "EcgClassificationPipeline":
    """As [`make_classifier`], around a fine-tuned classifier."""
    from modeling_etp.classification_pipeline_etp import CLASSIFICATION_TASK, EcgClassificationPipeline

    own = {
        "model": checkpoint.model,
        "feature_extractor": checkpoint.feature_extractor,
        "task": CLASSIFICATION_TASK,
    }
    return _make(EcgClassificationPipeline, {**own, **options})


def _make(pipeline_class: type, options: dict[str, Any]) -> Any:
    try:
        return pipeline_class(device=options["model"].device, **options)
    except ValueError as error:
        raise OptionError(str(error)) from error
