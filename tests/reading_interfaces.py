"""The three ways to read an ECG: Python, a command line and the page; each as its users see it."""

import ast
import re
import shlex
from pathlib import Path
from typing import Any

from etp.app.handlers import Request, sentence
from etp.app.sources import FIELDS, UploadedEcg
from etp.commands.files import EcgRun, FilesArguments
from etp.cures import ARGUMENTS
from etp.options import parse_options
from modeling_etp.ecg_inputs_etp import open_ecg
from modeling_etp.ecg_windows_etp import windows_of
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.leads_etp import canonical_lead

_TAIL = (
    r"([^;]*?)(?=; |\.(?: |$)| says | or | and | \(|, `|, --|, “|$)"  # what follows a name, to the end of its value
)


class Python:
    """`open_ecg`, which the pipeline calls, and the feature extractor."""

    takes = frozenset({"sampling_rate", "lead_names", "units", "verify_checksum", "max_gap_seconds"})

    def error(self, path: Path, arguments: dict[str, Any], *, scored: bool) -> str | None:
        reading = {name: value for name, value in arguments.items() if name != "max_gap_seconds"}
        try:
            _prepare(open_ecg(str(path), **reading), arguments.get("max_gap_seconds"), scored)
        except ValueError as error:
            return str(error)
        return None

    def named(self, text: str) -> list[tuple[str, Any]]:
        found = re.findall(r"`(\w+)(?:=([^`]+))?`", text)
        return [(name, ast.literal_eval(value) if value else None) for name, value in found if name in ARGUMENTS]


class CommandLine:
    """What `etp classify` and the like do with files, up to the model."""

    takes = Python.takes

    def __init__(self, capsys):
        self._capsys = capsys

    def error(self, path: Path, arguments: dict[str, Any], *, scored: bool) -> str | None:
        words = [str(path)]
        for name, value in arguments.items():
            values = (
                value if isinstance(value, list) else [str(value).lower() if isinstance(value, bool) else str(value)]
            )
            words += [f"--{name}", *values]
        (args,) = parse_options((FilesArguments,), words)
        run = EcgRun([str(path)], args, batch_size=1)
        for _ in run.map(lambda ecgs: [_prepare(open_ecg(ecgs[0]), args.max_gap_seconds, scored)], description=""):
            pass
        said = self._capsys.readouterr().err.strip()
        assert bool(said) == bool(run.failed)
        return said or None

    def named(self, text: str) -> list[tuple[str, Any]]:
        return [(name, _value(name, tail)) for name, tail in re.findall(rf"--(\w+){_TAIL}", text)]


class Page:
    """The fields of the app."""

    takes = frozenset(FIELDS)

    def error(self, path: Path, arguments: dict[str, Any], *, scored: bool) -> str | None:
        content = {file.name: file.read_bytes() for file in path.parent.iterdir()}
        names = ", ".join(arguments["lead_names"]) if "lead_names" in arguments else None
        fields = Request(
            UploadedEcg(content), arguments.get("sampling_rate"), names, arguments.get("units"), None, False
        )
        try:
            _prepare(open_ecg(fields.read()[1]), None, scored)
        except ValueError as error:
            return sentence(error)
        return None

    def named(self, text: str) -> list[tuple[str, Any]]:
        arguments = {label: name for name, label in FIELDS.items()}
        found = re.findall(rf"“({'|'.join(arguments)})”{_TAIL}", text)
        return [(arguments[label], _value(arguments[label], tail)) for label, tail in found]


def _prepare(opened, max_gap_seconds: float | None, scored: bool) -> int:
    if scored:
        windows_of([opened], ETPFeatureExtractor(), overlap=0, max_gap_seconds=max_gap_seconds)
    return 0


def _value(name: str, tail: str) -> Any:
    """The value of an argument at the beginning of what follows its name, `None` if there is none."""
    if name == "lead_names":
        words = tail.split(",") if "," in tail else shlex.split(tail)
        names = [word.strip() for word in words]
        return names if names and (canonical_lead(names[0]) or "unused" in names) else None
    if name == "units":
        found = re.match(r" '?((?:[\d./]+ )?[mu]?V)\b", tail)
        return found[1] if found else None
    if name == "verify_checksum":
        return False if tail.strip() == "false" else None
    found = re.match(r" ([\d.]+)", tail)
    return float(found[1]) if found else None
