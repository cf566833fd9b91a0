"""Run the commands of a protocol one after another; each goes on where it stopped."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Command = list[str]


def run_commands(planned: Sequence[Command], *, dry_run: bool = False) -> None:
    """Run or print command lines, given as what stands after `python`.

    Raises:
        SystemExit: If one fails; names its exit status.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    for number, command in enumerate(planned, start=1):
        print(f"[{number}/{len(planned)}] python {shlex.join(command)}", flush=True)
        if dry_run:
            continue
        code = subprocess.run([sys.executable, *command], env=environment, check=False).returncode
        if code:
            raise SystemExit(f"That command ended with {code}. The same command again goes on where it stopped.")
