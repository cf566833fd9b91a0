"""`etp plot`: an ECG on paper, with a model's scores beside it if labels are given."""

import argparse
from pathlib import Path

from etp.whole_files import whole_file

from .embed import check_output
from .errors import UsageError
from .files import add_reading_arguments, read_recording, write
from .labels import add_label_arguments, read_labels, scoring_options
from .models import add_model_arguments, make_classifier, open_checkpoint

HELP = "draw an ECG file on paper, as PNG, SVG or PDF"
FORMATS = (".png", ".svg", ".pdf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="ECG file or http(s) URL")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PICTURE", help=".png, .svg or .pdf")
    parser.add_argument("--title", help="printed above the traces; the file's name if omitted")
    add_reading_arguments(parser)
    add_model_arguments(parser, required=False)
    add_label_arguments(parser, required=False)


def run(args: argparse.Namespace) -> int:
    if args.output.suffix.lower() not in FORMATS:
        raise UsageError(f"-o {args.output}: the name must end in {', '.join(FORMATS)}.")
    check_output(args.output)
    with_labels = any((args.labels, args.task, args.label_set))
    if with_labels != (args.model is not None):
        raise UsageError("scores need both: --model, and labels by --labels, --task or --label_set.")
    from etp.plots import plot_ecg
    from modeling_etp.ecg_addresses_etp import printable_url

    recording, scores = read_recording(args.file, args), None
    if with_labels:
        labels = read_labels(args)
        checkpoint = open_checkpoint(args.model, device=args.device)
        scores = make_classifier(checkpoint, candidate_labels=labels, **scoring_options(args))(recording)
    figure = plot_ecg(
        recording.signal,
        recording.sampling_rate,
        recording.lead_names,
        title=Path(printable_url(args.file)).name if args.title is None else args.title,
        scores=scores,
    )
    with whole_file(args.output) as unfinished:
        figure.savefig(unfinished, format=args.output.suffix[1:].lower())
    write(str(args.output))
    return 0
