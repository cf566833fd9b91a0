"""The model card: metadata that the Hub reads, results of this model and no other, and what the run left behind."""

import json
import shutil

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from etp import cli
from etp.card import base_model, make_card, training_facts
from etp.loading import load_checkpoint
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
    assert data.pipeline_tag == "zero-shot-classification"
    assert data.datasets == ["ptb_xl"]
    assert data["co2_eq_emissions"]["emissions"] == 12.5
    assert data.model_name == "etp-tiny"
    figures = {found.metric_name: found for found in data.eval_results}
    auroc = figures["macro AUROC (95% interval 0.840 to 0.860)"]
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
        '"zero-shot-ecg-classification", model="user/etp-tiny", trust_remote_code=True',
        "## Intended use",
        "## Limits",
        "## Training data",
        "85.1 [84.0, 86.0]",
        "Emissions were not measured",
        checkpoint.weights_sha256,
    ):
        assert words in text
    assert "{" not in text.replace("{ ", "")


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
