"""Bars in a terminal that logs don't tear, lines in a file, and nothing of both where there is little to wait for."""

import errno
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORK = """
import logging, sys, warnings
from etp import progress
progress.QUIET_SECONDS = progress.LINE_SECONDS = {seconds}
progress.log_beside_bars(logging.INFO)
logger = logging.getLogger("etp.somewhere")
with progress.Progress("Epoch 1 of 2", total=4, unit="step") as bar:
    for step in range(4):
        for _ in progress.progress(range(2), "Embedding texts", total=2, unit="text"):
            logger.info("a message of step %d", step)
            logging.getLogger("transformers.models").warning("a warning of transformers")
        bar.show_figures({{"loss": "2.500", "ECGs/s": "128", "learning rate": "1.0e-05", "waiting for data": "3%"}})
        bar.update()
    bar.describe("Epoch 2 of 2")
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "TQDM_MININTERVAL": "0"}


def in_terminal(code: str) -> str:
    """What a terminal receives."""
    reader, writer = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=writer, stdout=writer, stderr=writer, env=environment(), close_fds=True
    )
    os.close(writer)
    received = b""
    while True:
        try:
            block = os.read(reader, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        received += block
    os.close(reader)
    assert process.wait(timeout=60) == 0, received.decode()
    return received.decode().replace("\r\n", "\n")


def screen(received: str) -> list[str]:
    """The lines that a terminal shows in the end; it knows what bars use: carriage return, newline, cursor up."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[A|\r|\n|[^\r\n\x1b]+", received):
        if piece == "\x1b[A":
            row = max(0, row - 1)
        elif piece == "\r":
            column = 0
        elif piece == "\n":
            row, column = row + 1, 0
            if row == len(lines):
                lines.append("")
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + piece + line[column + len(piece) :]
            column += len(piece)
    return [line.rstrip() for line in lines]


def test_logs_stand_above_the_bars_in_a_terminal():
    shown = [line for line in screen(in_terminal(WORK.format(seconds=9))) if line]
    messages = [line for line in shown if line.startswith("a ")]
    assert messages == [
        line for step in range(4) for line in (f"a message of step {step}", "a warning of transformers") * 2
    ]
    (bar,) = [line for line in shown if line not in messages]  # those within are gone
    assert bar.startswith("Epoch 2 of 2: 100%")
    assert bar.endswith("loss 2.500, ECGs/s 128]")  # whole figures, as many as a narrow terminal has room for


def test_a_file_of_logs_holds_lines_and_no_bars():
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(seconds=0)], env=environment(), capture_output=True, text=True, check=True
    )
    assert "\r" not in done.stderr
    assert "█" not in done.stderr
    lines = done.stderr.splitlines()
    assert "a message of step 3" in lines
    figures = "loss 2.500, ECGs/s 128, learning rate 1.0e-05, waiting for data 3%"
    assert any(re.fullmatch(rf"Epoch 1 of 2: 2 of 4 steps after \d+ s, {figures}", line) for line in lines)
    assert any(re.fullmatch(rf"Epoch 2 of 2: 4 of 4 steps after \d+ s, {figures}", line) for line in lines)


def test_short_work_writes_nothing_into_a_file():
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(seconds=60)], env=environment(), capture_output=True, text=True, check=True
    )
    assert {line.partition(" of ")[0] for line in done.stderr.splitlines()} == {"a message", "a warning"}


@pytest.mark.parametrize("call", ["update", "describe", "show_figures", "close", "line"])
@pytest.mark.parametrize(("number", "goes_on"), [(errno.EIO, True), (errno.ENOSPC, False)])
def test_a_terminal_that_is_gone_stops_nothing(monkeypatch, call, number, goes_on):
    """Writing to it is refused before SIGHUP, which stops a training in good order, has come."""
    from etp import progress

    def refuse(*_args, **_more):
        raise OSError(number, os.strerror(number))

    bar = progress.Progress("Epoch", total=2, unit="step")
    calls = {
        "update": bar.update,
        "describe": lambda: bar.describe("Epoch 2"),
        "show_figures": lambda: bar.show_figures({"loss": "1"}),
        "close": lambda: bar.__exit__(None),
        "line": lambda: progress.write_line("a line"),
    }
    with monkeypatch.context() as gone:
        for name in ("update", "set_description", "set_postfix_str", "close", "write"):
            gone.setattr(progress.tqdm, name, refuse)
        if goes_on:
            calls[call]()
        else:
            with pytest.raises(OSError, match="No space left"):
                calls[call]()
    bar.__exit__(None)


IN_A_KERNEL = """
from ipykernel.embed import IPKernelApp
app = IPKernelApp.instance(quiet=True)
app.initialize(["--no-secure"])
"""


@pytest.mark.parametrize(
    ("before", "seen"), [("import ipykernel.kernelapp", False), ("import IPython", False), (IN_A_KERNEL, True)]
)
def test_a_notebook_is_a_kernel_that_runs_and_not_a_package_that_is_imported(before, seen, tmp_path):
    code = f"{before}\nfrom etp.progress import bars_are_seen\nopen('seen', 'w').write(str(bars_are_seen()))"
    subprocess.run([sys.executable, "-c", code], env=environment(), cwd=tmp_path, capture_output=True, check=True)
    assert (tmp_path / "seen").read_text() == str(seen)


@pytest.mark.parametrize("folder", ["etp"])
def test_nothing_shows_a_bar_by_itself(folder):
    users = [path for path in (ROOT / folder).rglob("*.py") if "import tqdm" in path.read_text(encoding="utf-8")]
    # `tqdm.write` is how a line is printed without tearing a bar.
    bars = [path.name for path in users if re.search(r"\btqdm\(", path.read_text(encoding="utf-8"))]
    assert bars == ["progress.py"]
