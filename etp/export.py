"""Exports both towers of a checkpoint as ONNX models or `torch.export` programs, each checked against the model."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from etp.loading import file_sha256
from modeling_etp.modeling_etp import ETPModel

from .atomic_files import whole_folder

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from etp.loading import Checkpoint

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
DESCRIPTION_FILE = "export.json"
TOLERANCE = 1e-4  # of any component of a unit vector
_MOST_TOKENS = 512  # where the text tower has no limit of its own
Arrays = tuple[np.ndarray, ...]


class ExportError(ValueError):
    """An export that does not give what the model gives; nothing is left on disk."""


class EcgEmbedder(nn.Module):
    """`input_values` `(batch, leads, samples)` in mV to unit vectors `(batch, projection_dim)`."""

    name = "ecg_tower"
    output = "ecg_embeds"

    def __init__(self, model: ETPModel, num_samples: int):
        super().__init__()
        self.model = model
        self.shape = (model.ecg_model.num_leads, num_samples)

    def forward(self, input_values: Tensor) -> Tensor:
        return self.model.get_ecg_features(input_values).pooler_output

    def inputs(self, count: int, seed: int) -> dict[str, Tensor]:
        """`count` signals of the size of an ECG."""
        generator = torch.Generator().manual_seed(seed)
        return {"input_values": torch.randn((count, *self.shape), generator=generator)}

    def dynamic_shapes(self) -> dict[str, dict[int, Any]]:
        return {"input_values": {0: torch.export.Dim("batch", min=1)}}


class TextEmbedder(nn.Module):
    """`input_ids` and `attention_mask` `(batch, tokens)` to unit vectors `(batch, projection_dim)`."""

    name = "text_tower"
    output = "text_embeds"

    def __init__(self, model: ETPModel, max_tokens: int):
        super().__init__()
        self.model = model
        self.max_tokens = max_tokens
        self.vocabulary = cast(nn.Embedding, model.get_input_embeddings()).num_embeddings

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model.get_text_features(input_ids=input_ids, attention_mask=attention_mask).pooler_output

    def inputs(self, count: int, seed: int) -> dict[str, Tensor]:
        """`count` texts of random tokens; all but the first end in padding."""
        generator = torch.Generator().manual_seed(seed)
        tokens = min(5 + 4 * count, self.max_tokens)
        lengths = torch.tensor([tokens, *torch.randint(1, tokens, (count - 1,), generator=generator).tolist()])
        return {
            "input_ids": torch.randint(self.vocabulary, (count, tokens), generator=generator),
            "attention_mask": (torch.arange(tokens) < lengths[:, None]).long(),
        }

    def dynamic_shapes(self) -> dict[str, dict[int, Any]]:
        batch, tokens = torch.export.Dim("batch", min=1), torch.export.Dim("tokens", min=2, max=self.max_tokens)
        return {"input_ids": {0: batch, 1: tokens}, "attention_mask": {0: batch, 1: tokens}}


def export_checkpoint(checkpoint: "Checkpoint", folder: str | Path, *, format: str = "onnx") -> dict[str, Any]:
    """Export both towers with what is needed to use them: the processor's files and a description.

    Any number of ECGs and texts can be run at a time, texts of up to the text tower's number of tokens; the length of
    an ECG is the feature extractor's. What was written is opened again and compared with the model on batches of other
    sizes.

    Args:
        checkpoint: From `etp.loading.load_checkpoint`.
        folder: Made; receives `ecg_tower` and `text_tower` (`.onnx` or `.pt2`), `export.json` and the processor.
        format: `"onnx"`, or `"torch"` for `torch.export`.

    Returns:
        What `export.json` holds: inputs, temperature, the largest difference per tower, hashes, versions.

    Raises:
        ExportError: If an exported tower differs from the model by more than `TOLERANCE`.
        FileExistsError: If the folder exists.
        NotWrittenError: If it can't be written.
        ValueError: If there is no such format.
        ModuleNotFoundError: If the format's packages are not installed.
    """
    folder = Path(folder)
    if format not in SUFFIXES:
        raise ValueError(f"The format must be one of {', '.join(SUFFIXES)}, got {format!r}.")
    write, open_written = _WRITERS[format], _OPENERS[format]
    differences, files = {}, {}
    with whole_folder(folder) as unfinished:
        for tower in towers_of(checkpoint):
            path = unfinished / f"{tower.name}{SUFFIXES[format]}"
            write(tower, path)
            differences[tower.name] = largest_difference(tower, open_written(path))
            if not differences[tower.name] <= TOLERANCE:  # NaN is no agreement either
                raise ExportError(
                    f"{path.name} differs from the model by up to {differences[tower.name]:.2g}, more than {TOLERANCE:g}. "
                    "Export it with other versions of torch, onnxscript and onnxruntime."
                )
            files[path.name] = file_sha256(path)
        checkpoint.processor.save_pretrained(unfinished)
        description = _describe(checkpoint, format) | {"largest_difference": differences, "sha256": files}
        (unfinished / DESCRIPTION_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return description


def towers_of(checkpoint: "Checkpoint") -> tuple[EcgEmbedder, TextEmbedder]:
    """The towers of a checkpoint with their projections, each as a module of tensors only."""
    extractor, config = checkpoint.processor.feature_extractor, checkpoint.model.config
    max_tokens = getattr(config.text_config, "max_position_embeddings", _MOST_TOKENS)
    ecg, text = EcgEmbedder(checkpoint.model, extractor.num_samples), TextEmbedder(checkpoint.model, max_tokens)
    return ecg.eval(), text.eval()


def export_program(tower: EcgEmbedder | TextEmbedder) -> "ExportedProgram":
    """The tower as a `torch.export` program for batches of any size."""
    # Sizes that differ from each other and from 1, which export would take for fixed.
    with torch.no_grad(), _quiet():
        return torch.export.export(tower, (), tower.inputs(3, seed=0), dynamic_shapes=tower.dynamic_shapes())


def largest_difference(tower: EcgEmbedder | TextEmbedder, run: Callable[[Arrays], np.ndarray]) -> float:
    """Largest difference of any component between the model and an export of it, on batches of 1, 2 and 5."""
    differences = []
    for seed, count in enumerate((1, 2, 5), start=1):
        inputs = tower.inputs(count, seed)
        with torch.no_grad():
            expected = tower(**inputs).numpy()
        got = run(tuple(value.numpy() for value in inputs.values()))
        differences.append(float(np.abs(got - expected).max()))
    return float(np.max(differences))


def _write_onnx(tower: EcgEmbedder | TextEmbedder, path: Path) -> None:
    import onnxruntime  # noqa: F401  (it is needed to check the file, so miss it before the work)
    import onnxscript  # noqa: F401

    with _quiet():
        program: Any = torch.onnx.export(
            export_program(tower), dynamo=True, verbose=False, output_names=[tower.output]
        )
        program.save(path)


def _write_program(tower: EcgEmbedder | TextEmbedder, path: Path) -> None:
    # Through memory: where the disk is full, torch would end the process.
    content = io.BytesIO()
    torch.export.save(export_program(tower), content)
    path.write_bytes(content.getbuffer())


def open_onnx(path: Path) -> Callable[[Arrays], np.ndarray]:
    """An exported tower in ONNX Runtime on the CPU: takes its inputs in order, gives unit vectors."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))[0]


def open_program(path: Path) -> Callable[[Arrays], np.ndarray]:
    """An exported tower as a `torch.export` program: takes its inputs in the model's order, gives unit vectors."""
    module = torch.export.load(path).module()

    def run(inputs: Arrays) -> np.ndarray:
        names = ("input_values",) if len(inputs) == 1 else ("input_ids", "attention_mask")
        with torch.no_grad():
            return module(**{name: torch.from_numpy(value) for name, value in zip(names, inputs, strict=True)}).numpy()

    return run


_WRITERS = {"onnx": _write_onnx, "torch": _write_program}
_OPENERS = {"onnx": open_onnx, "torch": open_program}


def _describe(checkpoint: "Checkpoint", format: str) -> dict[str, Any]:
    model, extractor = checkpoint.model, checkpoint.processor.feature_extractor
    packages = ("torch", "transformers", *(("onnx", "onnxscript", "onnxruntime") if format == "onnx" else ()))
    return {
        "format": format,
        "checkpoint_sha256": checkpoint.sha256,
        "input_values": {
            "shape": ["batch", len(extractor.lead_names), extractor.num_samples],
            "unit": "mV",
            "sampling_rate": extractor.sampling_rate,
            "lead_names": list(extractor.lead_names),
        },
        "projection_dim": model.config.projection_dim,
        "logit_scale": model.get_logit_scale().item(),
        "logit_bias": None if model.logit_bias is None else model.logit_bias.item(),
        "versions": {package: version(package) for package in packages},
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on packages that these models don't use and on torch's own deprecations."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)
