"""`etp embed`: ECG files as unit vectors of the space that ECGs and texts share."""

from dataclasses import dataclass
from pathlib import Path

from etp.atomic_files import whole_file
from etp.common_options import JSON_HELP, OVERWRITE_HELP, ModelArguments
from etp.options import OptionError, option

from .files import EcgRun, FilesArguments, check_output_file, find_ecgs, json_line, write
from .models import make_classifier, open_checkpoint


@dataclass(kw_only=True)
class EmbedArguments(ModelArguments, FilesArguments):
    """Where the embeddings go."""

    output: Path | None = option(".npz file that receives files, embeds and checkpoint_sha256.", None, short="-o")
    overwrite: bool = option(OVERWRITE_HELP, False)
    json: bool = option(JSON_HELP, False)


def run(args: EmbedArguments) -> int:
    import numpy as np

    if args.output is None and not args.json:
        raise OptionError("nothing receives the embeddings: give -o FILE.npz, --json or both.")
    paths = find_ecgs(args.files)
    if args.output is not None:
        check_output_file(args.output, overwrite=args.overwrite, inputs=paths)
    ecgs = EcgRun(paths, args, batch_size=args.batch_size)
    if not ecgs.any_readable():
        return ecgs.status
    checkpoint = open_checkpoint(args.model, device=args.device, max_gap_seconds=args.max_gap_seconds)
    classifier = make_classifier(checkpoint)
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
