"""etp evaluate all --model DIR --ptb_xl DIR --cpsc2018 DIR --output build/results --page docs/results.md

Run the whole protocol on one checkpoint, file by file, and build the page and picture of its results. Every command is
resumable, and so is this: what its file already has is not computed again.
"""

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from datasets_scripts.archives import PTB_XL
from etp.evaluation.command import parse_arguments, refusing_bad_input
from etp.evaluation.results import check_writable

ROOT = Path(__file__).resolve().parents[2]
TASKS = list(PTB_XL.tasks)
# Beside all twelve: limb leads, three leads of a small monitor, and one as from a watch.
LEADS = {"limb": ["I", "II", "III", "aVR", "aVL", "aVF"], "I-II-V2": ["I", "II", "V2"], "II": ["II"], "I": ["I"]}
Command = list[str]


@dataclass
class Arguments:
    """What is evaluated, on which archives."""

    model: str = field(metadata={"help": "Checkpoint folder, or its name on the Hub."})
    ptb_xl: Path = field(metadata={"help": "Folder of the unpacked PTB-XL."})
    output: Path = field(metadata={"help": "Folder that receives one JSON file a command."})
    cpsc2018: Path | None = field(default=None, metadata={"help": "Folder of CPSC2018; left out if omitted."})
    cpsc2018_config: str | None = field(
        default=None, metadata={"help": "Form of CPSC2018, challenge or original; both if omitted."}
    )
    page: Path | None = field(
        default=None, metadata={"help": "Markdown page of all tables; beside it its picture and a folder of CSVs."}
    )
    name: str | None = field(
        default=None, metadata={"help": "What tables call the model; the folder's name if omitted."}
    )
    split: str = field(
        default="test", metadata={"help": "Split of PTB-XL; paraphrases are evaluated on validation in any case."}
    )
    bf16: bool = field(default=False, metadata={"help": "bfloat16 autocast of the ECG tower."})
    num_resamples: int = field(default=1000, metadata={"help": "Bootstrap resamples behind the intervals."})
    num_seeds: int = field(default=3, metadata={"help": "Draws of the linear probe below all labels."})
    cache_dir: Path | None = field(default=None, metadata={"help": "Where prepared archives are kept."})
    embedding_cache: Path | None = field(
        default=None, metadata={"help": "Where ECG embeddings are kept; OUTPUT/embeddings if omitted."}
    )
    dry_run: bool = field(default=False, metadata={"help": "Print the commands and run none."})


def main(args: Arguments):
    planned = commands(args)
    with refusing_bad_input():
        for name, archive in (("--ptb_xl", args.ptb_xl), ("--cpsc2018", args.cpsc2018)):
            if archive is not None and not archive.is_dir():
                raise FileNotFoundError(f"{name} {archive} is not a folder; expected the unpacked archive.")
        check_writable(args.output / "zero-shot-ptb-xl.json")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    for number, command in enumerate(planned, start=1):
        print(f"[{number}/{len(planned)}] python {shlex.join(command)}", flush=True)
        if args.dry_run:
            continue
        code = subprocess.run([sys.executable, *command], env=environment, check=False).returncode
        if code:
            raise SystemExit(f"That command ended with {code}. The same command again goes on where it stopped.")


def commands(args: Arguments) -> list[Command]:
    """The command lines of the protocol after `python`, tables last."""
    common = ["--model", args.model, "--num_resamples", str(args.num_resamples)]
    common += ["--bf16"] if args.bf16 else []
    common += ["--name", args.name] if args.name else []
    common += ["--cache_dir", str(args.cache_dir)] if args.cache_dir else []
    common += ["--embedding_cache", str(args.embedding_cache or args.output / "embeddings")]
    files: list[str] = []

    def command(script: str, file: str, *options: str) -> Command:
        files.append(str(args.output / f"{file}.json"))
        return ["-m", f"etp.evaluation.{script}", *common, *options, "--output", files[-1]]

    ptb_xl = ["--dataset", "ptb_xl", "--data_dir", str(args.ptb_xl)]
    evaluated = [*ptb_xl, "--split", args.split]
    planned = [command("zero_shot", "zero-shot-ptb-xl", *evaluated, "--tasks", *TASKS, "--anomaly")]
    for name, leads in LEADS.items():
        planned.append(command("zero_shot", f"zero-shot-ptb-xl-{name}", *evaluated, "--leads", *leads))
    seeds = ["--label_fractions", "0.01", "0.1", "1", "--num_seeds", str(args.num_seeds)]
    planned.append(command("linear", "linear-ptb-xl", *evaluated, "--tasks", *TASKS, *seeds))
    planned.append(command("retrieval", "retrieval-ptb-xl", *evaluated, "--texts", "statements", "report"))
    planned.append(command("open_vocabulary", "open-vocabulary-ptb-xl", *ptb_xl))
    if args.cpsc2018 is not None:
        cpsc2018 = ["--dataset", "cpsc2018", "--data_dir", str(args.cpsc2018), "--split", "all"]
        cpsc2018 += ["--config", args.cpsc2018_config] if args.cpsc2018_config else []
        planned.append(command("zero_shot", "zero-shot-cpsc2018", *cpsc2018))
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
        planned.append(["-m", "etp.evaluation.tables", *files, *pictured])
    return planned


if __name__ == "__main__":
    main(*parse_arguments([Arguments], description=__doc__))
