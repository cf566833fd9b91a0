"""`etp plot`: an ECG on paper, with a model's scores beside it if labels are given."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from etp.atomic_files import whole_file
from etp.common_options import DEFAULT_MODEL_HELP, DEVICE_HELP, OVERWRITE_HELP, LabelArguments, ReadingArguments
from etp.options import OptionError, option

from .files import check_output_file, read_recording, write
from .labels import read_labels, scoring_options
from .models import make_classifier, open_checkpoint

FORMATS = (".png", ".svg", ".pdf")


@dataclass(kw_only=True)
class PlotArguments(LabelArguments, ReadingArguments):
    """What is drawn; the scores of a model beside it where labels are given."""

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
    if args.model is not None and not args.given:
        raise OptionError("--model is for scores, which need labels too: --labels, --task or --prompts.")
    from etp.measurements import measure_if_installed
    from etp.plots import plot_ecg
    from modeling_etp.ecg_addresses_etp import printable_url

    recording, scores = read_recording(args.file, args), None
    if args.given:
        labels = read_labels(args)
        checkpoint = open_checkpoint(args.model, device=args.device, max_gap_seconds=args.max_gap_seconds)
        scores = make_classifier(checkpoint, candidate_labels=labels, **scoring_options(args))(recording)
    figure = plot_ecg(
        recording.signal,
        recording.sampling_rate,
        recording.lead_names,
        title=Path(printable_url(args.file)).name if args.title is None else args.title,
        scores=scores,
        layout=args.layout,
        measurements=measure_if_installed(recording),
    )
    with whole_file(args.output) as unfinished:
        figure.savefig(unfinished, format=args.output.suffix[1:].lower())
    write(str(args.output))
    return 0
