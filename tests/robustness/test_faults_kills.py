"""kill -9 at 50 random moments: what is started again ends as if it had never been killed."""

import random
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_server import ArchiveServer, write_sums
from processes import Processes
from work import build, download, embed_texts, evaluate, figures, files_in, train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def kill_and_restart(
    processes: Processes, kills: int, whole: Callable[[Path], tuple], folder: Path, *, seed: int
) -> str:
    """Do some work undisturbed in `folder / "whole"`, and killed again and again in `folder / "killed"`.

    Args:
        kills: How often; each at a moment drawn evenly from the time that the work takes.
        whole: Function and arguments that do the work in a folder, from its beginning or from what is there.

    Returns:
        What the last, undisturbed start printed.
    """
    started = time.monotonic()
    undisturbed = processes.run(*whole(folder / "whole"))
    seconds = time.monotonic() - started
    assert undisturbed.status == 0, undisturbed.output[-2000:]
    moments, left = random.Random(seed), kills
    while left:
        if processes.start(*whole(folder / "killed")).kill_after(moments.uniform(0, seconds)):
            left -= 1
        else:  # it was done: from the beginning, or there is nothing left to disturb
            shutil.rmtree(folder / "killed")
    last = processes.run(*whole(folder / "killed"))
    assert last.status == 0, last.output[-2000:]
    return last.output


@pytest.fixture
def damaged_archive(archive_dir, tmp_path) -> Path:
    archive = Path(shutil.copytree(archive_dir, tmp_path / "archive"))
    for record in (3, 30):
        (archive / f"records100/00000/{record:05d}_lr.dat").write_bytes(b"short")
    return archive


def test_building_a_dataset(processes, damaged_archive, tmp_path):
    kill_and_restart(processes, 8, lambda folder: (build, damaged_archive, folder), tmp_path, seed=0)
    whole, killed = (files_in(tmp_path / name, "*.arrow", "*.jsonl") for name in ("whole", "killed"))
    assert len(whole) == 4
    assert whole == killed
    assert not list((tmp_path / "killed").rglob("*.incomplete"))


def test_downloading_an_archive(processes, archive_dir, serve, tmp_path):
    published = Path(shutil.copytree(archive_dir, tmp_path / "published"))
    write_sums(published)
    server = serve(published)
    kill_and_restart(processes, 8, lambda folder: (download, server.url, folder), tmp_path, seed=1)
    assert files_in(tmp_path / "killed", "*") == files_in(published, "*")


def test_embedding_texts(processes, text_folder, tmp_path):
    printed = kill_and_restart(processes, 8, lambda folder: (embed_texts, text_folder, folder), tmp_path, seed=2)
    whole, killed = (files_in(tmp_path / name, "*.safetensors") for name in ("whole", "killed"))
    assert len(whole) == 12
    assert whole == killed
    undisturbed = processes.run(embed_texts, text_folder, tmp_path / "another")
    assert printed.strip().rpartition("\n")[2] == undisturbed.last_line


def test_training_and_its_checkpoints(processes, archive_dir, text_folder, tmp_path):
    def work(folder: Path) -> tuple:
        return train, archive_dir, text_folder, folder, tmp_path / "caches", "--resume", "auto"

    kill_and_restart(processes, 16, work, tmp_path, seed=3)
    whole, killed = (files_in(tmp_path / name, "*.safetensors") for name in ("whole", "killed"))
    assert {"model.safetensors", "best.safetensors"} < set(whole)
    assert whole == killed
    assert not list((tmp_path / "killed").rglob("*unfinished*"))


def test_evaluating(processes, checkpoint_dir, archive_dir, tmp_path):
    def work(folder: Path) -> tuple:
        return evaluate, checkpoint_dir, archive_dir, folder / "results.json", folder / "arrow", folder / "embeddings"

    kill_and_restart(processes, 10, work, tmp_path, seed=4)
    assert figures(tmp_path / "killed/results.json") == figures(tmp_path / "whole/results.json")


def test_a_network_that_dies_and_comes_back(processes, archive_dir, tmp_path):
    published = Path(shutil.copytree(archive_dir, tmp_path / "published"))
    (published / "records100/large.dat").write_bytes(random.Random(0).randbytes(40_000_000))
    write_sums(published)
    server = ArchiveServer(published)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    server.faults["records100/large.dat"] = ["cut"]
    running = processes.start(download, server.url, tmp_path / "copy")
    while not (tmp_path / "copy/records100/large.dat.part").exists():
        assert running.process.is_alive(), running.wait().output
        time.sleep(0.001)
    server.shutdown()
    server.server_close()
    dead = running.wait()
    assert dead.status == 1
    assert "could not be fetched in 5 attempts" in dead.last_line
    assert "the next call goes on from there. Check the network." in dead.last_line

    server = ArchiveServer(published)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    back = processes.run(download, server.url, tmp_path / "copy")
    server.shutdown()
    server.server_close()
    assert back.status == 0, back.output
    assert files_in(tmp_path / "copy", "*") == files_in(published, "*")
    assert [asked for path, asked in server.requests if path == "records100/large.dat"] != [None]
