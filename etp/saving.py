"""Save a model as a complete folder: weights, processor and the code that runs them."""

import os
from pathlib import Path

from torch import Tensor

from modeling_etp.classification_etp import ETPForEcgClassification
from modeling_etp.classification_pipeline_etp import CLASSIFICATION_TASK, EcgClassificationPipeline
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.modeling_etp import ETPModel
from modeling_etp.pipeline_etp import TASK, ZeroShotEcgClassificationPipeline
from modeling_etp.processing_etp import ETPProcessor


def save_whole(
    model: ETPModel, processor: ETPProcessor, folder: str | Path, *, state_dict: dict[str, Tensor] | None = None
) -> None:
    """Save for `from_pretrained`, for the commands, and for `pipeline(…, trust_remote_code=True)` anywhere.

    The model keeps its mode and its device.

    Args:
        folder: Made if missing. The weights can be read by whoever may read other new files, as in a container that
            runs as another user; `safetensors` alone leaves them to their owner.
        state_dict: Whole weights of a model that itself holds only its shard of them.
    """
    training = [module for module in model.modules() if module.training]
    pipeline = ZeroShotEcgClassificationPipeline(model=model, processor=processor, task=TASK, device=model.device)
    pipeline.save_pretrained(folder, **({} if state_dict is None else {"state_dict": state_dict}))
    for module in training:
        module.training = True
    _readable(folder)


def save_classifier(
    model: ETPForEcgClassification, feature_extractor: ETPFeatureExtractor, folder: str | Path
) -> None:
    """Save a fine-tuned classifier as a whole folder, as [`save_whole`] does a model of two towers."""
    pipeline = EcgClassificationPipeline(
        model=model, feature_extractor=feature_extractor, task=CLASSIFICATION_TASK, device=model.device
    )
    pipeline.save_pretrained(folder)
    _readable(folder)


def _readable(folder: str | Path) -> None:
    for weights in Path(folder).glob("*.safetensors"):
        weights.chmod(0o666 & ~_umask())


def _umask() -> int:
    # It can be read only by setting it.
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
