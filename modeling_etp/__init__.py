"""ETP, contrastive ECG-text pre-training: the parts that travel with a checkpoint."""

import importlib
from typing import Any

from ._registration import register_when_loaded

# Public name -> submodule. Nothing is imported before it is asked for: readers of ECG files and workers of a
# dataset build should not wait for torch and transformers.
_SUBMODULES = {
    "ETPConfig": "configuration_etp",
    "ETPEcgConfig": "configuration_etp",
    "ETPEcgModel": "modeling_etp",
    "ETPFeatureExtractor": "feature_extraction_etp",
    "ETPForEcgClassification": "classification_etp",
    "ETPModel": "modeling_etp",
    "ETPOutput": "modeling_etp",
    "ETPProcessor": "processing_etp",
    "EcgClassificationPipeline": "classification_pipeline_etp",
    "EcgFileError": "ecg_files_etp",
    "EcgRecording": "ecg_files_etp",
    "STANDARD_LEADS": "ecg_files_etp",
    "ZeroShotEcgClassificationPipeline": "pipeline_etp",
    "embed_ecgs": "zero_shot_etp",
    "embed_labels": "zero_shot_etp",
    "embed_texts": "zero_shot_etp",
    "info_nce_loss": "loss_etp",
    "label_logits": "zero_shot_etp",
    "read_ecg": "ecg_files_etp",
    "siglip_loss": "loss_etp",
}

__all__ = sorted(_SUBMODULES)


def __getattr__(name: str) -> Any:
    if name not in _SUBMODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_SUBMODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_when_loaded()
