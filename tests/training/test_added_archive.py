"""A data set that was added to the list of archives trains as the shipped ones do."""

import json

from toy_archive import TOY, write_toy

from datasets_scripts.archives import ARCHIVES


def test_an_added_data_set_trains(run, tmp_path, monkeypatch):
    monkeypatch.setitem(ARCHIVES, "toy", TOY)
    folder = write_toy(tmp_path / "toy")
    options = ["--dataset", "toy", "--data_dir", str(folder), "--max_steps", "2"]
    assert run(tmp_path / "run", *options) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert any("validation_loss" in line for line in lines)


def test_its_labels_can_be_its_texts(run, tmp_path, monkeypatch):
    monkeypatch.setitem(ARCHIVES, "toy", TOY)
    folder = write_toy(tmp_path / "toy")
    options = ["--dataset", "toy", "--data_dir", str(folder), "--max_steps", "1", "--text_source", "label_derived"]
    assert run(tmp_path / "run", *options) == 0
