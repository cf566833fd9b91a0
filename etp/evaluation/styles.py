"""Open vocabulary by style of prompt: lists, descriptions, questions, names and negations, each text scored by itself."""

from collections.abc import Sequence
from typing import Any

from etp.prompts_file import read_prompts

from .arguments import PHRASES, STYLES
from .paraphrase_metrics import Score, known_paraphrases, one_at_a_time, single_paraphrase_metrics
from .prompts import LabelPrompts, load_prompts
from .task_metrics import TaskRecords

FILES = {style: PHRASES / "styles" / f"{style}.json" for style in STYLES}


def load_styles(dataset: str, tasks: Sequence[str], styles: Sequence[str] | None) -> dict[str, list[LabelPrompts]]:
    """Style -> its texts of each task.

    Args:
        styles: Those wanted; if omitted, all, without the tasks that no text was written for.

    Raises:
        ValueError: If a style is asked for by name, and there is no text of a task or the style is given twice.
    """
    wanted = list(FILES if styles is None else styles)
    if len(set(wanted)) < len(wanted):
        raise ValueError(f"--styles takes each style once, got {' '.join(wanted)}.")
    found = {}
    for style in wanted:
        written = read_prompts(FILES[style], flag="--styles")
        if styles is not None and (missing := [task for task in tasks if task not in written]):
            raise ValueError(
                f"--styles {style}: no texts of task {', '.join(missing)} are shipped, only of {', '.join(written)}. "
                "Leave --styles out, or name other --tasks."
            )
        if own := [task for task in tasks if task in written]:
            found[style] = load_prompts(dataset, own, file=FILES[style], flag="--styles")
    return found


def style_metrics(
    score: Score,
    prompts: LabelPrompts,
    records: TaskRecords,
    training_texts: set[str],
    *,
    num_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """AUROC of every text as the only prompt of its label, with how many of the texts are training texts too.

    Names that others gave, "Atrial fibrillation", may be a report's own: they are counted, not refused.

    Args:
        score: Labels -> scores `(records, labels)`, of the model and of its untrained twin.
        training_texts: What a training on reports could have shown.
    """
    scores, baseline = score(one_at_a_time(prompts))
    untrained = single_paraphrase_metrics(baseline, prompts, records, num_resamples=0, seed=seed)
    return {
        **single_paraphrase_metrics(scores, prompts, records, num_resamples=num_resamples, seed=seed),
        "num_records": int(records.evaluated.sum()),
        "num_texts": len({text for own in prompts.phrases.values() for text in own}),
        "num_known_texts": len(known_paraphrases([prompts], training_texts)),
        "baselines": {"random_encoder": {"macro_auroc": untrained["macro_auroc"]}},
        "prompts": {"source": prompts.source, "num_phrases": sum(map(len, prompts.phrases.values()))},
    }
