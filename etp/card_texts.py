"""What every model card says alike: of data, of results, of time and carbon."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets_scripts.archives import ARCHIVES, title_of

# Kind of result -> its task, which is none of the Hub's, and the title of that.
TASKS = {
    "zero_shot": ("zero-shot-ecg-classification", "Zero-shot classification"),
    "linear_probe": ("ecg-classification", "Linear probe of frozen features"),
    "fine_tuned": ("ecg-classification", "Fine-tuned classification"),
    "retrieval": ("ecg-text-retrieval", "Retrieval between ECGs and reports"),
    "open_vocabulary": (
        "zero-shot-ecg-classification",
        "Zero-shot classification in paraphrases that training never showed",
    ),
}


def splits_text(dataset: str) -> str:
    """How a data set is split, in brackets; empty where that is not known."""
    splits = ARCHIVES[dataset].splits if dataset in ARCHIVES else ""
    return f" ({splits})" if splits else ""


def data_license_text(run: Mapping[str, Any] | None) -> str:
    """The licence of the data that a run trained on."""
    archive = ARCHIVES.get(run["dataset"]) if run else None
    if archive is None or archive.license is None:
        return "The licence of the training data is that of whoever gave them: ask before you pass the weights on."
    return (
        f"{archive.title} ({archive.citation}) is under {archive.license.upper().replace('CC-BY-', 'CC BY ')}: name it "
        "when you pass the weights on."
    )


def results_text(results: Sequence[Mapping[str, Any]]) -> str:
    """Results as tables, each with what made it."""
    if not results:
        return "No evaluation was given to this card."
    from etp.evaluation.open_vocabulary_tables import negation_table, open_vocabulary_table
    from etp.evaluation.tables import overview_table, retrieval_table

    parts = ["In percent; brackets: 95% interval over resampled patients. Baselines stand below the model."]
    for result in results:
        title = title_of(result["dataset"])
        leads = result["conditions"]["leads"]
        shown = "" if leads is None else f", leads {' '.join(leads)} only"
        parts.append(f"### {TASKS[result['kind']][1]}, {title}, {result['split']} split{shown}")
        if result["kind"] == "retrieval":
            parts.append(retrieval_table([dict(result)]))
        elif result["kind"] == "open_vocabulary":
            parts += ["Macro AUROC:", open_vocabulary_table([dict(result)]), negation_table([dict(result)])]
        else:
            parts += ["Macro AUROC:", overview_table([dict(result)])]
        code = result["commit"] or result["source_sha256"]
        parts.append(f"Code `{code[:12]}`, seed {result['seed']}, {result['date'][:10]}.")
    return "\n\n".join(parts)


def cost_text(run: Mapping[str, Any] | None, co2_grams: float | None) -> str:
    """Time of a run with `hours` and `machine`, and its emissions."""
    hours, machine = (run["hours"], run["machine"]) if run else (None, None)
    time = f"{hours:.2f} hours of training" if hours else "The time of training is not recorded"
    where = f" on {machine}" if machine else ""
    carbon = (
        "Emissions were not measured." if co2_grams is None else f"Emissions: {co2_grams:g} g of CO2, as measured."
    )
    return f"{time}{where}. {carbon}"
