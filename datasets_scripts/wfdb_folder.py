"""python -m datasets_scripts.wfdb_folder DIR

Check a custom archive, a folder of ECG files with a table `records.csv`; the builder here reads it.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Features, List, Value
from datasets.builder import Key

from datasets_scripts.archive_builder import (
    ArchiveConfig,
    EcgArchiveBuilder,
    ragged_signal_array,
    read_ahead,
    row_ranges,
)
from datasets_scripts.archive_errors import ArchiveError, RecordError
from datasets_scripts.ecg_records import to_microvolts
from datasets_scripts.records_table import SPLITS, TABLE_FILE, RecordsTable, read_records_table
from modeling_etp.ecg_files_etp import STANDARD_LEADS, read_ecg, with_derived_leads

_VERSION = datasets.Version("1.0.0")  # of the form of the table; the code's part of the cache key is its hash
_RECORDS_PER_BATCH = 100  # they may be long


class WfdbFolder(EcgArchiveBuilder):
    """Builder of a folder of WFDB records, or of any ECG files that `read_ecg` reads, described by `records.csv`.

    Rows, splits and columns are those of the other archives; `labels` is there if the table has it. Leads are put in the
    standard order, limb leads that follow from two others are derived, other missing leads are zero.
    """

    BUILDER_CONFIGS = [ArchiveConfig(name="default", version=_VERSION, description="records.csv and its files")]
    DEFAULT_CONFIG_NAME = "default"
    TABLE_FILES = (TABLE_FILE,)
    SIGNAL_ENDINGS = (
        ".hea", ".mat", ".dat", ".edf", ".bdf", ".dcm", ".npy", ".npz", ".csv", ".tsv", ".txt", ".xml", ".scp",
    )  # fmt: skip

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="12-lead ECGs with reports, from a folder of ECG files and records.csv.",
            features=_features(self._table().label_names),
        )

    def _table(self) -> RecordsTable:
        return read_records_table(self._archive_folder() / TABLE_FILE)

    def _archive_folder(self) -> Path:
        if self.config.data_dir is None:
            raise ArchiveError(
                f"An archive of your own has no publisher: give the folder with its {TABLE_FILE} as data_dir."
            )
        return Path(self.config.data_dir)

    def _split_generators(self, dl_manager) -> list[datasets.SplitGenerator]:
        table, root = self._table().rows, self._archive_folder()
        generators = []
        for split in SPLITS:
            rows = table.filter(pa.compute.equal(table["split"], split))
            ranges = row_ranges(len(rows), _RECORDS_PER_BATCH)
            arguments = {"ranges": ranges, "table": rows, "root": str(root), "split": split}
            if len(rows):
                generators.append(datasets.SplitGenerator(name=split, gen_kwargs=arguments))
        return generators

    def _generate_tables(
        self, ranges: list[tuple[int, int]], table: pa.Table, root: str, split: str
    ) -> Iterator[tuple[Key, pa.Table]]:
        def read(start: int, stop: int) -> pa.Table | None:
            rows = table.slice(start, stop - start)
            signals, rates, errors = [], [], {}
            for position, row in enumerate(rows.to_pylist()):
                try:
                    signal, rate = read_signal(Path(root), row)
                    signals.append(signal)
                    rates.append(rate)
                except RecordError as error:
                    errors[position] = error
            kept = self._keep_good(rows, errors, split, start)
            if not signals:
                return None
            rows = rows if kept is None else rows.take(kept)
            rows = rows.append_column("ecg", ragged_signal_array(signals))
            rows = rows.append_column("sampling_rate", pa.array(rates, pa.int32()))
            return rows.select(list(self.info.features))

        for index, rows in read_ahead(ranges, read):
            if rows is not None:
                yield Key(index, 0), rows


def read_signal(root: Path, row: dict) -> tuple[np.ndarray, int]:
    """Read the file of a row of the table.

    Args:
        root: Folder of the archive.
        row: With `file`, and where the file doesn't state them `file_sampling_rate` (Hz), `file_units`,
            `file_lead_names`.

    Returns:
        int16 µV of shape `(12, samples)`, leads as in `STANDARD_LEADS`, and the sampling rate in Hz.

    Raises:
        RecordError: If the record can't be used; the message names the file and how to fix it.
    """
    path = root / row["file"]
    try:
        recording = with_derived_leads(
            read_ecg(
                path,
                sampling_rate=row["file_sampling_rate"],
                lead_names=row["file_lead_names"],
                units=row["file_units"],
            )
        )
    except ValueError as error:
        raise RecordError(str(error)) from error
    if recording.sampling_rate != int(recording.sampling_rate):
        raise RecordError(
            f"{path}: a whole sampling rate in Hz is needed, got {recording.sampling_rate}. Resample it."
        )
    present = [lead for lead in STANDARD_LEADS if lead in recording.lead_names]
    if not present:
        raise RecordError(f"{path}: none of the twelve leads is in it, only {', '.join(recording.lead_names)}.")
    signal = np.zeros((len(STANDARD_LEADS), recording.signal.shape[1]), dtype=np.int16)
    rows = [recording.lead_names.index(lead) for lead in present]
    signal[[STANDARD_LEADS.index(lead) for lead in present]] = to_microvolts(recording.signal[rows], path)
    return signal, int(recording.sampling_rate)


def _features(label_names: Sequence[str] | None) -> Features:
    labels = {} if label_names is None else {"labels": List(ClassLabel(names=list(label_names)))}
    return Features(
        {
            "record_id": Value("string"),
            "patient_id": Value("string"),
            "ecg": List(List(Value("int16")), length=12),
            "sampling_rate": Value("int32"),
            "report": Value("string"),
            "statements": List(Value("string")),
            "age": Value("int32"),
            "sex": Value("string"),
            **labels,
            "strat_fold": Value("int32"),
        }
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Read every record once, and say what is in the folder and what can't be used."""
    parser = argparse.ArgumentParser(description=f"Check a folder of ECG files with its {TABLE_FILE}.")
    parser.add_argument("data_dir", type=Path, metavar="DIR", help=f"folder with {TABLE_FILE}")
    folder = parser.parse_args(argv).data_dir
    try:
        rows = read_records_table(folder / TABLE_FILE).rows.to_pylist()
    except ArchiveError as error:
        print(error, file=sys.stderr)
        return 1
    bad = 0
    for row in rows:
        try:
            read_signal(folder, row)
        except RecordError as error:
            bad += 1
            print(f"Record {row['record_id']}: {error}", file=sys.stderr)
    for split in SPLITS:
        own = [row for row in rows if row["split"] == split]
        texts = sum(bool(row["statements"]) for row in own)
        print(f"{split}: {len(own)} records, {texts} with text")
    print(f"{len(rows) - bad} of {len(rows)} records can be used")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
