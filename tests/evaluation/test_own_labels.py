"""A data set with labels of its own, a folder or one that was added, is judged by every evaluation command."""

import json
from pathlib import Path

import numpy as np
import pytest
from toy_archive import FINDINGS, TITLE, TOY, write_toy

from datasets_scripts.archives import ARCHIVES
from datasets_scripts.synthetic_ecg import CONDITIONS, simulate_ecgs
from etp import cli
from etp.card import make_card
from etp.evaluation.prompts import load_prompts
from etp.loading import load_checkpoint

HEADER = "file,patient_id,report,labels,split,sampling_rate"


def write_folder(folder: Path, *, labels: bool = True) -> Path:
    """60 ECGs of a hospital of three findings, half of them with a second one, at 100 Hz."""
    folder.mkdir(parents=True)
    names = [FINDINGS[number % 3] for number in range(60)]
    ecgs = simulate_ecgs([CONDITIONS[name] for name in names], sampling_rate=100, seed=1)
    lines = [HEADER if labels else HEADER.replace("labels,", "")]
    for number, (name, signal) in enumerate(zip(names, ecgs.signal, strict=True)):
        np.save(folder / f"{number}.npy", signal)
        split = "test" if number < 18 else "validation" if number < 36 else "train"
        own = f"{name}|even" if number % 2 == 0 else name
        lines.append(f"{number}.npy,p{number},{name.capitalize()}.,{own + ',' if labels else ''}{split},100")
    (folder / "records.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("hospital") / "own")


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy") / "toy")


@pytest.fixture
def evaluate(checkpoint_dir, arrow_cache, tmp_path):
    """Run an evaluation as its command does, and read what it wrote."""

    def evaluate(protocol, dataset, data_dir, *extra):
        output = tmp_path / f"{protocol}.json"
        argv = ["--model", checkpoint_dir, "--dataset", dataset, "--data_dir", data_dir, "--cache_dir", arrow_cache]
        words = ["evaluate", protocol, *argv, "--output", output, "--num_resamples", "20", *extra]
        if status := cli.main([str(word) for word in words]):
            raise SystemExit(status)
        return json.loads(output.read_text())

    return evaluate


def test_a_folder_is_classified_by_the_names_of_its_labels(evaluate, folder):
    result = evaluate("zero-shot", "folder", folder)
    task = result["tasks"]["labels"]
    assert set(task["per_class"]) == {*FINDINGS, "even"}
    assert task["num_records"] == 18
    assert task["per_class"]["even"]["num_positive"] == 9
    assert task["prompts"] == {
        "source": {"labels": "each label is its own phrase"},
        "num_phrases": 4,
        "labels_without": [],
    }
    assert task["supervised_reference"] is None


@pytest.mark.parametrize("by_task", [True, False])
def test_own_phrases_of_own_labels_come_from_one_file(evaluate, folder, tmp_path, by_task):
    labels = {"atrial fibrillation": ["irregular rhythm", "fibrillation"], "normal": []}
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps({"labels": labels} if by_task else labels))
    task = evaluate("zero-shot", "folder", folder, "--prompts", file)["tasks"]["labels"]
    assert list(task["per_class"]) == ["atrial fibrillation", "normal"]
    assert task["prompts"]["num_phrases"] == 3
    (prompts,) = load_prompts("folder", file=file)
    assert prompts.phrases["normal"] == ("normal",)


def test_labels_of_one_task_need_its_name_where_a_data_set_has_several(tmp_path):
    file = tmp_path / "prompts.json"
    file.write_text('{"AFIB": ["irregular rhythm"]}')
    (prompts,) = load_prompts("ptb_xl", ["rhythm"], file=file)
    assert (prompts.task, prompts.labels) == ("rhythm", ["AFIB"])
    with pytest.raises(
        ValueError, match=r"names no tasks, and 4 .* no label is of superclass, subclass, form. Name the"
    ):
        load_prompts("ptb_xl", file=file)
    file.write_text('{"AFIB": ["irregular rhythm"], "NORM": ["nothing unusual"], "AFLUTTER": ["saw tooth"]}')
    with pytest.raises(ValueError, match="'AFLUTTER' are labels of none"):
        load_prompts("ptb_xl", file=file)
    file.write_text('{"AFIB": ["irregular rhythm"], "NORM": ["nothing unusual"]}')
    dealt = load_prompts("ptb_xl", ["subclass", "rhythm"], file=file)
    assert [prompt.labels for prompt in dealt] == [["NORM"], ["AFIB"]]


def test_a_folder_is_probed_linearly(evaluate, folder):
    task = evaluate("linear", "folder", folder, "--label_fractions", "1")["tasks"]["labels"]
    assert set(task["per_class"]) == {*FINDINGS, "even"}
    assert task["num_training_records"] == 24


def test_a_folder_is_searched_by_its_reports(evaluate, folder):
    assert evaluate("retrieval", "folder", folder)["tasks"]["statements"]["num_texts"] == 3


def test_paraphrases_of_own_labels_are_evaluated_where_they_are_given(evaluate, folder, tmp_path):
    unseen = tmp_path / "unseen.json"
    unseen.write_text(json.dumps({"labels": {"atrial fibrillation": ["no P waves"], "normal": ["nothing unusual"]}}))
    result = evaluate("open-vocabulary", "folder", folder, "--unseen", unseen)
    assert list(result["tasks"]) == ["known_labels", "unseen_labels"]


@pytest.mark.parametrize(
    ("protocol", "extra", "message"),
    [
        ("open-vocabulary", [], "--dataset folder: no paraphrases of its labels are shipped. Give your own"),
        ("zero-shot", ["--anomaly"], "--anomaly: no label of folder is known to mean a normal ECG"),
        ("zero-shot", ["--contrast", "negated"], "--contrast negated: no phrase negates the labels of task 'labels'"),
        ("zero-shot", ["--tasks", "rhythm"], "folder has no task 'rhythm'; it has labels. It is a task of ptb_xl."),
    ],
)
def test_what_a_folder_can_not_be_asked_is_said_in_one_sentence(evaluate, folder, capsys, protocol, extra, message):
    with pytest.raises(SystemExit) as stopped:
        evaluate(protocol, "folder", folder, *extra)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("protocol", ["zero-shot", "linear"])
def test_a_folder_without_labels_says_where_they_go(evaluate, tmp_path, capsys, protocol):
    with pytest.raises(SystemExit):
        evaluate(protocol, "folder", write_folder(tmp_path / "own", labels=False))
    assert "has no label column 'labels'" in capsys.readouterr().err


def test_a_label_that_the_data_set_does_not_have_is_named(evaluate, folder, tmp_path, capsys):
    file = tmp_path / "prompts.json"
    file.write_text('{"atrial flutter": ["saw tooth waves"]}')
    with pytest.raises(SystemExit):
        evaluate("zero-shot", "folder", folder, "--prompts", file)
    assert "Column 'labels' has no label atrial flutter; its labels are atrial fibrillation, even" in (
        said := capsys.readouterr().err
    )
    assert "call labels as the data set does" in said


def test_a_task_of_the_file_that_the_data_set_does_not_have_is_one_of_the_file(tmp_path):
    file = tmp_path / "prompts.json"
    file.write_text('{"mine": {"AFIB": ["atrial fibrillation"], "SR": ["sinus rhythm"]}}')
    with pytest.raises(ValueError, match=r"^--prompts .*: ptb_xl has no task 'mine'; it has superclass, .* does\.$"):
        load_prompts("ptb_xl", file=file)


def test_an_added_data_set_is_evaluated_and_named_like_the_others(evaluate, toy, checkpoint_dir, monkeypatch):
    monkeypatch.setitem(ARCHIVES, "toy", TOY)
    result = evaluate("zero-shot", "toy", toy, "--anomaly")
    assert list(result["tasks"]) == ["finding", "anomaly_zero_shot", "anomaly_distance"]
    assert list(evaluate("linear", "toy", toy, "--label_fractions", "1")["tasks"]) == ["finding"]
    assert evaluate("retrieval", "toy", toy)["tasks"]["statements"]["num_texts"] == 3
    card = str(make_card(load_checkpoint(checkpoint_dir), [result], repo_id="user/etp"))
    assert f"{TITLE}, test split" in card


def test_a_data_set_that_nobody_knows_is_answered_with_the_known_ones(evaluate, toy, capsys):
    with pytest.raises(SystemExit):
        evaluate("zero-shot", "toy", toy)
    assert "choose from ptb_xl, cpsc2018, folder" in capsys.readouterr().err
