"""`etp classify`: scores of ECG files, one JSON line or a few lines of text per file."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etp.common_options import JSON_HELP, LabelArguments, ModelArguments
from etp.options import option

from .classifiers import classifier_of
from .files import EcgRun, FilesArguments, find_ecgs, json_line, printable, write
from .labels import read_labels
from .models import open_model

if TYPE_CHECKING:
    from modeling_etp.ecg_files_etp import EcgRecording


@dataclass(kw_only=True)
class ClassifyArguments(LabelArguments, ModelArguments, FilesArguments):
    """What is printed."""

    top_k: int | None = option("Labels per file at most, the likeliest first; all if omitted.", None, short="-k")
    threshold: float | None = option("Lowest score to show.", None)
    json: bool = option(JSON_HELP, False)


def run(args: ClassifyArguments) -> int:
    labels = read_labels(args) if args.given else None
    paths = find_ecgs(args.files)
    ecgs = EcgRun(paths, args, batch_size=args.batch_size)
    if not ecgs.any_readable():
        return ecgs.status
    # Options are given here, not at every call, so that an impossible one is no bad file.
    checkpoint = open_model(args.model, device=args.device, max_gap_seconds=args.max_gap_seconds)
    classifier = classifier_of(checkpoint, args, labels, top_k=args.top_k, threshold=args.threshold)

    def classify(recordings):
        scores = classifier(recordings, batch_size=len(recordings), return_notes=True)
        return [with_notes(own, recording) for own, recording in zip(scores, recordings, strict=True)]

    for path, (scores, notes) in ecgs.map(classify, description="Classifying"):
        write(as_json(path, scores, notes) if args.json else as_text(path, scores, notes))
    return ecgs.status


def with_notes(entries: list[dict], recording: "EcgRecording") -> tuple[list[dict], list[str]]:
    """Scores, and what was left out, assumed or filled in; where no score is shown, what the reader says of it."""
    notes = list(entries[0]["notes"]) if entries else list(recording.notes)
    return [{"score": entry["score"], "label": entry["label"]} for entry in entries], notes


def as_json(path: str, scores: list[dict], notes: list[str]) -> str:
    return json_line({"file": path, "scores": scores, "notes": notes})


def as_text(path: str, scores: list[dict], notes: list[str]) -> str:
    shown = (f"  {entry['score']:6.3f}  {printable(entry['label'])}" for entry in scores)
    return "\n".join([printable(path), *shown, *(f"  note: {printable(note)}" for note in notes)])
