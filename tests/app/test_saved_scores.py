"""What a visitor takes away."""

import base64
import csv
import io
import json
import re

import pytest

from etp.app.downloads import file_stem
from etp.app.sources import ExampleEcg, UploadedEcg
from etp.measurements import measure

FIELDS = (ExampleEcg("normal"), None, "", "", ["normal ECG", "+cmd()", "AF = atrial fibrillation; no P waves"], False)


def files_in(html: str) -> dict[str, bytes]:
    """Name -> content of every link that holds a file."""
    links = re.findall(r'<a class="etp-download" download="([^"]+)" href="data:[\w/]+;base64,([^"]+)">', html)
    return {name: base64.b64decode(content) for name, content in links}


def test_scores_are_taken_away_as_they_are_shown(handlers):
    scores = handlers.score(*FIELDS).scores
    files = files_in(scores)
    assert set(files) == {"normal-scores.csv", "normal-scores.json"}
    rows = list(csv.DictReader(io.StringIO(files["normal-scores.csv"].decode())))
    content = json.loads(files["normal-scores.json"])
    assert {row["label"]: float(row["score"]) for row in rows} == {
        ("'" if entry["label"].startswith("+") else "") + entry["label"]: entry["score"] for entry in content["scores"]
    }
    assert "'+cmd()" in [row["label"] for row in rows]  # no spreadsheet takes it for a formula
    assert {row["record"] for row in rows} == {"normal"}
    assert {row["kind"] for row in rows} == {content["kind"]} == {"shares"}
    phrases = {entry["label"]: entry["phrases"] for entry in content["scores"]}
    assert phrases["AF"] == ["atrial fibrillation", "no P waves"]
    assert sum(entry["score"] for entry in content["scores"]) == pytest.approx(1, abs=1e-5)
    assert "no score is a diagnosis" in content["warning"]
    assert content["measurements"] == measure(FIELDS[0].read()).as_dict()
    assert content["notes"] == handlers.scorer.notes(FIELDS[0].read())


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_picture_is_taken_away_whole(handlers, kind, start):
    ((name, content),) = files_in(handlers.picture_file(kind, False, None, *FIELDS)).items()
    assert name == f"normal.{kind}"
    assert content.startswith(start)


def test_the_layer_that_is_shown_is_saved_with_the_picture(handlers):
    plain = handlers.picture_file("png", False, "normal ECG", *FIELDS)
    assert plain == handlers.picture_file("png", False, None, *FIELDS)
    assert plain != handlers.picture_file("png", True, "normal ECG", *FIELDS)


def test_no_other_kind_of_picture_is_made(handlers):
    assert "There is no picture of the kind &#x27;svgz&#x27;" in handlers.picture_file("svgz", False, None, *FIELDS)
    assert "etp-error" in handlers.picture_file("png", False, None, UploadedEcg({"a.npy": b""}), *FIELDS[1:])


@pytest.mark.parametrize(
    ("record", "stem"),
    [
        ("00005_lr.hea", "00005_lr"),
        ('../../a"b<c>.csv', "a-b-c"),
        ("atrial fibrillation", "atrial-fibrillation"),
        ("\u202e.npy", "ecg"),
        (".hea", "hea"),
        ("Müller.xml", "Müller"),
        ("x" * 300 + ".npy", "x" * 80),
    ],
)
def test_a_file_has_a_name_that_every_system_takes(record, stem):
    assert file_stem(record) == stem
