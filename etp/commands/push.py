"""`etp push`: share a model with its processor, pipeline and card, or a data set or Space, in one commit."""

import argparse

from .card import add_card_arguments, read_results
from .errors import UsageError
from .files import write
from .models import open_checkpoint

HELP = "push a model with its processor, pipeline and card to the Hub"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="MODEL", help="folder of a checkpoint; or of a data set or Space")
    parser.add_argument("repo", metavar="USER/NAME", help="repository; made if missing")
    parser.add_argument("--repo_type", choices=("model", "dataset", "space"), default="model", help="model (default)")
    parser.add_argument("--public", action="store_true", help="a new repository is public, not private")
    add_card_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(args.repo)
    except HFValidationError as error:
        raise UsageError(f"{args.repo}: no name of a repository ({error}). Write user/name.") from error
    if args.repo_type == "model":
        from etp.hub import push_model

        checkpoint = open_checkpoint(args.folder)
        url = push_model(
            checkpoint,
            args.repo,
            results=read_results(args.results, checkpoint),
            license=args.license,
            co2_grams=args.co2_grams,
            private=not args.public,
        )
    else:
        from etp.hub import push_folder

        url = push_folder(args.folder, args.repo, repo_type=args.repo_type, private=not args.public)
    write(url)
    return 0
