"""A data set of a few ECGs from the simulator, as somebody would add it: one builder, read from a table of its own."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from datasets_scripts.archive_builder import ArchiveConfig
from datasets_scripts.archive_tables import check_records, fold_of, read_columns, split_of_fold
from datasets_scripts.archives import Archive
from datasets_scripts.ecg_records import to_microvolts
from datasets_scripts.record_builder import EcgRecordsBuilder, label_feature, row_features
from datasets_scripts.synthetic_ecg import CONDITIONS, simulate_ecgs

TITLE = "Toy ECG database"
FINDINGS = ("normal", "atrial fibrillation", "left bundle branch block")


class Toy(EcgRecordsBuilder):
    """`toy.csv` and one `.npy` per ECG, mV at 100 Hz."""

    BUILDER_CONFIGS = [ArchiveConfig(name="default", version=datasets.Version("1.0.0"))]
    DEFAULT_CONFIG_NAME = "default"
    TABLE_FILES = ("toy.csv",)
    SIGNAL_ENDINGS = (".npy",)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=row_features({"finding": label_feature(FINDINGS)}))

    def _records(self, root: Path) -> pa.Table:
        path = root / "toy.csv"
        rows = read_columns(path, ["name", "finding"], what="the toy's table", cure="Write it again.").to_pylist()
        names = [row["name"] for row in rows]
        folds = [fold_of(name) for name in names]
        splits = [split_of_fold(fold) for fold in folds]
        check_records(path, record_ids=names)
        columns = {"record_id": names, "file": [f"{name}.npy" for name in names], "split": splits, "strat_fold": folds}
        findings = [[FINDINGS.index(row["finding"])] for row in rows]
        return pa.table({**columns, "finding": findings, "statements": [[row["finding"]] for row in rows]})

    def _read(self, root: Path, row: dict[str, Any]) -> dict[str, Any]:
        return {"ecg": to_microvolts(np.load(root / row["file"]), row["file"]), "sampling_rate": 100}


TOY = Archive(
    name="toy",
    title=TITLE,
    builder="toy_archive:Toy",
    tasks={"finding": "finding"},
    default_tasks=("finding",),
    label_text="finding",
    normal=("finding", "normal"),
    license="cc0-1.0",
    citation="Nobody 2026",
)


def write_toy(folder: Path, *, num_records: int = 120) -> Path:
    """Write the toy archive."""
    folder.mkdir(parents=True)
    findings = [FINDINGS[number % len(FINDINGS)] for number in range(num_records)]
    ecgs = simulate_ecgs([CONDITIONS[name] for name in findings], sampling_rate=100, seed=0)
    lines = ["name,finding"]
    for number, (finding, signal) in enumerate(zip(findings, ecgs.signal, strict=True)):
        np.save(folder / f"t{number}.npy", signal)
        lines.append(f"t{number},{finding}")
    (folder / "toy.csv").write_text("\n".join(lines) + "\n")
    return folder
