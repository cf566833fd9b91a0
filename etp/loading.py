"""Open a checkpoint, complete or not at all, and identify it by hash."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

from etp.atomic_files import NotWrittenError
from etp.file_hashes import file_sha256
from etp.pretrained import DEFAULT_MODEL, list_models, model_folder
from modeling_etp.classification_etp import ETPForEcgClassification
from modeling_etp.configuration_etp import ETPConfig, ETPEcgConfig
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.modeling_etp import ETPModel
from modeling_etp.processing_etp import ETPProcessor

WEIGHT_FILES = "model*.safetensors"  # one, or the parts of one; a run of train.py may leave others beside them
# A processor saves one of the first two, a tokenizer the third; everything beside them and the weights is prose.
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
NAMED_FILES = ("config.json", *PROCESSOR_FILES, "tokenizer.json", "tokenizer_config.json", "vocab.txt")


class CheckpointError(ValueError):
    """A checkpoint that is missing, incomplete or of another kind; the message says which file and the cure."""


@dataclass(frozen=True)
class Files:
    """A checkpoint's folder, and what identifies it.

    Attributes:
        files: File name -> sha256 of the weights, the configuration, and the files of the processor.
    """

    folder: Path
    files: dict[str, str]

    @property
    def weights_sha256(self) -> str:
        """As `sha256sum model.safetensors` prints it; over the list of hashes where there are several files."""
        weights = {name: digest for name, digest in self.files.items() if name.endswith(".safetensors")}
        return next(iter(weights.values())) if len(weights) == 1 else hash_of_hashes(weights)

    @property
    def sha256(self) -> str:
        """Of everything that decides an embedding: weights, configuration and pre-processing."""
        return hash_of_hashes(self.files)


@dataclass(frozen=True)
class Checkpoint(Files):
    """A model in evaluation mode, and its processor."""

    model: ETPModel
    processor: ETPProcessor

    @property
    def feature_extractor(self) -> ETPFeatureExtractor:
        """Of the processor."""
        return self.processor.feature_extractor


@dataclass(frozen=True)
class ClassifierCheckpoint(Files):
    """A fine-tuned classifier in evaluation mode, and its feature extractor."""

    model: ETPForEcgClassification
    feature_extractor: ETPFeatureExtractor


def is_classifier(folder: Path) -> bool:
    """Whether a folder holds a fine-tuned classifier, by its configuration."""
    if not (folder / "config.json").is_file():
        return False
    with damage_named(folder):
        config = ETPEcgConfig.get_config_dict(folder)[0]
    return ETPForEcgClassification.__name__ in (config.get("architectures") or ())


def load_classifier(model: str | Path | None, *, device: torch.device | str = "cpu") -> ClassifierCheckpoint:
    """Open the folder of a fine-tuned classifier, or the name of one on the Hub.

    Raises:
        CheckpointError: If it is missing, no such classifier, damaged, or lacks weights or the feature extractor.
    """
    folder = checkpoint_folder(model)
    _check_files(folder, "`etp finetune` writes them all", tokenizer=False)
    if not is_classifier(folder):
        raise CheckpointError(
            f"{folder} holds no fine-tuned classifier. Make one of it: `etp finetune --model {folder} …`; a model of two "
            "towers classifies by labels that are given as text."
        )
    with damage_named(folder):
        loaded: Any = ETPForEcgClassification.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
        feature_extractor = ETPFeatureExtractor.from_pretrained(folder)
    network, report = loaded
    _check_weights(folder, network, report)
    return ClassifierCheckpoint(folder, _hash_files(folder), network.eval().to(device), feature_extractor)


def load_model(
    model: str | Path | None = None, *, device: torch.device | str = "cpu"
) -> Checkpoint | ClassifierCheckpoint:
    """Open a model of two towers or a fine-tuned classifier, whichever it is; errors as of both."""
    folder = checkpoint_folder(model)
    return (load_classifier if is_classifier(folder) else load_checkpoint)(folder, device=device)


def load_checkpoint(model: str | Path | None = None, *, device: torch.device | str = "cpu") -> Checkpoint:
    """Open a checkpoint.

    Args:
        model: A folder, a name of `etp.pretrained.list_models()`, or a name on the Hub; the default of those that come
            with the package if omitted.

    Raises:
        CheckpointError: If it is missing, no ETP model, damaged, or lacks weights, feature extractor or tokenizer.
    """
    folder = checkpoint_folder(model)
    if is_classifier(folder):
        raise CheckpointError(
            f"{folder} holds a fine-tuned classifier, which has labels of its own and no text tower: `etp classify` "
            "and `etp plot` without --labels, and `etp evaluate fine-tuned`, take it."
        )
    _check_files(
        folder,
        "A checkpoint holds the model and its processor: save both with `model.save_pretrained(folder)` and "
        "`processor.save_pretrained(folder)`",
    )
    with damage_named(folder):
        model_type = ETPConfig.get_config_dict(folder)[0].get("model_type")
    if model_type != ETPConfig.model_type:
        raise CheckpointError(
            f"{folder} holds a model of type {model_type!r}, expected {ETPConfig.model_type!r}. An ECG tower "
            "alone becomes a full checkpoint by `ETPModel.from_ecg_text_pretrained(ecg, text)`."
        )
    with damage_named(folder):
        loaded, report = _load_model(folder)
        processor = ETPProcessor.from_pretrained(folder)
    _check_weights(folder, loaded, report)
    return Checkpoint(folder, _hash_files(folder), loaded.eval().to(device), processor)


def _check_files(folder: Path, cure: str, *, tokenizer: bool = True) -> None:
    for names, what in (
        (["config.json"], "the model's configuration"),
        ([WEIGHT_FILES], "the weights"),
        (PROCESSOR_FILES, "the feature extractor"),
        (["tokenizer_config.json", "tokenizer.json"] if tokenizer else ["config.json"], "the tokenizer"),
    ):
        if not any(next(folder.glob(name), None) for name in names):
            raise CheckpointError(f"{folder} lacks {' or '.join(names)}, {what}. {cure}.")


def _check_weights(folder: Path, model: torch.nn.Module, report: dict[str, Any]) -> None:
    if missing := sorted(report["missing_keys"]):
        raise CheckpointError(
            f"{folder} lacks {len(missing)} weights, which would be random: {', '.join(missing[:3])} … Save it again."
        )
    not_finite = [name for name, weight in model.state_dict().items() if not weight.isfinite().all()]
    if not_finite:
        raise CheckpointError(
            f"{folder} holds NaN or infinite weights in {', '.join(not_finite[:3])}. Take an earlier checkpoint."
        )


@contextmanager
def damage_named(folder: Path) -> Iterator[None]:
    """Say of any error that it is the checkpoint's: transformers, safetensors and tokenizers have none in common."""
    try:
        yield
    except ModuleNotFoundError:  # a package that is missing here, and no damage of the checkpoint
        raise
    except Exception as error:
        what = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{folder} can't be opened ({type(error).__name__}: {what[:300]}). Fetch it again, or save it again."
        ) from error


def _load_model(folder: Path) -> tuple[ETPModel, dict[str, Any]]:
    result: Any = ETPModel.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    return result


def hash_of_hashes(files: dict[str, str]) -> str:
    """One sha256 for named sha256s, independent of their order."""
    return hashlib.sha256(
        "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items())).encode()
    ).hexdigest()


def model_name(model: str | Path | None) -> str:
    """What opens the same checkpoint from anywhere on this machine: a whole path, or a name of the package or the Hub."""
    if model is not None and Path(model).is_dir():
        return str(Path(model).resolve())
    return DEFAULT_MODEL if model is None else str(model)


def checkpoint_folder(model: str | Path | None) -> Path:
    """The folder of a checkpoint: one here, one that comes with the package, or one on the Hub.

    Raises:
        CheckpointError: If there is none.
    """
    if model is not None and Path(model).is_dir():
        return Path(model)
    try:
        if model is None or str(model) in list_models():
            return model_folder(str(model or DEFAULT_MODEL))
    except (ValueError, NotWrittenError) as error:  # those of ours: their messages say it all
        raise CheckpointError(str(error)) from error
    try:
        return Path(snapshot_download(str(model)))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise CheckpointError(
            f"there is no checkpoint {str(model)!r}: neither a folder here nor a model that the Hub gives. Train one "
            f"with `etp train`, or take one that comes with the package: {', '.join(list_models())}."
        ) from error


def _hash_files(folder: Path) -> dict[str, str]:
    paths = [*folder.glob(WEIGHT_FILES), *(folder / name for name in NAMED_FILES)]
    return {path.name: file_sha256(path) for path in sorted(paths) if path.is_file()}
