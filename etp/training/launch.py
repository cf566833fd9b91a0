"""Start a training as `accelerate launch train.py` does: in this process, or in several that know of each other."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from etp.options import OptionError, option, split_options

from . import arguments

MODULE = "etp.training.main"


@dataclass(kw_only=True)
class LauncherArguments:
    """The processes, as `accelerate launch` takes them; what is not here goes into a file of `accelerate config`."""

    num_processes: int | None = option(
        "Processes on all machines together; one per GPU if omitted.", None, common=True
    )
    num_machines: int | None = option("Machines; the same command runs on each.", None)
    machine_rank: int | None = option("Which of the machines this is, from 0.", None)
    main_process_ip: str | None = option("Address of machine 0.", None)
    main_process_port: int | None = option("Port on machine 0 at which the processes meet.", None)
    rdzv_backend: str | None = option("How machines meet: static, c10d.", None)
    gpu_ids: str | None = option("GPUs to use, e.g. 0,1; all if omitted.", None)
    cpu: bool = option("Compute on CPUs although there is a GPU.", False)
    config_file: Path | None = option("File of `accelerate config`, e.g. of examples/accelerate.", None)

    def __post_init__(self):
        for name in ("num_processes", "num_machines"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"--{name} must be at least 1, got {value}.")
        if self.config_file is not None and not self.config_file.is_file():
            raise OptionError(f"--config_file: there is no file {self.config_file}.")
        machines = self.num_machines or 1
        if self.num_processes is not None and self.num_processes % machines:
            raise OptionError(
                f"--num_processes {self.num_processes} counts those of all machines, and --num_machines {machines} "
                "share them evenly."
            )

    def given(self) -> dict[str, Any]:
        """The options that are not at their default."""
        return {name: value for name, value in asdict(self).items() if value is not None and value is not False}


GROUPS = (*arguments.GROUPS, LauncherArguments)


def main(words: Sequence[str], *groups: Any) -> int:
    """Train as a command line says, whose options are right as far as they can be checked without computing.

    Returns:
        The exit status. Does not return where other processes take the place of this one.
    """
    arguments.Arguments(*groups[:-1])
    launcher, rest = split_options(LauncherArguments, words)
    if launcher.cpu:
        os.environ["ACCELERATE_USE_CPU"] = "true"
    if _needs_no_launcher(launcher):
        from .main import run

        return run(rest)
    command = [sys.executable, "-m", "accelerate.commands.launch", *launch_options(launcher), "-m", MODULE, *rest]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, _environment(launcher))


def launch_options(launcher: LauncherArguments, *, gpus: int | None = None) -> list[str]:
    """The options for `accelerate launch`: those given, and those it would warn about if they were not."""
    given = launcher.given()
    if "config_file" not in given and not _accelerate_config().is_file():
        count = _gpus() if gpus is None else gpus
        given = {"num_processes": max(count, 1), "num_machines": 1, **given}
        given |= {"mixed_precision": "no", "dynamo_backend": "no"}  # train.py sets its own precision
        if given["num_processes"] > 1:
            given.pop("cpu", None)  # with it, one process is started: ACCELERATE_USE_CPU says it to each of several
            given["multi_gpu"] = True
    return [
        word
        for name, value in given.items()
        for word in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
    ]


def _needs_no_launcher(launcher: LauncherArguments) -> bool:
    """Whether this is a process of a launcher already, or one process is all that is asked for."""
    if "WORLD_SIZE" in os.environ:
        return True
    given = launcher.given()
    if given.keys() - {"num_processes", "cpu"} or _accelerate_config().is_file():
        return False
    return given.get("num_processes", 1 if launcher.cpu else max(_gpus(), 1)) == 1


def _environment(launcher: LauncherArguments) -> Mapping[str, str]:
    """Several processes compute on CPUs only if they are told so, where there is no GPU."""
    import torch

    on_cpus = launcher.cpu or not torch.accelerator.is_available()
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **({"ACCELERATE_USE_CPU": "true"} if on_cpus else {})}


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _accelerate_config() -> Path:
    """What `accelerate config` writes and `accelerate launch` reads, also of a training that names none."""
    from accelerate.commands.config.config_args import default_config_file

    return Path(default_config_file)
