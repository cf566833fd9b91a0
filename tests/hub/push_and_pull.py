"""python push_and_pull.py CHECKPOINT RESULTS PARQUET METRIC: push with `etp push` to the Hub of HF_ENDPOINT, and load the rest again."""

import sys

import datasets

from etp.app.calibrations import find_calibrations
from etp.cli import main
from etp.loading import load_checkpoint

checkpoint, results, parquet, metric = sys.argv[1:]
datasets.disable_progress_bars()
assert main(["push", checkpoint, "user/etp-tiny"]) == 0
assert main(["push", checkpoint, "user/etp-tiny", "--public", "--results", results]) == 0  # once more, over the first
assert main(["push", parquet, "user/ptb-xl", "--repo_type", "dataset"]) == 0
assert main(["push", metric, "user/ecg_zero_shot", "--repo_type", "space"]) == 0

pulled = load_checkpoint("user/etp-tiny")  # with what calibrates its scores
assert [calibration.task for calibration in find_calibrations(pulled)] == ["superclass"]

rows = datasets.load_dataset("user/ptb-xl", "100hz", split="test")
local = datasets.load_dataset(parquet, "100hz", split="test")
assert list(rows["record_id"]) == list(local["record_id"])
assert rows.features["ecg"] == datasets.List(datasets.List(datasets.Value("int16"), length=1000), length=12)

import evaluate  # noqa: E402

loaded = evaluate.load("user/ecg_zero_shot", module_type="metric")
result = loaded.compute(predictions=[[0.9], [0.1]], references=[[1], [0]], labels=["AFIB"])
assert result["macro_auroc"] == 1
