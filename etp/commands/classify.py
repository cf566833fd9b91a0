"""`etp classify`: scores of ECG files, one JSON line or a few lines of text per file."""

import argparse

from .files import EcgRun, add_ecg_arguments, find_ecgs, json_line, printable, write
from .labels import add_label_arguments, read_labels, scoring_options
from .models import add_model_arguments, make_classifier, open_checkpoint

HELP = "score ECG files against labels that are given as text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_ecg_arguments(parser)
    add_model_arguments(parser)
    add_label_arguments(parser)
    parser.add_argument("--top_k", type=int, help="labels per file at most, the likeliest first")
    parser.add_argument("--threshold", type=float, help="lowest score to show")
    parser.add_argument("--json", action="store_true", help="one JSON object a line and file")


def run(args: argparse.Namespace) -> int:
    labels = read_labels(args)
    paths = find_ecgs(args.files)
    # Options are given here, not at every call, so that an impossible one is no bad file.
    classifier = make_classifier(
        open_checkpoint(args.model, device=args.device),
        candidate_labels=labels,
        top_k=args.top_k,
        threshold=args.threshold,
        **scoring_options(args),
    )
    ecgs = EcgRun(paths, args)

    def classify(recordings):
        return classifier(recordings, batch_size=len(recordings))

    for path, scores in ecgs.map(classify, description="Classifying"):
        write(as_json(path, scores) if args.json else as_text(path, scores))
    return ecgs.status


def as_json(path: str, scores: list[dict]) -> str:
    return json_line({"file": path, "scores": scores})


def as_text(path: str, scores: list[dict]) -> str:
    return "\n".join([printable(path), *(f"  {entry['score']:6.3f}  {printable(entry['label'])}" for entry in scores)])
