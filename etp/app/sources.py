"""Where the page's ECG comes from: uploaded files, which leave the disk as soon as they are read, or one of the samples."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from etp.cures import reworded, shown
from modeling_etp.ecg_files_etp import EcgFileError, EcgFileNotFoundError, EcgRecording, read_ecg

from .examples import Example, examples
from .trial import check_outlived
from .upload_folder import UploadFolder

MAX_FILES = 8
MAX_UPLOAD_BYTES = 10_000_000  # 14 minutes of 12 leads at 500 Hz in 16 bits
MAX_MINUTES = 30
SHARED_SECONDS, SHARED_BYTES = 120, 64_000_000  # how long, and how much of, what two visitors may share is kept
LOST = "The upload was lost on its way. Choose the file again."

# What the readers call their arguments -> what the page calls its fields, and where they are.
FIELDS = {"sampling_rate": "Sampling rate", "lead_names": "Leads", "units": "Unit"}
FIELDS_HEADING = "What the file doesn't state"


class AppError(ValueError):
    """What the page says in place of a result: one line with what came, what was expected, and the cure."""


@dataclass(frozen=True)
class UploadedEcg:
    """The content of the files that make one ECG, name -> bytes."""

    files: Mapping[str, bytes]

    @property
    def name(self) -> str:
        """Name of the file that is read: the header of a WFDB record, or the only one."""
        headers = [name for name in self.files if name.lower().endswith(".hea")]
        if len(headers) > 1:
            raise AppError(
                f"{len(headers)} WFDB headers came at once, expected one ECG. Choose the files of one record."
            )
        if not headers and len(self.files) > 1:
            raise AppError(
                f"{len(self.files)} files came and none of them is a .hea. Choose one ECG: a single file, or a .hea "
                "together with its .dat or .mat."
            )
        return (headers or list(self.files))[0]

    def read(self, **stated: Any) -> EcgRecording:
        """Read the ECG.

        Args:
            stated: What the file doesn't state: `sampling_rate`, `lead_names`, `units`, as `read_ecg` takes them.

        Raises:
            AppError: If it can't be read.
        """
        name = self.name
        try:
            if not name.lower().endswith(".hea"):
                check_outlived(self.files[name], name)
                return read_ecg(self.files[name], **stated)
            with TemporaryDirectory() as folder:  # a header names its files, so they have to lie beside it
                for file, content in self.files.items():
                    (Path(folder) / file).write_bytes(content)
                return read_ecg(Path(folder) / name, **stated)
        except EcgFileError as error:
            raise AppError(f"{name}: {_explain(error)}") from error
        except OSError as error:  # whose words name folders of this machine
            raise AppError(
                f"{name}: the server has no room for it now ({error.strerror}). Try again later."
            ) from error


@dataclass(frozen=True)
class ExampleEcg:
    """An ECG of the gallery, see `examples`, by its key there."""

    key: str

    @property
    def name(self) -> str:
        return self._example.title

    @property
    def about(self) -> tuple[str, str]:
        """What a cardiologist wrote about it, and whose it is."""
        return self._example.report, self._example.source

    def read(self, **stated: Any) -> EcgRecording:
        """The recording; what files may not state doesn't concern it.

        Raises:
            AppError: If there is no such example.
        """
        return self._example.read()

    @property
    def _example(self) -> Example:
        if self.key not in examples():
            raise AppError(f"There is no example {self.key!r}, there are {', '.join(examples())}.")
        return examples()[self.key]


@dataclass(frozen=True)
class RefusedUpload:
    """Files that could not be taken, and the sentence that says why."""

    problem: str

    @property
    def name(self) -> str:
        return "upload"

    def read(self, **stated: Any) -> EcgRecording:
        """Say why.

        Raises:
            AppError: Always.
        """
        raise AppError(self.problem)


Source = UploadedEcg | ExampleEcg | RefusedUpload


class SharedUploads:
    """Contents of files that were just read and deleted, for another visitor who uploaded the very same file.

    Gradio puts an upload into a folder named by its content, so that two visitors with the same file have one file
    between them, and the first to be served deletes it. The second then finds its content here.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._kept: dict[Path, tuple[float, bytes]] = {}  # the oldest first

    def read(self, file: Path, read: Callable[[], bytes]) -> bytes:
        """The file's bytes, from the disk or from the last two minutes.

        Raises:
            OSError, ValueError: If they are in neither.
        """
        now = time.monotonic()
        with self._lock:
            try:
                content = read()
            except FileNotFoundError:
                until, content = self._kept.get(file, (now, b""))
                if until <= now:
                    raise
            self._kept.pop(file, None)
            self._kept[file] = (now + SHARED_SECONDS, content)
            self._forget(now)
        return content

    def _forget(self, now: float) -> None:
        size = sum(len(content) for _, content in self._kept.values())
        for file, (until, content) in list(self._kept.items()):
            if until <= now or size > SHARED_BYTES:
                size -= len(content)
                del self._kept[file]


def take_upload(paths: Sequence[str | Path], shared: SharedUploads) -> UploadedEcg:
    """Read uploaded files into memory and delete them, whether they can be used or not.

    Two visitors who upload the same file at once are both served, see `SharedUploads`. A path is a visitor's word: one
    that isn't of an upload, see `UploadFolder`, is neither read nor deleted.

    Args:
        paths: Each in a folder of its own that the upload made; the folder goes too.
        shared: Of all visitors of the page.

    Raises:
        AppError: If there are too many, they are too large, two have one name, or one is no upload.
    """
    from gradio.utils import get_upload_folder  # here, because Gradio reads variables that are set late

    uploads, files = UploadFolder(get_upload_folder()), [Path(path) for path in paths]
    try:
        return UploadedEcg(_contents(files, shared, uploads))
    except AppError:
        raise
    except (OSError, ValueError) as error:
        raise AppError(LOST) from error
    finally:
        for file in files:
            uploads.discard(file)


def read_source(source: Source, **stated: Any) -> EcgRecording:
    """Read an ECG of a length that the page can show while somebody waits.

    Raises:
        AppError: If it can't be read or is longer than `MAX_MINUTES`.
    """
    recording = source.read(**stated)
    minutes = recording.signal.shape[1] / recording.sampling_rate / 60
    if minutes > MAX_MINUTES:
        raise AppError(
            f"{source.name}: {minutes:,.0f} minutes long at {recording.sampling_rate:g} Hz, this page takes up to "
            f"{MAX_MINUTES}. Cut it, or score it with `etp classify` on your own machine."
        )
    return recording


def _contents(files: Sequence[Path], shared: SharedUploads, uploads: UploadFolder) -> dict[str, bytes]:
    if not files:
        raise AppError("No file came. Choose one, or one of the samples.")
    if len(files) > MAX_FILES:
        raise AppError(f"{len(files)} files came, expected at most {MAX_FILES}. Choose the files of one ECG.")
    names = [file.name for file in files]
    if len(set(names)) < len(names):
        raise AppError(f"Two files have the same name among {', '.join(names)}. Choose the files of one ECG.")
    total = sum(_size(file, uploads) for file in files)
    if total > MAX_UPLOAD_BYTES:
        raise AppError(
            f"{total / 1e6:.1f} MB came, this page takes up to {MAX_UPLOAD_BYTES / 1e6:g} MB. Cut the recording, or "
            "score it with `etp classify` on your own machine."
        )
    return {file.name: shared.read(file, partial(uploads.read, file, MAX_UPLOAD_BYTES)) for file in files}


def _size(file: Path, uploads: UploadFolder) -> int:
    try:
        return uploads.size(file)
    except FileNotFoundError:  # taken a moment ago, for a visitor with the same file
        return 0


def in_fields(text: str) -> str:
    """An error in the words of the page."""
    named: list[str] = []

    def word(name: str, value: Any) -> str:
        named.append(name)
        values = [] if value is None else value if isinstance(value, list) else [value]
        return " ".join([f"“{FIELDS[name]}”", *filter(None, [", ".join(map(shown, values))])])

    worded = reworded(text, {name: partial(word, name) for name in FIELDS})
    return f"{worded} The fields are under “{FIELDS_HEADING}”." if named else worded


def _explain(error: EcgFileError) -> str:
    """The reader's words without folders of this machine, and with the names of the page's fields."""
    problem = in_fields(" ".join(error.problem.split()).replace(f"{Path(error.source).parent}/", ""))
    if isinstance(error, EcgFileNotFoundError):
        problem += " Choose the .hea and the files that it names together, in one go."
    return problem
