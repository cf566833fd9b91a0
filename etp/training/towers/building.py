"""Build the model and processor of a run, and the frozen text encoder."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, BatchEncoding, PreTrainedTokenizerBase

from etp.options import OptionError
from etp.randomness import Purpose, seed_torch
from etp.text_towers import text_model_path
from etp.training.arguments import ModelArguments
from modeling_etp.configuration_etp import ETPConfig, ETPEcgConfig
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.modeling_etp import ETPEcgModel, ETPModel
from modeling_etp.processing_etp import ETPProcessor

from .cut_texts import CutTexts
from .text_cache import DEFAULT_CACHE, TextFeatures, tower_fingerprint


def make_configs(args: ModelArguments) -> tuple[ETPEcgConfig, dict[str, Any]]:
    """The ECG tower's configuration and the checked fields of `ETPConfig`, before any weight is read.

    Raises:
        OptionError: An unknown or impossible setting.
    """
    for name, config_class in (("ecg_config", ETPEcgConfig), ("model_config", ETPConfig)):
        known = {field.name for field in fields(config_class)} - {"ecg_config", "text_config", "text_pooling"}
        for key in getattr(args, name):
            if key not in known:
                raise OptionError(f"--{name}: {config_class.__name__} has no setting {key!r}.")
    overrides = dict(args.model_config)
    if args.text_pooling != "model":
        overrides["text_pooling"] = args.text_pooling
    try:
        ETPConfig(**overrides)
        return ETPEcgConfig(**args.ecg_config), overrides
    except Exception as error:  # huggingface_hub's strict dataclasses have no common error type
        raise OptionError(f"--ecg_config or --model_config: {error}") from error


def make_model(args: ModelArguments, *, seed: int) -> ETPModel:
    """A new ECG tower, or that of `--ecg_model`, and new projections beside the pretrained text tower.

    Raises:
        OptionError: `--ecg_model` can't be read.
    """
    ecg_config, overrides = make_configs(args)
    ecg = ecg_config if args.ecg_model is None else read_ecg_model(args.ecg_model)
    seed_torch(seed, Purpose.WEIGHTS)
    with _text_model_named(args):
        model = ETPModel.from_ecg_text_pretrained(ecg, text_model_path(args.text_model), **overrides)
    if args.freeze_ecg_model:
        model.ecg_model.requires_grad_(False)
    return model


def read_ecg_model(name: str) -> ETPEcgModel:
    """The ECG tower alone, from a folder or Hub name of a tower or of an ETP checkpoint."""
    try:
        return ETPEcgModel.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise OptionError(f"--ecg_model {name} is neither an ECG tower nor an ETP checkpoint: {reason}") from error


def make_processor(args: ModelArguments, *, max_gap_seconds: float | None = None) -> ETPProcessor:
    """The feature extractor of the run's rate and length, and the text tower's own tokenizer."""
    with _text_model_named(args):
        tokenizer = AutoTokenizer.from_pretrained(text_model_path(args.text_model))
    tokenizer.model_max_length = min(tokenizer.model_max_length, args.text_max_tokens)
    extractor = ETPFeatureExtractor(
        sampling_rate=args.sampling_rate, num_samples=args.num_samples, max_gap_seconds=max_gap_seconds or 0.0
    )
    return ETPProcessor(feature_extractor=extractor, tokenizer=tokenizer)


@contextmanager
def _text_model_named(args: ModelArguments) -> Iterator[None]:
    try:
        yield
    except OptionError:
        raise
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise OptionError(
            f"--text_model {args.text_model}: {reason} Give `minilm`, a folder, or a Hub name that can be reached or is "
            "cached."
        ) from error


class FrozenTextEncoder:
    """Texts as cached features of the frozen text tower; training never runs it.

    Args:
        model: Its text tower is used as it is at the first text, and not again.
        cache_dir: Of the features, shared between runs.
        device: Where the tower runs while features are missing.
    """

    def __init__(
        self, model: ETPModel, tokenizer: PreTrainedTokenizerBase, *, cache_dir: Path | None, device: torch.device
    ):
        max_tokens = tokenizer.model_max_length

        @torch.inference_mode()
        def encode(texts: list[str]) -> Tensor:
            return model.get_text_tower_features(**tokenize(tokenizer, texts).to(device))

        def lengths(texts: list[str]) -> list[int]:
            return [len(ids) for ids in tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"]]

        pooling = model.text_pooling
        self.fingerprint = tower_fingerprint(model.text_model, tokenizer, pooling=pooling, max_tokens=max_tokens)
        self._features = TextFeatures(
            encode, lengths, fingerprint=self.fingerprint, cache_dir=cache_dir or DEFAULT_CACHE
        )
        self._cut_texts = CutTexts(tokenizer)
        self._device = device
        self._on_device = torch.empty(0)

    def prepare(self, texts: Sequence[str], *, progress: bool = False) -> None:
        """Embed the texts that are new; call it before `columns` asks for them."""
        if progress:
            self._cut_texts.count(texts)
        self._features.add(texts, progress=progress)
        self._on_device = self._features.features.to(self._device)

    def columns(self, texts: Sequence[str]) -> Tensor:
        """Features `(texts, text_hidden)`."""
        return self._on_device[self._features.rows(texts).to(self._device)]


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> BatchEncoding:
    """Token ids and mask `(texts, longest)`, padded to the longest text only."""
    return tokenizer(
        list(texts), padding=True, truncation=True, max_length=tokenizer.model_max_length, return_tensors="pt"
    )
