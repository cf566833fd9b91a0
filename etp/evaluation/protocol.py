"""etp evaluate protocol merl --model DIR --data DIR --output DIR

Zero-shot, linear probe and, where asked for, fine-tuning on the six label sets of MERL's benchmark (arXiv:2403.06659), beside published averages.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etp.atomic_files import whole_file
from etp.evaluation.arguments import ProtocolArguments, refusing_bad_input
from etp.evaluation.markdown import EMPTY, cell, markdown, percent
from etp.evaluation.plan import Command, run_commands
from etp.evaluation.prompts import load_prompts
from etp.evaluation.results import check_writable, load_results
from etp.evaluation.task_metrics import ON_TEST
from etp.outputs import check_output
from etp.pretrained import DEFAULT_MODEL

LABEL_FRACTIONS = ("0.01", "0.1", "1.0")
EPOCHS = 10  # of fine-tuning with all labels


@dataclass(frozen=True)
class MerlSet:
    """A data set of the benchmark: where it lies, how it is opened, and its tasks with their names in MERL's tables."""

    folder: str
    dataset: str
    tasks: dict[str, str]
    config: str | None = None


SETS = (
    MerlSet(
        "ptb-xl",
        "ptb_xl",
        {"superclass": "PTBXL-Super", "subclass": "PTBXL-Sub", "form": "PTBXL-Form", "rhythm": "PTBXL-Rhythm"},
    ),
    MerlSet("cpsc2018", "cpsc2018", {"cpsc2018": "CPSC2018"}),
    MerlSet("csn", "csn", {"csn": "CSN"}, config="merl"),
)
# Zero-shot macro AUROC, mean over the method's own choice of these sets, as its abstract states it.
PUBLISHED = (
    ("MERL, mean of the six", 0.752, "arXiv:2403.06659"),
    ("SuPreME, mean of six", 0.772, "arXiv:2502.19668"),
    ("TAMER, mean over three data sets", 0.812, "CVPR 2026, pages 10502-10511"),
)
NOTES = """These differ from ours in more than the model: they were pre-trained on MIMIC-IV-ECG and never saw PTB-XL, on whose
reports (folds 1 to 8) the models shipped here are trained; and each uses prompts of its own. Columns "ours" are strict:
thresholds come from the validation split, and labels nobody has are left out. Columns "as MERL" choose the threshold
of every class on the test split, as MERL's code does; AUROC is the same by both."""


def main(args: ProtocolArguments) -> None:
    with refusing_bad_input():
        found = [each for each in SETS if (args.data / each.folder).is_dir()]
        if not found:
            folders = ", ".join(f"{each.folder}/" for each in SETS)
            raise FileNotFoundError(f"--data {args.data} holds none of {folders}: expected unpacked data sets there.")
        for each in found if args.prompts else ():  # before anything is computed
            load_prompts(each.dataset, list(each.tasks), file=args.prompts, names=args.prompt_names)
        page = args.output / f"{args.protocol}.md"
        check_output(page, overwrite=args.overwrite)
        check_writable(page)
    run_commands([command for each in found for command in commands(args, each)], dry_run=args.dry_run)
    if args.dry_run:
        return
    results = {each.folder: [load_results(file) for file in files(args, each)] for each in found}
    text = merl_page(results, args.fine_tune)
    with whole_file(page) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    print(text)
    print(f"Written to {page}.")


def files(args: ProtocolArguments, each: MerlSet) -> list[Path]:
    """Results of the zero-shot evaluation, of the linear probe and of each fine-tuned classifier of a data set."""
    kinds = ["zero-shot", "linear", *(f"fine-tuned-{fraction:g}" for fraction in args.fine_tune)]
    return [args.output / f"{kind}-{each.folder}.json" for kind in kinds]


def commands(args: ProtocolArguments, each: MerlSet) -> list[Command]:
    """The command lines for one data set, after `python`."""
    base = ["--model", args.model] if args.model else []
    data = ["--dataset", each.dataset, "--data_dir", str(args.data / each.folder)]
    data += ["--dataset_config", each.config] if each.config else []
    data += ["--cache_dir", str(args.cache_dir)] if args.cache_dir else []
    common = ["--split", "test", "--num_resamples", str(args.num_resamples), "--precision", args.precision]
    common += ["--device", args.device, "--name", args.name or Path(args.model or DEFAULT_MODEL).name]
    common += ["--overwrite"] if args.overwrite else []
    common += ["--embedding_cache", str(args.embedding_cache or args.output / "embeddings")]
    common += ["--tasks", *each.tasks]
    common = [*data, *common]
    own = ["--prompts", str(args.prompts)] if args.prompts else []
    own += ["--prompt_names", str(args.prompt_names)] if args.prompt_names else []
    own += [] if args.interpret_labels else ["--interpret_labels", "false"]
    probe = ["--label_fractions", *LABEL_FRACTIONS, "--num_seeds", str(args.num_seeds)]
    zero_shot, linear, *fine_tuned = files(args, each)
    planned = [
        ["-m", "etp.cli", "evaluate", "zero-shot", *base, *common, *own, "--output", str(zero_shot)],
        ["-m", "etp.cli", "evaluate", "linear", *base, *common, *probe, "--output", str(linear)],
    ]
    for fraction, file in zip(args.fine_tune, fine_tuned, strict=True):
        model = file.with_suffix("")
        planned.append(["-m", "etp.cli", "finetune", *base, *data, *fine_tuning(args, each, fraction, model)])
        planned.append(
            ["-m", "etp.cli", "evaluate", "fine-tuned", "--model", str(model), *common, "--output", str(file)]
        )
    return planned


def fine_tuning(args: ProtocolArguments, each: MerlSet, fraction: float, model: Path) -> list[str]:
    """Options of one fine-tuning: all tasks of a data set at once, more epochs where there are fewer records."""
    epochs = round(EPOCHS / math.sqrt(fraction))
    options = ["--tasks", *each.tasks, "--label_fraction", f"{fraction:g}", "--num_epochs", str(epochs)]
    options += ["--patience", str(max(3, epochs // 3)), "--precision", args.precision, "--device", args.device]
    if args.overwrite:
        options.append("--overwrite")
    elif (model / "checkpoints").is_dir():  # begun, or done, which is left as it is
        options.append("--resume")
    return [*options, "--output_dir", str(model)]


def merl_page(results: Mapping[str, Sequence[Mapping[str, Any]]], fine_tuned: Sequence[float] = ()) -> str:
    """One row for each label set, in percent, with the mean of those that are there and published means.

    Args:
        results: Folder of a data set -> results of its zero-shot evaluation, its linear probe and, for each of
            `fine_tuned`, of the classifier fine-tuned with that fraction of the labels.
    """
    header = ["label set", "records", "zero-shot AUROC", "F1, ours", "F1, as MERL", "accuracy, as MERL"]
    header += [f"probe AUROC, {float(fraction):.0%} of labels" for fraction in LABEL_FRACTIONS]
    header += [f"fine-tuned AUROC, {fraction:.0%} of labels" for fraction in fine_tuned]
    rows, zero_shot = [], []
    for each in SETS:
        if each.folder not in results:
            continue
        phrases, probe, *classifiers = results[each.folder]
        for task, title in each.tasks.items():
            own = phrases["tasks"][task]
            zero_shot.append(own["macro_auroc"])
            fractions = probe["tasks"][task]["label_fractions"]
            rows.append(
                [
                    title,
                    str(own["num_records"]),
                    cell(own, "macro_auroc"),
                    cell(own, "macro_f1"),
                    percent(own[f"macro_f1_{ON_TEST}"]),
                    percent(own[f"macro_accuracy_{ON_TEST}"]),
                    *(percent(fractions[fraction]["macro_auroc"]) for fraction in LABEL_FRACTIONS),
                    *(cell(tuned["tasks"][task], "macro_auroc") for tuned in classifiers),
                ]
            )
    empty = [EMPTY] * (len(header) - 3)
    rows.append([f"mean of these {len(zero_shot)}", "", percent(sum(zero_shot) / len(zero_shot)), *empty])
    rows += [[f"{title} ({source})", "", percent(value), *empty] for title, value, source in PUBLISHED]
    missing = [each.folder for each in SETS if each.folder not in results]
    parts = [
        "# The benchmark of MERL",
        "In percent; brackets: 95% interval over resampled patients.",
        markdown(header, rows),
    ]
    if missing:
        parts.append(f"Not evaluated, because it was not there: {', '.join(missing)}.")
    return "\n\n".join([*parts, NOTES]) + "\n"
