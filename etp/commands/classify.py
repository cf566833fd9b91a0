"""`etp classify`: scores of ECG files, one JSON line or a few lines of text per file."""

from dataclasses import dataclass

from etp.common_options import JSON_HELP, LabelArguments, ModelArguments
from etp.options import option

from .files import EcgRun, FilesArguments, find_ecgs, json_line, printable, write
from .labels import read_labels, scoring_options
from .models import make_classifier, open_checkpoint


@dataclass(kw_only=True)
class ClassifyArguments(LabelArguments, ModelArguments, FilesArguments):
    """What is printed."""

    top_k: int | None = option("Labels per file at most, the likeliest first; all if omitted.", None, short="-k")
    threshold: float | None = option("Lowest score to show.", None)
    json: bool = option(JSON_HELP, False)

    def __post_init__(self):
        FilesArguments.__post_init__(self)
        LabelArguments.__post_init__(self)


def run(args: ClassifyArguments) -> int:
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
    ecgs = EcgRun(paths, args, batch_size=args.batch_size)

    def classify(recordings):
        return classifier(recordings, batch_size=len(recordings))

    for path, scores in ecgs.map(classify, description="Classifying"):
        write(as_json(path, scores) if args.json else as_text(path, scores))
    return ecgs.status


def as_json(path: str, scores: list[dict]) -> str:
    return json_line({"file": path, "scores": scores})


def as_text(path: str, scores: list[dict]) -> str:
    return "\n".join([printable(path), *(f"  {entry['score']:6.3f}  {printable(entry['label'])}" for entry in scores)])
