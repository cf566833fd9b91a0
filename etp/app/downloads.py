"""What a visitor may take away, as links that hold the file: nothing is written on the server, no route serves files."""

import json
import re
from base64 import b64encode
from html import escape
from typing import Any

import etp
from etp.csv_files import csv_text

from .scorer import Labels, Scores

WARNING = "Research software, not a medical device: no score is a diagnosis."
TYPES = {"csv": "text/csv", "json": "application/json", "png": "image/png", "pdf": "application/pdf"}


def data_url(content: bytes, kind: str) -> str:
    """An address that is the file itself.

    Args:
        kind: One of `TYPES`.
    """
    return f"data:{TYPES[kind]};base64,{b64encode(content).decode()}"


def link(content: bytes, *, name: str, kind: str, text: str) -> str:
    """A link that saves a file.

    Args:
        name: Without its suffix.
        kind: One of `TYPES`, and the suffix.
        text: Of the link.
    """
    return (
        f'<a class="etp-download" download="{escape(name)}.{kind}" href="{data_url(content, kind)}">{escape(text)}</a>'
    )


def file_stem(record: str) -> str:
    """A name for files of a record that every file system takes."""
    stem = record.rpartition(".")[0] or record
    return "-".join(re.findall(r"\w+", stem))[:80] or "ecg"


def score_links(record: str, scores: Scores, labels: Labels, **more: Any) -> str:
    """Links to the scores as CSV and JSON.

    Args:
        record: Name of the ECG.
        more: What the JSON file tells besides, of JSON values.
    """
    rows = [(record, label, round(score, 6), scores.kind) for label, score in scores.by_label.items()]
    table = csv_text(("record", "label", "score", "kind"), rows)
    content = json.dumps(_as_json(record, scores, labels) | more, indent=1, ensure_ascii=False)
    name = f"{file_stem(record)}-scores"
    return (
        '<p class="etp-small etp-downloads">Download the scores: '
        + link(table.encode(), name=name, kind="csv", text="CSV")
        + " "
        + link(content.encode(), name=name, kind="json", text="JSON")
        + "</p>"
    )


def _as_json(record: str, scores: Scores, labels: Labels) -> dict[str, Any]:
    calibration = scores.calibration
    return {
        "record": record,
        "kind": scores.kind,
        "calibrated_on": None if calibration is None else f"{calibration.dataset}, labels of {calibration.task}",
        "scores": [
            {"label": label, "phrases": list(labels.get(label, ())), "score": round(score, 6)}
            for label, score in scores.by_label.items()
        ],
        "warning": WARNING,
        "etp_version": etp.__version__,
    }
