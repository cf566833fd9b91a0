"""Archives as Parquet files with their dataset card, which `load_dataset` opens."""

from pathlib import Path

from datasets import Dataset, DatasetDict
from huggingface_hub import DatasetCard, HfApi

import datasets_scripts

from .atomic_files import whole_file, whole_folder

_SHARD_BYTES = 500_000_000
_CARD_FILE = "README.md"


def read_card(name: str) -> DatasetCard:
    """The dataset card of an archive: licence, columns, splits, citation.

    Raises:
        FileNotFoundError: If nobody has written it yet; names the file.
    """
    path = Path(datasets_scripts.__file__).parent / "cards" / f"{name}.md"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: there is no card of {name}, and no export goes without one. Write its licence, columns, splits and "
            "citation there, as the other cards do."
        )
    return DatasetCard.load(path)


def export_parquet(splits: DatasetDict, folder: str | Path, *, name: str, config: str) -> Path:
    """Write an archive as Parquet files with its dataset card, so that `load_dataset(folder, config)` opens it.

    Args:
        splits: As `open_archive` gives them.
        folder: Made if missing. Several configs can be written into one folder, one after another.
        name: Of the archive, for the card.
        config: Under which name the files are opened.

    Returns:
        `folder`.

    Raises:
        FileExistsError: If the folder already holds this config.
        FileNotFoundError: If the archive has no card; nothing is written then.
    """
    folder = Path(folder)
    card_path = folder / _CARD_FILE
    card = DatasetCard.load(card_path) if card_path.exists() else read_card(name)
    with whole_folder(folder / config) as unfinished:
        for split_name, split in splits.items():
            _write_split(split, unfinished, split_name)
    data_files = [{"split": split, "path": f"{config}/{split}-*.parquet"} for split in splits]
    others = [entry for entry in card.data.get("configs") or [] if entry["config_name"] != config]
    card.data["configs"] = [*others, {"config_name": config, "data_files": data_files}]
    with whole_file(card_path) as unfinished:
        card.save(unfinished)
    return folder


def push_archive(splits: DatasetDict, repo_id: str, *, name: str, config: str, private: bool = True) -> str:
    """Push an archive to the Hub: its card first, then its splits, whose metadata `datasets` adds to the card.

    Args:
        splits: As `open_archive` gives them.
        repo_id: `user/name` of a dataset repository; made if missing.
        name: Of the archive, for the card.
        config: Under which name it is opened.
        private: Whether a new repository is private.

    Returns:
        The URL of the commit.
    """
    api = HfApi()
    api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
    if not api.file_exists(repo_id, _CARD_FILE, repo_type="dataset"):
        api.upload_file(
            path_or_fileobj=str(read_card(name)).encode(),
            path_in_repo=_CARD_FILE,
            repo_id=repo_id,
            repo_type="dataset",
        )
    return splits.push_to_hub(repo_id, config_name=config, private=private).commit_url


def _write_split(split: Dataset, folder: Path, name: str) -> None:
    num_shards = -(-split.data.nbytes // _SHARD_BYTES)
    for index in range(num_shards):
        shard = split.shard(num_shards, index, contiguous=True)
        shard.to_parquet(folder / f"{name}-{index:05d}-of-{num_shards:05d}.parquet")
