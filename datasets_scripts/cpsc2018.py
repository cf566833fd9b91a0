"""CPSC2018: 6,877 12-lead ECGs of 6 to 144 s at 500 Hz in nine classes, as a `datasets` builder."""

import os
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.utils.logging import get_logger

from datasets_scripts.archive_builder import ArchiveConfig, check_complete
from datasets_scripts.archive_errors import ArchiveError, RecordError
from datasets_scripts.archive_tables import read_columns
from datasets_scripts.challenge_headers import header_age, header_fields, header_sex
from datasets_scripts.cpsc2018_labels import CLASSES, labels_of_diagnoses, labels_of_reference
from datasets_scripts.cpsc2018_splits import read_splits
from datasets_scripts.download import RemoteFile, fetch_files, fetch_listed_files
from datasets_scripts.ecg_records import read_record, to_microvolts
from datasets_scripts.record_builder import EcgRecordsBuilder, label_feature, row_features
from datasets_scripts.unzip import unzip_flat
from modeling_etp.ecg_files_etp import EcgFileError, read_ecg

logger = get_logger(__name__)

_VERSION = datasets.Version("1.0.2")  # of the Challenge 2020; the code's part of the cache key is its hash
CHALLENGE_URL = "https://physionet.org/files/challenge-2020/1.0.2/"
_ORIGINAL_NAMES = ("REFERENCE.csv", "TrainingSet1.zip", "TrainingSet2.zip", "TrainingSet3.zip")
ORIGINAL_URLS = (
    f"http://2018.icbeb.org/file/{_ORIGINAL_NAMES[0]}",
    *(f"http://hhbucket.oss-cn-hongkong.aliyuncs.com/{name}" for name in _ORIGINAL_NAMES[1:]),
)
_SAMPLING_RATE = 500
_REFERENCE_COLUMNS = ("Recording", "First_label", "Second_label", "Third_label")
_CURE = (
    "Fetch training/cpsc_2018 of https://physionet.org/content/challenge-2020/1.0.2/, "
    "or leave `data_dir` out to let the builder do it."
)


class Cpsc2018(EcgRecordsBuilder):
    """Builder of CPSC2018 (ICBEB); configs `all` (default: records in either form), `challenge` and `original`.

    The Challenge 2020 published the records as WFDB (`A0001.hea` + `A0001.mat`), CPSC2018 itself as MATLAB structures
    (`A0001.mat`) beside a REFERENCE.csv. A record that is there in both forms is taken once, as WFDB.
    """

    BUILDER_CONFIGS = [
        ArchiveConfig(name="all", version=_VERSION, description="records in either form"),
        ArchiveConfig(name="challenge", version=_VERSION, description="WFDB records of the Challenge 2020"),
        ArchiveConfig(
            name="original", version=_VERSION, description="MATLAB structures and REFERENCE.csv of CPSC2018"
        ),
    ]
    DEFAULT_CONFIG_NAME = "all"
    TABLE_FILES = ("**/REFERENCE.csv",)
    RECORDS_PER_BATCH = 50  # they are up to 144 s long

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="CPSC2018: 12-lead ECGs at 500 Hz with up to three of nine classes each.",
            features=row_features({"labels": label_feature(CLASSES)}),
            homepage="https://physionet.org/content/challenge-2020/1.0.2/",
            license="CC-BY-4.0",
            citation="Liu F et al. An Open Access Database for Evaluating the Algorithms of Electrocardiogram Rhythm and "
            "Morphology Abnormality Detection. J Med Imaging Health Inform 8(7), 1368-1373 (2018).",
        )

    def _records(self, root: Path) -> pa.Table:
        files = find_records(root, self.config.name)
        if self.config.on_error == "raise":
            headers = [file for file in files.values() if file.endswith(".hea")]
            check_complete(root, (header[:-4] + ".mat" for header in headers), cure=_CURE)
        known = read_splits()
        unknown = sorted(set(files) - set(known))
        if unknown:
            raise ArchiveError(
                f"{root}: {', '.join(unknown[:5])} are no training records of CPSC2018 (A0001 to A6877)."
            )
        if len(files) < len(known):
            logger.warning(f"{root} has {len(files):,} of the {len(known):,} records of CPSC2018. {_CURE}")
        reference = read_reference(root)
        names = sorted(files)
        return pa.table(
            {
                "record_id": pa.array(names, pa.string()),
                "file": pa.array([files[name] for name in names], pa.string()),
                "split": pa.array([known[name][0] for name in names], pa.string()),
                "strat_fold": pa.array([known[name][1] for name in names], pa.int32()),
                "reference": pa.array([reference.get(name) for name in names], pa.list_(pa.int64())),
            }
        )

    def _fetch(self, folder: Path) -> None:
        if self.config.name != "original":
            prefix = "training/cpsc_2018/"
            fetch_listed_files(
                self.config.url or CHALLENGE_URL,
                folder,
                wanted=lambda path: path.startswith(prefix) and path != prefix,
            )
            return
        urls = (
            [f"{self.config.url.rstrip('/')}/{name}" for name in _ORIGINAL_NAMES] if self.config.url else ORIGINAL_URLS
        )
        # The publisher gives no checksums for these; the zip files carry their own for every record.
        fetch_files([RemoteFile(url, f"original/{url.rpartition('/')[2]}") for url in urls], folder)
        for archive in sorted((folder / "original").glob("*.zip")):
            unzip_flat(archive, archive.with_suffix(""), endings=(".mat",))

    def _read(self, root: Path, row: dict[str, Any]) -> dict[str, Any]:
        path = root / row["file"]
        read = _read_challenge_record if path.suffix == ".hea" else _read_original_record
        signal, age, sex, labels = read(path, row["reference"])
        return {"ecg": signal, "sampling_rate": _SAMPLING_RATE, "age": age, "sex": sex, "labels": labels}


def find_records(root: Path, form: str) -> dict[str, str]:
    """Find the records below a folder, wherever the publisher's archives were unpacked.

    Args:
        root: Folder to search; symbolic links to folders aren't followed.
        form: `"challenge"`, `"original"` or `"all"`.

    Returns:
        Record -> path relative to `root`: of its header, or of its MATLAB structure.

    Raises:
        ArchiveError: If there is no record, or one is there twice.
    """
    headers: dict[str, str] = {}
    structures: dict[str, str] = {}
    for folder, _, names in os.walk(root):
        here = set(names)
        for name in names:
            stem, _, ending = name.rpartition(".")
            if ending == "hea":
                found = headers
            elif ending == "mat" and f"{stem}.hea" not in here:
                found = structures
            else:
                continue
            path = Path(folder, name).relative_to(root).as_posix()
            if stem in found:
                raise ArchiveError(
                    f"{root}: record {stem} is there twice, {found[stem]} and {path}. Keep one of them."
                )
            found[stem] = path
    chosen = {"challenge": headers, "original": structures, "all": structures | headers}[form]
    if not chosen:
        raise ArchiveError(f"{root} holds no record of CPSC2018 in the form {form!r}. {_CURE}")
    return chosen


def read_reference(root: Path) -> dict[str, list[int]]:
    """Read every REFERENCE.csv below a folder: record -> class indices.

    Raises:
        ArchiveError: If a row can't be read, or two rows disagree; the message names file, row and record.
    """
    labels: dict[str, list[int]] = {}
    for path in sorted(root.glob("**/REFERENCE.csv")):
        table = read_columns(path, _REFERENCE_COLUMNS, what="CPSC2018's table of labels", cure=_CURE)
        for number, row in enumerate(table.to_pylist(), start=2):
            record = row["Recording"]
            try:
                own = labels_of_reference(row)
            except ValueError as error:
                raise ArchiveError(f"{path}, row {number}: record {record}: {error}. {_CURE}") from error
            if labels.setdefault(record, own) != own:
                raise ArchiveError(
                    f"{path}, row {number}: the labels of record {record} differ from those in another row or another "
                    "REFERENCE.csv. Keep the right one."
                )
    return labels


def _read_challenge_record(path: Path, _reference) -> tuple[np.ndarray, int | None, str | None, list[int]]:
    record = read_record(path)
    if record.sampling_rate != _SAMPLING_RATE:
        raise RecordError(f"{path}: expected {_SAMPLING_RATE} Hz, the header says {record.sampling_rate} Hz.")
    fields = header_fields(record.comments)
    if "Dx" not in fields:
        raise RecordError(f"{path}: the header has no diagnosis (`#Dx: …`). Fetch the header again.")
    try:
        labels = labels_of_diagnoses(fields["Dx"])
    except ValueError as error:
        raise RecordError(f"{path}: #Dx: {error}.") from error
    return record.signal, header_age(fields.get("Age")), header_sex(fields.get("Sex")), labels


def _read_original_record(path: Path, reference) -> tuple[np.ndarray, int | None, str | None, list[int]]:
    if reference is None:
        raise RecordError(f"{path}: no REFERENCE.csv has labels for it. Put the publisher's beside the records.")
    if path.is_symlink():
        raise RecordError(
            f"{path} is a symbolic link, and links inside an archive are not followed. Copy the file there."
        )
    try:
        recording = read_ecg(path)
    except EcgFileError as error:
        raise RecordError(
            f"{error} Expected the structure `ECG` of CPSC2018; of a file in the "
            f"Challenge's form, the header {path.stem}.hea is missing. Fetch it again."
        ) from error
    known = recording.metadata
    if known["format"] != "CPSC2018":
        raise RecordError(f"{path}: expected a structure `ECG` with sex, age and data. Fetch it again.")
    signal = to_microvolts(recording.signal.astype(np.float64), path)
    return signal, header_age(known.get("age")), header_sex(known.get("sex")), reference
