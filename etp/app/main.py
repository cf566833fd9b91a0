"""etp app

Serve a page that scores an uploaded ECG against sentences, shows it on paper, and shows what the model looked at.
"""

import os
from tempfile import TemporaryDirectory

from etp.app.arguments import AppArguments
from etp.app.calibrations import find_calibrations
from etp.app.scorer import EcgScorer
from etp.app.sources import AppError
from etp.app.tuned_scorer import TunedScorer
from etp.commands.models import open_model
from etp.loading import ClassifierCheckpoint, model_name
from etp.options import OptionError
from etp.search import SearchIndex, SearchIndexError


def main(args: AppArguments) -> int:
    """Serve until interrupted."""
    try:
        scorer = open_scorer(args)
    except (AppError, SearchIndexError) as error:
        raise OptionError(str(error)) from error
    for calibration in scorer.calibrations:
        print(f"Calibrated probabilities for the label set {calibration.task}, from {calibration.dataset}.")
    with TemporaryDirectory(prefix="etp-uploads-") as uploads:
        serve(scorer, args, uploads)
    return 0


def open_scorer(args: AppArguments) -> EcgScorer | TunedScorer:
    """The model with what belongs to it.

    Raises:
        OptionError, AppError, SearchIndexError: If one of them cannot be opened; names the option and the cure.
    """
    checkpoint = open_model(args.model, device=args.device)
    if isinstance(checkpoint, ClassifierCheckpoint):
        if args.index or args.results:
            raise AppError(
                f"--model {checkpoint.folder} is a fine-tuned classifier: it has no text tower for --index, and brings its own "
                "calibration instead of --results. Leave both away."
            )
        return TunedScorer(checkpoint)
    index = None
    if args.index:
        index = SearchIndex.load(args.index, checkpoint_sha256=checkpoint.sha256, model=model_name(args.model))
        if not index.texts:
            raise AppError(f"--index {args.index}: it holds no reports. Make one of an archive, or with --texts.")
    return EcgScorer(checkpoint, calibrations=find_calibrations(checkpoint, args.results), index=index)


def serve(scorer: EcgScorer | TunedScorer, args: AppArguments, uploads: str) -> None:
    """Serve until interrupted; what is uploaded passes through a folder that ends with the program."""
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=uploads)
    from etp.app.interface import build_interface, launch_options  # Gradio reads these variables as it is imported

    build_interface(scorer).launch(server_name=args.host, server_port=args.port, **launch_options())
