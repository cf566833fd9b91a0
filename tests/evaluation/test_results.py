"""The results file: resumed by the same run, begun anew by another, never half written."""

import json

import numpy as np
import pytest

from etp.evaluation import provenance
from etp.evaluation.baselines import constant_baselines
from etp.evaluation.results import ResultsFile, check_writable, load_results, to_json
from etp.scoring.metrics import SENSITIVITY, decision_metrics, macro, ranking_metrics


def make_file(path, *, checkpoint="a", seed=0, overwrite=False):
    identity = {"checkpoint_sha256": checkpoint}
    return ResultsFile(path, kind="zero_shot", identity=identity, seed=seed, overwrite=overwrite)


def test_the_same_run_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "new" / "results.json"
    make_file(path).add("form", {"macro_auroc": 0.7})
    again = make_file(path)
    assert "form" in again
    assert "rhythm" not in again
    again.add("rhythm", {"macro_auroc": 0.9})
    assert load_results(path)["tasks"] == {"form": {"macro_auroc": 0.7}, "rhythm": {"macro_auroc": 0.9}}


@pytest.mark.parametrize("change", [{"checkpoint": "b"}, {"seed": 1}])
def test_another_run_is_refused_and_replaces_only_when_told(tmp_path, change):
    make_file(tmp_path / "r.json").add("form", {"macro_auroc": 0.7})
    with pytest.raises(ValueError, match=r"r.json holds results of another model, .* or add --overwrite"):
        make_file(tmp_path / "r.json", **change)
    assert load_results(tmp_path / "r.json")["tasks"] == {"form": {"macro_auroc": 0.7}}
    assert "form" not in make_file(tmp_path / "r.json", overwrite=True, **change)


def test_metrics_of_other_code_are_not_resumed(tmp_path, monkeypatch):
    make_file(tmp_path / "r.json").add("form", {"macro_auroc": 0.7})
    monkeypatch.setattr(provenance, "source_sha256", lambda: "other code")
    assert "form" not in make_file(tmp_path / "r.json", overwrite=True)


@pytest.mark.parametrize("content", [b'{"tasks": ', b"\xff\xfe", b"[" * 5000, b"notes of somebody"])
def test_a_file_of_something_else_is_not_replaced_unasked(tmp_path, content):
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(ValueError, match="holds no results"):
        make_file(tmp_path / "r.json")
    assert (tmp_path / "r.json").read_bytes() == content
    make_file(tmp_path / "r.json", overwrite=True).add("form", {"macro_auroc": 0.7})
    assert load_results(tmp_path / "r.json")["tasks"]


def test_what_is_undefined_becomes_null_and_numbers_become_plain():
    content = to_json({"a": float("nan"), "b": np.float64(0.5), "c": [np.int64(3), np.inf], "d": np.array([True])})
    assert json.loads(json.dumps(content, allow_nan=False)) == {"a": None, "b": 0.5, "c": [3, None], "d": [True]}


def test_an_output_that_cannot_be_written_is_said_first(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; name a file in it"):
        check_writable(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"--output .*file/results.json can't be written"):
        check_writable(tmp_path / "file" / "results.json")


@pytest.mark.parametrize("content", ["[]", '{"tasks": {}}', "nothing"])
def test_a_file_that_is_no_results_file_is_refused(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(ValueError, match="results file"):
        load_results(tmp_path / "r.json")


def test_the_provenance_names_code_versions_and_seed():
    made_with = provenance.provenance(seed=3)
    assert made_with["seed"] == 3
    assert made_with["versions"]["torch"]
    assert len(made_with["source_sha256"]) == 64


def test_constant_baselines_are_what_such_scores_reach():
    generator = np.random.default_rng(0)
    targets = generator.random((20_000, 3)) < [0.05, 0.3, 0.7]
    known = constant_baselines(targets)
    ranking = ranking_metrics(generator.random(targets.shape), targets)
    guessed = decision_metrics(generator.random(targets.shape) < targets.mean(axis=0), targets)
    measured = {name: float(macro(values[0])) for name, values in (ranking | guessed).items()}
    for name in ("auroc", "average_precision", SENSITIVITY, "f1", "accuracy"):
        assert known["chance"][f"macro_{name}"] == pytest.approx(measured[name], abs=0.02), name
    all_positive = decision_metrics(np.ones_like(targets), targets)
    for name in ("f1", "accuracy"):
        assert known["all_positive"][f"macro_{name}"] == pytest.approx(float(macro(all_positive[name][0])))
