"""What a run of fine-tuning is made of, written beside it, so that no run goes on with anything else."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from etp.atomic_files import whole_file
from etp.common_options import AugmentationArguments
from etp.file_hashes import file_sha256
from etp.loading import WEIGHT_FILES, hash_of_hashes, model_name
from etp.options import OptionError
from etp.run_files import FINE_TUNING_FILE

from .arguments import DataArguments, ModelArguments, TrainingArguments
from .model import Base

# Options that decide no number of a run that goes on.
_FREE = {"data_dir", "cache_dir", "output_dir", "resume", "overwrite", "device", "report_to", "model"}


def describe_run(
    data: DataArguments,
    model: ModelArguments,
    args: TrainingArguments,
    augment: AugmentationArguments,
    *,
    base: Base,
    contents: Sequence[str],
) -> dict[str, Any]:
    """Options, base checkpoint and records of a run, JSON values."""
    options = {**asdict(data), **asdict(model), **asdict(args), **asdict(augment)}
    files = {path.name: file_sha256(path) for path in sorted(base.folder.glob(WEIGHT_FILES))}
    return {
        "base": model_name(model.model),
        "base_weights_sha256": next(iter(files.values())) if len(files) == 1 else hash_of_hashes(files),
        "dataset": data.dataset,
        "data": list(contents),
        "options": {name: value for name, value in options.items() if name not in _FREE},
    }


def write_run(output_dir: Path, run: dict[str, Any]) -> None:
    """Write the description of a run into its folder."""
    with whole_file(output_dir / FINE_TUNING_FILE) as unfinished:
        unfinished.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def check_identity(output_dir: Path, run: dict[str, Any]) -> bool:
    """Refuse to go on with other options, records or weights than those of the run that left the checkpoints.

    Returns:
        Whether that run is finished.

    Raises:
        OptionError: If something differs; names it.
    """
    path = output_dir / FINE_TUNING_FILE
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        options = before["options"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OptionError(f"--resume: {path} can't be read ({error}). Start anew with --overwrite.") from error
    cure = "Go on with what it began with, or start anew with --overwrite."
    for name, value in run["options"].items():
        if options.get(name) != value:
            raise OptionError(
                f"--resume: --{name} was {options.get(name)!r} when the run began, and is {value!r}. {cure}"
            )
    for key, what in (("base_weights_sha256", "the weights of --model"), ("data", "the records")):
        if before.get(key) != run[key]:
            raise OptionError(f"--resume: {what} are not those that the run began with. {cure}")
    return "validation" in before
