"""What `etp` says of files that can't be read: before it loads a model, and with a cure that a shell user can type."""

import json

import numpy as np
import pytest

from etp.commands import classify, embed, index, search

LABELS = ["normal ECG", "atrial fibrillation"]
# Of .npy files, which state neither.
STATED = ["--sampling_rate", 100]


def one_line(err: str, *words: str) -> None:
    assert err.count("\n") == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize(
    "words",
    [
        ["classify", "{file}", "--labels", *LABELS],
        ["embed", "{file}", "--json"],
        ["index", "{file}", "-o", "index"],
        ["search", "index", "--ecg", "{file}"],
    ],
    ids=lambda words: words[0],
)
def test_no_model_is_loaded_where_no_file_can_be_read(etp, tmp_path, monkeypatch, words):
    def opened(*_, **__):
        raise AssertionError("a model was opened")

    monkeypatch.chdir(tmp_path)
    np.save("ecg.npy", np.random.default_rng(0).normal(size=(12, 1000)))
    for module in (classify, embed, index, search):
        name = "open_model" if module is classify else "open_checkpoint"
        monkeypatch.setattr(module, name, opened)
    status, out, err = etp(*(word.format(file="ecg.npy") for word in words))
    assert (status, out) == (1, "")
    one_line(err, "ecg.npy: the sampling rate isn't in the file. Pass it, e.g. --sampling_rate 500 (Hz).")
    with pytest.raises(AssertionError, match="opened"):
        etp(*(word.format(file="ecg.npy") for word in words), "--sampling_rate", 100)


def test_files_that_cannot_be_read_before_the_first_that_can_are_named_once(
    etp, checkpoint_dir, ecg_folder, bad_files
):
    files = [*bad_files[:2], ecg_folder / "00001_lr.hea"]
    status, out, err = etp("embed", *files, "--model", checkpoint_dir, "--json", "--batch_size", 1)
    assert status == 1
    assert [json.loads(line)["file"] for line in out.splitlines()] == [str(files[2])]
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize("command", [["info"], ["plot", "-o", "ecg.png"], ["measure"]], ids=lambda words: words[0])
def test_the_cure_is_worded_for_the_command_line_and_works(etp, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    np.save("ecg.npy", np.random.default_rng(0).integers(-500, 500, size=(3, 1000)))
    left, given = ["--lead_names I II III", "--sampling_rate 500", "--units uV"], []
    while left:
        status, out, err = etp(command[0], "ecg.npy", *command[1:], *given)
        assert (status, out) == (1, "")
        named = [cure for cure in left if cure in err]
        assert named, err
        left.remove(named[0])
        given += named[0].split()
    status, _, err = etp(command[0], "ecg.npy", *command[1:], *given)
    assert (status, err) == (0, "")


def test_a_unit_that_is_assumed_is_a_note_of_info_and_of_classify(etp, checkpoint_dir, tmp_path):
    np.save(tmp_path / "ecg.npy", np.random.default_rng(0).normal(size=(12, 1000)))
    assumed = "Its values are taken as mV, as no unit is stated."
    _, out, _ = etp("info", tmp_path / "ecg.npy", *STATED, "--json")
    assert assumed in json.loads(out)["notes"]
    words = ["classify", tmp_path / "ecg.npy", "--model", checkpoint_dir, "--labels", *LABELS, *STATED, "--json"]
    for given in ([], ["--units", "mV"]):
        _, out, _ = etp(*words, *given)
        assert (assumed in json.loads(out)["notes"]) == (not given)
