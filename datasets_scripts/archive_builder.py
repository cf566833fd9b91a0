"""Base of the archive builders: cache keys from code and data, complete folders, skipped records."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from datasets import ArrowBasedBuilder, BuilderConfig
from datasets.exceptions import DatasetGenerationError
from datasets.utils.logging import get_logger

from datasets_scripts.archive_errors import ArchiveError, RecordError

logger = get_logger(__name__)

# Bounds what a build holds in memory: 250 records of 12 x 1000 int16 are 6 MB, twice.
RECORDS_PER_BATCH = 250
SKIPPED_FILE = "skipped_records.jsonl"
HASHES_FILE = "hashes.json"  # of the prepared files, beside them
_NAMED_IN_ERROR = 5  # file names that an error about many files lists


@dataclass
class ArchiveConfig(BuilderConfig):
    """Configuration of an archive builder.

    Args:
        on_error: What to do with a record that can't be used: `"raise"` stops the build with an error that names it,
            `"skip"` leaves it out, counts it and lists it in `EcgArchiveBuilder.skipped_records`.
        url: Of a mirror to fetch the archive from, instead of its publisher's server.
    """

    on_error: str = "raise"
    url: str | None = None


class EcgArchiveBuilder(ArrowBasedBuilder):
    """Base of the builders of ECG archives on disk.

    A subclass sets `TABLE_FILES`: patterns, below `data_dir`, of the tables that its rows are made of; and
    `SIGNAL_ENDINGS` where its signals are in other files than WFDB's.
    """

    BUILDER_CONFIG_CLASS = ArchiveConfig
    TABLE_FILES: tuple[str, ...] = ()
    SIGNAL_ENDINGS: tuple[str, ...] = (".hea", ".mat")

    def __init__(self, cache_dir: str | Path | None = None, *, data_dir: str | Path | None = None, **kwargs):
        """Make a builder; nothing is read or fetched before `download_and_prepare` or `as_streaming_dataset`.

        Args:
            cache_dir: Where prepared data sets are kept, default that of `datasets`.
            data_dir: The unpacked archive. Without it, it is fetched from its publisher into the cache.
            **kwargs: Those of `datasets.DatasetBuilder` and of `ArchiveConfig`.
        """
        if data_dir is not None:
            data_dir = Path(data_dir).expanduser().absolute()
            if not data_dir.is_dir():
                raise ArchiveError(
                    f"data_dir={str(data_dir)!r} is not a folder. Give the folder of the unpacked archive."
                )
        kwargs.setdefault("hash", self._fingerprint(data_dir))
        cache = None if cache_dir is None else str(cache_dir)
        with _cache_errors(self):
            super().__init__(cache, data_dir=None if data_dir is None else str(data_dir), **kwargs)
        if self.config.on_error not in ("raise", "skip"):
            raise ValueError(f'`on_error` must be "raise" or "skip", got {self.config.on_error!r}.')
        self._skipped_path: Path | None = None

    @property
    def skipped_records(self) -> list[dict[str, str]]:
        """Records that `on_error="skip"` left out, as `{"record_id": …, "split": …, "error": …}` in their order."""
        path = Path(self._output_dir) / SKIPPED_FILE
        if not path.exists():
            return []
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return sorted(rows, key=lambda row: (row["split"], row["position"]))

    def _archive_folder(self) -> Path:
        """Folder of the archive: `data_dir`, or else where it was fetched to just now or by an earlier call."""
        if self.config.data_dir is not None:
            return Path(self.config.data_dir)
        folder = Path(self._cache_downloaded_dir) / f"{self.dataset_name}-{self.config.version}"
        self._fetch(folder)
        return folder

    def _fetch(self, folder: Path) -> None:
        """Fetch what this config needs of the archive into `folder`, from `config.url` or the publisher."""
        raise NotImplementedError

    @classmethod
    def _fingerprint(cls, data_dir: Path | None) -> str:
        """Hash of everything that decides the rows, for the cache's path; of signal files what the system says of them."""
        digest = hashlib.sha256(source_hash().encode())
        if data_dir is not None:
            for pattern in cls.TABLE_FILES:
                for path in sorted(data_dir.glob(pattern)):
                    _check_table(path, data_dir)
                    digest.update(f"{path.relative_to(data_dir)}\n".encode() + path.read_bytes())
            for folder, names in _walk(data_dir):
                if any(name.lower().endswith(cls.SIGNAL_ENDINGS) for name in names):
                    digest.update(f"{os.path.relpath(folder, data_dir)}\n".encode(errors="surrogateescape"))
                    digest.update(_file_states(folder))
        return digest.hexdigest()[:16]

    def download_and_prepare(self, *args, **kwargs):
        """Prepare the data set, or find it prepared; as of `datasets.DatasetBuilder`.

        Raises:
            ArchiveError: If the archive is missing, incomplete or damaged, or the cache can't be written.
        """
        with _cache_errors(self):
            super().download_and_prepare(*args, **kwargs)

    def _download_and_prepare(self, dl_manager, verification_mode, **prepare_split_kwargs):
        # Inside the folder that `datasets` renames only when the build is complete. It takes over what a build that
        # was killed left there.
        unfinished = Path(self._output_dir)
        for left in unfinished.iterdir():
            left.unlink()
        self._skipped_path = unfinished / SKIPPED_FILE
        try:
            super()._download_and_prepare(dl_manager, verification_mode, **prepare_split_kwargs)
        except DatasetGenerationError as error:
            if not isinstance(error, ArchiveError) and isinstance(error.__cause__, OSError):
                raise error.__cause__ from error
            raise
        finally:
            self._skipped_path = None
        hashes = {path.name: _hash(path) for path in sorted(Path(self._output_dir).glob("*.arrow"))}
        (Path(self._output_dir) / HASHES_FILE).write_text(json.dumps(hashes), encoding="utf-8")
        skipped = self.skipped_records
        empty = [name for name, split in self.info.splits.items() if not split.num_examples]
        if empty:
            raise ArchiveError(f"No record of {', '.join(empty)} can be used: {skipped[0]['error']}")
        if skipped:
            names = ", ".join(row["record_id"] for row in skipped[:_NAMED_IN_ERROR])
            logger.warning(
                f"{self.dataset_name}: {len(skipped)} record(s) skipped ({names}{', …' if len(skipped) > 5 else ''}); "
                f"`builder.skipped_records` lists them with their errors, as does {self._cache_dir}/{SKIPPED_FILE}."
            )

    def as_dataset(self, *args, **kwargs):
        """As `datasets.DatasetBuilder.as_dataset`, from files that are still what the build wrote.

        Raises:
            ArchiveError: If a prepared file is missing or damaged; names it and how to fix it.
        """
        folder = Path(self._output_dir)
        hashes = folder / HASHES_FILE
        for name, expected in json.loads(hashes.read_text(encoding="utf-8")).items() if hashes.exists() else ():
            path = folder / name
            fault = "missing" if not path.exists() else "damaged" if _hash(path) != expected else None
            if fault:
                raise ArchiveError(
                    f"The prepared file {path} is {fault}. Delete {folder}, then it is prepared again from the archive."
                )
        return super().as_dataset(*args, **kwargs)

    def _keep_good(self, table: pa.Table, errors: dict[int, RecordError], split: str, first: int) -> np.ndarray | None:
        """Settle the errors of a batch.

        Args:
            table: The rows of the batch.
            errors: By position in the batch.
            split: Its name.
            first: Position of the batch in the split.

        Returns:
            Positions of the rows to keep, or None for all.

        Raises:
            RecordError: The first error, with `on_error="raise"`.
        """
        if not errors:
            return None
        for position, error in sorted(errors.items()):
            record_id = table["record_id"][position].as_py()
            if self.config.on_error == "raise":
                raise RecordError(
                    f'Record {record_id}: {str(error).rstrip(".")}; with `on_error="skip"` the build goes on without such records.'
                ) from error
            logger.warning(f"Record {record_id} skipped: {error}")
            if self._skipped_path is not None:
                row = {"record_id": record_id, "split": split, "position": first + position, "error": str(error)}
                with self._skipped_path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
        return np.setdiff1d(np.arange(len(table)), list(errors))


@contextmanager
def _cache_errors(builder: EcgArchiveBuilder) -> Iterator[None]:
    """Say of a full disk, or of a cache that can't be written, what it is about."""
    try:
        yield
    except OSError as error:
        cache = builder._cache_dir_root
        if error.filename is not None and not str(error.filename).startswith(cache):
            raise  # of the archive
        raise ArchiveError(
            f"The cache {cache} can't be written: {error.strerror or error}. Make room there or give another `cache_dir`."
        ) from error


def _walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders below an archive with the names of their files, also behind links, for records may lie on another disk.

    A link to the archive itself or to what it lies in, and a folder that was seen, are not followed.
    """
    real_root, seen = root.resolve(), set()
    for folder, folders, names in os.walk(root, followlinks=True):
        found = os.stat(folder)
        if (found.st_dev, found.st_ino) in seen:
            folders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        paths = {name: os.path.join(folder, name) for name in folders}
        folders[:] = sorted(
            name
            for name, path in paths.items()
            if not (os.path.islink(path) and real_root.is_relative_to(os.path.realpath(path)))
        )
        yield folder, names


def _file_states(folder: str) -> bytes:
    """Names, sizes and times of the files of a folder: another state wherever a file was repaired, by whatever means.

    The time of the last change (ctime) is set by the system alone: `cp -a` and `touch` can't put it back.
    """
    states = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir():
                is_dangling = entry.is_symlink() and not os.path.exists(entry)
                found = entry.stat(follow_symlinks=not is_dangling)
                states.append((os.fsencode(entry.name), found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    return repr(sorted(states)).encode()


def _check_table(path: Path, root: Path) -> None:
    """Refuse a table that could be read without end, or that is a file of somebody else behind a link.

    Raises:
        ArchiveError: Names the table and how to fix it.
    """
    if not path.is_file() or not path.resolve().is_relative_to(root.resolve()):
        raise ArchiveError(
            f"{path} is no regular file of the archive {root}, and links out of it are not followed. Copy the table "
            "itself there."
        )


def source_hash() -> str:
    """Hash of the builders' code and data files, and of the ECG readers they use."""
    here = Path(__file__).parent
    readers = here.parent / "modeling_etp"
    patterns = ("*.py", "glossary/*", "*.csv", "*.json")
    # Scoring's phrases and the simulator decide no row of an archive.
    sources = [path for pattern in patterns for path in here.glob(pattern) if not path.name.startswith("synthetic")]
    sources += [*readers.glob("ecg_*_etp.py"), *readers.glob("leads_etp.py")]
    digest = hashlib.sha256()
    for path in sorted(path for path in sources if path.is_file()):
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _hash(path: Path) -> str:
    """XXH3 of a file, at the speed of the disk: against damage, not against malice."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def check_complete(root: Path, files: Iterable[str], *, cure: str) -> None:
    """Check that all files of an archive are there, before hours are spent on it.

    Args:
        root: Folder of the archive.
        files: Paths relative to it, with `/`.
        cure: Sentence on how to get them.

    Raises:
        ArchiveError: If files are missing; it counts them and names the first.
    """
    by_folder: dict[str, list[str]] = {}
    for file in files:
        folder, _, name = file.rpartition("/")
        by_folder.setdefault(folder, []).append(name)
    missing, total = [], 0
    for folder, names in by_folder.items():
        total += len(names)
        try:
            present = set(os.listdir(root / folder))
        except (FileNotFoundError, NotADirectoryError):
            present = set()
        missing += [f"{folder}/{name}" for name in names if name not in present]
    if missing:
        named = ", ".join(missing[:_NAMED_IN_ERROR]) + (", …" if len(missing) > _NAMED_IN_ERROR else "")
        raise ArchiveError(f"{root}: {len(missing)} of {total} files are missing: {named}. {cure}")


def row_ranges(num_rows: int, size: int = RECORDS_PER_BATCH) -> list[tuple[int, int]]:
    """Split rows into ranges `(start, stop)` of at most `size`."""
    return [(start, min(start + size, num_rows)) for start in range(0, num_rows, size)]


def signal_array(signals: np.ndarray) -> pa.FixedSizeListArray:
    """Wrap int16 signals of shape `(records, leads, samples)` as an Arrow column, without a copy."""
    _, leads, samples = signals.shape
    per_lead = pa.FixedSizeListArray.from_arrays(pa.array(signals.reshape(-1)), samples)
    return pa.FixedSizeListArray.from_arrays(per_lead, leads)


def ragged_signal_array(signals: list[np.ndarray]) -> pa.FixedSizeListArray:
    """Make the Arrow column of signals of shape `(leads, samples)` that differ in their number of samples."""
    leads = signals[0].shape[0]
    lengths = np.repeat([signal.shape[1] for signal in signals], leads)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = pa.array(np.concatenate([signal.reshape(-1) for signal in signals]))
    return pa.FixedSizeListArray.from_arrays(pa.ListArray.from_arrays(pa.array(offsets), values), leads)


def read_ahead(ranges: Sequence[tuple[int, int]], read: Callable[[int, int], Any]) -> Iterator[tuple[int, Any]]:
    """Yield `(index, read(start, stop))` of each range, while a thread already reads the next one.

    Reading and writing an archive take about equal time, both mostly in the kernel, so together they take half.
    """
    if not ranges:
        return
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(read, *ranges[0])
        for index, following in enumerate([*ranges[1:], None]):
            batch = coming.result()
            if following is not None:
                coming = reader.submit(read, *following)
            yield index, batch
