"""The model card of a checkpoint: README.md with metadata, made of what the checkpoint, its run and its results say."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from datasets_scripts.archives import ARCHIVES, title_of
from etp.card_texts import TASKS, cost_text, data_license_text, results_text, splits_text
from etp.classifier_card import TEMPLATE as CLASSIFIER_TEMPLATE
from etp.classifier_card import base_classifier, classifier_facts, fine_tuning_facts
from etp.loading import Checkpoint, ClassifierCheckpoint, Files
from etp.run_files import CONFIG_FILE, ECG_MODEL_RUN, RUN_FILE, TEXT_MODEL_RUN, VERSIONS_FILE, training_seconds
from etp.strict_yaml import read_json
from etp.text_towers import TOWERS

CARD_FILE = "README.md"
DEFAULT_LICENSE = "apache-2.0"
_DIGITS = 5  # of figures and their intervals
PAPER = "2309.07145"
TEMPLATE = Path(__file__).with_name("card_template.md")
# The Hub has no task for ECGs: any of its tasks for texts shows a text box and code that can't work with this model.
PIPELINE_TAG = "other"
TAGS = ("etp", "ecg", "electrocardiography", "medical")
PAPER_TAG = f"arxiv:{PAPER}"
METRICS = {
    "macro_auroc": ("roc_auc", "macro AUROC"),
    "macro_average_precision": ("average_precision", "macro average precision"),
    "macro_f1": ("f1", "macro F1, thresholds from the validation split"),
    "ecg_to_text_recall_at_10": ("recall", "recall at 10, ECG to text"),
    "text_to_ecg_recall_at_10": ("recall", "recall at 10, text to ECG"),
}


def make_card(
    checkpoint: Checkpoint | ClassifierCheckpoint,
    results: Sequence[Mapping[str, Any]] = (),
    *,
    repo_id: str,
    license: str = DEFAULT_LICENSE,
    co2_grams: float | None = None,
) -> ModelCard:
    """Write a model card.

    Args:
        checkpoint: The model; what `etp train` or `etp finetune` left beside it is read too.
        results: Contents of JSON files of the evaluation commands, of this very model.
        repo_id: `user/name`, under which the card says the model is found.
        license: Of the weights, as the Hub spells it.
        co2_grams: Emissions of the training as you measured them; None says that nobody did.

    Raises:
        ValueError: If a result is of another model, or the card is none that `huggingface_hub` reads.
    """
    check_results(checkpoint, results)
    if tuned := isinstance(checkpoint, ClassifierCheckpoint):
        run, tags = fine_tuning_facts(checkpoint.folder), ["fine-tuning", "ecg-classification"]
    else:
        run, tags = training_facts(checkpoint.folder), ["contrastive-learning", "zero-shot-ecg-classification"]
    datasets = dict.fromkeys([*([run["dataset"]] if run else []), *(result["dataset"] for result in results)])
    emissions = {
        "emissions": co2_grams,
        "source": "measured by the authors",
        "training_type": "fine-tuning" if tuned else "pre-training",
    }
    shown = list(eval_results([result for result in results if is_test(result, run)]))
    data = ModelCardData(
        language="en",
        license=license,
        library_name="transformers",
        pipeline_tag=PIPELINE_TAG,
        tags=[*TAGS, *tags, PAPER_TAG],
        datasets=list(datasets) or None,
        base_model=base_classifier(run) if tuned else base_model(run),
        model_name=repo_id.rpartition("/")[2],
        eval_results=shown or None,
        metrics=sorted({result.metric_type for result in shown}) or None,
        inference=False,
        co2_eq_emissions=None if co2_grams is None else emissions,
    )
    body = _body(checkpoint, results, run, repo_id=repo_id, license=license, co2_grams=co2_grams)
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}")  # parses the metadata, and refuses what it can't


def check_results(checkpoint: Files, results: Sequence[Mapping[str, Any]]) -> None:
    """Refuse results of other weights.

    Raises:
        ValueError: Names the result and both weights.
    """
    for result in results:
        if result["checkpoint_sha256"] != checkpoint.weights_sha256:
            raise ValueError(
                f"the results {result['name']!r} ({result['kind']}) are of the weights {result['checkpoint_sha256'][:12]}, "
                f"the card is for {checkpoint.weights_sha256[:12]}. Evaluate this model, or leave them out."
            )


def training_facts(folder: Path) -> dict[str, Any] | None:
    """The options of the run that a folder of `train.py` holds, with `hours` and `machine`; None if it holds none.

    `ecg_model_run` are the options of the run that trained its ECG tower, where that was another one, `text_model_run`
    of the one that adapted its text tower; `data` says on
    which records each stretch of steps was made, where the run left that beside its model.
    """
    if not (folder / CONFIG_FILE).is_file():
        return None
    facts = yaml.safe_load((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    tower_run = folder / ECG_MODEL_RUN / CONFIG_FILE
    facts["ecg_model_run"] = yaml.safe_load(tower_run.read_text(encoding="utf-8")) if tower_run.is_file() else None
    text_run = folder / TEXT_MODEL_RUN / CONFIG_FILE
    facts["text_model_run"] = yaml.safe_load(text_run.read_text(encoding="utf-8")) if text_run.is_file() else None
    for of_run, made_of in ((facts, folder / RUN_FILE), (facts["ecg_model_run"], tower_run.with_name(RUN_FILE))):
        if of_run is not None:
            of_run["data"] = read_json(made_of)["data"] if made_of.is_file() else []
    seconds = training_seconds(folder)
    facts["hours"], facts["machine"] = seconds and seconds / 3600, None
    if (folder / VERSIONS_FILE).is_file():
        versions = json.loads((folder / VERSIONS_FILE).read_text(encoding="utf-8"))
        facts["machine"] = f"{versions['machine']}, torch {versions['torch']}"
    return facts


def base_model(run: Mapping[str, Any] | None) -> str | None:
    """The text tower's name on the Hub; None where it is unknown, or was a folder."""
    name = (run.get("text_model_run") or run)["text_model"] if run else ""
    name = TOWERS[name].repo if name in TOWERS else name
    return name if name.count("/") == 1 and not Path(name).exists() else None


def is_test(result: Mapping[str, Any], run: Mapping[str, Any] | None) -> bool:
    """Whether a result is of records that nothing was chosen on: a test split, or all of a data set of others."""
    elsewhere = run is not None and run["dataset"] != result["dataset"]
    return result["split"] == "test" or (result["split"] == "all" and elsewhere)


def eval_results(results: Sequence[Mapping[str, Any]]) -> Iterator[EvalResult]:
    """Macro figures as the Hub reads them, never those with a threshold chosen on the same records."""
    for result in results:
        task_type, task_name = TASKS[result["kind"]]
        for task, report in result["tasks"].items():
            for name, (metric, title) in METRICS.items():
                if report.get(name) is None:
                    continue
                interval = interval_note(report[name], report["intervals_95"].get(name))
                leads = result["conditions"]["leads"]
                yield EvalResult(
                    task_type=task_type,
                    task_name=task_name,
                    dataset_type=result["dataset"],
                    dataset_name=f"{title_of(result['dataset'])}, {task}",
                    dataset_config=task if leads is None else f"{task}, leads {' '.join(leads)}",
                    dataset_split=result["split"],
                    metric_type=metric,
                    metric_name=title + interval,
                    metric_value=round(report[name], _DIGITS),
                )


def interval_note(value: float, interval: Sequence[float | None] | None) -> str:
    """An interval in words, in the digits of its value, and a word where the value is outside of it."""
    low, high = interval or (None, None)
    if low is None or high is None:
        return ""
    ends = f"95% interval {low:.{_DIGITS}f} to {high:.{_DIGITS}f}"
    return f" ({ends})" if low <= value <= high else f" ({ends}, which does not hold the value: biased by resampling)"


def _body(
    checkpoint: Checkpoint | ClassifierCheckpoint,
    results: Sequence[Mapping[str, Any]],
    run: Mapping[str, Any] | None,
    *,
    repo_id: str,
    license: str,
    co2_grams: float | None,
) -> str:
    extractor = checkpoint.feature_extractor
    if isinstance(checkpoint, ClassifierCheckpoint):
        template, own = CLASSIFIER_TEMPLATE, classifier_facts(checkpoint, run)
    else:
        template, own = TEMPLATE, _two_tower_facts(checkpoint, run)
    return template.read_text(encoding="utf-8").format(
        name=repo_id.rpartition("/")[2],
        repo_id=repo_id,
        paper=PAPER,
        leads=", ".join(extractor.lead_names),
        rate=f"{extractor.sampling_rate:g}",
        seconds=f"{extractor.num_samples / extractor.sampling_rate:g}",
        parameters=f"{checkpoint.model.num_parameters():,}",
        weights=checkpoint.weights_sha256,
        data_license=data_license_text(run),
        results=results_text(results),
        cost=cost_text(run, co2_grams),
        license=license,
        **own,
    )


def _two_tower_facts(checkpoint: Checkpoint, run: Mapping[str, Any] | None) -> dict[str, Any]:
    """Fields of the template that a classifier does not have."""
    config: Any = checkpoint.model.config
    return {
        "ecg_parameters": f"{checkpoint.model.ecg_model.num_parameters():,}",
        "text_tower": config.text_config.model_type,
        "dim": config.projection_dim,
        "training": _training_text(run),
    }


def _training_text(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "How this model was trained is not recorded beside it."
    tower = base_model(run) or "an encoder of the authors"
    frozen = "frozen" if run["unfreeze_text_from"] is None else f"trained from layer {run['unfreeze_text_from']} on"
    if adapted := run.get("text_model_run"):
        frozen = f"adapted to ECG terms from layer {adapted['unfreeze_text_from']} on before, then {frozen}"
    patients = ", and the age and sex of their patients" if "patient" in run.get("objectives", {}) else ""
    source = {
        "statements": f"{_texts_of(run['dataset'])}{patients}; no label was seen",
        "label_derived": "**phrases made of the labels**: zero-shot figures of these labels are a ceiling, not a result",
    }[run["text_source"]]
    first = run.get("ecg_model_run")
    before = "" if first is None else f"ECG tower of a run before: {_schedule(first)}. Then projections on it: "
    return (
        f"Training split of {title_of(run['dataset'])}{splits_text(run['dataset'])}. Texts: "
        f"{source}. Text tower: {tower}, {frozen}. {before}{_schedule(run)}."
    )


def _texts_of(dataset: str) -> str:
    texts = ARCHIVES[dataset].texts if dataset in ARCHIVES else ""
    return texts or "the statements of the records' reports"


def _schedule(run: Mapping[str, Any]) -> str:
    return (
        f"{run['num_epochs']} epochs, batches of {run['batch_size']}, learning rate {run['learning_rate']:g}, "
        f"seed {run['seed']}{_data_text(run.get('data') or [])}"
    )


def _data_text(parts: Sequence[Mapping[str, Any]]) -> str:
    """The records that weights were trained on, which the options of the run alone do not say."""
    stretches = []
    for part in parts:
        counts = [
            f"{part[split]['records']:,} {name} records (sha256 `{part[split]['sha256'][:16]}`)"
            for split, name in (("train", "training"), ("validation", "validation"))
            if split in part
        ]
        steps = f"steps {part['first_step']} to {part['last_step']} on " if len(parts) > 1 else "on "
        stretches.append(steps + (" and ".join(counts) or "data that was not recorded"))
    return f", {'; '.join(stretches)}" if stretches else ""
