"""python examples/sweep.py etp-tiny --data_dir PTB_XL --output_dir runs/sweep --trials 20 [--num_epochs 2 …]

Search learning rate, weight decay and the weights of the objectives with Optuna: each trial is a run of `etp train` in a
folder of its own, scored by its recall on the validation split. The test split is never read. A sweep that was stopped
goes on where it was; further options go to every run as they are.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import optuna

RECALLS = [f"{way}_recall_at_{k}" for way in ("ecg_to_text", "text_to_ecg") for k in (1, 5, 10)]


def main() -> None:
    args, common = parse_arguments()
    args.output_dir.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=args.preset,
        storage=f"sqlite:///{args.output_dir / 'sweep.db'}",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=args.seed),
        load_if_exists=True,
    )
    finished = [trial for trial in study.trials if trial.state.is_finished()]
    study.optimize(lambda trial: train(trial, args, common), n_trials=max(0, args.trials - len(finished)))

    for trial in sorted(study.get_trials(states=[optuna.trial.TrialState.COMPLETE]), key=lambda trial: -trial.value):
        print(f"trial {trial.number}: validation recall {trial.value:.4f}, {flags_of(trial.params)}")
    best = study.best_trial
    print(f"Best on validation: trial {best.number}, its model is in {args.output_dir / f'trial-{best.number}'}.")
    print(f"Evaluate that one on the test split, once: etp train {args.preset} {flags_of(best.params)} repeats it.")


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", help="preset or YAML file of `etp train`")
    parser.add_argument("--output_dir", type=Path, required=True, help="receives a folder a trial, and sweep.db")
    parser.add_argument("--trials", type=int, default=20, help="trials in all, with those of an earlier call")
    parser.add_argument("--seed", type=int, default=0, help="of the search and of every training")
    return parser.parse_known_args()


def train(trial: optuna.Trial, args: argparse.Namespace, common: list[str]) -> float:
    """Train with the options that the trial suggests; mean recall on validation, at 1, 5 and 10, both ways.

    Losses of other batch sizes, temperatures and objectives can't be compared, recall among the same records can.
    """
    suggested = {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.3, log=True),
        "vocabulary": trial.suggest_float("vocabulary", 0.0, 2.0),
    }
    folder = args.output_dir / f"trial-{trial.number}"
    command = ["etp.cli", "train", args.preset, *common, *flags_of(suggested).split(), "--seed", str(args.seed)]
    command += ["--select_best", "recall", "--output_dir", str(folder), "--num_processes", "1", "--overwrite"]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    if done.returncode == 2:  # wrong usage: of every trial
        sys.exit(done.stderr.strip().splitlines()[-1])
    if done.returncode:  # such as a loss that became infinite: a bad trial, not the end
        print(f"trial {trial.number} failed: {done.stderr.strip().splitlines()[-1]}")
        raise optuna.TrialPruned
    return best_recall(folder / "metrics.jsonl")


def flags_of(params: dict[str, float]) -> str:
    """What the suggestions are on the command line of `etp train`."""
    weights = {"batch": 1.0, "vocabulary": params["vocabulary"]}
    objectives = " ".join(f"{name}={weight:.3f}" for name, weight in weights.items() if weight > 0.05)
    return (
        f"--learning_rate {params['learning_rate']:.3e} --weight_decay {params['weight_decay']:.3e} "
        f"--objectives {objectives}"
    )


def best_recall(metrics: Path) -> float:
    """The best validation of a run, which is that of the saved model."""
    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    return max(sum(line[name] for name in RECALLS) / len(RECALLS) for line in lines if RECALLS[0] in line)


if __name__ == "__main__":
    main()
