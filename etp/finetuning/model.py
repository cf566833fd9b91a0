"""A classifier on the tower of a checkpoint: which of its weights are trained, and its learning rates."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils import logging

from etp.loading import CheckpointError, checkpoint_folder, damage_named
from modeling_etp.classification_etp import ETPForEcgClassification
from modeling_etp.configuration_etp import ETPConfig, ETPEcgConfig
from modeling_etp.ecg_resnet_etp import ETPEcgConv
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor

from .arguments import LEARNING_RATES, ModelArguments, TrainingArguments
from .labels import LabelHead


@dataclass(frozen=True)
class Base:
    """A tower with a new head, and what prepares ECGs for it.

    Attributes:
        folder: Where the tower comes from.
        recorded: Prepares whole ECGs of the tower's length, of which the model reads stretches.
    """

    folder: Path
    model: ETPForEcgClassification
    recorded: ETPFeatureExtractor
    feature_extractor: ETPFeatureExtractor


def open_base(args: ModelArguments, head: LabelHead, *, seed: int) -> Base:
    """Put a new head on the tower of an ETP checkpoint, of a tower alone, or of a classifier.

    Raises:
        CheckpointError: If it is missing, damaged or of another kind.
    """
    folder = checkpoint_folder(args.model)
    with damage_named(folder):
        model_type = ETPEcgConfig.get_config_dict(folder)[0].get("model_type")
    if model_type not in (ETPConfig.model_type, ETPEcgConfig.model_type):
        raise CheckpointError(
            f"{folder} holds a model of type {model_type!r}, expected an ETP checkpoint ({ETPConfig.model_type!r}) or an "
            f"ECG tower ({ETPEcgConfig.model_type!r})."
        )
    with damage_named(folder):
        config: Any = ETPEcgConfig.from_pretrained(folder)
        recorded = ETPFeatureExtractor.from_pretrained(folder)
    # All at once: the configuration checks that they fit each other.
    fields = {**config.to_dict(), "calibration": None, "thresholds": None}
    fields |= {"problem_type": head.problem_type, "classifier_dropout": args.classifier_dropout}
    fields |= {
        "label_tasks": [task for task, labels in head.tasks.items() for _ in labels],
        "id2label": dict(enumerate(head.names)),
    }
    fields |= {"label2id": {name: index for index, name in enumerate(head.names)}}
    fields.pop("num_labels", None)
    torch.manual_seed(seed)
    with damage_named(folder), _no_load_report():
        model, report = ETPForEcgClassification.from_pretrained(
            folder,
            config=ETPEcgConfig(**fields),
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    strangers = [*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]
    if lost := sorted(key for key in strangers if not key.startswith("classifier.")):
        raise CheckpointError(
            f"{folder} lacks {len(lost)} weights of the ECG tower, which would be random: {', '.join(lost[:3])} … Fetch "
            "it again, or save it again."
        )
    model._init_weights(model.classifier)  # new, even where a classifier with as many labels was loaded
    feature_extractor = ETPFeatureExtractor.from_pretrained(folder)
    if args.window_seconds is not None:
        feature_extractor.num_samples = round(args.window_seconds * recorded.sampling_rate)
        if not 1 <= feature_extractor.num_samples <= recorded.num_samples:
            raise CheckpointError(
                f"--window_seconds {args.window_seconds}: {folder} reads {recorded.num_samples / recorded.sampling_rate:g} s at "
                f"{recorded.sampling_rate:g} Hz; take as many or fewer."
            )
    return Base(folder, model, recorded, feature_extractor)


@contextmanager
def _no_load_report() -> Iterator[None]:
    """Transformers lists a new head among the missing weights; what else it would list is looked at here."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def choose_weights(model: ETPForEcgClassification, args: ModelArguments) -> nn.Module:
    """The model with those of its weights trainable that are to be trained; with adapters, those around it.

    Batch norms whose weights are frozen keep their statistics.
    """
    if args.train == "full":
        return model
    if args.train == "head":
        model.ecg_model.requires_grad_(False)
        return model
    from peft import LoraConfig, get_peft_model

    targets = [name for name, module in model.named_modules() if isinstance(module, ETPEcgConv)]
    targets += [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.startswith("ecg_model.")
    ]
    config = LoraConfig(
        r=args.lora_rank, lora_alpha=args.lora_alpha, target_modules=targets, modules_to_save=["classifier"]
    )
    return get_peft_model(model, config)


def make_optimizer(model: nn.Module, what: ModelArguments, args: TrainingArguments) -> torch.optim.AdamW:
    """AdamW with a rate for the head and one for the rest; matrices and kernels decay, biases and norms do not."""
    usual, usual_of_head = LEARNING_RATES[what.head_start][what.train]
    rate = args.learning_rate or usual
    head_rate = args.head_learning_rate or (what.train == "head" and args.learning_rate) or usual_of_head
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            own = head_rate if "classifier." in f"{name}." else rate
            decay = args.weight_decay if parameter.ndim >= 2 else 0.0
            groups.setdefault((own, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": params, "lr": own, "weight_decay": decay} for (own, decay), params in groups.items()]
    )
