"""Processes that have imported everything when they start, to be killed at any moment or run where the disk is full."""

import ctypes
import multiprocessing
import os
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = ["torch", "datasets", "accelerate", "transformers.models.bert.modeling_bert", "matplotlib.figure", "sklearn.metrics"]  # fmt: skip
PRELOADED += [
    "processes",
    "etp.training.main",
    "etp.evaluation.zero_shot",
    "etp.cli",
    "etp.export",
    "datasets_scripts.ptb_xl",
]

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000


@dataclass(frozen=True)
class Outcome:
    """How a process ended: its exit status, negative for a signal, and what it printed."""

    status: int
    output: str

    @property
    def last_line(self) -> str:
        return self.output.strip().rpartition("\n")[2]


class Processes:
    """Starts functions in processes that are forked from one that has imported the package.

    Args:
        folder: Receives what the processes print.
    """

    def __init__(self, folder: Path):
        self._folder, self._count = folder, 0
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)

    def start(self, function: Callable, *arguments) -> "Running":
        self._count += 1
        printed = self._folder / f"{self._count}.txt"
        process = self._context.Process(target=_call, args=(printed, function, arguments))
        process.start()
        return Running(process, printed)

    def run(self, function: Callable, *arguments, seconds: float = 240) -> Outcome:
        return self.start(function, *arguments).wait(seconds)


@dataclass(frozen=True)
class Running:
    process: BaseProcess
    printed: Path

    def wait(self, seconds: float = 240) -> Outcome:
        self.process.join(seconds)
        alive = self.process.is_alive()
        if alive:
            self.process.kill()
            self.process.join()
        output = self.printed.read_text(errors="replace") if self.printed.exists() else ""
        assert not alive, f"still running after {seconds} s: {output[-2000:]}"
        return Outcome(self.process.exitcode or 0, output)

    def kill_after(self, seconds: float) -> bool:
        """SIGKILL after so many seconds of work; False where it was done before."""
        self.wait_for_start()
        self.process.join(seconds)
        done = not self.process.is_alive()
        self.process.kill()
        self.process.join()
        return not done

    def wait_for_start(self) -> None:
        while not self.printed.exists() and self.process.is_alive():
            time.sleep(0.002)


def script(name: str, *arguments: object) -> None:
    """Run a script of the repository, or a module of the package, as the command line does."""
    sys.argv = [name, *map(str, arguments)]
    if name.endswith(".py"):
        runpy.run_path(str(ROOT / name), run_name="__main__")
    else:
        runpy.run_module(name, run_name="__main__", alter_sys=True)


def on_small_disk(folder: Path, kilobytes: int, left: Path, function: Callable, *arguments) -> None:
    """Call a function in a process of its own, where `folder` is a disk of that size that it alone sees.

    What was in the folder is put on the disk before, and what is there in the end is copied to `left`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    _enter_mount_namespace()
    _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder)
    for name, content in before.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    try:
        function(*arguments)
    finally:
        shutil.copytree(folder, left)


def on_read_only(folder: Path, function: Callable, *arguments) -> None:
    """Call a function in a process of its own, where nothing in `folder` can be changed."""
    _enter_mount_namespace()
    _mount("--bind", folder, folder)
    _mount("-o", "remount,bind,ro", folder)
    function(*arguments)


def needs_mounts(processes: Processes, folder: Path) -> None:
    """Skip where this system lets nobody mount."""
    outcome = processes.run(on_small_disk, folder / "probe", 64, folder / "left", print, "mounted")
    if outcome.last_line != "mounted":
        pytest.skip(f"needs mount namespaces, which this system refuses: {outcome.last_line}")


def _call(printed: Path, function: Callable, arguments: Sequence) -> None:
    with printed.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    function(*arguments)


def _enter_mount_namespace() -> None:
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS | (_CLONE_NEWUSER if user else 0)):
        raise OSError(ctypes.get_errno(), "unshare")
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _mount("--make-rprivate", "/")


def _mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)
