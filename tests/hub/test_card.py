"""The model card: metadata that the Hub reads, results of this model and no other, and what the run left behind."""

import json
import re
import shutil

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from etp import cli
from etp.card import TASKS, base_model, is_test, make_card, training_facts
from etp.loading import load_checkpoint
from etp.pretrained import DEFAULT_MODEL, SHIPPED
from etp.run_files import CONFIG_FILE, METRICS_FILE, RUN_FILE, VERSIONS_FILE
from etp.training.arguments import (
    Arguments,
    AugmentationArguments,
    DataArguments,
    ModelArguments,
    TrainingArguments,
)


@pytest.fixture(scope="module")
def checkpoint(checkpoint_dir):
    return load_checkpoint(checkpoint_dir)


@pytest.fixture
def result(checkpoint):
    """What evaluate_zeroshot.py writes, as far as a card reads it."""
    return {
        "format_version": 1,
        "kind": "zero_shot",
        "name": "tiny",
        "checkpoint_sha256": checkpoint.weights_sha256,
        "dataset": "ptb_xl",
        "split": "test",
        "conditions": {"leads": None},
        "commit": "0123456789abcdef",
        "source_sha256": "f" * 64,
        "seed": 0,
        "date": "2026-11-23T06:00:00+00:00",
        "tasks": {
            "superclass": {
                "macro_auroc": 0.8512345,
                "macro_f1": 0.5,
                "macro_f1_threshold_on_test": 0.9,
                "macro_average_precision": None,
                "intervals_95": {"macro_auroc": [0.84, 0.86]},
                "num_records": 30,
                "baselines": {"chance": {"macro_auroc": 0.5}},
                "supervised_reference": None,
            }
        },
    }


@pytest.fixture
def run_folder(checkpoint_dir, tmp_path):
    """A checkpoint as `train.py` leaves it, resumed once after an hour."""
    folder = shutil.copytree(checkpoint_dir, tmp_path / "run")
    args = Arguments(
        DataArguments(), ModelArguments(), AugmentationArguments(), TrainingArguments(output_dir=folder, num_epochs=7)
    )
    (folder / CONFIG_FILE).write_text(yaml.safe_dump(args.to_dict()))
    lines = [{"step": step, "seconds": seconds} for step, seconds in enumerate((1800.0, 3600.0, 100.0, 1800.0))]
    (folder / METRICS_FILE).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (folder / VERSIONS_FILE).write_text(json.dumps({"machine": "an abacus", "torch": "2.13"}))
    return folder


def test_the_metadata_is_what_the_hub_reads(checkpoint, result, tmp_path):
    make_card(checkpoint, [result], repo_id="user/etp-tiny", co2_grams=12.5).save(tmp_path / "README.md")
    data = ModelCard.load(tmp_path / "README.md").data
    assert (data.license, data.library_name, data.language) == ("apache-2.0", "transformers", "en")
    assert (data.pipeline_tag, data["inference"]) == ("other", False)
    assert data.datasets == ["ptb_xl"]
    assert data["co2_eq_emissions"]["emissions"] == 12.5
    assert data.model_name == "etp-tiny"
    figures = {found.metric_name: found for found in data.eval_results}
    auroc = figures["macro AUROC (95% interval 0.84000 to 0.86000)"]
    assert (auroc.metric_type, auroc.metric_value, auroc.dataset_split) == ("roc_auc", 0.85123, "test")
    assert auroc.dataset_name == "PTB-XL, superclass"
    # Neither a figure that is not there nor one that chose its threshold on the test split.
    assert len(figures) == 2
    text = (tmp_path / "README.md").read_text()
    (index,) = yaml.safe_load(text.split("---")[1])["model-index"]
    name, again = model_index_to_eval_results([index])
    assert name == "etp-tiny"
    assert len(again) == 2


def test_the_text_says_limits_results_and_how_to_use_it(checkpoint, result):
    text = make_card(checkpoint, [result], repo_id="user/etp-tiny").text
    for words in (
        "Not a medical device",
        'pipeline("zero-shot-ecg-classification", model="user/etp-tiny", trust_remote_code=True)',
        "## Intended use",
        "## Limits",
        "## Training data",
        "85.1 [84.0, 86.0]",
        "Emissions were not measured",
        checkpoint.weights_sha256,
    ):
        assert words in text
    assert "{" not in text.replace("{ ", "")


# Tasks of the Hub that are of text: it shows a text box for them, and code that can't work with this model.
TEXT_TASKS = {
    "zero-shot-classification", "text-classification", "token-classification", "feature-extraction", "fill-mask",
    "sentence-similarity", "text-ranking", "text-generation", "question-answering", "translation", "summarization",
}  # fmt: skip


def test_nothing_in_the_metadata_is_a_task_of_the_hub_for_text(checkpoint, result):
    kinds = [result, result | {"kind": "linear_probe"}]
    data = make_card(checkpoint, kinds, repo_id="user/etp-tiny").data
    assert not TEXT_TASKS & {data.pipeline_tag, *data.tags, *(found.task_type for found in data.eval_results)}
    assert not TEXT_TASKS & {task for task, _ in TASKS.values()}


def test_the_metadata_holds_figures_of_tests_only(checkpoint, result):
    splits = {
        ("ptb_xl", "test"): True,
        ("ptb_xl", "validation"): False,
        ("ptb_xl", "train"): False,
        ("ptb_xl", "all"): False,
        ("cpsc2018", "all"): True,  # no record of it was trained on
    }
    run = {"dataset": "ptb_xl"}
    for (dataset, split), expected in splits.items():
        assert is_test({"dataset": dataset, "split": split}, run) is expected
    assert not is_test({"dataset": "cpsc2018", "split": "all"}, None)  # who knows what it was trained on
    card = make_card(checkpoint, [result, result | {"split": "validation"}], repo_id="user/etp-tiny")
    assert {found.dataset_split for found in card.data.eval_results} == {"test"}
    assert "validation split" in card.text  # in the body it is named as what it is


def test_a_value_outside_its_own_interval_is_said_to_be(checkpoint, result):
    result["tasks"]["superclass"]["intervals_95"]["macro_auroc"] = [0.8512346, 0.9]
    card = make_card(checkpoint, [result], repo_id="user/etp-tiny")
    (auroc,) = (found for found in card.data.eval_results if found.metric_type == "roc_auc")
    assert "(95% interval 0.85123 to 0.90000, which does not hold the value" in auroc.metric_name
    assert "85.1 [85.1, 90.0] †" in card.text
    assert "† The value lies outside its own interval" in card.text


def test_the_shipped_card_keeps_to_this_too():
    card = ModelCard.load(SHIPPED / DEFAULT_MODEL / "README.md")
    assert (card.data.pipeline_tag, card.data["inference"]) == ("other", False)
    assert not TEXT_TASKS & {*card.data.tags, *(found.task_type for found in card.data.eval_results)}
    assert {found.dataset_split for found in card.data.eval_results} <= {"test", "all"}
    for found in card.data.eval_results:
        if ends := re.search(r"interval ([\d.]+) to ([\d.]+)", found.metric_name):
            inside = float(ends[1]) <= round(found.metric_value, len(ends[1]) - 2) <= float(ends[2])
            assert inside is ("does not hold the value" not in found.metric_name), found


@pytest.mark.parametrize("name", ["Zero-shot classification", "Embeddings", "Search", "Linear probe", "Fine-tuning"])
def test_the_card_shows_code_for_each_use(checkpoint, name):
    _, _, after = make_card(checkpoint, repo_id="user/etp-tiny").text.partition(f"**{name}**")
    assert after.partition("**")[0].count("```python") == 1


def test_the_code_of_the_card_runs_as_it_stands(checkpoint, archive_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = sorted(archive_dir.rglob("*.hea"))[0]
    for suffix in (".hea", ".dat"):
        shutil.copy(first.with_suffix(suffix), first.with_suffix(suffix).name)
    text = make_card(checkpoint, repo_id=str(checkpoint.folder)).text.replace("record.hea", first.name)
    scope: dict = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, scope)
    assert scope["similarity"].shape == (1, 2)
    assert scope["probe"].predict(scope["features"]).shape == (8,)


def test_a_card_without_results_says_so(checkpoint):
    card = make_card(checkpoint, repo_id="user/etp-tiny")
    assert "No evaluation was given to this card" in card.text
    assert "not recorded beside it" in card.text
    assert card.data.eval_results is None


def test_results_of_another_model_are_refused(checkpoint, result):
    with pytest.raises(ValueError, match=r"the results 'tiny' \(zero_shot\) are of the weights 000000000000"):
        make_card(checkpoint, [result | {"checkpoint_sha256": "0" * 64}], repo_id="user/etp-tiny")


def test_the_run_is_told_from_what_it_left(run_folder):
    facts = training_facts(run_folder)
    assert facts["hours"] == pytest.approx(1.5)
    text = make_card(load_checkpoint(run_folder), repo_id="user/etp-tiny").text
    for words in ("1.50 hours of training on an abacus", "7 epochs", "no label was seen", "all-MiniLM-L6-v2, frozen"):
        assert words in text


def test_age_and_sex_are_named_where_they_were_trained_on(run_folder):
    def training() -> str:
        return make_card(load_checkpoint(run_folder), repo_id="user/etp-tiny").text

    assert "age and sex of their patients" not in training()
    options = yaml.safe_load((run_folder / CONFIG_FILE).read_text())
    (run_folder / CONFIG_FILE).write_text(yaml.safe_dump({**options, "objectives": {"batch": 1.0, "patient": 0.5}}))
    assert "and the age and sex of their patients; no label was seen" in training()


def test_the_data_that_the_weights_were_trained_on_is_named(run_folder):
    def part(first: int, last: int, records: int, sha256: str) -> dict:
        split = {"records": records, "sha256": sha256 * 64}
        return {"first_step": first, "last_step": last, "train": split, "validation": split}

    parts = [part(1, 40, 1062, "a")]
    (run_folder / RUN_FILE).write_text(json.dumps({"data": parts}))
    text = make_card(load_checkpoint(run_folder), repo_id="user/etp-tiny").text
    assert f"seed 0, on 1,062 training records (sha256 `{'a' * 16}`) and 1,062 validation records" in text
    parts += [part(41, 60, 900, "b")]  # the run went on with other data
    (run_folder / RUN_FILE).write_text(json.dumps({"data": parts}))
    text = make_card(load_checkpoint(run_folder), repo_id="user/etp-tiny").text
    assert f"steps 1 to 40 on 1,062 training records (sha256 `{'a' * 16}`)" in text
    assert f"; steps 41 to 60 on 900 training records (sha256 `{'b' * 16}`)" in text


def test_label_derived_texts_are_owned_up_to(run_folder):
    options = yaml.safe_load((run_folder / CONFIG_FILE).read_text())
    (run_folder / CONFIG_FILE).write_text(yaml.safe_dump(options | {"text_source": "label_derived"}))
    assert "a ceiling, not a result" in make_card(load_checkpoint(run_folder), repo_id="user/etp-tiny").text


@pytest.mark.parametrize(
    ("text_model", "expected"),
    [("minilm", "sentence-transformers/all-MiniLM-L6-v2"), ("org/bert", "org/bert"), ("/home/me/bert", None)],
)
def test_the_base_model_is_named_where_the_hub_has_it(text_model, expected):
    assert base_model({"text_model": text_model}) == expected
    assert base_model(None) is None


def test_a_card_is_written_once_to_be_edited(checkpoint_dir, result, tmp_path, capsys):
    results, output = tmp_path / "results.json", tmp_path / "README.md"
    results.write_text(json.dumps(result))
    command = ["card", str(checkpoint_dir), "--repo", "user/x", "--results", str(results), "-o", str(output)]
    assert cli.main(command) == 0
    assert ModelCard.load(output).data.model_name == "x"
    output.write_text("edited")
    assert cli.main(command) == 2
    assert output.read_text() == "edited"
    assert "exists already" in capsys.readouterr().err
