"""`etp embed`: ECG files as unit vectors of the space that ECGs and texts share."""

import argparse
from pathlib import Path

from etp.atomic_files import whole_file

from .errors import UsageError
from .files import EcgRun, add_ecg_arguments, find_ecgs, json_line, write
from .models import add_model_arguments, make_classifier, open_checkpoint

HELP = "embed ECG files as unit vectors, in an .npz file or as JSON lines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_ecg_arguments(parser)
    add_model_arguments(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="NPZ", help="receives files, embeds, checkpoint_sha256")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line and file")


def run(args: argparse.Namespace) -> int:
    import numpy as np

    if args.output is None and not args.json:
        raise UsageError("nothing receives the embeddings: give -o FILE.npz, --json or both.")
    if args.output is not None:
        check_output(args.output)
    paths = find_ecgs(args.files)
    checkpoint = open_checkpoint(args.model, device=args.device)
    classifier = make_classifier(checkpoint)
    ecgs = EcgRun(paths, args)
    files, embeds = [], []
    for path, embed in ecgs.map(classifier.embed_ecgs, description="Embedding"):
        files.append(path)
        embeds.append(embed)
        if args.json:
            write(json_line({"file": path, "embed": embed.tolist()}))
    if args.output is not None and embeds:
        with whole_file(args.output) as unfinished, unfinished.open("wb") as file:
            np.savez(file, files=np.array(files), embeds=np.stack(embeds), checkpoint_sha256=checkpoint.sha256)
        if not args.json:
            write(f"{args.output}: {len(files)} of {len(paths)} ECGs, {len(embeds[0])} numbers each")
    return ecgs.status


def check_output(path: Path) -> None:
    """Refuse an output file that can't be, before anything is computed."""
    if path.is_dir():
        raise UsageError(f"-o {path}: it is a folder; name a file in it.")
    if not path.parent.is_dir():
        raise UsageError(f"-o {path}: there is no folder {path.parent}.")
