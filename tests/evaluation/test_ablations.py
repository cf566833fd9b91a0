"""The ablation table: one row a name, seeds together, nothing mixed that can't be compared."""

import json

import pytest

from etp import cli
from etp.evaluation.results import FORMAT_VERSION
from etp.run_files import training_seconds


@pytest.fixture
def write(tmp_path):
    """Write a results file of a run."""

    def write(file, name, weights, tasks, *, kind="zero_shot", minutes=None, split="validation"):
        content = {
            "format_version": FORMAT_VERSION,
            "kind": kind,
            "name": name,
            "checkpoint_sha256": weights * 64,
            "dataset": "ptb_xl",
            "config": None,
            "split": split,
            "data_sha256": "d",
            "conditions": {"leads": None, "seconds": None, "windows": "one", "bf16": True},
            "training_seconds": minutes and 60 * minutes,
            "tasks": {
                task: {"macro_auroc": value, "intervals_95": {"macro_auroc": [value - 0.01, value + 0.01]}}
                for task, value in tasks.items()
            },
        }
        if "negation" in tasks:
            content["tasks"]["negation"] = {"negated_below_stated": tasks["negation"], "intervals_95": {}}
        path = tmp_path / f"{file}.json"
        path.write_text(json.dumps(content))
        return str(path)

    return write


def table(capsys, *paths) -> list[list[str]]:
    assert cli.main(["evaluate", "ablations", *paths]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("|-")]


def test_runs_of_one_name_are_seeds_of_one_row_compared_with_the_first(write, capsys):
    header, base, other = table(
        capsys,
        write("a0", "base", "a", {"form": 0.80}, minutes=10),
        write("a1", "base", "b", {"form": 0.84}, minutes=20),
        write("b0", "no paraphrases", "c", {"form": 0.79}, minutes=9),
    )
    assert header == ["run", "seeds", "minutes", "zero-shot: form"]
    assert base == ["base", "2", "15.0", "82.0 ± 2.8"]
    assert other == ["no paraphrases", "1", "9.0", "79.0 [78.0, 80.0] (-3.0)"]


def test_kinds_stand_in_groups_and_what_is_missing_is_a_dash(write, capsys):
    header, base, other = table(
        capsys,
        write("l", "base", "a", {"form": 0.9}, kind="linear_probe"),
        write("o", "base", "a", {"known_form": 0.8, "unseen_form": 0.7, "negation": 0.6}, kind="open_vocabulary"),
        write("z", "base", "a", {"form": 0.8}),
        write("y", "other", "b", {"form": 0.81}),
        write("r", "other", "b", {"statements": 0.1}, kind="retrieval"),
    )
    assert header[3:] == [
        "zero-shot: form",
        "known: form",
        "unseen: form",
        "negation below statement: all",
        "linear probe: form",
    ]
    assert base[3:6] == ["80.0 [79.0, 81.0]", "80.0 [79.0, 81.0]", "70.0 [69.0, 71.0]"]
    assert base[6:] == ["60.0", "90.0 [89.0, 91.0]"]
    assert other[3:] == ["81.0 [80.0, 82.0] (+1.0)", "-", "-", "-", "-"]


def test_a_style_of_prompts_is_one_column_the_mean_over_its_tasks(write, capsys):
    tasks = {"lists_form": 0.7, "lists_rhythm": 0.9, "names_form": 0.6}
    other = {"lists_form": 0.7, "lists_rhythm": 0.8}
    header, base, second = table(
        capsys,
        write("a", "base", "a", tasks, kind="open_vocabulary"),
        write("b", "other", "b", other, kind="open_vocabulary"),
    )
    assert header[3:] == ["styles: lists, mean of 2 tasks", "styles: names, form"]
    assert base[3:] == ["80.0", "60.0 [59.0, 61.0]"]
    assert second[3:] == ["75.0 (-5.0)", "-"]


def test_means_over_other_tasks_do_not_stand_in_one_column(write, capsys):
    first = write("a", "base", "a", {"lists_form": 0.7, "lists_rhythm": 0.9}, kind="open_vocabulary")
    second = write("b", "other", "b", {"lists_form": 0.7, "lists_superclass": 0.8}, kind="open_vocabulary")
    assert cli.main(["evaluate", "ablations", first, second]) == 2
    assert "(styles, lists, mean of 2 tasks): they differ in tasks" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"weights": "b", "split": "test"}, "can't stand in one column (zero-shot, form): they differ in split"),
        ({"weights": "a"}, "both give zero-shot, form of base, weights aaaaaaaaaaaa"),
        ({"weights": "b", "kind": "retrieval"}, None),
    ],
)
def test_what_can_not_be_compared_is_refused(write, capsys, second, message):
    paths = [write("a", "base", "a", {"form": 0.8}), write("b", "base", tasks={"form": 0.9}, **second)]
    if message is None:
        assert cli.main(["evaluate", "ablations", *paths]) == 0
        return
    assert cli.main(["evaluate", "ablations", *paths]) == 2
    assert message in capsys.readouterr().err


def test_files_without_a_figure_are_refused(write, capsys):
    path = write("r", "base", "a", {"statements": 0.1}, kind="retrieval")
    assert cli.main(["evaluate", "ablations", path]) == 2
    assert "None of the files holds a figure" in capsys.readouterr().err


def test_table_and_picture_are_written(write, tmp_path):
    output, picture = tmp_path / "new" / "a.md", tmp_path / "new" / "a.png"
    paths = [write("a", "base", "a", {"form": 0.8, "rhythm": 0.9}), write("b", "other", "b", {"form": 0.7})]
    assert cli.main(["evaluate", "ablations", *paths, "--output", str(output), "--picture", str(picture)]) == 0
    assert "| base " in output.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_time_of_a_resumed_run_is_that_of_its_parts(tmp_path):
    assert training_seconds(tmp_path) is None
    lines = [{"step": 1, "seconds": 50.0}, {"step": 2, "seconds": 100.0}, {"step": 3, "seconds": 20.0}]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text + '{"step": 4, "sec')
    assert training_seconds(tmp_path) == 120
