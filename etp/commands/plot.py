"""`etp plot`: an ECG on paper, with a model's scores beside it if labels are given or the model has its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from etp.atomic_files import whole_file
from etp.common_options import DEFAULT_MODEL_HELP, DEVICE_HELP, OVERWRITE_HELP, LabelArguments, ReadingArguments
from etp.options import OptionError, option

from .classifiers import classifier_of
from .files import check_output_file, read_recording, write
from .labels import read_labels
from .models import open_model

FORMATS = (".png", ".svg", ".pdf")


@dataclass(kw_only=True)
class PlotArguments(LabelArguments, ReadingArguments):
    """What is drawn; the scores of a model beside it where labels are given, or --model has labels of its own."""

    file: str = option("ECG file, http(s) URL, or sample:NAME.", positional=True)
    output: Path = option(".png, .svg or .pdf file.", short="-o")
    overwrite: bool = option(OVERWRITE_HELP, False)
    layout: Literal["3x4+1", "3x4+3", "12x1"] = option(
        "Rows and columns of the standard leads, and rhythm strips of ten seconds.", "3x4+1"
    )
    title: str | None = option("Printed above the traces; the file's name if omitted.", None)
    model: str | None = option(DEFAULT_MODEL_HELP, None)
    device: str = option(DEVICE_HELP, "auto")


def run(args: PlotArguments) -> int:
    if args.output.suffix.lower() not in FORMATS:
        raise OptionError(f"-o {args.output}: the name must end in {', '.join(FORMATS)}.")
    check_output_file(args.output, overwrite=args.overwrite, inputs=[args.file])
    labels = read_labels(args) if args.given else None
    from etp.measurements import measure_if_installed
    from etp.plots import plot_ecg
    from modeling_etp.ecg_addresses_etp import printable_url

    classifier = open_scorer(args, labels) if labels or args.model is not None else None
    recording = read_recording(args.file, args)
    figure = plot_ecg(
        recording.signal,
        recording.sampling_rate,
        recording.lead_names,
        title=Path(printable_url(args.file)).name if args.title is None else args.title,
        scores=classifier and classifier(recording),
        layout=args.layout,
        measurements=measure_if_installed(recording),
    )
    with whole_file(args.output) as unfinished:
        figure.savefig(unfinished, format=args.output.suffix[1:].lower())
    write(str(args.output))
    return 0


def open_scorer(args: PlotArguments, labels: dict[str, tuple[str, ...]] | None) -> Callable[..., Any]:
    """The pipeline whose scores are drawn.

    Raises:
        OptionError: If the model needs labels and there are none, has its own beside those that are given, or gives no
            scores that could be drawn.
    """
    from etp.loading import Checkpoint

    checkpoint = open_model(args.model, device=args.device, max_gap_seconds=args.max_gap_seconds)
    if isinstance(checkpoint, Checkpoint) and labels is None:
        raise OptionError(
            f"--model {args.model} scores labels that are given as text: give them by --labels, --task or --prompts, or "
            "leave out --model, which draws the ECG alone."
        )
    if checkpoint.model.config.problem_type == "regression":
        raise OptionError(
            f"--model {args.model} is a regression, whose numbers are no scores to draw: leave it out, and print them by "
            "`etp classify`."
        )
    return classifier_of(checkpoint, args, labels)
