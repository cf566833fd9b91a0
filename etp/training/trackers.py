"""Trackers of `--report_to`: those that accelerate knows, with a run's name and its continuation told to each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

from etp.options import OptionError

PROJECT = "etp"  # TensorBoard's folder below that of the run
NONE, ALL = "none", "all"


def trackers(names: Sequence[str]) -> list[str]:
    """The trackers that are asked for, `all` being every one that is installed.

    Raises:
        OptionError: One is unknown or not installed; says which there are, or how to install it.
    """
    installed = [str(name) for name in get_available_trackers()]
    if [name.lower() for name in names] == [NONE]:
        return []
    if ALL in names:
        return installed
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            known = ", ".join(sorted(map(str, LOGGER_TYPE_TO_CLASS)))
            raise OptionError(f"--report_to: unknown tracker {name!r}, choose from {known}, or {ALL}, or {NONE}.")
        if name not in installed:
            raise OptionError(f"--report_to {name}: it is not installed: pip install {name}.")
    return list(dict.fromkeys(names))


def start_trackers(
    accelerator: Accelerator, names: Sequence[str], options: dict[str, Any], *, run: Path, run_id: str, resumes: bool
) -> None:
    """Start the trackers of an accelerator, in its main process.

    Args:
        options: Of the run.
        run: Its folder, whose name the run has with trackers too.
        run_id: A run that is continued keeps it, one that is begun anew does not.
        resumes: Whether it is continued.

    Raises:
        OptionError: A tracker can't be started: no login, no server …; says the reason and what goes on without it.
    """
    name = run.resolve().name
    own: dict[str, dict[str, Any]] = {
        "clearml": {"task_name": name},
        "dvclive": {"resume": resumes},
        "mlflow": {"run_name": name},
        "swanlab": {"experiment_name": name},
        "trackio": {"name": name, "resume": "allow" if resumes else "never"},
        "wandb": {"name": name, "id": run_id, "resume": "allow"},
    }
    try:
        accelerator.init_trackers(
            PROJECT, config={name: str(value) for name, value in options.items()}, init_kwargs=own
        )
    except Exception as error:  # each tracker has errors of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OptionError(
            f"--report_to {' '.join(names)}: it can't be started ({reason}). Mend that, or leave it out: metrics.jsonl "
            "has all figures."
        ) from error
