"""`etp export`: both towers as ONNX models or `torch.export` programs, for use without this package."""

import argparse
from pathlib import Path

from .errors import UsageError
from .files import write
from .models import open_checkpoint

HELP = "export both towers to ONNX or torch.export, checked against the model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="folder of a checkpoint, or its name on the Hub")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument("--format", choices=("onnx", "torch"), default="onnx", help="onnx (default) or torch.export")


def run(args: argparse.Namespace) -> int:
    if args.output.exists():
        raise UsageError(f"-o {args.output} exists already. Delete it, or choose another folder.")
    from etp.export import export_checkpoint

    description = export_checkpoint(open_checkpoint(args.model), args.output, format=args.format)
    for name, difference in description["largest_difference"].items():
        write(f"{args.output}: {name}, at most {difference:.1e} off the model")
    return 0
