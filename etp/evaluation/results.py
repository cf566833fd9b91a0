"""The JSON file of an evaluation, written after every task and resumed after an interruption."""

import json
import math
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from etp.atomic_files import whole_file

from .provenance import identity_sha256, provenance

FORMAT_VERSION = 1
RESULTS_FOLDER = "results"  # in a checkpoint: what was found of this very model


class ResultsFile:
    """Results of one run, `{"tasks": {task: {"macro_auroc": …}}}` beside what they were made with.

    Args:
        path: The JSON file.
        kind: "zero_shot", "linear_probe" or "retrieval".
        identity: What decides every figure: model, data, split, options. JSON values.
        seed: Of the run.
        overwrite: Whether a file of something else may be replaced.

    Raises:
        ValueError: If the file is there and holds something else than a part of this run.
        OSError: If the file can't be written where it is to be.
    """

    def __init__(
        self, path: str | Path, *, kind: str, identity: Mapping[str, Any], seed: int, overwrite: bool = False
    ):
        self.path = Path(path)
        check_writable(self.path)
        made_with = provenance(seed=seed)
        key = identity_sha256(kind, dict(identity), seed, made_with["source_sha256"])
        self.content: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "kind": kind,
            "run_sha256": key,
            **identity,
            **made_with,
            "tasks": {},
        }
        self.resumed = [*self._finished_tasks(key, overwrite=overwrite)]

    def _finished_tasks(self, key: str, *, overwrite: bool) -> dict[str, Any]:
        """Tasks that the same run has written before."""
        if not self.path.exists():
            return {}
        try:
            before = json.loads(self.path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):  # also of bytes that are not UTF-8
            before = None
        if isinstance(before, dict) and before.get("run_sha256") == key:
            self.content = before
            return before["tasks"]
        if not overwrite:
            what = "results of another model, data set, code or option" if isinstance(before, dict) else "no results"
            raise ValueError(
                f"--output {self.path} holds {what}. Name another file, or add --overwrite to replace it."
            )
        return {}

    def __contains__(self, task: str) -> bool:
        return task in self.content["tasks"]

    def add(self, task: str, report: Mapping[str, Any]) -> None:
        """Add a task's report and write the file."""
        self.content["tasks"][task] = to_json(report)
        self.write()

    def write(self) -> None:
        """Write the file in one go: a reader, or an interruption, never meets half of it.

        Raises:
            NotWrittenError: If it can't be written; what was written before is still there.
        """
        with whole_file(self.path) as unfinished:
            unfinished.write_text(json.dumps(self.content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def check_writable(path: Path) -> None:
    """Make the folder of an output file and try to write there, before anything is computed.

    Raises:
        OSError: With the path and the reason.
    """
    if path.is_dir():
        raise IsADirectoryError(f"--output {path} is a folder; name a file in it, e.g. {path / 'results.json'}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f"{path.name}.{uuid.uuid4().hex}.unfinished")  # nobody else's
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"--output {path} can't be written: {error.strerror or error}. Choose another path.") from error


def to_json(value: Any) -> Any:
    """Plain JSON values: NumPy numbers become Python's, NaN and infinities null."""
    if isinstance(value, Mapping):
        return {str(name): to_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [to_json(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def results_beside(checkpoint: Path) -> list[Path]:
    """The results files that a checkpoint's folder carries."""
    return sorted((checkpoint / RESULTS_FOLDER).glob("*.json"))


def load_results(path: str | Path) -> dict[str, Any]:
    """Read a results file.

    Raises:
        ValueError: If it is not one.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} can't be read as a results file: {error}") from error
    if not isinstance(content, dict) or content.get("format_version") != FORMAT_VERSION or "tasks" not in content:
        raise ValueError(f"{path} is not a results file of format {FORMAT_VERSION}; `etp evaluate` writes them.")
    return content
