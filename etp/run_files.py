"""Files of a training run that others read: its log and its duration."""

import json
from pathlib import Path
from typing import Any

CONFIG_FILE = "training_config.yaml"  # every option of the run; itself a preset
METRICS_FILE = "metrics.jsonl"
VERSIONS_FILE = "versions.json"
BEST_WEIGHTS = "best.safetensors"  # what the run trains, where it was best on the validation split
RUN_FILE = "training_run.json"  # which run made the model, on which data
ECG_MODEL_RUN = "ecg_model_run"  # files of the run that trained the tower of --ecg_model
FINE_TUNING_FILE = "fine_tuning.json"  # what a classifier was fine-tuned from, on which data, and how
TEXT_MODEL_RUN = "text_model_run"  # files of the run that adapted the tower of --text_model


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All lines of a metrics file but a last one that a kill cut off."""
    lines = []
    for line in path.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def training_seconds(folder: Path) -> float | None:
    """Time of the run whose files lie in a folder, its parts added up where it was resumed; None where none is logged.

    Of a model on the towers of other runs, all of them are its training.
    """
    runs = (folder / ECG_MODEL_RUN, folder / TEXT_MODEL_RUN, folder)
    paths = [path for run in runs if (path := run / METRICS_FILE).is_file()]
    seconds = [line["seconds"] for path in paths for line in read_metrics(path) if "seconds" in line]
    if not seconds:
        return None
    # The clock of a resumed run begins anew: the last line before it does is the end of a part.
    return sum(now for now, then in zip(seconds, [*seconds[1:], 0.0], strict=True) if then < now)
