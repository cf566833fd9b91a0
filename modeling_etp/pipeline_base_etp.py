"""What the pipelines on ECGs share: every kind of input, windows of long recordings, notes, and labels by score."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import Pipeline
from transformers.pipelines.pt_utils import PipelineDataset, PipelineIterator

from .ecg_inputs_etp import NumberedEcgs, as_inputs, open_ecg, open_numbered
from .ecg_windows_etp import WINDOW_OVERLAP, WINDOW_POOLINGS, WINDOWS_AT_A_TIME, pool_windows, windows_of

PREPROCESSING = (
    "sampling_rate",
    "lead_names",
    "units",
    "allow_private_addresses",
    "verify_checksum",
    "max_gap_seconds",
    "window_overlap",
)
FORWARD = ("window_pooling", "return_windows", "return_notes")
POSTPROCESSING = ("top_k", "threshold")
# What `transformers.pipeline` hands on to the class beside the user's own arguments.
_HUB_ARGUMENTS = ("torch_dtype", "dtype", "local_files_only")


class EcgPipeline(Pipeline):
    """Any ECG, or several, -> scores of labels; a pipeline says what the scores of prepared windows are."""

    def __call__(self, ecg: Any, **kwargs) -> Any:
        ecgs = as_inputs(ecg)
        if isinstance(ecgs, list) and not ecgs:
            return []
        return super().__call__(ecgs, **kwargs)

    def get_iterator(
        self, inputs, num_workers: int, batch_size: int, preprocess_params, forward_params, postprocess_params
    ):
        # The base class prepares records one by one and pads them to a common shape. Here they are only opened one by
        # one and prepared as a batch, which costs a tenth, and each may have any number of windows.
        source = dict(preprocess_params)
        collate = partial(
            windows_of,
            feature_extractor=self.feature_extractor,
            overlap=source.pop("window_overlap", WINDOW_OVERLAP),
            max_gap_seconds=source.pop("max_gap_seconds", None),
        )
        opened: PipelineDataset | PipelineIterator
        if hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__"):
            opened = PipelineDataset(NumberedEcgs(inputs), open_numbered, source)
        else:
            num_workers = min(num_workers, 1)  # two workers would each open all
            opened = PipelineIterator(enumerate(inputs), open_numbered, source)
        batches = DataLoader(opened, num_workers=num_workers, batch_size=batch_size, collate_fn=collate)
        outputs = PipelineIterator(batches, self.forward, forward_params, loader_batch_size=batch_size)
        return PipelineIterator(outputs, self.postprocess, postprocess_params)

    def preprocess(
        self, ecg: Any, *, window_overlap: float = WINDOW_OVERLAP, max_gap_seconds: float | None = None, **source
    ) -> dict[str, Any]:
        """One ECG as `input_values` of its windows."""
        return windows_of(
            [open_ecg(ecg, **source)],
            self.feature_extractor,
            overlap=window_overlap,
            max_gap_seconds=max_gap_seconds,
        )

    def postprocess(
        self,
        model_outputs: dict[str, Any],
        *,
        labels: Sequence[str],
        top_k: int | None = None,
        threshold: float | Sequence[float] | None = None,
    ) -> list[dict[str, Any]]:
        """Scores of one ECG as `{"score", "label"}`, highest first."""
        scores = model_outputs["scores"][0].tolist()
        order = sorted(range(len(scores)), key=lambda index: -scores[index])[:top_k]
        if threshold is not None:
            lowest = threshold if isinstance(threshold, Sequence) else [threshold] * len(scores)
            order = [index for index in order if scores[index] >= lowest[index]]
        entries = [{"score": scores[index], "label": labels[index]} for index in order]
        if "windows" in model_outputs:
            windows = model_outputs["windows"]
            seconds, window_scores = windows[0] if isinstance(windows, list) else windows
            columns = window_scores.T.tolist()
            for index, entry in zip(order, entries, strict=True):
                entry["windows"] = [
                    {"start": start, "end": end, "score": score}
                    for (start, end), score in zip(seconds, columns[index], strict=True)
                ]
        if "notes" in model_outputs:
            notes = model_outputs["notes"]
            for entry in entries:
                entry["notes"] = list(notes[0] if isinstance(notes, list) else notes)
        return entries


def in_parts(function: Any, input_values: Tensor) -> Tensor:
    """What a function makes of windows, a bounded number of them at a time."""
    parts = [function(part) for part in input_values.split(WINDOWS_AT_A_TIME)]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def scores_of(
    logits: Tensor,
    probabilities: Any,
    model_inputs: Mapping[str, Any],
    *,
    window_pooling: str = "mean",
    return_windows: bool = False,
    return_notes: bool = False,
) -> dict[str, Any]:
    """Logits `(windows, labels)` as scores of the ECGs `(ecgs, labels)`, beside windows and notes where wanted.

    Args:
        probabilities: Makes scores of logits, `(…, labels)` both.
        model_inputs: From `windows_of`.
    """
    counts = [len(own) for own in model_inputs["seconds"]]
    outputs: dict[str, Any] = {"scores": probabilities(pool_windows(logits, counts, window_pooling))}
    if return_windows:
        outputs["windows"] = list(zip(model_inputs["seconds"], probabilities(logits).split(counts), strict=True))
    if return_notes:
        outputs["notes"] = [tuple(own) for own in model_inputs["notes"]]
    return outputs


def sort_arguments(kwargs: Mapping[str, Any], *, forward: Iterable[str] = ()) -> tuple[dict, dict, dict]:
    """Arguments of a call as those of preprocessing, forward and postprocessing.

    Args:
        forward: Names that a pipeline knows beside those of all.

    Raises:
        ValueError: If one is unknown, or impossible.
    """
    names = (PREPROCESSING, (*forward, *FORWARD), POSTPROCESSING)
    known = [name for group in names for name in group]
    unknown = sorted(set(kwargs).difference(known, _HUB_ARGUMENTS))
    if unknown:
        raise ValueError(
            f"unknown argument(s) {', '.join(unknown)}; there are {', '.join(known)}, batch_size and num_workers."
        )
    _check(**{name: value for name, value in kwargs.items() if name in known})
    preprocess, forward_, postprocess = ({name: kwargs[name] for name in own if name in kwargs} for own in names)
    return preprocess, forward_, postprocess


def _check(
    *,
    window_overlap: float = WINDOW_OVERLAP,
    window_pooling: str = "mean",
    top_k: int | None = None,
    threshold: Any = None,
    **_,
) -> None:
    if not (is_number(window_overlap) and 0 <= window_overlap < 1):
        raise ValueError(f"`window_overlap` is a share of the window in [0, 1), got {window_overlap!r}. Use e.g. 0.5.")
    if window_pooling not in WINDOW_POOLINGS:
        raise ValueError(f"`window_pooling` must be one of {', '.join(WINDOW_POOLINGS)}, got {window_pooling!r}.")
    if top_k is not None and (isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1):
        raise ValueError(f"`top_k` must be a whole number of at least 1, or None for all labels, got {top_k!r}.")
    if threshold is not None and threshold != "own" and not (is_number(threshold) and 0 <= threshold <= 1):
        raise ValueError(f"`threshold` is a score between 0 and 1, got {threshold!r}.")


def is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


__all__ = ["EcgPipeline", "in_parts", "is_number", "scores_of", "sort_arguments"]
