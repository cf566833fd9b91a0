"""`etp index`: make the index that `etp search` looks in."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from etp.common_options import DATA_DIR_HELP, DatasetArguments, ModelArguments, Split
from etp.cures import as_flags
from etp.options import OptionError, option

from .files import FILES_HELP, STATED, EcgRun, FilesArguments, find_ecgs, write
from .models import make_classifier, open_checkpoint

if TYPE_CHECKING:
    from etp.loading import Checkpoint
    from etp.search import SearchIndex


@dataclass(kw_only=True)
class IndexArguments(DatasetArguments, ModelArguments, FilesArguments):
    """What is indexed: files and texts, or the data set of --data_dir."""

    data_dir: Path | None = option(DATA_DIR_HELP, None, common=True)
    output: Path = option("Folder that is made.", short="-o")
    files: list[str] = option(FILES_HELP, [], positional=True, metavar="FILE")
    texts: Path | None = option("Text file, a text a line.", None)
    split: Split = option("Split of the data set.", "train")


def run(args: IndexArguments) -> int:
    from etp.loading import model_name

    if args.output.exists():
        raise OptionError(f"-o {args.output} exists already. Delete it, or choose another folder.")
    if bool(args.data_dir) == bool(args.files or args.texts):
        raise OptionError(
            "say what to index: ECG files, --texts FILE or both; or the data set of --data_dir by itself."
        )
    texts = read_texts(args.texts) if args.texts else []
    paths = find_ecgs(args.files)
    ecgs = EcgRun(paths, args, batch_size=args.batch_size)
    if paths and not ecgs.any_readable() and not texts:
        return ecgs.status
    checkpoint = open_checkpoint(args.model, device=args.device, max_gap_seconds=args.max_gap_seconds)
    if args.data_dir:
        index = _of_archive(checkpoint, args)
    else:
        index = _of_files(checkpoint, ecgs, texts, model=model_name(args.model))
    index.save(args.output)
    write(f"{args.output}: {len(index.ecgs)} ECGs, {len(index.texts)} texts, model {index.checkpoint_sha256[:12]}")
    return ecgs.status


def read_texts(path: Path) -> list[str]:
    """The distinct lines of a file that are not blank.

    Raises:
        OptionError: If it can't be read or has none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"--texts {path}: it can't be read as UTF-8 text ({error}).") from error
    texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not texts:
        raise OptionError(f"--texts {path}: it holds no text.")
    return texts


def _of_archive(checkpoint: "Checkpoint", args: IndexArguments) -> "SearchIndex":
    from datasets import concatenate_datasets

    from etp.archives import open_archive
    from etp.loading import model_name
    from etp.search import index_archive

    splits = open_archive(args.dataset, args.data_dir, config=args.dataset_config, cache_dir=args.cache_dir)
    chosen = list(splits) if args.split == "all" else [args.split]
    if missing := [name for name in chosen if name not in splits]:
        raise OptionError(f"--split {missing[0]}: there is none, choose from {', '.join([*splits, 'all'])}.")
    dataset = concatenate_datasets([splits[name] for name in chosen])
    try:
        return index_archive(checkpoint, dataset, model=model_name(args.model), batch_size=args.batch_size)
    except ValueError as error:  # of a record; what may be stated of files isn't of an archive
        raise ValueError(as_flags(str(error), set(vars(args)) - set(STATED))) from error


def _of_files(checkpoint: "Checkpoint", ecgs: EcgRun, texts: list[str], *, model: str) -> "SearchIndex":
    import numpy as np

    from etp.search import SearchIndex

    classifier = make_classifier(checkpoint)
    embedded = dict(ecgs.map(classifier.embed_ecgs, description="Embedding"))
    parts: dict = {}
    if embedded:
        parts |= {"ecgs": list(embedded), "ecg_embeds": np.stack(list(embedded.values()))}
    if texts:
        parts |= {"texts": texts, "text_embeds": classifier.embed_texts(texts)}
    return SearchIndex(checkpoint.sha256, model=model, **parts)
