"""What the model card of a fine-tuned classifier says: its labels, and how it was fine-tuned from what."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets_scripts.archives import title_of
from etp.card_texts import splits_text
from etp.loading import ClassifierCheckpoint
from etp.run_files import FINE_TUNING_FILE

TEMPLATE = Path(__file__).with_name("classifier_card_template.md")
TRAINED = {
    "full": "All weights",
    "head": "The head alone",
    "lora": "Adapters (LoRA), merged into the weights, and the head",
}
PROBLEMS = {
    "multi_label_classification": "of each label whether it is there, independent of the others",
    "single_label_classification": "one label of these for each ECG: the scores add up to 1",
    "regression": "numbers",
}


def fine_tuning_facts(folder: Path) -> dict[str, Any] | None:
    """What `etp finetune` left beside a classifier, with `hours` and `machine`; None if it left nothing."""
    if not (folder / FINE_TUNING_FILE).is_file():
        return None
    facts = json.loads((folder / FINE_TUNING_FILE).read_text(encoding="utf-8"))
    seconds = facts.get("seconds")
    return {**facts, "hours": seconds and seconds / 3600, "machine": None}


def base_classifier(run: Mapping[str, Any] | None) -> str | None:
    """The model that was fine-tuned, by its name on the Hub; None where it is unknown, a folder, or of the package."""
    name = str(run["base"]) if run else ""
    return name if name.count("/") == 1 and not name.startswith("/") and not Path(name).exists() else None


def classifier_facts(checkpoint: ClassifierCheckpoint, run: Mapping[str, Any] | None) -> dict[str, Any]:
    """Fields of the template that are the classifier's alone."""
    config: Any = checkpoint.model.config
    labels = [config.id2label[number] for number in range(config.num_labels)]
    calibrated = "calibrated on validation records" if config.calibration is not None else "not calibrated"
    thresholds = '; `threshold="own"` shows the labels that reach theirs' if config.thresholds is not None else ""
    return {
        "num_labels": len(labels),
        "labels": ", ".join(f"`{label}`" for label in labels),
        "problem": PROBLEMS.get(config.problem_type, "scores of the labels"),
        "calibration": calibrated + thresholds,
        "training": _training_text(run),
    }


def _training_text(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "How this classifier was trained is not recorded beside it."
    options, base = run["options"], base_classifier(run) or Path(run["base"]).name
    count = f"{run['num_training_records']:,} records" if "num_training_records" in run else "the records"
    fraction = options.get("label_fraction", 1.0)
    drawn = "" if fraction == 1 else f", a fraction of {fraction:g} of its labels"
    tasks = options.get("tasks")
    of_tasks = "" if tasks is None else f", labels of {', '.join(tasks)}"
    rates = [
        f"learning rate {f'of {what} ' if what else ''}{options[name]:g}"
        for name, what in (("learning_rate", ""), ("head_learning_rate", "the head"))
        if options.get(name) is not None
    ]
    schedule = [f"at most {options['num_epochs']} epochs", f"batches of {options['batch_size']}", *rates]
    return (
        f"Fine-tuned from `{base}` (weights sha256 `{run['base_weights_sha256'][:12]}`) on {count} of the training split "
        f"of {title_of(run['dataset'])}{splits_text(run['dataset'])}{of_tasks}{drawn}. {TRAINED[options['train']]}: "
        f"{', '.join(schedule)}, seed {options['seed']}. Epoch, calibration and thresholds were chosen on the validation "
        "split."
    )
