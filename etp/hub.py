"""Share models, data sets and the metric through the Hub: each push is one commit, and nothing pickled leaves."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    RepoCard,
)
from huggingface_hub.utils import validate_repo_id

from etp.card import CARD_FILE, DEFAULT_LICENSE, check_results, make_card
from etp.evaluation.results import RESULTS_FOLDER, load_results, results_beside
from etp.loading import WEIGHT_FILES, Checkpoint, ClassifierCheckpoint, load_model
from etp.saving import save_classifier, save_whole
from modeling_etp.classification_etp import ETPForEcgClassification
from modeling_etp.modeling_etp import ETPModel

WEIGHTS_INDEX = "model.safetensors.index.json"
# Formats that may run code when they are opened.
PICKLES = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
# Of an earlier push: two sets of weights, or code that nothing imports any more, would lie side by side, and results
# would be of other weights.
REPLACED = re.compile(rf"(.*\.(safetensors|safetensors\.index\.json|py)|{RESULTS_FOLDER}/.*)\Z")

RepoType = Literal["model", "dataset", "space"]


def reserve_repo(repo_id: str, *, private: bool = True, repo_type: RepoType = "model", sdk: str | None = None) -> str:
    """Make a repository unless it exists; finds out early whether one may push there.

    Returns:
        Its full name, with the user's where `repo_id` has none.

    Raises:
        ValueError: If the name is impossible.
        OSError: If the Hub can't be reached or refuses.
    """
    validate_repo_id(repo_id)
    url = HfApi().create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True, space_sdk=sdk)
    return url.repo_id


def push_model(
    checkpoint: Checkpoint | ClassifierCheckpoint,
    repo_id: str,
    *,
    results: Mapping[str, Mapping[str, Any]] | None = None,
    license: str = DEFAULT_LICENSE,
    co2_grams: float | None = None,
    private: bool = True,
) -> str:
    """Push model, processor, the code that runs them, its results, and the model card.

    The weights are pushed byte by byte as they are, so that the hash in every result names them there too. A
    README.md in the checkpoint's folder is taken as the card.

    Args:
        checkpoint: From [`~etp.loading.load_model`].
        repo_id: `user/name`; made if missing.
        results: File name -> content of results files, for the card and the folder `results`, where `etp app` finds
            what calibrates the scores; `None`: those in the folder `results` of the checkpoint.
        license, co2_grams: For the card, see [`~etp.card.make_card`].
        private: Whether a new repository is private.

    Returns:
        The URL of the commit.

    Raises:
        ValueError: If a result is of another model, or the name is impossible.
        OSError: If the Hub can't be reached or refuses.
    """
    if results is None:
        results = {path.name: load_results(path) for path in results_beside(checkpoint.folder)}
    with TemporaryDirectory() as temporary:
        folder = stage_model(checkpoint, Path(temporary))
        # All of it before anything is sent: a result of another model is to stop the push, not to follow it.
        contents = list(results.values())
        check_results(checkpoint, contents)
        own_card = checkpoint.folder / CARD_FILE
        card = own_card.read_text(encoding="utf-8") if own_card.is_file() else None
        if card is None:
            card = str(make_card(checkpoint, contents, repo_id=repo_id, license=license, co2_grams=co2_grams))
        (folder / CARD_FILE).write_text(card, encoding="utf-8")
        for name, content in results.items():
            (folder / RESULTS_FOLDER).mkdir(exist_ok=True)
            (folder / RESULTS_FOLDER / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return _commit(folder, reserve_repo(repo_id, private=private), "model", replaced=REPLACED)


def push_folder(folder: str | Path, repo_id: str, *, repo_type: RepoType, private: bool = True) -> str:
    """Push a folder as it is: Parquet files that `etp export-archive` wrote, or the metric as a Space.

    Args:
        folder: With a README.md whose metadata the Hub reads; that of a Space names its `sdk`.
        repo_id: `user/name`; made if missing.
        repo_type: "dataset" or "space"; models go through [`push_model`].
        private: Whether a new repository is private.

    Returns:
        The URL of the commit.

    Raises:
        ValueError: If the card is missing, or a file of the folder is a pickle.
        OSError: If the Hub can't be reached or refuses.
    """
    folder = Path(folder)
    if repo_type not in ("dataset", "space"):
        raise ValueError(f"folders are pushed as dataset or space, got {repo_type!r}. Push a model with `push_model`.")
    if not (folder / CARD_FILE).is_file():
        raise ValueError(f"{folder} lacks {CARD_FILE}, the card that tells the Hub what this is.")
    sdk = RepoCard.load(folder / CARD_FILE).data.get("sdk")
    if repo_type == "space" and sdk is None:
        raise ValueError(f"{folder / CARD_FILE} doesn't say which `sdk` the Space runs, e.g. `sdk: gradio`.")
    _check_files(folder)
    name = reserve_repo(repo_id, private=private, repo_type=repo_type, sdk=sdk if repo_type == "space" else None)
    return _commit(folder, name, repo_type)


def stage_model(checkpoint: Checkpoint | ClassifierCheckpoint, folder: Path) -> Path:
    """Write all of a model repository but its card: weights, processor, pipeline, code.

    Args:
        checkpoint: The model.
        folder: Receives the files.

    Returns:
        `folder`.
    """
    # In the precision of its file, which `load_model` widens.
    if isinstance(checkpoint, ClassifierCheckpoint):
        classifier = ETPForEcgClassification.from_pretrained(checkpoint.folder, dtype="auto")
        save_classifier(classifier, checkpoint.feature_extractor, folder)
    else:
        model = ETPModel.from_pretrained(checkpoint.folder, dtype="auto")
        save_whole(model, checkpoint.processor, folder)
    for pattern in (WEIGHT_FILES, WEIGHTS_INDEX):
        for path in folder.glob(pattern):
            path.unlink()
        for path in checkpoint.folder.glob(pattern):
            shutil.copyfile(path, folder / path.name)
    _check_files(folder)
    staged = load_model(folder)
    if staged.weights_sha256 != checkpoint.weights_sha256:
        raise RuntimeError(f"the staged weights are {staged.weights_sha256}, not {checkpoint.weights_sha256}")
    return folder


def _check_files(folder: Path) -> None:
    pickles = [str(path.relative_to(folder)) for path in _files(folder) if path.suffix.lower() in PICKLES]
    if pickles:
        raise ValueError(f"{folder} holds files that may run code when opened: {', '.join(pickles)}. Remove them.")


def _files(folder: Path) -> list[Path]:
    """Files of a folder, hidden ones and Python's own left out."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [
        path
        for path in found
        if not any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts)
    ]


def _commit(folder: Path, repo_id: str, repo_type: RepoType, *, replaced: re.Pattern | None = None) -> str:
    api = HfApi()
    paths = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    there = api.list_repo_files(repo_id, repo_type=repo_type) if replaced else []
    stale = [name for name in there if replaced and replaced.match(name) and name not in paths]
    operations: list[Any] = [
        *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in paths.items()),
        *(CommitOperationDelete(path_in_repo=name) for name in stale),
    ]
    message = f"Upload {repo_type} with etp"
    return api.create_commit(repo_id, operations, commit_message=message, repo_type=repo_type).commit_url
