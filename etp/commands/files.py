"""ECG files on a command line: folders and globs, reading in batches, and going on after a bad one."""

import argparse
import glob
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UsageError

if TYPE_CHECKING:
    from modeling_etp.ecg_files_etp import EcgRecording

# What is looked for in folders. Content decides what a file is; a file that is named is read whatever its name.
ECG_SUFFIXES = {
    ".bdf", ".csv", ".dat", ".dcm", ".ecg", ".edf", ".h5", ".hdf5", ".hea", ".mat", ".mwf", ".npy", ".npz", ".pdf", ".scp",
    ".svg", ".tsv", ".txt", ".xml",
}  # fmt: skip
WFDB_SIGNALS = {".dat", ".mat"}  # belong to the header of their name, if there is one


def add_ecg_arguments(parser: argparse.ArgumentParser, *, nargs: str = "+") -> None:
    parser.add_argument(
        "files", nargs=nargs, metavar="FILE", help="ECG files, folders of them, globs, or http(s) URLs"
    )
    add_reading_arguments(parser)
    parser.add_argument("--batch_size", type=_at_least_one, default=32, help="files that are run at a time (32)")


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("of files that do not state it (.npy, .csv, .mat …)")
    group.add_argument("--sampling_rate", type=float, metavar="HZ", help="sampling rate")
    group.add_argument("--lead_names", nargs="+", metavar="LEAD", help="leads in the order of the file")
    group.add_argument("--units", help="unit of the values: mV, uV, V …")


def read_recording(path: str, args: argparse.Namespace) -> "EcgRecording":
    """Read one file or URL as the command line says.

    Raises:
        ValueError: If it cannot be used; names the file and the cure.
    """
    from modeling_etp.ecg_files_etp import EcgRecording
    from modeling_etp.ecg_inputs_etp import open_ecg

    opened = open_ecg(path, **_stated(args))
    if opened.lead_names is None:
        raise ValueError(f"{path}: it doesn't name its leads. Name them with --lead_names.")
    return EcgRecording(opened.signal, opened.sampling_rate, opened.lead_names)


def find_ecgs(arguments: Sequence[str]) -> list[str]:
    """Every ECG that the arguments name, once, in their order; of a WFDB record its header only.

    Raises:
        UsageError: If a folder or a glob holds none.
    """
    found: dict[str, None] = {}
    for argument in arguments:
        if Path(argument).is_dir():
            inside = [path for path in sorted(Path(argument).rglob("*")) if path.suffix.lower() in ECG_SUFFIXES]
            matches = _records(inside)
            if not matches:
                raise UsageError(f"{argument}: no ECG file in this folder. Name the files, or another folder.")
        elif glob.has_magic(argument) and not Path(argument).exists() and "://" not in argument:
            matches = _records([Path(path) for path in sorted(glob.glob(argument, recursive=True))])
            if not matches:
                raise UsageError(f"{argument}: no file matches.")
        else:
            matches = [argument]
        found.update(dict.fromkeys(matches))
    return list(found)


class EcgRun:
    """One pass over ECG files that goes on after a bad one.

    Args:
        paths: From [`find_ecgs`].
        args: Holds `batch_size` and how files are to be read.

    Attributes:
        failed: How many files were passed over so far; each was named on stderr.
    """

    def __init__(self, paths: Sequence[str], args: argparse.Namespace):
        self.paths, self.failed = paths, 0
        self._args = args

    @property
    def status(self) -> int:
        """Exit status of a command that did nothing else."""
        return 1 if self.failed else 0

    def map(self, function: Callable[[list[Any]], Any], *, description: str) -> Iterator[tuple[str, Any]]:
        """Pairs of path and what `function` makes of its recording, in order.

        Args:
            function: Takes a list of ECGs, as the pipeline does, and gives one result for each.
            description: Of the progress bar, which only a terminal shows.
        """
        from tqdm.auto import tqdm

        few = len(self.paths) <= self._args.batch_size
        with tqdm(total=len(self.paths), desc=description, unit="ECG", disable=True if few else None) as bar:
            for start in range(0, len(self.paths), self._args.batch_size):
                paths = self.paths[start : start + self._args.batch_size]
                yield from self._batch(paths, function)
                bar.update(len(paths))

    def _batch(self, paths: Sequence[str], function: Callable) -> Iterator[tuple[str, Any]]:
        recordings = {}
        for path in paths:
            try:
                recordings[path] = read_recording(path, self._args)
            except (ValueError, OSError) as error:
                self._pass_over(path, error)
        if not recordings:
            return
        try:
            results = function(list(recordings.values()))
        except ValueError:  # of one of them: each by itself, so that it is known of which
            for path, recording in recordings.items():
                try:
                    results = function([recording])
                except ValueError as error:
                    self._pass_over(path, error)
                else:
                    yield path, results[0]
        else:
            yield from zip(recordings, results, strict=True)

    def _pass_over(self, path: str, error: Exception) -> None:
        self.failed += 1
        message = " ".join(str(error).split()).removeprefix("ECG 0: ")
        write(printable(message if message.startswith(path) else f"{path}: {message}"), file=sys.stderr)


def json_line(content: Any) -> str:
    """Content as one line of JSON; names that are no UTF-8 come back from it as they were."""
    line = json.dumps(content, ensure_ascii=False)
    return line if line.isprintable() else json.dumps(content)


def printable(text: str) -> str:
    """Text without what a terminal would obey or can't show: names and contents of files are strangers' words."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def write(line: str, *, file: Any = None) -> None:
    """Print a line without tearing the progress bar."""
    from tqdm.auto import tqdm

    tqdm.write(line, file=file or sys.stdout)


def _stated(args: argparse.Namespace) -> dict[str, Any]:
    names = ("sampling_rate", "lead_names", "units")
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def _records(paths: Sequence[Path]) -> list[str]:
    """Files among the paths, without those whose header is read in their place."""
    return [
        str(path)
        for path in paths
        if path.is_file() and not (path.suffix.lower() in WFDB_SIGNALS and path.with_suffix(".hea").is_file())
    ]


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value
