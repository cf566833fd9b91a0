"""`etp push`: share a model with its processor, pipeline and card, or a data set or Space, in one commit."""

from dataclasses import dataclass
from typing import Literal

from etp.common_options import REPO_HELP
from etp.options import OptionError, option

from .card import ContentArguments, read_results
from .files import write
from .models import open_model


@dataclass(kw_only=True)
class PushArguments(ContentArguments):
    """What is pushed, and where."""

    folder: str = option("Folder of a checkpoint; or of a data set or Space.", positional=True, metavar="MODEL")
    repo: str = option(REPO_HELP, positional=True, metavar="USER/NAME")
    repo_type: Literal["model", "dataset", "space"] = option("What the folder holds.", "model")
    public: bool = option("A new repository is public, not private.", False)


def run(args: PushArguments) -> int:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(args.repo)
    except HFValidationError as error:
        raise OptionError(f"{args.repo}: no name of a repository ({error}). Write user/name.") from error
    if args.repo_type == "model":
        from etp.hub import push_model

        checkpoint = open_model(args.folder)
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
