"""python examples/make_samples.py --ptb_xl DIR --ptb_xl_500hz DIR

Write the ECGs that come with the package, `etp/samples/`: the signals as PTB-XL has them, under speaking names.
"""

import argparse
import csv
import json
import shutil
from pathlib import Path

from datasets_scripts.ptb_xl_reports import report_statements
from etp.samples import INDEX, SAMPLES

# Name -> record. From folds 9 and 10, which no shipped model was trained on; by their reports, for variety; at 500 Hz
# where that was at hand. No score was looked at.
RECORDS = {
    "normal": 10,
    "atrial-fibrillation": 318,
    "atrial-flutter": 336,
    "paced-rhythm": 190,
    "ventricular-bigeminy": 4079,
    "first-degree-av-block": 347,
    "left-bundle-branch-block": 4016,
    "right-bundle-branch-block": 3155,
    "left-ventricular-hypertrophy": 414,
    "anterior-infarction": 266,
    "inferior-infarction": 425,
    "t-wave-abnormality": 186,
}
SEXES = {"0": "male", "1": "female"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ptb_xl", type=Path, required=True, help="PTB-XL 1.0.3, unpacked")
    parser.add_argument("--ptb_xl_500hz", type=Path, help="the same, or a part of it, with records500/")
    args = parser.parse_args()
    with (args.ptb_xl / "ptbxl_database.csv").open(encoding="utf-8", newline="") as file:
        rows = {int(row["ecg_id"]): row for row in csv.DictReader(file)}
    entries = []
    for name, record in RECORDS.items():
        row = rows[record]
        if row["strat_fold"] not in ("9", "10"):
            raise ValueError(
                f"record {record} is of fold {row['strat_fold']}, expected 9 or 10: models were trained on it."
            )
        fast = args.ptb_xl_500hz and args.ptb_xl_500hz / row["filename_hr"]
        header = fast if fast and fast.with_suffix(".hea").is_file() else args.ptb_xl / row["filename_lr"]
        copy_record(header, name, record)
        entries.append(
            {
                "name": name,
                "record_id": record,
                "strat_fold": int(row["strat_fold"]),
                "age": float(row["age"]),
                "sex": SEXES[row["sex"]],
                "report": row["report"],
                "statements": report_statements(row["report"]),
            }
        )
    INDEX.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def copy_record(record: Path, name: str, number: int) -> None:
    """The signal byte for byte; the header under the new name, with where it is from."""
    shutil.copyfile(record.with_suffix(".dat"), SAMPLES / f"{name}.dat")
    header = record.with_suffix(".hea").read_text(encoding="ascii").replace(record.name, name).rstrip()
    source = f"# Record {number} of PTB-XL 1.0.3, CC BY 4.0; see ATTRIBUTION.md"
    (SAMPLES / f"{name}.hea").write_text(f"{header}\n{source}\n", encoding="ascii")


if __name__ == "__main__":
    main()
