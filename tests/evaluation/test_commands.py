"""The three commands and the tables, from a checkpoint and an archive on disk to files of results."""

import csv
import json
from pathlib import Path

import pytest

from etp import cli
from etp.evaluation import command, linear
from etp.evaluation.arguments import STYLES
from etp.evaluation.results import check_writable
from etp.evaluation.task_metrics import ON_TEST
from etp.output_lock import file_lock

zero_shot, retrieval, open_vocabulary = "zero-shot", "retrieval", "open-vocabulary"


@pytest.fixture(scope="module")
def command_line(checkpoint_dir, archive_dir, arrow_cache):
    """The words of an evaluation that are the same in every test."""

    def command_line(protocol, output, *extra, model=checkpoint_dir, data_dir=archive_dir):
        paths = {"--model": model, "--data_dir": data_dir, "--cache_dir": arrow_cache, "--output": output}
        words = [str(part) for pair in paths.items() for part in pair]
        return ["evaluate", protocol, *words, "--num_resamples", "50", "--precision", "fp32", *extra]

    return command_line


@pytest.fixture(scope="module")
def run(command_line):
    """Run an evaluation as its shell would, and read what it wrote."""

    def run(protocol, output, *extra, **paths):
        assert cli.main(command_line(protocol, output, *extra, **paths)) == 0
        return json.loads(Path(output).read_text())

    return run


@pytest.fixture(scope="module")
def files(run, tmp_path_factory):
    """One file of each kind of result, of the same model under the name "model A"."""
    folder = tmp_path_factory.mktemp("results")
    name, one_task = ["--name", "model A"], ["--tasks", "superclass"]
    run(zero_shot, folder / "zero.json", "--anomaly", *name)
    run(zero_shot, folder / "lead.json", "--leads", "I", *one_task, *name)
    run("linear", folder / "linear.json", "--label_fractions", "0.1", "1", "--num_seeds", "2", *one_task, *name)
    run(retrieval, folder / "retrieval.json", "--text_kinds", "statements", "report", *name)
    return folder


def read(path):
    return json.loads(path.read_text())


def test_zero_shot_reports_every_task_beside_its_baselines(files):
    result = read(files / "zero.json")
    assert list(result["tasks"]) == [
        "superclass",
        "subclass",
        "form",
        "rhythm",
        "anomaly_zero_shot",
        "anomaly_distance",
    ]
    for report in result["tasks"].values():
        low, high = report["intervals_95"]["macro_auroc"]
        assert 0 <= low <= report["macro_auroc"] <= high <= 1
        assert report["baselines"]["chance"]["macro_auroc"] == 0.5
    report = result["tasks"]["superclass"]
    assert set(report["per_class"]) == {"NORM", "MI", "STTC", "CD", "HYP"}
    assert report["baselines"]["random_encoder"]["macro_auroc"] != report["macro_auroc"]
    assert report["supervised_reference"]["macro_auroc"] == 0.93
    assert report[f"macro_f1_{ON_TEST}"] >= report["macro_f1"]
    assert result["checkpoint_sha256"] == result["checkpoint_files"]["model.safetensors"]
    assert (result["seed"], result["split"], result["name"]) == (0, "test", "model A")


def test_an_interrupted_run_computes_only_what_is_missing(run, tmp_path, monkeypatch):
    output = tmp_path / "r.json"
    whole = run(zero_shot, output, "--tasks", "superclass", "rhythm")
    left = json.loads(output.read_text())
    left["tasks"].pop("rhythm")
    left["tasks"]["superclass"]["kept"] = True
    output.write_text(json.dumps(left))
    again = run(zero_shot, output, "--tasks", "superclass", "rhythm")
    assert again["tasks"]["rhythm"] == whole["tasks"]["rhythm"]
    assert again["tasks"]["superclass"]["kept"]  # read from the file, not computed again
    monkeypatch.setattr(command.Evaluation, "embed", lambda *_, **__: pytest.fail("nothing was left to compute"))
    assert run(zero_shot, output, "--tasks", "superclass", "rhythm") == again


def test_options_change_figures_and_are_written_down(run, tmp_path):
    plain = run(zero_shot, tmp_path / "plain.json", "--tasks", "rhythm")
    one_lead = run(zero_shot, tmp_path / "lead.json", "--tasks", "rhythm", "--leads", "II")
    assert one_lead["conditions"]["leads"] == ["II"]
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"rhythm": {"AFIB": ["irregular rhythm"], "SR": ["regular rhythm"]}}))
    own = run(zero_shot, tmp_path / "own.json", "--prompts", str(prompts), "--describe_patient", "--pooling", "max")
    assert own["options"]["pooling"] == "max"
    assert list(own["tasks"]["rhythm"]["per_class"]) == ["AFIB", "SR"]
    assert plain["tasks"]["rhythm"]["supervised_reference"]["macro_auroc"] == 0.957
    assert own["tasks"]["rhythm"]["supervised_reference"] is None  # a mean over twelve labels says nothing of two
    metrics = [result["tasks"]["rhythm"]["per_class"]["AFIB"]["threshold"] for result in (plain, one_lead, own)]
    assert len(set(metrics)) == 3
    # Leaving labels out of a prompts file leaves the records as they are, so metrics stay comparable.
    assert own["tasks"]["rhythm"]["num_records"] == plain["tasks"]["rhythm"]["num_records"]


def test_linear_probe_reports_every_share_of_labels(files):
    report = read(files / "linear.json")["tasks"]["superclass"]
    assert report["label_fractions"]["1.0"]["macro_auroc"] == report["macro_auroc"]
    assert [metrics["seed"] for metrics in report["label_fractions"]["0.1"]["runs"]] == [0, 1]


def test_retrieval_counts_distinct_texts_once(files):
    reports = read(files / "retrieval.json")["tasks"]
    assert reports["statements"]["num_texts"] < reports["report"]["num_texts"] < reports["report"]["num_ecgs"]
    for report in reports.values():
        assert 0 <= report["ecg_to_text_recall_at_1"] <= report["ecg_to_text_recall_at_10"] <= 1
        assert set(report["baselines"]) == {"chance", "random_encoder"}


def test_unseen_wordings_stand_beside_the_known_and_denials_below(run, tmp_path, capsys):
    output = tmp_path / "open.json"
    result = run(open_vocabulary, output, "--tasks", "rhythm")
    assert (result["kind"], result["split"]) == ("open_vocabulary", "validation")
    assert list(result["tasks"]) == [*(f"{kind}_rhythm" for kind in ("known", "unseen", *STYLES)), "negation"]
    known, unseen, negation = (result["tasks"][name] for name in ("known_rhythm", "unseen_rhythm", "negation"))
    assert known["num_records"] == unseen["num_records"] == negation["num_records"] > 0
    assert known["macro_auroc"] != unseen["macro_auroc"]
    assert list(known["per_class"]) == list(unseen["per_class"]) == list(unseen["single_paraphrases"]["per_phrase"])
    assert 0 < negation["num_pairs"] < 60
    assert cli.main(["evaluate", "tables", str(output), "--rows", str(tmp_path / "rows")]) == 0
    page = capsys.readouterr().out
    for figure in (
        unseen["macro_auroc"],
        unseen["single_paraphrases"]["macro_auroc"],
        negation["negated_below_stated"],
    ):
        assert f"{100 * figure:.1f} [" in page
    assert "every second beat comes early" in (tmp_path / "rows" / "open.csv").read_text()

    content = json.loads(output.read_text())
    content["tasks"].pop("unseen_rhythm")
    output.write_text(json.dumps(content))
    assert run(open_vocabulary, output, "--tasks", "rhythm")["tasks"]["unseen_rhythm"] == unseen


def test_wordings_that_training_texts_have_are_no_test(command_line, tmp_path, capsys):
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"rhythm": {"SR": ["Rhythm: sinus", "of the natural pacemaker"]}}))
    asked = ("--tasks", "rhythm", "--unseen", str(prompts))
    assert cli.main(command_line(open_vocabulary, tmp_path / "r.json", *asked)) == 2
    assert "1 paraphrases are no test, training texts have them: Rhythm: sinus." in capsys.readouterr().err


def test_the_probe_is_fitted_on_training_and_chosen_on_validation_records(run, tmp_path, monkeypatch):
    seen = []
    probe = linear.choose_probe

    def remember(*given):
        seen.append(given)
        return probe(*given)

    monkeypatch.setattr(linear, "choose_probe", remember)
    result = run("linear", tmp_path / "l.json", "--tasks", "rhythm", "--label_fractions", "1", "--num_resamples", "0")
    features, targets, validation_features, validation_targets = seen[0]
    assert features.shape[1] == 8
    assert len(features) == len(targets) == result["tasks"]["rhythm"]["num_training_records"]
    assert len(validation_features) == len(validation_targets) == result["tasks"]["rhythm"]["num_validation_records"]


def test_all_results_become_one_page_and_one_picture(files, tmp_path, capsys):
    page, picture = tmp_path / "page.md", tmp_path / "picture.png"
    paths = [str(files / f"{name}.json") for name in ("zero", "lead", "linear", "retrieval")]
    rows = tmp_path / "rows"
    written = ["--output", str(page), "--picture", str(picture), "--rows", str(rows)]
    assert cli.main(["evaluate", "tables", *paths, *written]) == 0
    text, zero_shot, one_lead = page.read_text(), read(files / "zero.json"), read(files / "lead.json")
    auroc = [100 * result["tasks"]["superclass"]["macro_auroc"] for result in (zero_shot, one_lead)]
    assert f"| {auroc[0]:.1f} [" in text
    assert f"({auroc[1] - auroc[0]:+.1f})" in text
    for heading in (
        "Zero-shot, ptb_xl, test split: by leads",
        "Linear probe, ptb_xl",
        "Retrieval, ptb_xl",
        "How each",
    ):
        assert heading in text
    assert all(name in text for name in ("random encoder", "chance", "all positive", "supervised, literature"))
    assert zero_shot["checkpoint_sha256"][:12] in text
    assert zero_shot["command"] in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    with (rows / "zero.csv").open() as file:
        found = {(row["task"], row["row"], row["metric"]): row for row in csv.DictReader(file)}
    for task, metrics in zero_shot["tasks"].items():
        row, interval = found[task, "all", "auroc"], metrics["intervals_95"]["macro_auroc"]
        written = [float(row[name]) for name in ("value", "low", "high")]
        assert written == pytest.approx([metrics["macro_auroc"], *interval], abs=5e-5)
        for label, own in metrics["per_class"].items():
            if own["auroc"] is not None:
                assert float(found[task, label, "auroc"]["value"]) == pytest.approx(own["auroc"], abs=5e-5)
    assert cli.main(["evaluate", "tables", paths[0]]) == 0
    assert "# Results" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "extra", "message"),
    [
        (zero_shot, ["--tasks", "cpsc2018"], "ptb_xl has no task 'cpsc2018'"),
        (zero_shot, ["--leads", "V9"], "--leads takes distinct leads"),
        (zero_shot, ["--split", "all", "--anomaly"], "--split all holds those"),
        (zero_shot, ["--model", "/nowhere/model"], "no checkpoint '/nowhere/model'"),
        (zero_shot, ["--data_dir", "/nowhere/data"], "--data_dir /nowhere/data is not a folder"),
        (zero_shot, ["--output", "/proc/nowhere/r.json"], "--output /proc/nowhere/r.json can't be written"),
        (zero_shot, ["--prompts", "/nowhere.json"], "--prompts /nowhere.json can't be read"),
        (zero_shot, ["--batch_size", "0"], "--batch_size must be at least 1, got 0"),
        (zero_shot, ["--device", "meta"], "--device meta: Tensor.item() cannot be called on meta tensors. Take cpu"),
        (zero_shot, ["--device", "cuda:99"], "Take cpu, or a device of this machine"),
        (zero_shot, ["--dataset", "ptbxl"], "choose from ptb_xl, cpsc2018, folder"),
        ("linear", ["--split", "all"], "records that the probe is trained on"),
        ("linear", ["--label_fractions", "2"], "above 0 and at most 1"),
    ],
)
def test_bad_input_is_said_in_one_line_before_anything_is_computed(
    command_line, tmp_path, capsys, monkeypatch, name, extra, message
):
    monkeypatch.setattr(command.Evaluation, "embed", lambda *_, **__: pytest.fail("computed before checking"))
    assert cli.main(command_line(name, tmp_path / "r.json", *extra)) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "r.json").exists()


def test_an_archive_that_is_another_is_said(command_line, tmp_path, capsys):
    assert cli.main(command_line(zero_shot, tmp_path / "r.json", data_dir=tmp_path)) == 2
    assert "ptbxl_database.csv" in capsys.readouterr().err


def test_files_that_are_no_results_are_refused_by_the_tables(tmp_path, capsys):
    (tmp_path / "r.json").write_text("{}")
    assert cli.main(["evaluate", "tables", str(tmp_path / "r.json")]) == 2
    assert "is not a results file" in capsys.readouterr().err


def test_a_second_evaluation_into_the_same_file_is_refused_until_the_first_ends(command_line, tmp_path, capsys):
    output = tmp_path / "new" / "results.json"
    words = command_line(retrieval, output)
    with file_lock(output):
        assert cli.main(words) == 2
        assert f"--output {output}: another run is writing it now. Wait for its end" in capsys.readouterr().err
        assert not output.exists()
    assert cli.main(words) == 0
    assert sorted(path.name for path in output.parent.iterdir()) == ["results.json"]


def test_checking_an_output_leaves_the_unfinished_file_of_another_run(tmp_path):
    unfinished = tmp_path / "results.json.unfinished"
    unfinished.write_text("of a run that is writing")
    check_writable(tmp_path / "results.json")
    assert unfinished.exists()
