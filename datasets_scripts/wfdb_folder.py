"""python -m datasets_scripts.wfdb_folder DIR

Check a custom archive, a folder of ECG files with a table `records.csv`; the builder here reads it.
"""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from datasets_scripts.archive_builder import ArchiveConfig
from datasets_scripts.archive_errors import ArchiveError, RecordError
from datasets_scripts.ecg_records import to_microvolts
from datasets_scripts.record_builder import EcgRecordsBuilder, label_feature, refuse_link_out, row_features
from datasets_scripts.records_table import TABLE_FILE, RecordsTable, read_records_table
from modeling_etp.ecg_files_etp import ECG_SUFFIXES, STANDARD_LEADS, read_ecg, with_derived_leads

_VERSION = datasets.Version("1.0.0")  # of the form of the table; the code's part of the cache key is its hash


class WfdbFolder(EcgRecordsBuilder):
    """Builder of a folder of WFDB records, or of any ECG files that `read_ecg` reads, described by `records.csv`.

    Rows, splits and columns are those of the other archives; `labels` is there if the table has it. Leads are put in the
    standard order, limb leads that follow from two others are derived, other missing leads are zero.
    """

    BUILDER_CONFIGS = [ArchiveConfig(name="default", version=_VERSION, description="records.csv and its files")]
    DEFAULT_CONFIG_NAME = "default"
    TABLE_FILES = (TABLE_FILE,)
    SIGNAL_ENDINGS = ECG_SUFFIXES

    def _info(self) -> datasets.DatasetInfo:
        labels = self._table().label_names
        return datasets.DatasetInfo(
            description="12-lead ECGs with reports, from a folder of ECG files and records.csv.",
            features=row_features({} if labels is None else {"labels": label_feature(labels)}),
        )

    def _table(self) -> RecordsTable:
        return read_records_table(self._archive_folder() / TABLE_FILE)

    def _archive_folder(self) -> Path:
        if self.config.data_dir is None:
            raise ArchiveError(
                f"An archive of your own has no publisher: give the folder with its {TABLE_FILE} as data_dir."
            )
        return Path(self.config.data_dir)

    def _records(self, root: Path) -> pa.Table:
        return self._table().rows

    def _read(self, root: Path, row: dict[str, Any]) -> dict[str, Any]:
        signal, rate = read_signal(root, row)
        return {"ecg": signal, "sampling_rate": rate}


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
    refuse_link_out(root, row["file"])
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
