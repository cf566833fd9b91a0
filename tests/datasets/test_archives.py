"""The list of archives, and `open_archive`: one name, one call, the same rows as the builder."""

import multiprocessing
from pathlib import Path

import pytest

from datasets_scripts.archives import ARCHIVES, title_of
from datasets_scripts.label_sets import LABEL_TASKS
from datasets_scripts.ptb_xl import PtbXl
from etp.archive_export import read_card
from etp.archives import open_archive


def test_it_opens_what_the_builder_prepares(ptb_xl, tmp_path):
    opened = open_archive("ptb_xl", ptb_xl, cache_dir=tmp_path / "cache")
    builder = PtbXl(tmp_path / "cache", data_dir=ptb_xl)
    assert Path(opened["train"].cache_files[0]["filename"]).is_relative_to(builder.cache_dir)
    assert list(opened) == ["train", "validation", "test"]


def test_cpsc2018_opens_by_name_and_config(cpsc2018, tmp_path):
    opened = open_archive("cpsc2018", cpsc2018, config="challenge", cache_dir=tmp_path / "cache")
    assert {name: len(split) for name, split in opened.items()} == {"train": 2, "validation": 1}


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="Unknown archive 'mimic'; known are ptb_xl, cpsc2018"):
        open_archive("mimic", tmp_path)


def _open(arguments: tuple[Path, Path]) -> list[str]:
    root, cache = arguments
    return open_archive("ptb_xl", root, cache_dir=cache)["train"]["record_id"][:]


@pytest.mark.slow
def test_processes_that_prepare_at_once_all_get_the_whole_archive(ptb_xl, tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        results = pool.map(_open, [(ptb_xl, tmp_path / "cache")] * 3, chunksize=1)
    assert results == [["1", "2", "17"]] * 3
    assert not list((tmp_path / "cache").rglob("*.incomplete"))


@pytest.mark.parametrize("archive", ARCHIVES.values(), ids=ARCHIVES)
def test_an_entry_agrees_with_its_builder_and_card(archive):
    builder = archive.load_builder()
    configs = [config.name for config in builder.BUILDER_CONFIGS]
    assert archive.configs[0] == builder.DEFAULT_CONFIG_NAME
    assert sorted(archive.configs) == sorted(configs)
    card = read_card(archive.name)
    assert card.data.license == (archive.license or "unknown")
    assert archive.title == title_of(archive.name)
    assert all(task in archive.tasks for task in (*archive.default_tasks, *archive.supervised))


def test_every_label_set_is_of_an_archive_that_has_its_column():
    assert all(ARCHIVES[name].tasks[task] == column for task, (name, column) in LABEL_TASKS.items())


def test_what_is_no_archive_is_called_by_its_name():
    assert title_of("somebody/ecgs") == "somebody/ecgs"
