"""What is exported opens with `load_dataset` and has the same rows, features and a complete card."""

import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from hub_stub import HubStub

from datasets_scripts.archives import ARCHIVES
from etp import cli
from etp.archive_export import export_parquet, read_card
from etp.archives import open_archive


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_export_loads_with_the_same_rows_and_features(name, archive_of, tmp_path):
    root = archive_of(name)
    splits = open_archive(name, root, cache_dir=tmp_path / "cache")
    export_parquet(splits, tmp_path / "export", name=name, config="default-form")
    loaded = datasets.load_dataset(str(tmp_path / "export"), "default-form", cache_dir=str(tmp_path / "loaded"))
    assert list(loaded) == list(splits)
    for split in splits:
        assert loaded[split].features == splits[split].features
        assert list(loaded[split]) == list(splits[split])


def test_a_long_split_is_written_in_pieces_that_load_in_order(ptb_xl, tmp_path, monkeypatch):
    monkeypatch.setattr("etp.archive_export._SHARD_BYTES", 30_000)
    splits = open_archive("ptb_xl", ptb_xl, cache_dir=tmp_path / "cache")
    export_parquet(splits, tmp_path / "export", name="ptb_xl", config="100hz")
    assert len(list((tmp_path / "export/100hz").glob("train-*.parquet"))) > 1
    loaded = datasets.load_dataset(str(tmp_path / "export"), "100hz", cache_dir=str(tmp_path / "loaded"))
    assert loaded["train"]["record_id"][:] == splits["train"]["record_id"][:]


def test_a_second_config_joins_the_first(ptb_xl, tmp_path):
    splits = open_archive("ptb_xl", ptb_xl, cache_dir=tmp_path / "cache")
    for config in ("first", "second"):
        export_parquet(splits, tmp_path / "export", name="ptb_xl", config=config)
    assert datasets.get_dataset_config_names(str(tmp_path / "export")) == ["first", "second"]


def test_an_export_is_not_written_over_another(ptb_xl, tmp_path):
    splits = open_archive("ptb_xl", ptb_xl, cache_dir=tmp_path / "cache")
    export_parquet(splits, tmp_path / "export", name="ptb_xl", config="100hz")
    with pytest.raises(FileExistsError, match=r"export/100hz exists already\. Delete it"):
        export_parquet(splits, tmp_path / "export", name="ptb_xl", config="100hz")


def test_an_archive_without_a_card_is_refused_before_anything_is_written(ptb_xl, tmp_path):
    splits = open_archive("ptb_xl", ptb_xl, cache_dir=tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match=r"cards.toy\.md: there is no card of toy.* Write its licence"):
        export_parquet(splits, tmp_path / "export", name="toy", config="default")
    assert not (tmp_path / "export").exists()


def test_the_command_names_the_config_of_the_builder(ptb_xl, tmp_path, capsys):
    paths = ["--data_dir", ptb_xl, "--output", tmp_path / "export", "--cache_dir", tmp_path / "cache"]
    assert cli.main(["export-archive", *map(str, paths)]) == 0
    assert f"{tmp_path / 'export'}: written" in capsys.readouterr().out
    assert (tmp_path / "export/100hz/test-00000-of-00001.parquet").exists()


def test_the_command_needs_somewhere_to_write(capsys):
    assert cli.main(["export-archive", "--dataset", "ptb_xl"]) == 2
    assert "say where it goes: --output DIR, --push_to_hub USER/NAME or both" in capsys.readouterr().err


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_card_describes_every_column(name, archive_of, tmp_path):
    root = archive_of(name)
    splits = open_archive(name, root, cache_dir=tmp_path / "cache")
    card = read_card(name)
    assert card.data.license == (ARCHIVES[name].license or "unknown")
    missing = [column for column in splits["train"].column_names if f"`{column}`" not in card.text]
    assert not missing


@pytest.mark.slow
def test_what_is_pushed_to_the_hub_loads_with_the_same_rows_and_its_card(ptb_xl, tmp_path):
    hub = HubStub()
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": "stub",
        "HF_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    script = Path(__file__).with_name("push_and_load.py")
    command = [sys.executable, str(script), str(ptb_xl), str(tmp_path / "cache")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    hub.shutdown()
    hub.server_close()
    assert result.returncode == 0, result.stderr
    card = hub.repos["user/ptb-xl"]["README.md"].decode()
    assert "license: cc-by-4.0" in card
    assert "config_name: 100hz" in card
    assert "## Licence and citation" in card
