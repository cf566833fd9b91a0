"""etp evaluate all --model DIR --ptb_xl DIR --cpsc2018 DIR --output build/results --page docs/results.md

Run the whole protocol on one checkpoint, file by file, and build the page and picture of its results. Every command is
resumable, and so is this: what its file already has is not computed again.
"""

from datasets_scripts.archives import PTB_XL
from etp.evaluation.arguments import AllArguments, refusing_bad_input
from etp.evaluation.patients import PATIENT_TASKS
from etp.evaluation.plan import Command, run_commands
from etp.evaluation.results import check_writable
from etp.outputs import check_output

TASKS = list(PTB_XL.tasks)
# Beside all twelve: limb leads, three leads of a small monitor, and one as from a watch.
LEADS = {"limb": ["I", "II", "III", "aVR", "aVL", "aVF"], "I-II-V2": ["I", "II", "V2"], "II": ["II"], "I": ["I"]}


def main(args: AllArguments):
    planned = commands(args)
    with refusing_bad_input():
        for name, archive in (("--ptb_xl", args.ptb_xl), ("--cpsc2018", args.cpsc2018)):
            if archive is not None and not archive.is_dir():
                raise FileNotFoundError(f"{name} {archive} is not a folder; expected the unpacked archive.")
        check_writable(args.output / "zero-shot-ptb-xl.json")
        goes_on = any(args.output.glob("*.json"))  # then the page is of these results
        if args.page is not None and not args.dry_run and not goes_on:
            check_output(args.page, overwrite=args.overwrite)
    run_commands(planned, dry_run=args.dry_run)


def commands(args: AllArguments) -> list[Command]:
    """The command lines of the protocol after `python`, tables last."""
    common = ["--num_resamples", str(args.num_resamples), *(["--model", args.model] if args.model else [])]
    common += ["--precision", args.precision, "--device", args.device]
    common += ["--name", args.name] if args.name else []
    common += ["--cache_dir", str(args.cache_dir)] if args.cache_dir else []
    common += ["--overwrite"] if args.overwrite else []
    common += ["--embedding_cache", str(args.embedding_cache or args.output / "embeddings")]
    files: list[str] = []

    def command(protocol: str, file: str, *options: str) -> Command:
        files.append(str(args.output / f"{file}.json"))
        return ["-m", "etp.cli", "evaluate", protocol, *common, *options, "--output", files[-1]]

    ptb_xl = ["--dataset", "ptb_xl", "--data_dir", str(args.ptb_xl)]
    evaluated = [*ptb_xl, "--split", args.split]
    planned = [command("zero-shot", "zero-shot-ptb-xl", *evaluated, "--tasks", *TASKS, "--anomaly")]
    planned.append(command("zero-shot", "zero-shot-ptb-xl-patients", *evaluated, "--tasks", *PATIENT_TASKS))
    for name, leads in LEADS.items():
        planned.append(command("zero-shot", f"zero-shot-ptb-xl-{name}", *evaluated, "--leads", *leads))
    seeds = ["--label_fractions", "0.01", "0.1", "1", "--num_seeds", str(args.num_seeds)]
    planned.append(command("linear", "linear-ptb-xl", *evaluated, "--tasks", *TASKS, *seeds))
    planned.append(command("retrieval", "retrieval-ptb-xl", *evaluated, "--text_kinds", "statements", "report"))
    planned.append(command("open-vocabulary", "open-vocabulary-ptb-xl", *ptb_xl))
    if args.cpsc2018 is not None:
        cpsc2018 = ["--dataset", "cpsc2018", "--data_dir", str(args.cpsc2018), "--split", "all"]
        cpsc2018 += ["--dataset_config", args.cpsc2018_config] if args.cpsc2018_config else []
        planned.append(command("zero-shot", "zero-shot-cpsc2018", *cpsc2018))
        planned.append(command("open-vocabulary", "open-vocabulary-cpsc2018", *cpsc2018))
    if args.page is not None:
        page = args.page
        pictured = [
            "--output",
            str(page),
            "--picture",
            str(page.with_suffix(".png")),
            "--rows",
            str(page.with_suffix("")),
        ]
        planned.append(["-m", "etp.cli", "evaluate", "tables", *files, *pictured, "--overwrite"])
    return planned
