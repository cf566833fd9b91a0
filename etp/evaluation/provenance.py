"""Provenance of a result: code, versions, machine, command."""

import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from etp import source_code

SOURCE_FOLDERS = ("modeling_etp", "datasets_scripts", "etp/evaluation", "etp/scoring")  # what can change a figure
PACKAGES = ("torch", "transformers", "datasets", "numpy", "scipy", "scikit-learn")


def provenance(*, seed: int) -> dict[str, Any]:
    """Command, seed, versions, code, machine and date, ready for JSON."""
    return {
        "command": _command(),
        "seed": seed,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "source_sha256": source_sha256(),
        "commit": _commit(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


@cache
def source_sha256() -> str:
    """sha256 of the code and data files that can change a figure; the same whether installed or checked out."""
    return source_code.source_sha256(SOURCE_FOLDERS)


def identity_sha256(*parts: Any) -> str:
    """sha256 of anything JSON can hold; equal for equal content, whatever the order of keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _command() -> str:
    """The command line; `python -m etp.cli` is the command `etp` where that is not on the path."""
    name = Path(sys.argv[0]).name
    return shlex.join(["etp" if name == "cli.py" else name, *sys.argv[1:]])


def _commit() -> str | None:
    """The commit of the checkout, `+` where files differ from it; None for an installed package."""
    if not (source_code.ROOT / ".git").exists():
        return None
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=source_code.ROOT, capture_output=True, text=True, check=False
    )
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no"],
        cwd=source_code.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "") or None
