"""Two processes at the same work, clocks that jump, and a cluster that ends a whole group of processes."""

import os
import shutil
from pathlib import Path

import pytest
from processes import Running
from work import build, embed_texts, evaluate, figures, files_in, train, with_jumping_clock

YEARS = 10 * 365 * 86_400


def wait_for_all(running: list[Running]) -> list[str]:
    """Their last lines; each must have ended well."""
    outcomes = [one.wait() for one in running]
    for outcome in outcomes:
        assert outcome.status == 0, outcome.output[-2000:]
    return [outcome.last_line for outcome in outcomes]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_build_one_dataset(processes, archive_dir, tmp_path):
    wait_for_all([processes.start(build, archive_dir, tmp_path / "alone")])
    wait_for_all([processes.start(build, archive_dir, tmp_path / "together") for _ in range(2)])
    alone, together = (files_in(tmp_path / name, "*.arrow") for name in ("alone", "together"))
    assert len(alone) == 3
    assert alone == together


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_fill_one_cache_of_texts(processes, text_folder, tmp_path):
    (alone,) = wait_for_all([processes.start(embed_texts, text_folder, tmp_path / "alone")])
    both = wait_for_all([processes.start(embed_texts, text_folder, tmp_path / "together") for _ in range(2)])
    assert both == [alone, alone]
    assert files_in(tmp_path / "together", "*") == files_in(tmp_path / "alone", "*")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_fill_one_cache_of_embeddings(processes, checkpoint_dir, archive_dir, tmp_path):
    def start(name: str) -> Running:
        caches = tmp_path / "arrow", tmp_path / "embeddings"
        return processes.start(evaluate, checkpoint_dir, archive_dir, tmp_path / name, *caches)

    wait_for_all([start("first.json"), start("second.json")])
    wait_for_all([start("third.json")])  # finds what they stored
    assert figures(tmp_path / "first.json") == figures(tmp_path / "second.json") == figures(tmp_path / "third.json")
    assert len(list((tmp_path / "embeddings").iterdir())) == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_clock_that_jumps_changes_nothing(processes, archive_dir, text_folder, tmp_path):
    work = (train, archive_dir, text_folder)
    wait_for_all([processes.start(*work, tmp_path / "whole", tmp_path)])
    for path in (tmp_path / "arrow").rglob("*"):  # prepared in the future
        os.utime(path, (path.stat().st_mtime + YEARS,) * 2)
    prepared = {path: path.stat().st_mtime for path in (tmp_path / "arrow").rglob("*.arrow")}
    jumping = (with_jumping_clock, *work, tmp_path / "jumping", tmp_path, "--resume", "auto")
    assert processes.start(*jumping).kill_after(1.5)
    wait_for_all([processes.start(*jumping)])
    names = "model.safetensors", "best.safetensors"
    assert files_in(tmp_path / "jumping", *names) == files_in(tmp_path / "whole", *names)
    assert {path: path.stat().st_mtime for path in (tmp_path / "arrow").rglob("*.arrow")} == prepared


def test_an_archive_written_in_the_future_is_prepared_once(archive_dir, tmp_path):
    archive = Path(shutil.copytree(archive_dir, tmp_path / "archive"))
    for path in [archive, *archive.rglob("*")]:
        os.utime(path, (path.stat().st_mtime + YEARS,) * 2)
    for _ in range(2):
        build(archive, tmp_path / "cache")
    assert len(files_in(tmp_path / "cache", "*train.arrow")) == 1
