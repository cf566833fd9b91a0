"""python examples/demo.py [--data_dir PTB_XL]

The main job in a few minutes on two CPU cores and without a network: records and reports on disk, pre-training,
zero-shot evaluation, one ECG classified by phrases, and pictures of it. Without --data_dir the records are synthetic.
"""

import argparse
import csv
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from datasets_scripts.synthetic import write_archive  # noqa: E402  (works from a checkout that is not installed)

NUM_RECORDS = 1500
NUM_EPOCHS, NUM_EPOCHS_REAL = 12, 4  # the real archive has fourteen times as many records
TEST_FOLD = "10"
# Phrases, none of which is a label the model was trained with: it has only read reports.
CANDIDATE_LABELS = (
    "normal ECG",
    "sinus bradycardia",
    "sinus tachycardia",
    "atrial fibrillation",
    "premature ventricular complexes",
    "left bundle branch block",
    "right bundle branch block",
    "acute anterior myocardial infarction",
    "acute inferior myocardial infarction",
    "ST depression",
    "first-degree AV block",
    "left ventricular hypertrophy",
)


def main() -> None:
    args = parse_arguments()
    started = time.monotonic()
    args.output_dir.mkdir(parents=True, exist_ok=True)
    data_dir = args.data_dir or make_archive(args.output_dir / "synthetic-ptb-xl", seed=args.seed)

    pretrain(data_dir, args)
    results = evaluate(data_dir, args)
    record = first_abnormal_test_record(data_dir)
    scores = classify(record, data_dir, args)
    pictures = draw(record, scores, data_dir, args)

    say(f"Done in {time.monotonic() - started:.0f} s")
    archive = f"{args.data_dir}" if args.data_dir else f"{data_dir} (synthetic: no patient is in it)"
    print(f"  archive     {archive}")
    print(f"  model       {args.model_dir}  (for ETPModel.from_pretrained and pipeline)")
    print(f"  results     {args.results}")
    for picture in pictures:
        print(f"  picture     {picture}")
    for task, report in results["tasks"].items():
        print(f"  zero-shot macro AUROC on fold {TEST_FOLD}, {task}: {100 * report['macro_auroc']:.1f}")
    print("Research software, not a medical device.")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, help="unpacked PTB-XL; synthetic records if omitted")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/demo"), help="receives everything")
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic records and the training")
    args = parser.parse_args()
    if args.data_dir and not (args.data_dir / "ptbxl_database.csv").is_file():
        parser.error(f"--data_dir: no ptbxl_database.csv in {args.data_dir}. Pass the folder of the unpacked PTB-XL.")
    args.model_dir, args.results = args.output_dir / "model", args.output_dir / "results.json"
    return args


def say(step: str) -> None:
    print(f"\n== {step}", flush=True)


def run(command: str, *arguments: object) -> None:
    """Run Python with a command line, showing it as one types it, and stop if it fails."""
    line = [*shlex.split(command), *map(str, arguments)]
    print("$ python", shlex.join(line), flush=True)
    if status := subprocess.run([sys.executable, *line], cwd=ROOT).returncode:
        sys.exit(f"demo: this command failed with status {status}; what it says stands above.")


def make_archive(data_dir: Path, *, seed: int) -> Path:
    say(f"Making {NUM_RECORDS} synthetic ECGs with German, English and Swedish reports")
    shutil.rmtree(data_dir, ignore_errors=True)
    return write_archive(data_dir, num_records=NUM_RECORDS, seed=seed)


def pretrain(data_dir: Path, args: argparse.Namespace) -> None:
    say("Pre-training: ECGs against their reports, no labels")
    num_epochs = NUM_EPOCHS_REAL if args.data_dir else NUM_EPOCHS
    run(
        "-m etp.cli train etp-demo --num_processes 1 --overwrite",
        *("--data_dir", data_dir.resolve(), "--output_dir", args.model_dir.resolve()),
        *("--num_epochs", num_epochs, "--seed", args.seed),
        *("--cache_dir", (args.output_dir / "cache").resolve()),
        *("--feature_cache", (args.output_dir / "cache" / "text_features").resolve()),
    )


def evaluate(data_dir: Path, args: argparse.Namespace) -> dict:
    say(f"Zero-shot evaluation on fold {TEST_FOLD}: patients the model has not seen")
    args.results.unlink(missing_ok=True)  # of another model
    run(
        "-m etp.cli evaluate zero-shot --dataset ptb_xl --split test --tasks superclass form rhythm --num_resamples 200",
        *("--model", args.model_dir.resolve(), "--data_dir", data_dir.resolve(), "--output", args.results.resolve()),
        *("--cache_dir", (args.output_dir / "cache").resolve()),
    )
    if args.data_dir is None:
        print("The literature's figures are of the real PTB-XL; synthetic ECGs are easier.")
    return json.loads(args.results.read_text())


def first_abnormal_test_record(data_dir: Path) -> dict:
    with (data_dir / "ptbxl_database.csv").open(encoding="utf-8") as table:
        return next(
            row for row in csv.DictReader(table) if row["strat_fold"] == TEST_FOLD and "NORM" not in row["scp_codes"]
        )


def classify(record: dict, data_dir: Path, args: argparse.Namespace) -> list[dict]:
    say(f"Classifying record {record['ecg_id']} by phrases, through the pipeline")
    from transformers import pipeline

    import modeling_etp  # noqa: F401  (makes the pipeline's task known to transformers)

    classifier = pipeline("zero-shot-ecg-classification", model=str(args.model_dir))
    scores = classifier(data_dir / f"{record['filename_lr']}.hea", candidate_labels=list(CANDIDATE_LABELS))
    print(f"  report   {' '.join(record['report'].split())}")
    print(f"  codes    {record['scp_codes']}")
    for entry in scores[:5]:
        print(f"  {entry['score']:.3f}    {entry['label']}")
    return scores


def draw(record: dict, scores: list[dict], data_dir: Path, args: argparse.Namespace) -> list[Path]:
    """The ECG on paper with its scores, and what speaks for the likeliest label."""
    from etp.explain import explain_label, plot_attribution
    from etp.plots import plot_ecg
    from modeling_etp import ETPModel, ETPProcessor, read_ecg

    ecg = read_ecg(data_dir / f"{record['filename_lr']}.hea")
    title = f"Record {record['ecg_id']}: {' '.join(record['report'].split())}"
    pictures = [
        args.output_dir / f"ecg-{record['ecg_id']}.png",
        args.output_dir / f"attribution-{record['ecg_id']}.png",
    ]
    plot_ecg(ecg.signal, ecg.sampling_rate, ecg.lead_names, title=title, scores=scores).savefig(pictures[0])

    model, processor = ETPModel.from_pretrained(args.model_dir), ETPProcessor.from_pretrained(args.model_dir)
    attribution = explain_label(
        model,
        processor,
        ecg.signal,
        scores[0]["label"],
        sampling_rate=ecg.sampling_rate,
        lead_names=ecg.lead_names,
        candidate_labels=CANDIDATE_LABELS,
    )
    plot_attribution(attribution).savefig(pictures[1])
    return pictures


if __name__ == "__main__":
    main()
