"""The command `etp`: what it prints, what it passes over, what it refuses, and with which exit status."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from etp.commands import plot
from etp.commands.files import find_ecgs
from etp.commands.models import make_classifier, open_checkpoint
from etp.extras import requirement
from etp.options import OptionError
from etp.search import SearchIndex

LABELS = ["normal ECG", "atrial fibrillation"]
# Of .npy files, which state neither.
STATED = ["--sampling_rate", 100]


@pytest.fixture(scope="session")
def classifier(checkpoint_dir):
    return make_classifier(open_checkpoint(str(checkpoint_dir)))


def one_line(err: str, *words: str) -> None:
    assert err.count("\n") == 1
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_classify_prints_what_the_pipeline_says(etp, checkpoint_dir, ecg_folder, classifier):
    files = sorted(ecg_folder.glob("*.hea"))
    status, out, err = etp("classify", *files, "--model", checkpoint_dir, "--labels", *LABELS, "--json")
    assert (status, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["file"] for line in lines] == [str(file) for file in files]
    for line, expected in zip(lines, classifier(list(map(str, files)), LABELS), strict=True):
        assert [entry["label"] for entry in line["scores"]] == [entry["label"] for entry in expected]
        assert [entry["score"] for entry in line["scores"]] == pytest.approx([entry["score"] for entry in expected])


def test_labels_are_read_as_they_are_meant_unless_told_otherwise(etp, checkpoint_dir, ecg_folder, classifier):
    file, labels = ecg_folder / "00001_lr.hea", ["atrial fibrillation, AFIB, irregular rhythm", "normal ECG"]
    expected = {}
    for meant in (True, False):
        asked = ("--labels", *labels, "--interpret_labels", str(meant).lower(), "--json")
        status, out, _ = etp("classify", file, "--model", checkpoint_dir, *asked)
        assert status == 0
        (line,) = map(json.loads, out.splitlines())
        expected[meant] = [entry["score"] for entry in classifier(str(file), labels, interpret_labels=meant)]
        assert [entry["score"] for entry in line["scores"]] == pytest.approx(expected[meant])
    assert expected[True] != pytest.approx(expected[False], abs=1e-5)


def test_classify_shows_a_table_without_json(etp, checkpoint_dir, ecg_folder):
    file = ecg_folder / "00001_lr.hea"
    status, out, _ = etp("classify", file, "--model", checkpoint_dir, "--labels", *LABELS, "--top_k", 1)
    name, score = out.splitlines()
    assert status == 0
    assert name == str(file)
    assert 0.5 <= float(score.split()[0]) <= 1
    assert score.split(maxsplit=1)[1] in LABELS


@pytest.mark.parametrize("form", ["task", "list", "mapping"])
def test_labels_come_from_a_task_or_a_file(etp, checkpoint_dir, ecg_folder, tmp_path, form):
    file, labels = tmp_path / "labels.json", {"task": ["CD", "HYP", "MI", "NORM", "STTC"]}.get(form, ["AF", "SR"])
    content = {"list": labels, "mapping": {"AF": ["atrial fibrillation", "flutter"], "SR": ["sinus rhythm"]}}
    file.write_text(json.dumps(content.get(form)))
    given = ["--task", "superclass"] if form == "task" else ["--prompts", file]
    status, out, _ = etp("classify", ecg_folder / "00001_lr", "--model", checkpoint_dir, *given, "--json")
    assert status == 0
    assert sorted(entry["label"] for entry in json.loads(out)["scores"]) == labels


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_bad_files_are_named_on_stderr_and_passed_over(
    etp, checkpoint_dir, ecg_folder, bad_files, batch_size, classifier
):
    good = [
        str(ecg_folder / "00001_lr.hea"),
        str(ecg_folder / "deeper" / "noise.npy"),
        str(ecg_folder / "00002_lr.hea"),
    ]
    files = [good[0], bad_files[0], bad_files[2], good[1], bad_files[1], good[2], "missing.edf"]
    headers_state_100_hz = ["--sampling_rate", 100]
    status, out, err = etp(
        *("classify", *files, "--model", checkpoint_dir, "--labels", *LABELS, "--json"),
        *("--batch_size", batch_size, *headers_state_100_hz),
    )
    assert status == 1
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["file"] for line in lines] == good
    # Each good file has the scores it has alone, whatever was bad beside it.
    for line in lines:
        expected = {entry["label"]: entry["score"] for entry in classifier(line["file"], LABELS, sampling_rate=100)}
        assert {entry["label"]: entry["score"] for entry in line["scores"]} == pytest.approx(expected, abs=1e-5)
    reported = err.splitlines()
    assert len(reported) == 4
    for bad in (*bad_files, "missing.edf"):
        assert sum(line.startswith(f"{bad}: ") and line.count(str(bad)) == 1 for line in reported) == 1
    assert "flat" in next(line for line in reported if line.startswith(str(bad_files[2])))


def test_folders_and_globs_give_each_record_once(ecg_folder, bad_files, tmp_path):
    records = [str(ecg_folder / f"0000{number}_lr.hea") for number in range(1, 5)]
    noise = str(ecg_folder / "deeper" / "noise.npy")
    assert sorted(find_ecgs([str(ecg_folder)])) == sorted([*records, noise])
    (ecg_folder / "records.csv").write_text("file,report\n")
    assert sorted(find_ecgs([str(ecg_folder)])) == sorted([*records, noise])  # the table of an archive is no ECG
    assert find_ecgs([str(ecg_folder / "0000[12]*")]) == records[:2]
    assert find_ecgs([str(ecg_folder / "**" / "*.npy")]) == [noise]
    # What is named is taken whatever it is; what is named twice is taken once.
    assert find_ecgs([noise, str(ecg_folder / "README"), noise]) == [noise, str(ecg_folder / "README")]
    # A .dat without its header is not lost in silence: its reader is to say what is missing.
    (tmp_path / "alone.dat").write_bytes(b"1234")
    assert str(tmp_path / "alone.dat") in find_ecgs([str(tmp_path)])


@pytest.mark.parametrize("argument", ["", "*.edf"])
def test_folders_and_globs_without_an_ecg_are_refused(tmp_path, argument):
    with pytest.raises(OptionError, match="no ECG file in this folder" if not argument else "no file matches"):
        find_ecgs([str(tmp_path / argument)])


def test_embed_writes_unit_vectors_that_need_no_pickle(
    etp, checkpoint_dir, ecg_folder, bad_files, tmp_path, classifier
):
    output = tmp_path / "embeds.npz"
    files = sorted(ecg_folder.glob("*.hea"))
    status, out, err = etp("embed", *files, bad_files[0], "--model", checkpoint_dir, "-o", output, "--batch_size", 2)
    assert status == 1
    one_line(err, str(bad_files[0]))
    assert "4 of 5 ECGs" in out
    with np.load(output, allow_pickle=False) as written:
        assert list(written["files"]) == [str(file) for file in files]
        np.testing.assert_allclose(written["embeds"], classifier.embed_ecgs(list(map(str, files))), atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(written["embeds"], axis=1), 1, atol=1e-5)
        assert written["checkpoint_sha256"] == open_checkpoint(str(checkpoint_dir)).sha256
    assert not list(tmp_path.glob("*.unfinished"))


def test_embed_prints_json_lines(etp, checkpoint_dir, ecg_folder):
    status, out, _ = etp("embed", ecg_folder / "00001_lr.hea", "--model", checkpoint_dir, "--json")
    assert status == 0
    assert len(json.loads(out)["embed"]) == 8


def test_plot_draws_with_and_without_scores(etp, checkpoint_dir, ecg_folder, tmp_path):
    sizes = {}
    for name, scored in (("bare.svg", []), ("scored.svg", ["--model", checkpoint_dir, "--labels", *LABELS])):
        status, out, _ = etp("plot", ecg_folder / "00001_lr.hea", "-o", tmp_path / name, *scored)
        assert (status, out.strip()) == (0, str(tmp_path / name))
        sizes[name] = float((tmp_path / name).read_text().split('width="')[1].split("pt")[0])
    assert sizes["scored.svg"] > sizes["bare.svg"]  # the bars stand beside the paper


def test_info_of_a_model(etp, checkpoint_dir):
    checkpoint = open_checkpoint(str(checkpoint_dir))
    status, out, _ = etp("info", checkpoint_dir, "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["sha256"] == checkpoint.sha256
    assert facts["parameters"] == sum(parameter.numel() for parameter in checkpoint.model.parameters())
    assert (facts["sampling_rate"], facts["seconds"], len(facts["lead_names"])) == (100, 10, 12)


def test_info_of_a_file(etp, ecg_folder):
    status, out, _ = etp("info", ecg_folder / "00001_lr", "--json")
    facts = json.loads(out)
    assert status == 0
    assert (facts["sampling_rate"], facts["samples"], facts["seconds"]) == (100, 1000, 10)
    status, out, _ = etp("info", ecg_folder / "deeper" / "noise.npy", *STATED)
    assert status == 0
    assert "lead_names" in out


def usage_errors(checkpoint_dir: Path, ecg: Path, tmp_path: Path) -> dict[str, tuple[list, str]]:
    model, labels = ["--model", checkpoint_dir], ["--labels", "a", "b"]
    no_json, number = tmp_path / "no.json", tmp_path / "number.json"
    no_json.write_text("{")
    number.write_text("3")
    return {
        "no model there": (["classify", ecg, "--model", "no/model", *labels], "there is no checkpoint 'no/model'"),
        "label twice": (["classify", ecg, *model, "--labels", "a", "a"], "must be distinct"),
        "blank label": (["classify", ecg, *model, "--labels", " "], "not blank"),
        "unknown task": (["classify", ecg, *model, "--task", "colour"], "no label set 'colour'"),
        "label file missing": (["classify", ecg, *model, "--prompts", "no.json"], "can't be read as JSON"),
        "label file no JSON": (["classify", ecg, *model, "--prompts", no_json], "can't be read as JSON"),
        "label file a number": (["classify", ecg, *model, "--prompts", number], "must hold"),
        "template": (["classify", ecg, *model, *labels, "--templates", "ECG"], "--templates: a template must hold {}"),
        "top_k": (["classify", ecg, *model, *labels, "--top_k", 0], "`top_k` must be a whole number"),
        "threshold": (["classify", ecg, *model, *labels, "--threshold", 7], "between 0 and 1"),
        "device": (["classify", ecg, *model, *labels, "--device", "abacus"], "--device abacus: "),
        "device without numbers": (["classify", ecg, *model, *labels, "--device", "meta"], "--device meta: "),
        "no such GPU": (["classify", ecg, *model, *labels, "--device", "cuda:99"], "Take cpu, or a device of this"),
        "nowhere": (["embed", ecg, *model], "give -o FILE.npz, --json or both"),
        "output folder": (["embed", ecg, *model, "-o", tmp_path], "is a folder"),
        "output nowhere": (["embed", ecg, *model, "-o", "no/where.npz"], "there is no folder no"),
        "picture format": (["plot", ecg, "-o", tmp_path / "ecg.xyz"], "must end in .png"),
        "model without labels": (
            ["plot", ecg, "-o", tmp_path / "e.png", *model],
            "leave out --model, which draws the ECG alone",
        ),
        "nothing to index": (["index", "-o", tmp_path / "i", *model], "say what to index"),
        "both to index": (["index", ecg, "-o", tmp_path / "i", *model, "--data_dir", tmp_path], "say what to index"),
        "data set unknown": (["index", "-o", tmp_path / "i", *model, "--dataset", "ptbxl"], "choose from ptb_xl"),
        "no index": (["search", tmp_path / "i", "--text", "a", *model], "is not a search index"),
        "blank text": (["search", tmp_path / "i", "--text", " ", *model], "near to nothing"),
        "how many": (["search", tmp_path / "i", "--text", "a", *model, "-k", 0], "--top_k must be at least 1"),
        "repository": (["push", checkpoint_dir, "not a name"], "no name of a repository"),
        "results": (["card", checkpoint_dir, "--results", no_json], "can't be read as a results file"),
    }


def test_what_cannot_be_asked_is_one_sentence_and_status_2(etp, checkpoint_dir, ecg_folder, tmp_path):
    for case, (argv, words) in usage_errors(checkpoint_dir, ecg_folder / "00001_lr.hea", tmp_path).items():
        status, out, err = etp(*argv)
        assert (status, out) == (2, ""), case
        one_line(err, f"etp {argv[0]}: ", words)


def test_a_damaged_model_is_one_sentence(etp, checkpoint_dir, ecg_folder, tmp_path):
    damaged = shutil.copytree(checkpoint_dir, tmp_path / "damaged")
    weights = damaged / "model.safetensors"
    for content in (weights.read_bytes()[:-64], b"\0" * 7):
        weights.write_bytes(content)
        status, _, err = etp("classify", ecg_folder / "00001_lr.hea", "--model", damaged, "--labels", *LABELS)
        assert status == 2
        one_line(err, str(damaged), "can't be opened", "save it again")


@pytest.mark.parametrize("command", [["info"], ["plot", "-o", "ecg.png"]])
def test_a_bad_file_of_a_command_for_one_is_one_sentence(etp, bad_files, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = etp(command[0], bad_files[0], *command[1:])
    assert (status, out) == (1, "")
    one_line(err, str(bad_files[0]), "no known ECG format")


def test_a_package_that_is_missing_is_named_with_its_extra(etp, ecg_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(plot, "run", lambda args: __import__("matplotlib.no_such_module"))
    status, _, err = etp("plot", ecg_folder / "00001_lr.hea", "-o", tmp_path / "ecg.png")
    assert status == 1
    one_line(err, f"pip install {requirement('plot')}")


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(checkpoint_dir, ecg_folder):
    command = (
        f"{sys.executable} -m etp.cli classify {ecg_folder}/*.hea --model {checkpoint_dir} --labels a b --batch_size 1"
    )
    finished = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -1"], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 141
    assert finished.stderr == ""
    assert finished.stdout.strip() == str(ecg_folder / "00001_lr.hea")


@pytest.mark.slow
def test_a_thousand_files_with_bad_ones_among_them(etp, checkpoint_dir, tmp_path):
    generator = np.random.default_rng(0)
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(1000):
        np.save(folder / f"{number:04d}.npy", generator.normal(size=(12, 1000)).astype(np.float32))
    bad = {f"{number:04d}.npy" for number in (0, 7, 31, 32, 500, 999)}
    for name in sorted(bad):
        (folder / name).write_bytes(b"no ECG \0")
    started = time.monotonic()
    status, out, err = etp("classify", folder, "--model", checkpoint_dir, "--labels", *LABELS, "--json", *STATED)
    assert status == 1
    assert len(out.splitlines()) == 994
    assert {Path(json.loads(line)["file"]).name for line in out.splitlines()}.isdisjoint(bad)
    assert [Path(line.partition(": ")[0]).name for line in err.splitlines()] == sorted(bad)
    assert time.monotonic() - started < 120


def test_names_of_files_neither_move_the_cursor_nor_stop_the_run(etp, checkpoint_dir, ecg_folder, tmp_path):
    good, forged = tmp_path / "\x1b[2J\nevil.hea", tmp_path / "=cmd|' -C calc'!A0\udcff.csv"
    header = (ecg_folder / "00001_lr.hea").read_text()
    good.write_text(header)
    (tmp_path / "00001_lr.dat").write_bytes((ecg_folder / "00001_lr.dat").read_bytes())
    forged.write_text("\x1b[2Jno,ECG\n1,2\n")
    asked = (good, forged, "--model", checkpoint_dir, "--labels", "normal \x1b[31mECG")
    status, out, err = etp("classify", *asked)
    assert status == 1
    assert out.splitlines()[0] == f"{tmp_path}/\\x1b[2J\\nevil.hea"
    assert len(out.splitlines()) == 2
    one_line(err, f"{tmp_path}/=cmd|' -C calc'!A0\\udcff.csv: ")
    assert "\x1b" not in out + err
    status, out, _ = etp("classify", *asked, "--json")
    assert json.loads(out)["file"] == str(good)
    assert "\x1b" not in out


def test_what_a_file_says_of_itself_does_not_move_the_cursor(etp, ecg_folder, tmp_path):
    header = (ecg_folder / "00001_lr.hea").read_text()
    (tmp_path / "a.hea").write_text(header.replace("00001_lr 12", "\x1b[2J\x9b31m 12", 1), encoding="latin-1")
    (tmp_path / "00001_lr.dat").write_bytes((ecg_folder / "00001_lr.dat").read_bytes())
    status, out, _ = etp("info", tmp_path / "a.hea")
    assert status == 0
    assert "\\x1b[2J\\x9b31m" in out
    assert out.replace("\n", "").isprintable()
    _, out, _ = etp("info", tmp_path / "a.hea", "--json")
    assert json.loads(out)["record_id"] == "\x1b[2J\x9b31m"
    assert out.strip().isprintable()


def test_a_file_name_that_is_no_text_is_classified_and_indexed(etp, checkpoint_dir, ecg_folder, tmp_path):
    for ending in ("hea", "dat"):
        (tmp_path / f"00001_lr.{ending}").write_bytes((ecg_folder / f"00001_lr.{ending}").read_bytes())
    (tmp_path / "00001_lr.hea").rename(tmp_path / "no text \udcff.hea")
    file = tmp_path / "no text \udcff.hea"
    status, out, err = etp("classify", file, "--model", checkpoint_dir, "--labels", "normal ECG", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["file"] == str(file)
    status, _, err = etp("index", file, "--model", checkpoint_dir, "-o", tmp_path / "index")
    assert (status, err) == (0, "")
    assert SearchIndex.load(tmp_path / "index").ecgs == [str(file)]


def test_notes_on_a_recording_stand_below_its_scores_and_in_the_json(etp, checkpoint_dir, tmp_path):
    path = tmp_path / "lead.npz"
    np.savez(
        path, signal=np.random.default_rng(0).normal(size=(1, 5000)), sampling_rate=500, lead_names=["II"], units="mV"
    )
    words = ["classify", path, "--model", checkpoint_dir, "--labels", "normal ECG", "atrial fibrillation"]
    status, out, _ = etp(*words)
    assert status == 0
    notes = [line for line in out.splitlines() if line.startswith("  note: ")]
    assert any("count as 0 mV" in note for note in notes)
    _, out, _ = etp(*words, "--json")
    answer = json.loads(out)
    assert [f"  note: {note}" for note in answer["notes"]] == notes
    assert set(answer["scores"][0]) == {"score", "label"}
    _, out, _ = etp("info", path, "--json")
    assert json.loads(out)["notes"] == []


def test_gaps_are_bridged_where_the_error_recommends_it(etp, checkpoint_dir, tmp_path):
    signal = np.random.default_rng(0).normal(size=(12, 5000)).cumsum(axis=1) * 0.02
    signal[3, 100:110] = np.nan
    path = tmp_path / "gap.npz"
    np.savez(path, signal=signal, sampling_rate=500, units="mV")
    words = ["classify", path, "--model", checkpoint_dir, "--labels", "normal ECG", "atrial fibrillation"]
    status, _, err = etp(*words)
    assert status == 1
    one_line(err, "pass --max_gap_seconds 0.02 (now 0).")
    status, out, _ = etp(*words, "--max_gap_seconds", 0.02)
    assert status == 0
    assert "bridged" in out
