"""CODE-15%: 345,779 12-lead ECGs of 7 to 10 s at 400 Hz from Minas Gerais, Brazil, as a `datasets` builder."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.utils.logging import get_logger

from datasets_scripts.archive_builder import ArchiveConfig
from datasets_scripts.archive_errors import ArchiveError, RecordError
from datasets_scripts.archive_tables import age_of, check_records, fold_of, read_columns, split_of_fold
from datasets_scripts.ecg_records import to_microvolts
from datasets_scripts.record_builder import EcgRecordsBuilder, label_feature, row_features

logger = get_logger(__name__)

_VERSION = datasets.Version("1.0.0")  # of the archive; the code's part of the cache key is its hash
TABLE_FILE = "exams.csv"
# Column of exams.csv -> the label it stands for.
LABELS = {
    "1dAVb": "first-degree AV block",
    "RBBB": "right bundle branch block",
    "LBBB": "left bundle branch block",
    "SB": "sinus bradycardia",
    "ST": "sinus tachycardia",
    "AF": "atrial fibrillation",
    "normal_ecg": "normal ECG",
}
_SAMPLING_RATE = 400
_MILLIVOLTS_PER_UNIT = 0.1  # "at the scale 1e-4 V", as the authors say of their tracings
_NUM_LEADS = 12
_NUM_RECORDS = 345779
_PART = re.compile(r"exams_part\d+\.(?:hdf5|h5)", re.ASCII)
_TRUTHS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False, "": None}
_CURE = "Fetch it again from https://zenodo.org/records/4916206, and unpack its parts beside exams.csv."


class Code15(EcgRecordsBuilder):
    """Builder of CODE-15%: exams.csv and its HDF5 parts, each with `exam_id` and `tracings` (exams, samples, leads).

    Tracings are filled up with zeros at both ends to 4,096 samples; the rows hold what was recorded.
    """

    BUILDER_CONFIGS = [ArchiveConfig(name="default", version=_VERSION, description="12 leads, 7 to 10 s at 400 Hz")]
    DEFAULT_CONFIG_NAME = "default"
    TABLE_FILES = (TABLE_FILE,)
    SIGNAL_ENDINGS = (".hdf5", ".h5")

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="CODE-15%: 12-lead ECGs of 7 to 10 s at 400 Hz with six abnormalities.",
            features=row_features({"labels": label_feature(tuple(LABELS.values()))}),
            homepage="https://zenodo.org/records/4916206",
            license="CC-BY-4.0",
            citation="Ribeiro AH et al. CODE-15%: a large scale annotated dataset of 12-lead ECGs. Zenodo (2021). "
            "https://doi.org/10.5281/zenodo.4916206",
        )

    def _fetch(self, folder: Path) -> None:
        raise ArchiveError(f"CODE-15% is published as zip files: give its folder as `data_dir`. {_CURE}")

    def _records(self, root: Path) -> pa.Table:
        path = root / TABLE_FILE
        columns = ("exam_id", "age", "is_male", "patient_id", "trace_file", *LABELS)
        table = read_columns(path, columns, what="the table of CODE-15%", cure=_CURE)
        rows = []
        for number, cells in enumerate(table.to_pylist(), start=2):
            try:
                rows.append(_read_row(cells))
            except (ValueError, OverflowError) as error:
                raise ArchiveError(f"{path}, row {number}: exam {cells['exam_id']}: {error}. {_CURE}") from error
        check_records(
            path,
            record_ids=[row["record_id"] for row in rows],
            patient_ids=[row["patient_id"] for row in rows],
            splits=[row["split"] for row in rows],
        )
        if missing := sorted({row["file"] for row in rows if not (root / row["file"]).exists()}):
            raise ArchiveError(
                f"{root}: {len(missing)} of the HDF5 parts that {TABLE_FILE} names are missing: {', '.join(missing[:5])}. {_CURE}"
            )
        if len(rows) < _NUM_RECORDS:
            logger.warning(f"{path} has {len(rows):,} of the {_NUM_RECORDS:,} records of CODE-15%.")
        return pa.Table.from_pylist(rows, schema=_SCHEMA)

    def _read(self, root: Path, row: dict[str, Any]) -> dict[str, Any]:
        path = root / row["file"]
        status = path.stat()
        part, rows = _open_part(path, status.st_size, status.st_mtime_ns)
        exam = int(row["record_id"])
        if exam not in rows:
            raise RecordError(f"{path}: exam {exam}, which {TABLE_FILE} puts there, is not in it. {_CURE}")
        tracing = np.asarray(part["tracings"][rows[exam]], dtype=np.float64)
        recorded = np.flatnonzero(tracing.any(axis=1))
        if not len(recorded):
            raise RecordError(f"{path}: exam {exam} holds nothing but zeros, so nothing was recorded. Leave it out.")
        signal = tracing[recorded[0] : recorded[-1] + 1].T * _MILLIVOLTS_PER_UNIT
        return {"ecg": to_microvolts(signal, f"{path}, exam {exam}"), "sampling_rate": _SAMPLING_RATE}


_SCHEMA = pa.schema(
    {
        "record_id": pa.string(),
        "patient_id": pa.string(),
        "file": pa.string(),
        "split": pa.string(),
        "strat_fold": pa.int32(),
        "age": pa.int32(),
        "sex": pa.string(),
        "labels": pa.list_(pa.int64()),
    }
)


def _read_row(cells: dict[str, str]) -> dict[str, Any]:
    """Values of a row of exams.csv.

    Raises:
        ValueError: If a cell can't be read; names its column.
    """
    if not _PART.fullmatch(cells["trace_file"]):
        raise ValueError(f"trace_file: expected a name such as exams_part0.hdf5, got {cells['trace_file']!r}")
    patient = str(int(float(cells["patient_id"]))) if cells["patient_id"] else None
    exam = str(int(cells["exam_id"]))
    fold = fold_of(patient or exam)
    is_male = _truth(cells, "is_male")
    return {
        "record_id": exam,
        "patient_id": patient,
        "file": cells["trace_file"],
        "split": split_of_fold(fold),
        "strat_fold": fold,
        "age": age_of(cells["age"]),
        "sex": None if is_male is None else "male" if is_male else "female",
        "labels": [index for index, name in enumerate(LABELS) if _truth(cells, name)],
    }


def _truth(cells: dict[str, str], name: str) -> bool | None:
    cell = cells[name].strip().lower()
    if cell not in _TRUTHS:
        raise ValueError(f"{name}: expected True or False, got {cells[name]!r}")
    return _TRUTHS[cell]


@lru_cache(maxsize=2)
def _open_part(path: Path, size: int, changed: int) -> tuple[Any, dict[int, int]]:
    """An HDF5 part, and the row of each of its exams; `size` and `changed` tell it from a file that replaced it.

    Raises:
        ArchiveError: If `h5py` is not installed.
        RecordError: If the file is damaged, or of another form.
    """
    try:
        import h5py
    except ImportError as error:
        raise ArchiveError("CODE-15% is in HDF5: pip install h5py.") from error
    try:
        part = h5py.File(path, "r")
        stored, shape = part["exam_id"], part["tracings"].shape
        # Only numbers are read: of a damaged file with texts of any length libhdf5 may never come back.
        if stored.dtype.kind not in "iu" or part["tracings"].dtype.kind != "f":
            raise ValueError(f"exam_id is {stored.dtype}, tracings are {part['tracings'].dtype}")
        exams = stored[:]
    except (OSError, KeyError, AttributeError, ValueError) as error:  # a group has no dtype, a scalar no rows
        raise RecordError(f"{path}: no HDF5 file with exam_id and tracings ({error}). {_CURE}") from error
    if len(shape) != 3 or shape[2] != _NUM_LEADS or shape[0] != len(exams):
        raise RecordError(
            f"{path}: expected tracings (exams, samples, {_NUM_LEADS}) of {len(exams)} exams, got {shape}. {_CURE}"
        )
    rows: dict[int, int] = {}
    for row, exam in enumerate(exams.tolist()):
        if exam and rows.setdefault(exam, row) != row:  # the parts end in a row of zeros without an exam
            raise RecordError(f"{path}: exam {exam} is there twice, in rows {rows[exam]} and {row}. {_CURE}")
    return part, rows
