"""Files of phrases that others wrote, and what their names and codes are called here."""

import json
import logging

import pytest

from etp import cli
from etp.evaluation.prompts import load_prompts
from etp.prompts_file import labels_of, read_names, read_prompts

CODED = {"164889003": "AF, irregularly irregular rhythm", "426783006": ["sinus rhythm"], "427393009": [], "1": "noise"}
MEANT = {"164889003": "AFIB", "426783006": "SR", "427393009": "SARRH", "1": None}


@pytest.fixture
def write(tmp_path):
    def write(name, content, encoding="utf-8"):
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else json.dumps(content), encoding=encoding)
        return file

    return write


TABLE = "name,label\n164889003,AFIB\n426783006,SR\n427393009,SARRH\n1,\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("names.json", MEANT),
        ("names.json", {"": {"1": None}, "rhythm": {**MEANT, "1": ""}}),
        ("names.csv", TABLE),
        ("names.csv", TABLE.replace(",", ";").replace("\n", "\r\n")),
        ("names.CSV", "label\ttask\tname\tcomment\n" + "".join(f"{MEANT[c] or ''}\trhythm\t{c}\tx\n" for c in MEANT)),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_codes_of_others_are_labels_here(write, name, content, encoding):
    prompts, names = write("prompts.json", {"rhythm": CODED}, encoding), write(name, content, encoding)
    expected = {"AFIB": ("AF, irregularly irregular rhythm",), "SR": ("sinus rhythm",), "SARRH": ("SARRH",)}
    assert read_prompts(prompts, names=names) == {"rhythm": expected}
    (own,) = load_prompts("ptb_xl", file=prompts, names=names)
    assert (own.task, own.phrases) == ("rhythm", expected)


def test_several_names_of_one_label_have_their_phrases_together(write):
    prompts = write("prompts.json", {"AF": ["no P waves", "AF"], "a-fib": "AF", "sinus": "regular"})
    names = write("names.json", {"AF": "AFIB", "a-fib": "AFIB", "sinus": "SR"})
    assert read_prompts(prompts, names=names) == {"": {"AFIB": ("no P waves", "AF"), "SR": ("regular",)}}
    assert labels_of(write("list.json", ["AF", "sinus"]), names=names) == {"AFIB": ("AFIB",), "SR": ("SR",)}


def test_one_name_may_mean_another_label_in_another_task(write):
    prompts = write("prompts.json", {"form": {"block": "a"}, "subclass": {"block": "b"}})
    names = write("names.json", {"form": {"block": "ABQRS"}, "subclass": {"block": "CLBBB"}})
    assert {p.task: p.labels for p in load_prompts("ptb_xl", file=prompts, names=names)} == {
        "form": ["ABQRS"],
        "subclass": ["CLBBB"],
    }


def test_names_without_phrases_are_announced(write, caplog):
    prompts, names = write("p.json", {"AF": "no P waves"}), write("n.json", {"AF": "AFIB", "flutter": "AFLT"})
    with caplog.at_level(logging.WARNING):
        read_prompts(prompts, names=names)
    assert "has no phrases for flutter, which --prompt_names" in caplog.text


@pytest.mark.parametrize(
    ("file", "names", "message"),
    [
        ("n.json", {"AF": "AFIB"}, "does not say what 'sinus' is called here. Add each with its label, or with null"),
        ("n.json", {"AF": None, "sinus": None}, "leaves out all names of the file"),
        ("n.json", ["AF"], 'must hold {"name": "label"}'),
        ("n.json", {"AF": ["AFIB"], "sinus": "SR"}, 'must hold {"name": "label"}'),
        ("n.json", "{", "--prompt_names .*n.json can't be read as JSON"),
        ("n.csv", "AF,AFIB\n", "the columns name and label; its first line is 'AF,AFIB'"),
        ("n.csv", "name,label\nAF,AFIB\nAF,SR\n", "gives 'AF' two labels, AFIB and SR"),
    ],
)
def test_what_is_not_said_of_a_name_is_refused(write, file, names, message):
    prompts = write("p.json", {"AF": "no P waves", "sinus": "regular"})
    with pytest.raises(ValueError, match=message):
        read_prompts(prompts, names=write(file, names))


def test_a_label_that_others_call_otherwise_is_one_of_the_data_set(write):
    assert read_names(write("n.json", {"a": "SR", "b": ""})) == {"": {"a": "SR", "b": None}}


def test_the_names_of_a_file_need_the_file(write, checkpoint_dir, capsys):
    names = str(write("n.json", MEANT))
    argv = ["--model", str(checkpoint_dir), "--prompt_names", names]
    assert cli.main(["classify", "a.npy", "--labels", "SR", *argv]) == 2
    assert "give the file by --prompts" in capsys.readouterr().err
    assert cli.main(["evaluate", "protocol", "merl", "--data", ".", "--output", "o", *argv]) == 2
    assert "give the file by --prompts" in capsys.readouterr().err
