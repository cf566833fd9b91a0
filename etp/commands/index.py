"""`etp index`: make the index that `etp search` looks in."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UsageError
from .files import EcgRun, add_ecg_arguments, find_ecgs, write
from .models import add_model_arguments, make_classifier, open_checkpoint

if TYPE_CHECKING:
    from etp.loading import Checkpoint
    from etp.search import SearchIndex

HELP = "make a search index of ECG files, of texts, or of an archive with its reports"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder that is made")
    add_model_arguments(parser)
    add_ecg_arguments(parser, nargs="*")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="text file, a text a line")
    archive = parser.add_argument_group("an archive in place of files and texts")
    archive.add_argument("--archive", help="ptb_xl or cpsc2018")
    archive.add_argument("--data_dir", type=Path, metavar="DIR", help="the unpacked archive")
    archive.add_argument("--split", default="train", help="train (default), validation or test")
    archive.add_argument("--config", help="form of the archive, e.g. 500hz")
    archive.add_argument("--cache_dir", type=Path, metavar="DIR", help="where prepared archives are kept")


def run(args: argparse.Namespace) -> int:
    if args.output.exists():
        raise UsageError(f"-o {args.output} exists already. Delete it, or choose another folder.")
    if bool(args.archive) == bool(args.files or args.texts):
        raise UsageError("say what to index: ECG files, --texts FILE or both; or --archive NAME by itself.")
    if args.archive and args.data_dir is None:
        raise UsageError("--archive needs --data_dir, the folder of the unpacked archive.")
    texts = read_texts(args.texts) if args.texts else []
    paths = find_ecgs(args.files)
    checkpoint = open_checkpoint(args.model, device=args.device)
    if args.archive:
        index, failed = _of_archive(checkpoint, args), 0
    else:
        index, failed = _of_files(checkpoint, paths, texts, args)
    index.save(args.output)
    write(f"{args.output}: {len(index.ecgs)} ECGs, {len(index.texts)} texts, model {index.checkpoint_sha256[:12]}")
    return 1 if failed else 0


def read_texts(path: Path) -> list[str]:
    """The distinct lines of a file that are not blank.

    Raises:
        UsageError: If it can't be read or has none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--texts {path}: it can't be read as UTF-8 text ({error}).") from error
    texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not texts:
        raise UsageError(f"--texts {path}: it holds no text.")
    return texts


def _of_archive(checkpoint: "Checkpoint", args: argparse.Namespace) -> "SearchIndex":
    from datasets_scripts.archives import ARCHIVES
    from etp.archives import open_archive
    from etp.search import index_archive

    if args.archive not in ARCHIVES:
        raise UsageError(f"--archive {args.archive}: unknown, choose from {', '.join(ARCHIVES)}.")
    splits = open_archive(args.archive, args.data_dir, config=args.config, cache_dir=args.cache_dir)
    if args.split not in splits:
        raise UsageError(f"--split {args.split}: unknown, choose from {', '.join(splits)}.")
    return index_archive(checkpoint, splits[args.split], batch_size=args.batch_size)


def _of_files(
    checkpoint: "Checkpoint", paths: list[str], texts: list[str], args: argparse.Namespace
) -> tuple["SearchIndex", int]:
    """The index, and how many files are not in it."""
    import numpy as np

    from etp.search import SearchIndex

    classifier, ecgs = make_classifier(checkpoint), EcgRun(paths, args)
    embedded = dict(ecgs.map(classifier.embed_ecgs, description="Embedding"))
    parts: dict = {}
    if embedded:
        parts |= {"ecgs": list(embedded), "ecg_embeds": np.stack(list(embedded.values()))}
    if texts:
        parts |= {"texts": texts, "text_embeds": classifier.embed_texts(texts)}
    return SearchIndex(checkpoint.sha256, **parts), ecgs.failed
