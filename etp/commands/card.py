"""`etp card`: the model card that `etp push` would push, to read and to edit before."""

import argparse
from pathlib import Path

from .errors import UsageError
from .files import write
from .models import open_checkpoint

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
        "--results", nargs="+", default=[], metavar="JSON", help="files of evaluate_*.py of this model"
    )
    parser.add_argument("--license", default="apache-2.0", help="of the weights, as the Hub spells it (apache-2.0)")
    parser.add_argument("--co2_grams", type=float, metavar="G", help="emissions of the training, if you measured them")


def run(args: argparse.Namespace) -> int:
    from etp.card import make_card

    if args.output is not None and args.output.exists():
        raise UsageError(f"-o {args.output} exists already, perhaps edited. Delete it, or choose another name.")
    results = read_results(args)
    checkpoint = open_checkpoint(args.model)
    repo_id = args.repo or checkpoint.folder.resolve().name
    card = make_card(checkpoint, results, repo_id=repo_id, license=args.license, co2_grams=args.co2_grams)
    if args.output is None:
        write(str(card))
    else:
        args.output.write_text(str(card), encoding="utf-8")
        write(str(args.output))
    return 0


def read_results(args: argparse.Namespace) -> list[dict]:
    """Contents of the results files.

    Raises:
        UsageError: If one is none.
    """
    from etp.evaluation.results import load_results

    try:
        return [load_results(path) for path in args.results]
    except ValueError as error:
        raise UsageError(f"--results: {error}") from error
