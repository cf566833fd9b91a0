"""What the pipeline says about an ECG on request, and the cures that its errors name."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import modeling_etp
from modeling_etp.ecg_recording_etp import EcgRecording
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.leads_etp import STANDARD_LEADS

LABELS = ["normal ecg", "atrial fibrillation"]
FOLDER = Path(modeling_etp.__file__).parent


def notes_of(scores):
    assert len(scores) == len(LABELS)
    assert scores[0]["notes"] == scores[1]["notes"]
    return scores[0]["notes"]


def test_there_are_no_notes_unless_asked_for_and_none_on_a_complete_ecg(classifier, ecg):
    assert all(set(entry) == {"score", "label"} for entry in classifier(ecg, LABELS, sampling_rate=100))
    assert notes_of(classifier(ecg, LABELS, sampling_rate=100, return_notes=True)) == []


def test_notes_of_a_recording_come_first(classifier, make_ecg):
    recording = EcgRecording(make_ecg(rate=500), 500, STANDARD_LEADS, notes=("Channel RESP was left out.",))
    notes = notes_of(classifier(recording, LABELS, return_notes=True))
    assert notes == ["Channel RESP was left out.", "It was resampled from 500 to 100 Hz."]


def test_notes_of_a_file_are_passed_on(classifier, ecg, tmp_path, monkeypatch):
    from modeling_etp import ecg_inputs_etp

    np.save(tmp_path / "ecg.npy", ecg)
    read = ecg_inputs_etp.read_ecg

    def with_a_note(*args, **kwargs):
        recording = read(*args, **kwargs)
        recording.notes = ("Taken for mV.",)
        return recording

    monkeypatch.setattr(ecg_inputs_etp, "read_ecg", with_a_note)
    for source in (tmp_path / "ecg.npy", (tmp_path / "ecg.npy").read_bytes()):
        assert notes_of(classifier(source, LABELS, sampling_rate=100, return_notes=True)) == ["Taken for mV."]


@pytest.mark.parametrize(
    ("change", "stated", "note"),
    [
        (lambda ecg: ecg[:2], {"lead_names": ["I", "II"]}, "Leads III, aVR, aVL, aVF are not given and were computed from I and II."),
        (lambda ecg: ecg[:2], {"lead_names": ["I", "II"]}, "Leads V1, V2, V3, V4, V5, V6 are missing and count as 0 mV."),
        (lambda ecg: ecg[:, :250], {}, "It lasts 2.5 s of the 10 s that the model reads; the rest was filled with zeros."),
        (lambda ecg: np.tile(ecg, 2)[:, :1030], {}, "Its last 0.3 s are less than a heartbeat and were left out."),
        (lambda ecg: np.where(np.arange(1000) == 7, np.nan, ecg), {"max_gap_seconds": 0.05}, f"Gaps in leads {', '.join(STANDARD_LEADS)} were bridged by straight lines."),
    ],
    ids=["derived", "missing", "short", "rest", "gaps"],
)  # fmt: skip
def test_what_the_model_gets_otherwise_is_noted(classifier, ecg, change, stated, note):
    assert note in notes_of(classifier(change(ecg), LABELS, sampling_rate=100, return_notes=True, **stated))


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_notes_of_a_batch_are_each_ecgs_own(classifier, make_ecg, batch_size):
    ecgs = [make_ecg(0), make_ecg(1, seconds=2), make_ecg(2, seconds=25)]
    several = classifier(
        ecgs, LABELS, sampling_rate=100, batch_size=batch_size, return_notes=True, return_windows=True
    )
    assert [len(notes_of(scores)) for scores in several] == [0, 1, 0]
    assert [len(scores[0]["windows"]) for scores in several] == [1, 1, 4]


def with_gap(ecg):
    ecg = ecg.copy()
    ecg[1, 100:105] = np.nan
    return ecg


@pytest.mark.parametrize("seconds", [10, 25])
def test_gaps_are_bridged_where_the_error_says_so(classifier, make_ecg, seconds):
    ecg = with_gap(make_ecg(seconds=seconds))
    for given in (ecg, ecg[None]):
        with pytest.raises(ValueError, match=r"pass `max_gap_seconds=0\.05`"):
            classifier(given, LABELS, sampling_rate=100)
        assert classifier(given, LABELS, sampling_rate=100, max_gap_seconds=0.05)
    assert np.isfinite(classifier.embed_ecgs(ecg, sampling_rate=100, max_gap_seconds=0.05)).all()
    with pytest.raises(ValueError, match=r"now 0\.04"):
        classifier(ecg, LABELS, sampling_rate=100, max_gap_seconds=0.04)


def test_the_extractor_bridges_gaps_of_a_call_in_any_shape(ecg):
    ecg = with_gap(ecg)
    one, batch = (ETPFeatureExtractor()(given, sampling_rate=100, max_gap_seconds=0.1)["input_values"] for given in (ecg, ecg[None]))  # fmt: skip
    np.testing.assert_array_equal(one, batch)
    stored = ETPFeatureExtractor(max_gap_seconds=0.1)
    np.testing.assert_array_equal(stored(ecg[None], sampling_rate=100)["input_values"], one)
    with pytest.raises(ValueError, match=r"\(now 0\)"):
        stored(ecg, sampling_rate=100, max_gap_seconds=0)


@pytest.mark.parametrize("gap", [-1, "long", True, float("nan")])
def test_a_gap_that_is_no_time_is_refused(classifier, ecg, gap):
    with pytest.raises(ValueError, match="`max_gap_seconds` must be 0 or a number of seconds"):
        classifier(ecg, LABELS, sampling_rate=100, max_gap_seconds=gap)


def test_a_record_is_read_in_spite_of_its_checksum_where_asked(classifier, ecg, tmp_path):
    samples = np.round(ecg * 1000).astype("<i2").T
    (tmp_path / "a.dat").write_bytes(samples.tobytes())
    lines = [f"a.dat 16 1000/mV 16 0 {samples[0, row]} 1 0 {lead}" for row, lead in enumerate(STANDARD_LEADS)]
    (tmp_path / "a.hea").write_text("\n".join(["a 12 100 1000", *lines]) + "\n")
    with pytest.raises(ValueError, match="checksum"):
        classifier(tmp_path / "a", LABELS)
    assert len(classifier(tmp_path / "a", LABELS, verify_checksum=False)) == 2
    assert classifier.embed_ecgs(tmp_path / "a", verify_checksum=False).shape == (1, 8)


def raised_texts(path: Path):
    """The constant parts of what a module raises outside of constructors, with the line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constructors = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    inside = {id(node) for function in constructors for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None and id(node) not in inside:
            parts = [
                part.value
                for part in ast.walk(node.exc)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            ]
            yield node.lineno, "".join(parts)


# Named in errors and no arguments of the pipeline: a column of a table, a function, and what only the extractor is given.
NO_CURES = {"time", "read_ecg", "open_ecg", "embed_ecgs", "record_ids", "tracings", "missing", "valid"}


@pytest.mark.parametrize(
    "path", sorted(set(FOLDER.glob("ecg_*_etp.py")) - {FOLDER / "ecg_resnet_etp.py"}) + [FOLDER / f"{name}_etp.py" for name in ("feature_extraction", "pipeline", "pipeline_base", "matlab_files", "lead_offsets")],
    ids=lambda path: path.stem,
)  # fmt: skip
def test_every_argument_that_an_error_names_is_taken_by_the_pipeline(classifier, path):
    with pytest.raises(ValueError, match="unknown argument") as refused:
        classifier(np.zeros((12, 1000)), LABELS, sampling_rate=100, nonsense=1)
    accepted = set(re.findall(r"\w+", str(refused.value).partition("there are")[2]))
    assert {"sampling_rate", "lead_names", "units", "max_gap_seconds", "verify_checksum"} <= accepted
    for line, text in raised_texts(path):
        named = set(re.findall(r"`([a-z_]+)`|`([a-z_]+)=|\b([a-z_]{5,})=\"", text))
        for name in {name for groups in named for name in groups if name} - NO_CURES:
            assert name in accepted, f"{path.name}, line {line}: {text}"
