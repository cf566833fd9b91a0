"""The benchmark of MERL by one command, on a small archive in the layout of one of its data sets."""

import pytest

from etp import cli
from etp.evaluation.protocol import merl_page


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_sets_that_are_there_are_evaluated_and_the_others_named(
    checkpoint_dir, archive_dir, arrow_cache, tmp_path, capfd
):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ptb-xl").symlink_to(archive_dir)
    words = ["evaluate", "protocol", "merl", "--model", checkpoint_dir, "--data", tmp_path / "data"]
    words += ["--output", tmp_path / "out", "--num_resamples", 20, "--num_seeds", 1, "--cache_dir", arrow_cache]
    assert cli.main([*map(str, words), "--dry_run"]) == 0
    assert capfd.readouterr().out.count("etp.cli evaluate") == 2
    assert cli.main([*map(str, words), "--dry_run", "--fine_tune", "0.1", "1"]) == 0
    planned = [line for line in capfd.readouterr().out.splitlines() if "etp.cli" in line]
    assert ["finetune" in line for line in planned] == [False, False, True, False, True, False]
    assert "--label_fraction 0.1 --num_epochs 32" in planned[2]
    assert cli.main([str(word) for word in words]) == 0
    page = (tmp_path / "out" / "merl.md").read_text()
    for title in ("PTBXL-Super", "PTBXL-Sub", "PTBXL-Form", "PTBXL-Rhythm", "mean of these 4", "arXiv:2403.06659"):
        assert f"| {title}" in page or f"({title})" in page
    assert "Not evaluated, because it was not there: cpsc2018, csn." in page


def test_a_folder_without_any_of_its_data_sets_is_refused(checkpoint_dir, tmp_path, capsys):
    words = ["evaluate", "protocol", "merl", "--model", checkpoint_dir, "--data", tmp_path, "--output", tmp_path / "o"]
    assert cli.main([str(word) for word in words]) == 2
    assert "holds none of ptb-xl/, cpsc2018/, csn/" in capsys.readouterr().err


def test_fine_tuned_classifiers_are_columns_beside_the_probe():
    own = {"macro_auroc": 0.8, "macro_f1": 0.5, "num_records": 9, "macro_f1_threshold_on_test": 0.6}
    own |= {
        "macro_accuracy_threshold_on_test": 0.7,
        "intervals_95": {"macro_auroc": [0.75, 0.85], "macro_f1": [0.4, 0.6]},
    }
    probe = {"label_fractions": {fraction: {"macro_auroc": 0.9} for fraction in ("0.01", "0.1", "1.0")}}
    results = {"cpsc2018": [{"tasks": {"cpsc2018": task}} for task in (own, probe, own | {"macro_auroc": 0.95})]}
    lines = merl_page(results, [0.1]).splitlines()
    header, row = (next(line for line in lines if line.startswith(f"| {name}")) for name in ("label set", "CPSC2018"))
    assert header.split(" | ")[-1] == "fine-tuned AUROC, 10% of labels |"
    assert row.split(" | ")[-1].startswith("95.0")
