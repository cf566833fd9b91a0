"""`etp card`: the model card that `etp push` would push, to read and to edit before."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from etp.atomic_files import whole_file

from .errors import UsageError
from .files import write
from .models import open_checkpoint

if TYPE_CHECKING:
    from etp.loading import Checkpoint

HELP = "write the model card of a checkpoint, to edit it before it is pushed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="folder of a checkpoint")
    parser.add_argument(
        "--repo", metavar="USER/NAME", help="under which name it will be found; the folder's if omitted"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="receives the card; printed if omitted")
    add_card_arguments(parser)


def add_card_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results",
        nargs="+",
        type=Path,
        metavar="JSON",
        help="files of evaluate_*.py of this model; those in its folder results/ if omitted",
    )
    parser.add_argument("--license", default="apache-2.0", help="of the weights, as the Hub spells it (apache-2.0)")
    parser.add_argument("--co2_grams", type=float, metavar="G", help="emissions of the training, if you measured them")


def run(args: argparse.Namespace) -> int:
    from etp.card import make_card

    if args.output is not None and args.output.exists():
        raise UsageError(f"-o {args.output} exists already, perhaps edited. Delete it, or choose another name.")
    checkpoint = open_checkpoint(args.model)
    results = list(read_results(args.results, checkpoint).values())
    repo_id = args.repo or checkpoint.folder.resolve().name
    card = make_card(checkpoint, results, repo_id=repo_id, license=args.license, co2_grams=args.co2_grams)
    if args.output is None:
        write(str(card))
    else:
        with whole_file(args.output) as unfinished:
            unfinished.write_text(str(card), encoding="utf-8")
        write(str(args.output))
    return 0


def read_results(files: Sequence[Path] | None, checkpoint: "Checkpoint") -> dict[str, dict]:
    """File name -> content of results files; those that the checkpoint carries if none are named.

    Raises:
        UsageError: If one is none, or two have the same name.
    """
    from etp.evaluation.results import load_results, results_beside

    files = results_beside(checkpoint.folder) if files is None else files
    names = [path.name for path in files]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"--results: {', '.join(repeated)} is the name of several files. Rename one of them.")
    try:
        return {path.name: load_results(path) for path in files}
    except ValueError as error:
        raise UsageError(f"--results: {error}") from error
