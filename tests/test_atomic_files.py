"""A file or folder has its name once it is whole; what can't be written is said in one sentence."""

import errno
import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from etp import atomic_files
from etp.atomic_files import NotWrittenError, files_added, whole_file, whole_folder, writing


def test_a_file_has_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with whole_file(path) as unfinished:
        unfinished.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert [found.name for found in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("shared", [False, True])
def test_a_file_that_fails_leaves_what_was_there(tmp_path, shared):
    path = tmp_path / "a.txt"
    path.write_text("before")

    def write() -> None:
        with whole_file(path, shared=shared) as unfinished:
            unfinished.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NotWrittenError, match=rf"{path} can't be written: No space left on device\. Make room or"):
        write()
    assert path.read_text() == "before"
    assert [found.name for found in tmp_path.iterdir()] == ["a.txt"]


def test_a_shared_file_is_written_under_another_name_each_time(tmp_path):
    with whole_file(tmp_path / "a", shared=True) as first, whole_file(tmp_path / "a", shared=True) as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")


def test_a_folder_has_its_name_when_it_is_whole(tmp_path):
    (tmp_path / "a.unfinished").mkdir()
    (tmp_path / "a.unfinished" / "stale").touch()
    with whole_folder(tmp_path / "a") as unfinished:
        (unfinished / "b").write_text("1")
        assert not (tmp_path / "a").exists()
    assert [found.name for found in (tmp_path / "a").iterdir()] == ["b"]
    with pytest.raises(FileExistsError, match=r"a exists already\. Delete it"), whole_folder(tmp_path / "a"):
        pass


def test_a_folder_that_fails_is_not_there(tmp_path):
    def write() -> None:
        with whole_folder(tmp_path / "a") as unfinished:
            (unfinished / "b").write_text("1")
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        write()
    assert not list(tmp_path.iterdir())


def test_files_are_added_to_a_folder_when_all_of_them_are_whole(tmp_path):
    (tmp_path / "config.json").write_text("before")

    def write() -> None:
        with files_added(tmp_path, last="*.safetensors") as folder:
            (folder / "config.json").write_text("after")
            raise OSError(errno.EROFS, "Read-only file system")

    with pytest.raises(NotWrittenError, match="Read-only file system"):
        write()
    assert (tmp_path / "config.json").read_text() == "before"
    with files_added(tmp_path, last="*.safetensors") as folder:
        (folder / "config.json").write_text("after")
        (folder / "a.safetensors").write_text("1")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.safetensors", "config.json"]
    assert (tmp_path / "config.json").read_text() == "after"


def test_what_rust_and_torch_say_of_a_full_disk_is_understood(tmp_path):
    path = tmp_path / "missing" / "a"
    with pytest.raises(NotWrittenError, match="missing/a can't be written: No such file"), writing(path):
        save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(NotWrittenError, match="No space left on device"), writing("a"):
        raise SafetensorError("Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: … })")
    with pytest.raises(NotWrittenError, match="No space left on device"), writing("a"):
        raise Exception("No space left on device (os error 28)")  # of tokenizers
    with pytest.raises(NotWrittenError, match="No space left on device"), writing("a"):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 3200 vs 3056")


def test_other_errors_are_left_as_they_are():
    with pytest.raises(RuntimeError, match="of something else"), writing("a"):
        raise RuntimeError("of something else")


def test_nothing_is_asked_of_windows_that_it_refuses(tmp_path, monkeypatch):
    """It has no descriptor of a folder, and syncs none that is only read."""
    real, opened = os.open, []

    def windows_open(path, flags, *rest):
        assert not Path(path).is_dir(), "PermissionError on Windows"
        assert flags & os.O_RDWR, "EBADF of fsync on Windows"
        opened.append(Path(path).name)
        return real(path, flags, *rest)

    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file").write_text("x")
    monkeypatch.setattr(atomic_files, "WINDOWS", True)
    monkeypatch.setattr(atomic_files.os, "open", windows_open)
    atomic_files.sync_all(tmp_path)
    assert opened == ["file"]
