"""The reading core of archives whose records are files of any length: rows of a table, signals read one by one."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets import ClassLabel, Features, List, Value
from datasets.builder import Key

from datasets_scripts.archive_builder import EcgArchiveBuilder, ragged_signal_array, read_ahead, row_ranges
from datasets_scripts.archive_errors import ArchiveError, RecordError
from datasets_scripts.archive_tables import SPLITS

# What a row says where an archive says nothing.
_UNKNOWN: dict[str, Any] = {
    "patient_id": None, "report": "", "statements": [], "age": None, "sex": None, "strat_fold": None,
}  # fmt: skip


def row_features(columns: Mapping[str, Any], *, num_samples: int = -1) -> Features:
    """The columns of every archive, with its own before the fold.

    Args:
        columns: Of the archive, e.g. its label columns.
        num_samples: Of every record; -1 where they differ.
    """
    return Features(
        {
            "record_id": Value("string"),
            "patient_id": Value("string"),
            "ecg": List(List(Value("int16"), length=num_samples), length=12),
            "sampling_rate": Value("int32"),
            "report": Value("string"),
            "statements": List(Value("string")),
            "age": Value("int32"),
            "sex": Value("string"),
            **columns,
            "strat_fold": Value("int32"),
        }
    )


def label_feature(names: Sequence[str]) -> List:
    """A column of labels: any number of these classes per record."""
    return List(ClassLabel(names=list(names)))


class EcgRecordsBuilder(EcgArchiveBuilder):
    """Base of the builders that read their records one by one.

    A subclass gives `_records`, a row per record, and `_read`, what a record's own files say.
    """

    RECORDS_PER_BATCH = 100  # they may be long

    def _records(self, root: Path) -> pa.Table:
        """All records: `record_id`, `split`, where they are files `file` (relative to `root`), and columns of the rows.

        Raises:
            ArchiveError: If a table can't be read; names it, the row and the cure.
        """
        raise NotImplementedError

    def _read(self, root: Path, row: dict[str, Any]) -> dict[str, Any]:
        """What the files of a record add to its row: at least `ecg`, int16 µV `(12, samples)`, and `sampling_rate`.

        Raises:
            RecordError: If the record can't be used; names its file and the cure.
        """
        raise NotImplementedError

    def _split_generators(self, dl_manager) -> list[datasets.SplitGenerator]:
        root = self._archive_folder()
        table = self._records(root)
        generators = []
        for split in SPLITS:
            rows = table.filter(pa.compute.equal(table["split"], split))
            ranges = row_ranges(len(rows), self.RECORDS_PER_BATCH)
            arguments = {"ranges": ranges, "table": rows, "root": str(root), "split": split}
            if len(rows):  # `datasets` can't open a split without rows
                generators.append(datasets.SplitGenerator(name=split, gen_kwargs=arguments))
        if not generators:
            raise ArchiveError(f"{root} holds no record.")
        return generators

    def _generate_tables(
        self, ranges: list[tuple[int, int]], table: pa.Table, root: str, split: str
    ) -> Iterator[tuple[Key, pa.Table]]:
        folder = Path(root)

        def read(start: int, stop: int) -> list[dict]:
            rows = table.slice(start, stop - start)
            good, errors = [], {}
            for position, row in enumerate(rows.to_pylist()):
                try:
                    if "file" in row:
                        refuse_link_out(folder, row["file"])
                    good.append({**_UNKNOWN, **row, **self._read(folder, row)})
                except RecordError as error:
                    errors[position] = error
            self._keep_good(rows, errors, split, start)
            return good

        for index, rows in read_ahead(ranges, read):
            if rows:
                yield Key(index, 0), self._to_table(rows)

    def _to_table(self, rows: list[dict]) -> pa.Table:
        schema = self.info.features.arrow_schema
        arrays = {}
        for field in schema:
            values = [row[field.name] for row in rows]
            arrays[field.name] = ragged_signal_array(values) if field.name == "ecg" else pa.array(values, field.type)
        return pa.table(arrays)


def refuse_link_out(root: Path, file: str) -> None:
    """Refuse a record that is not in the archive but behind a link out of it.

    Args:
        root: Folder of the archive.
        file: Path relative to it; of a WFDB record with or without its ending.

    Raises:
        RecordError: Names the file and the cure.
    """
    path, real_root = root / file, root.resolve()
    beside = (path.with_suffix(ending) for ending in (".hea", ".dat", ".mat"))
    for name in dict.fromkeys((path, path.with_name(f"{path.name}.hea"), *beside)):
        if not name.resolve().is_relative_to(real_root):
            raise RecordError(
                f"{name} is a link out of the archive {root}, and links out of it are not followed. Copy the file itself there."
            )
