"""ECG files on a command line: folders and globs, reading in batches, and going on after a bad one."""

import glob
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etp.common_options import BatchArguments, ReadingArguments
from etp.cures import as_flags
from etp.options import OptionError, option
from etp.outputs import check_output
from etp.samples import is_sample, located, match_samples

if TYPE_CHECKING:
    from modeling_etp.ecg_files_etp import EcgRecording

TABLE_OF_A_FOLDER = "records.csv"  # docs/your-own-data.md
FILES_HELP = "ECG files, folders of them, globs, http(s) URLs, or sample:NAME for an ECG that comes with the package."
STATED = ("sampling_rate", "lead_names", "units", "verify_checksum")  # of `ReadingArguments`, what the reader takes
WFDB_SIGNALS = {".dat", ".mat"}  # belong to the header of their name, if there is one


@dataclass(kw_only=True)
class FilesArguments(ReadingArguments, BatchArguments):
    """The ECGs."""

    files: list[str] = option(FILES_HELP, positional=True, metavar="FILE")


def read_recording(path: str, args: ReadingArguments) -> "EcgRecording":
    """Read one file or URL as the command line says.

    Raises:
        ValueError: If it cannot be used; names the file and how to fix it.
    """
    from modeling_etp.ecg_files_etp import EcgRecording
    from modeling_etp.ecg_inputs_etp import open_ecg

    opened = open_ecg(located(path), **stated_facts(args))
    if opened.lead_names is None:
        raise ValueError(f"{opened.name}: it doesn't name its leads. Name them with --lead_names.")
    return EcgRecording(opened.signal, opened.sampling_rate, opened.lead_names, notes=opened.notes)


def check_output_file(path: Path, *, overwrite: bool, inputs: Sequence[str | Path] = ()) -> None:
    """As [`etp.outputs.check_output`], and the folder has to be there.

    Raises:
        OptionError: If the file can't be written, or would replace something.
    """
    if not path.parent.is_dir():
        raise OptionError(f"-o {path}: there is no folder {path.parent}.")
    try:
        check_output(path, overwrite=overwrite, inputs=[own for own in inputs if "://" not in str(own)], flag="-o")
    except ValueError as error:
        raise OptionError(str(error)) from error


def find_ecgs(arguments: Sequence[str]) -> list[str]:
    """Every ECG that the arguments name, once, in their order; of a WFDB record its header only.

    The table of a folder that is an archive is none.

    Raises:
        OptionError: If a folder or a glob holds none, or there is no such sample.
    """
    from modeling_etp.ecg_files_etp import ECG_SUFFIXES

    found: dict[str, None] = {}
    for argument in arguments:
        if is_sample(argument):
            matches = _samples(argument)
        elif Path(argument).is_dir():
            inside = [path for path in sorted(Path(argument).rglob("*")) if path.suffix.lower() in ECG_SUFFIXES]
            matches = _records([path for path in inside if path.name != TABLE_OF_A_FOLDER])
            if not matches:
                raise OptionError(f"{argument}: no ECG file in this folder. Name the files, or another folder.")
        elif glob.has_magic(argument) and not Path(argument).exists() and "://" not in argument:
            matches = _records([Path(path) for path in sorted(glob.glob(argument, recursive=True))])
            if not matches:
                raise OptionError(f"{argument}: no file matches.")
        else:
            matches = [argument]
        found.update(dict.fromkeys(matches))
    return list(found)


class EcgRun:
    """One pass over ECG files that goes on after a bad one.

    Args:
        paths: From [`find_ecgs`].
        args: How files are to be read.
        batch_size: ECGs that are read and run at a time.

    Attributes:
        failed: How many files were passed over so far; each was named on stderr.
    """

    def __init__(self, paths: Sequence[str], args: ReadingArguments, *, batch_size: int):
        self.paths, self.failed = paths, 0
        self._args, self._batch_size = args, batch_size
        self._batches: Iterable[tuple[int, dict[str, Any]]] = self._read()

    @property
    def status(self) -> int:
        """Exit status of a command that did nothing else."""
        return 1 if self.failed else 0

    def any_readable(self) -> bool:
        """Whether there is anything to run on; files are read as far as the first one that can be.

        Ask before a model is loaded, which takes longer.
        """
        read = []
        for batch in self._batches:
            read.append(batch)
            if batch[1]:
                break
        self._batches = chain(read, self._batches)
        return any(recordings for _, recordings in read)

    def map(self, function: Callable[[list[Any]], Any], *, description: str) -> Iterator[tuple[str, Any]]:
        """Pairs of path, of a URL without password, and what `function` makes of its recording, in order.

        Args:
            function: Takes a list of ECGs, as the pipeline does, and gives one result for each.
            description: Of the progress bar.
        """
        from etp.progress import Progress

        few = len(self.paths) <= self._batch_size
        with Progress(description, total=len(self.paths), unit="ECG", shown=not few) as bar:
            for count, recordings in self._batches:
                if recordings:
                    yield from self._run(recordings, function)
                bar.update(count)

    def _read(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """How many files each batch has, and the recordings of those that can be read, by path."""
        from modeling_etp.ecg_addresses_etp import printable_url

        for start in range(0, len(self.paths), self._batch_size):
            paths = self.paths[start : start + self._batch_size]
            recordings: dict[str, Any] = {}
            for path in paths:
                try:
                    recordings[path] = read_recording(path, self._args)
                except (ValueError, OSError) as error:
                    self._pass_over(printable_url(path), error)
            yield len(paths), recordings

    def _run(self, recordings: dict[str, Any], function: Callable) -> Iterator[tuple[str, Any]]:
        from modeling_etp.ecg_addresses_etp import printable_url

        try:
            results = function(list(recordings.values()))
        except ValueError:  # of one of them: each by itself, so that it is known of which
            for path, recording in recordings.items():
                try:
                    results = function([recording])
                except ValueError as error:
                    self._pass_over(printable_url(path), error)
                else:
                    yield printable_url(path), results[0]
        else:
            yield from zip(map(printable_url, recordings), results, strict=True)

    def _pass_over(self, path: str, error: Exception) -> None:
        self.failed += 1
        message = " ".join(str(error).split()).removeprefix("ECG 0: ")
        message = as_flags(message, vars(self._args))
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


def write_error(line: str) -> None:
    """Print a line on stderr, in which nothing is obeyed by the terminal."""
    print(printable(line), file=sys.stderr)


def stated_facts(args: ReadingArguments) -> dict[str, Any]:
    """What the command line says of files, as `read_ecg` takes it."""
    return {name: value for name in STATED if (value := getattr(args, name)) is not None}


def _samples(argument: str) -> list[str]:
    try:
        return match_samples(argument)
    except ValueError as error:
        raise OptionError(f"{argument}: {error}") from error


def _records(paths: Sequence[Path]) -> list[str]:
    """Files among the paths, without those whose header is read in their place."""
    return [
        str(path)
        for path in paths
        if path.is_file() and not (path.suffix.lower() in WFDB_SIGNALS and path.with_suffix(".hea").is_file())
    ]
