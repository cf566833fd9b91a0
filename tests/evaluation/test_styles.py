"""Prompts in the styles in which others write them: what is shipped, and how each text is evaluated by itself."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from datasets_scripts.archives import ARCHIVES, CPSC2018, PTB_XL
from datasets_scripts.label_sets import load_label_set
from etp import cli
from etp.evaluation.arguments import STYLES
from etp.evaluation.prompts import LabelPrompts
from etp.evaluation.styles import FILES, load_styles, style_metrics
from etp.evaluation.task_metrics import TaskRecords
from modeling_etp.prompt_grammar_etp import read_prompt

ROOT = Path(__file__).resolve().parents[2]
TASKS = [(archive.name, task) for archive in (PTB_XL, CPSC2018) for task in archive.default_tasks]
CONTENT = {style: json.loads(file.read_text(encoding="utf-8")) for style, file in FILES.items()}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("dataset", "task"), TASKS)
def test_every_label_has_texts_in_every_style(style, dataset, task):
    labels = CONTENT[style][task]
    assert list(labels) == list(load_label_set(task))
    assert min(map(len, labels.values())) >= 2
    (prompts,) = load_styles(dataset, [task], [style])[style]
    assert prompts.labels == list(labels)
    assert prompts.column == ARCHIVES[dataset].tasks[task]


def texts(style: str) -> list[str]:
    return [text for labels in CONTENT[style].values() for own in labels.values() for text in own]


def test_each_style_is_what_its_name_says():
    assert all(text.count(",") >= 2 for text in texts("lists"))
    assert min(len(text.split()) for text in texts("descriptions")) >= 10
    assert all(text.endswith("?") for text in texts("questions"))
    assert all(re.search(r"\b(no|not|without|absence|absent|excluded|negative)\b", text) for text in texts("denials"))


def test_most_negations_are_read_as_a_finding_that_is_there_and_one_that_is_not():
    read = [read_prompt(text, alone=True) for text in texts("denials")]
    assert np.mean([bool(prompt.stated) and bool(prompt.negated) for prompt in read]) > 0.5


def test_no_training_can_read_them():
    """Neither by the name of their folder nor through the evaluation, which knows it."""
    folders = [ROOT / "etp" / name for name in ("training", "texts", "presets")]
    folders += [ROOT / "datasets_scripts", ROOT / "examples", ROOT / "modeling_etp"]
    sources = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".yaml", ".toml")]
    assert len(sources) > 50
    for path in [*sources, ROOT / "train.py", ROOT / "etp" / "prompts_file.py"]:
        text = path.read_text(encoding="utf-8")
        assert "open_vocabulary" not in text, path
        assert not re.search(r"etp\.evaluation|from \.+evaluation\b|from etp import .*\bevaluation\b", text), path


def test_a_text_is_scored_alone_and_those_that_training_has_are_counted():
    prompts = LabelPrompts("task", "labels", {"A": ("Atrial fibrillation", "AF, f waves"), "B": ("b",)}, None, {})
    everyone = np.ones(40, dtype=bool)
    rows = np.arange(40)
    targets = np.stack([rows < 10, rows % 2 == 0], axis=1)
    asked = []

    def score(alone):
        asked.append(alone)
        return np.stack([-rows, rows, -(rows % 2)], axis=1), np.zeros((40, 3))

    report = style_metrics(
        score,
        prompts,
        TaskRecords(["A", "B"], targets, everyone, everyone, rows),
        {"atrial fibrillation", "sinus rhythm"},
        num_resamples=20,
        seed=0,
    )
    assert [own for own in asked[0].phrases.values()] == [("Atrial fibrillation",), ("AF, f waves",), ("b",)]
    assert report["per_phrase"] == {"A": {"Atrial fibrillation": 1, "AF, f waves": 0}, "B": {"b": 1}}
    assert [report["per_class"][label]["auroc"] for label in "AB"] == [0.5, 1]
    assert report["macro_auroc"] == 0.75
    low, high = report["intervals_95"]["macro_auroc"]
    assert low <= 0.75 <= high
    assert (report["num_texts"], report["num_known_texts"], report["num_records"]) == (3, 1, 40)
    assert report["baselines"]["random_encoder"]["macro_auroc"] == 0.5


def test_a_style_without_texts_of_a_task_is_left_out_unless_it_was_asked_for():
    assert load_styles("folder", ["labels"], None) == {}
    assert list(load_styles("ptb_xl", ["all", "form"], None)) == list(STYLES)
    assert [prompts.task for prompts in load_styles("ptb_xl", ["all", "form"], None)["lists"]] == ["form"]
    with pytest.raises(
        ValueError, match=r"--styles lists: no texts of task labels are shipped, only of superclass.*out"
    ):
        load_styles("folder", ["labels"], ["lists"])
    with pytest.raises(ValueError, match="each style once, got names names"):
        load_styles("ptb_xl", ["form"], ["names", "names"])


@pytest.fixture
def evaluate(checkpoint_dir, archive_dir, arrow_cache, tmp_path):
    def evaluate(*extra):
        output = tmp_path / "open.json"
        argv = ["--model", checkpoint_dir, "--data_dir", archive_dir, "--cache_dir", arrow_cache, "--output", output]
        words = [*argv, "--num_resamples", "20", "--precision", "fp32", "--tasks", "rhythm", *extra]
        assert cli.main(["evaluate", "open-vocabulary", *map(str, words)]) == 0
        return json.loads(output.read_text()), output

    return evaluate


def test_styles_stand_in_results_tables_and_ablations(evaluate, tmp_path, capsys):
    result, output = evaluate("--styles", "names", "denials")
    assert list(result["tasks"]) == ["known_rhythm", "unseen_rhythm", "names_rhythm", "denials_rhythm", "negation"]
    report = result["tasks"]["names_rhythm"]
    assert 0 < report["num_known_texts"] < report["num_texts"] == 36
    assert report["baselines"]["random_encoder"]["macro_auroc"] != report["macro_auroc"]
    assert report["prompts"]["source"]["file"].endswith("styles/names.json")
    shown = re.sub(" +", " ", capsys.readouterr().out)
    assert f"| names | {100 * report['macro_auroc']:.1f} [" in shown
    assert f"| names, random encoder | {100 * report['baselines']['random_encoder']['macro_auroc']:.1f} " in shown

    assert cli.main(["evaluate", "tables", str(output), "--rows", str(tmp_path / "rows")]) == 0
    assert "names, random encoder" in capsys.readouterr().out
    assert "AFIB: Atrial fibrillation (disorder)" in (tmp_path / "rows" / "open.csv").read_text()
    assert cli.main(["evaluate", "ablations", str(output)]) == 0
    assert "styles: names, rhythm | styles: denials, rhythm" in re.sub(" +", " ", capsys.readouterr().out)
