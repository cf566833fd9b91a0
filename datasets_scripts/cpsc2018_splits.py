"""Which record of CPSC2018 is in which split: MERL's membership, and our own stratified folds."""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from datasets_scripts.cpsc2018_labels import CLASSES

SPLITS_FILE = Path(__file__).with_name("cpsc2018_splits.csv")
NUM_FOLDS = 10


@cache
def read_splits() -> dict[str, tuple[str, int]]:
    """Record -> (split of MERL, ICML 2024; our fold, 1 to 10), for all 6,877 records."""
    with SPLITS_FILE.open(encoding="utf-8", newline="") as file:
        return {row["record"]: (row["split"], int(row["strat_fold"])) for row in csv.DictReader(file)}


def stratified_folds(labels: Mapping[str, list[int]]) -> dict[str, int]:
    """Deal records into folds that hold equal shares of every class (iterative stratification).

    Sechidis, Tsoumakas, Vlahavas: On the stratification of multi-label data, ECML PKDD 2011. Deterministic: ties go to
    the lower fold, records are dealt in the order of their names.

    Args:
        labels: Record -> class indices.

    Returns:
        Record -> fold, 1 to `NUM_FOLDS`.
    """
    records = sorted(labels)
    has = np.zeros((len(records), len(CLASSES)), dtype=bool)
    for row, record in enumerate(records):
        has[row, labels[record]] = True
    room = np.full(NUM_FOLDS, len(records) / NUM_FOLDS)
    wanted = np.tile(has.sum(axis=0) / NUM_FOLDS, (NUM_FOLDS, 1))  # (folds, classes)
    fold_of = np.full(len(records), -1)
    while (fold_of < 0).any():
        open_rows = fold_of < 0
        left = has[open_rows].sum(axis=0)
        rarest = int(np.where(left > 0, left, len(records) + 1).argmin())  # first, while there is still a choice
        for chosen in np.flatnonzero(open_rows & has[:, rarest]).tolist():
            best = int(np.lexsort((np.arange(NUM_FOLDS), -room.round(9), -wanted[:, rarest].round(9)))[0])
            fold_of[chosen] = best
            room[best] -= 1
            wanted[best, has[chosen]] -= 1
    return {record: int(fold) + 1 for record, fold in zip(records, fold_of, strict=True)}
