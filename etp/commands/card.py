"""`etp card`: the model card that `etp push` would push, to read and to edit before."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from etp.atomic_files import whole_file
from etp.common_options import MODEL_HELP, OVERWRITE_HELP, REPO_HELP, RESULTS_HELP
from etp.options import OptionError, option

from .files import check_output_file, write
from .models import open_model

if TYPE_CHECKING:
    from etp.loading import Files


@dataclass(kw_only=True)
class ContentArguments:
    """What the card says."""

    results: list[Path] | None = option(RESULTS_HELP, None, metavar="JSON")
    license: str = option("Licence of the weights, as the Hub spells it.", "apache-2.0")
    co2_grams: float | None = option("Emissions of the training in grams, if you measured them.", None)


@dataclass(kw_only=True)
class CardArguments(ContentArguments):
    """Of which model, and where the card goes."""

    model: str = option(MODEL_HELP, positional=True)
    repo: str | None = option(REPO_HELP, None)
    output: Path | None = option("File that receives the card; printed if omitted.", None, short="-o")
    overwrite: bool = option(OVERWRITE_HELP, False)


def run(args: CardArguments) -> int:
    from etp.card import make_card

    if args.output is not None:
        check_output_file(args.output, overwrite=args.overwrite)
    checkpoint = open_model(args.model)
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


def read_results(files: Sequence[Path] | None, checkpoint: "Files") -> dict[str, dict]:
    """File name -> content of results files; those that the checkpoint carries if none are named.

    Raises:
        OptionError: If one is none, or two have the same name.
    """
    from etp.evaluation.results import load_results, results_beside

    files = results_beside(checkpoint.folder) if files is None else files
    names = [path.name for path in files]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"--results: {', '.join(repeated)} is the name of several files. Rename one of them.")
    try:
        return {path.name: load_results(path) for path in files}
    except ValueError as error:
        raise OptionError(f"--results: {error}") from error
