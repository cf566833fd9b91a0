"""`etp info`: what a model, a search index or an ECG file is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etp.common_options import JSON_HELP, ReadingArguments
from etp.options import option
from etp.pretrained import list_models
from etp.samples import located

from .files import json_line, printable, stated_facts, write
from .models import open_model


@dataclass(kw_only=True)
class InfoArguments(ReadingArguments):
    """Of what."""

    what: str = option(
        "Folder or name of a model, index, ECG file or URL, or sample:NAME.",
        positional=True,
        metavar="MODEL|INDEX|FILE",
    )
    json: bool = option(JSON_HELP, False)


def run(args: InfoArguments) -> int:
    path = Path(args.what)
    if (path / "index.json").is_file():
        facts = index_facts(path)
    elif path.is_dir() or _is_hub_name(args.what) or args.what in list_models():
        facts = model_facts(args.what)
    else:
        facts = file_facts(args.what, args)
    measurements = facts.pop("measurements", None)
    if args.json:
        write(json_line(facts if measurements is None else {**facts, "measurements": measurements.as_dict()}))
    else:
        write(as_text(facts | dict(measurements.rows() if measurements else [])))
    return 0


def model_facts(model: str) -> dict[str, Any]:
    """Sizes, input and identity of a checkpoint, of a classifier its labels."""
    from etp.loading import Checkpoint

    checkpoint = open_model(model)
    network: Any = checkpoint.model
    extractor = checkpoint.feature_extractor
    config: Any = network.config
    reads = {
        "sampling_rate": extractor.sampling_rate,
        "seconds": extractor.num_samples / extractor.sampling_rate,
        "lead_names": list(extractor.lead_names),
    }
    if not isinstance(checkpoint, Checkpoint):
        return {
            "kind": "classifier",
            "model": model,
            "sha256": checkpoint.sha256,
            "weights_sha256": checkpoint.weights_sha256,
            "parameters": network.num_parameters(),
            "problem": config.problem_type,
            "labels": [config.id2label[index] for index in range(len(config.id2label))],
            "calibrated": config.calibration is not None,
            **reads,
        }
    return {
        "kind": "model",
        "model": model,
        "sha256": checkpoint.sha256,
        "weights_sha256": checkpoint.weights_sha256,
        "parameters": network.num_parameters(),
        "ecg_tower_parameters": network.ecg_model.num_parameters(),
        "text_tower": f"{config.text_config.model_type}, {network.text_model.num_parameters()} parameters",
        "projection_dim": config.projection_dim,
        "loss": config.loss_type,
        "temperature": round(1 / network.get_logit_scale().item(), 5),
        **reads,
    }


def index_facts(folder: Path) -> dict[str, Any]:
    """Size and model of a search index."""
    from etp.search import SearchIndex

    index = SearchIndex.load(folder)
    counts = {"ecgs": len(index.ecgs), "texts": len(index.texts)}
    made_with = {"model": index.model, "checkpoint_sha256": index.checkpoint_sha256}
    return {"kind": "search index", "index": str(folder), **made_with, **counts}


def file_facts(path: str, args: InfoArguments) -> dict[str, Any]:
    """Leads, rate, length and values of an ECG file, and what it says of itself."""
    import numpy as np

    from etp.measurements import measure_if_installed
    from modeling_etp.ecg_inputs_etp import read_path_or_url

    recording = read_path_or_url(located(path), **stated_facts(args))
    signal = recording.signal
    finite = signal[np.isfinite(signal)]
    return {
        "kind": "ECG file",
        "file": path,
        "lead_names": list(recording.lead_names),
        "sampling_rate": recording.sampling_rate,
        "samples": signal.shape[1],
        "seconds": round(signal.shape[1] / recording.sampling_rate, 3),
        "lowest_mv": round(float(finite.min()), 3) if finite.size else None,
        "highest_mv": round(float(finite.max()), 3) if finite.size else None,
        "missing_samples": int(signal.size - finite.size),
        "measurements": measure_if_installed(recording),
        "notes": list(recording.notes),
        **{
            name: value if isinstance(value, (int, float, str)) else str(value)
            for name, value in recording.metadata.items()
        },
    }


def as_text(facts: dict[str, Any]) -> str:
    notes = facts.get("notes", [])
    shown = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in facts.items()}
    shown.pop("notes", None)
    width = max(map(len, shown))
    lines = [f"{name.ljust(width)}  {printable(str(value))}" for name, value in shown.items()]
    return "\n".join([*lines, *(f"{'note'.ljust(width)}  {printable(note)}" for note in notes)])


def _is_hub_name(what: str) -> bool:
    """Whether something that is no file here looks like `user/name`, without the suffix that every ECG file has."""
    path = Path(what)
    return not path.suffix and what.count("/") == 1 and not path.parent.is_dir()
