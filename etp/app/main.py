"""etp app --model build/etp-ptb-xl

Serve a page that scores an uploaded ECG against sentences, shows it on paper, and shows what the model looked at.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from etp.app.calibrations import find_calibrations
from etp.app.scorer import EcgScorer
from etp.app.sources import AppError
from etp.commands.errors import UsageError
from etp.commands.models import add_model_arguments, open_checkpoint
from etp.search import SearchIndex, SearchIndexError


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted. Returns 2 if it cannot be served like this."""
    args = parse_arguments(argv)
    try:
        scorer = open_scorer(args)
    except (UsageError, AppError, SearchIndexError) as error:
        print(f"app.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    for calibration in scorer.calibrations:
        print(f"Calibrated probabilities for the label set {calibration.task}, from {calibration.dataset}.")
    with TemporaryDirectory(prefix="etp-uploads-") as uploads:
        serve(scorer, args, uploads)
    return 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options; a Space has none and sets the variables ETP_MODEL and ETP_INDEX."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_arguments(parser, required="ETP_MODEL" not in os.environ)
    parser.set_defaults(model=os.environ.get("ETP_MODEL"))
    parser.add_argument(
        "--index",
        default=os.environ.get("ETP_INDEX"),
        metavar="DIR",
        help="made by `etp index`: shows nearest reports",
    )
    parser.add_argument(
        "--results",
        nargs="+",
        type=Path,
        metavar="JSON",
        help="of evaluate_zeroshot.py: calibrate scores; the folder results/ of the checkpoint if omitted",
    )
    parser.add_argument("--host", help="address to listen on; GRADIO_SERVER_NAME or 127.0.0.1 if omitted")
    parser.add_argument("--port", type=int, help="GRADIO_SERVER_PORT or the first free one from 7860 if omitted")
    return parser.parse_args(argv)


def open_scorer(args: argparse.Namespace) -> EcgScorer:
    """The model with what belongs to it.

    Raises:
        UsageError, AppError, SearchIndexError: If one of them cannot be opened; names the option and how to fix it.
    """
    checkpoint = open_checkpoint(args.model, device=args.device)
    index = None
    if args.index:
        index = SearchIndex.load(args.index, checkpoint_sha256=checkpoint.sha256)
        if not index.texts:
            raise AppError(f"--index {args.index}: it holds no reports. Make one of an archive, or with --texts.")
    return EcgScorer(checkpoint, calibrations=find_calibrations(checkpoint, args.results), index=index)


def serve(scorer: EcgScorer, args: argparse.Namespace, uploads: str) -> None:
    """Serve until interrupted; what is uploaded passes through a folder that ends with the program."""
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=uploads)
    from etp.app.interface import build_interface, launch_options  # Gradio reads these variables as it is imported

    build_interface(scorer).launch(server_name=args.host, server_port=args.port, **launch_options())


if __name__ == "__main__":
    sys.exit(main())
