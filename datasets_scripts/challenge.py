"""The training sets of the PhysioNet/CinC Challenges 2020 and 2021, or any folder of their form, as a `datasets` builder."""

import os
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets import List, Value
from datasets.utils.logging import get_logger

from datasets_scripts.archive_builder import ArchiveConfig, check_complete
from datasets_scripts.archive_errors import ArchiveError
from datasets_scripts.archive_tables import fold_of, split_of_fold
from datasets_scripts.challenge_headers import patient_and_codes
from datasets_scripts.cpsc2018_splits import read_splits
from datasets_scripts.download import fetch_listed_files
from datasets_scripts.ecg_records import read_record
from datasets_scripts.record_builder import EcgRecordsBuilder, label_feature, row_features
from datasets_scripts.snomed_ecg import class_names, labels_of_codes

logger = get_logger(__name__)

_VERSION = datasets.Version("1.0.3")  # of the Challenge 2021; the code's part of the cache key is its hash
URL = "https://physionet.org/files/challenge-2021/1.0.3/"
# Config -> its folder below `training/`, and how many records were published.
SETS = {
    "cpsc_2018": ("cpsc_2018", 6877),
    "cpsc_2018_extra": ("cpsc_2018_extra", 3453),
    "georgia": ("georgia", 10344),
    "ptb": ("ptb", 516),
    "incart": ("st_petersburg_incart", 74),
    "chapman_shaoxing": ("chapman_shaoxing", 10247),
    "ningbo": ("ningbo", 34905),
}
_CURE = "Fetch it from https://physionet.org/content/challenge-2021/1.0.3/, or leave `data_dir` out to let the builder do it."


class Challenge(EcgRecordsBuilder):
    """Builder of the Challenge's sets: a config for each, and `all` (default) for every record below a folder.

    A record is a header with `#Dx`, `#Age` and `#Sex` beside a `.mat` of samples. Its SNOMED CT codes are kept as they are; those
    that `snomed_ecg.csv` names are labels too.
    """

    BUILDER_CONFIGS = [
        ArchiveConfig(name="all", version=_VERSION, description="every record below the folder"),
        *(ArchiveConfig(name=name, version=_VERSION, description=f"records of {SETS[name][0]}") for name in SETS),
    ]
    DEFAULT_CONFIG_NAME = "all"
    RECORDS_PER_BATCH = 16  # those of INCART have 30 minutes: 11 MB each

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="12-lead ECGs of the PhysioNet/CinC Challenges 2020 and 2021 with SNOMED CT codes.",
            features=row_features({"labels": label_feature(class_names()), "codes": List(Value("string"))}),
            homepage="https://physionet.org/content/challenge-2021/1.0.3/",
            license="CC-BY-4.0",
            citation="Reyna MA et al. Will Two Do? Varying Dimensions in Electrocardiography: The PhysioNet/Computing in "
            "Cardiology Challenge 2021. Computing in Cardiology 48, 1-4 (2021). https://doi.org/10.23919/CinC53138.2021.9662687",
        )

    def _records(self, root: Path) -> pa.Table:
        folders, published = [root], None
        if self.config.name != "all":
            name, published = SETS[self.config.name]
            folders = [path for path in sorted(root.rglob(name)) if path.is_dir()] or [root]
        files = find_headers(root, folders)
        if not files:
            raise ArchiveError(f"{root} holds no record of the Challenge's form, `NAME.hea` with `NAME.mat`. {_CURE}")
        if self.config.on_error == "raise":
            check_complete(root, (f"{file[:-4]}.mat" for file in files.values()), cure=_CURE)
        if published is not None and len(files) < published:
            logger.warning(f"{root} has {len(files):,} of the {published:,} records of {self.config.name}. {_CURE}")
        names = sorted(files)
        splits = [_split_of(name, files[name], self.config.name) for name in names]
        return pa.table(
            {
                "record_id": names,
                "file": [files[name] for name in names],
                "split": [split for split, _ in splits],
                "strat_fold": pa.array([fold for _, fold in splits], pa.int32()),
            }
        )

    def _read(self, root: Path, row: dict[str, Any]) -> dict[str, Any]:
        path = root / row["file"]
        record = read_record(path)
        stated = patient_and_codes(record.comments, path)
        return {
            "ecg": record.signal,
            "sampling_rate": record.sampling_rate,
            **stated,
            "labels": labels_of_codes(stated["codes"]),
        }

    def _fetch(self, folder: Path) -> None:
        prefix = "training/" if self.config.name == "all" else f"training/{SETS[self.config.name][0]}/"
        fetch_listed_files(
            self.config.url or URL,
            folder,
            wanted=lambda path: path.startswith(prefix) and path.endswith((".hea", ".mat")),
        )


def find_headers(root: Path, folders: list[Path]) -> dict[str, str]:
    """Record -> path of its header relative to `root`, of all headers in `folders` and below.

    Raises:
        ArchiveError: If a record is there twice; names both files.
    """
    found: dict[str, str] = {}
    for top in folders:
        for folder, _, names in os.walk(top):
            for name in names:
                if not name.endswith(".hea"):
                    continue
                record, path = name[:-4], Path(folder, name).relative_to(root).as_posix()
                if record in found:
                    raise ArchiveError(
                        f"{root}: record {record} is there twice, {found[record]} and {path}. Keep one of them."
                    )
                found[record] = path
    return found


def _split_of(name: str, file: str, config: str) -> tuple[str, int]:
    """Split and fold: those of CPSC2018 for its records, a hash of the name for all others, whose patients aren't known."""
    is_cpsc2018 = config == "cpsc_2018" or "cpsc_2018" in file.split("/")
    if is_cpsc2018 and name in read_splits():
        return read_splits()[name]
    fold = fold_of(name)
    return split_of_fold(fold), fold
