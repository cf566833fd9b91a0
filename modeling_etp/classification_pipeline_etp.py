"""`pipeline("ecg-classification")`: any ECG -> scores of the labels that a classifier was fine-tuned on."""

from os import PathLike
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import AutoModelForAudioClassification

from .evaluation_mode_etp import evaluation_mode
from .pipeline_base_etp import EcgPipeline, in_parts, scores_of, sort_arguments

if TYPE_CHECKING:
    from .classification_etp import ETPForEcgClassification

CLASSIFICATION_TASK = "ecg-classification"
SHOWN_LABELS = 5  # of a model's own, in an error


class EcgClassificationPipeline(EcgPipeline):
    """Score ECGs against the labels of an [`ETPForEcgClassification`].

    A recording of another length than the model's is cut into windows that overlap, a shorter one is padded; sampling
    rate, unit and order of leads are adapted by the feature extractor. Scores are probabilities, calibrated where the
    configuration holds a calibration; those of several labels per ECG are independent of each other, those of one
    label per ECG add up to 1.

    Args:
        sampling_rate, top_k, …: Every argument of `__call__` may be given here as its default.

    Example:
        >>> import modeling_etp
        >>> from transformers import pipeline
        >>> classifier = pipeline("ecg-classification", model="build/fine-tuned")  # doctest: +SKIP
        >>> classifier("ptb-xl/records100/00000/00001_lr", top_k=2)  # doctest: +SKIP
        [{'score': 0.97, 'label': 'NORM'}, {'score': 0.02, 'label': 'STTC'}]
    """

    _load_processor = False  # type: ignore[assignment]  # the base class has None, for "not said"
    _load_image_processor = False  # type: ignore[assignment]
    _load_feature_extractor = True  # type: ignore[assignment]
    _load_tokenizer = False  # type: ignore[assignment]

    model: "ETPForEcgClassification"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if not hasattr(self.model, "label_probabilities"):
            raise ValueError(
                f"the model is a {type(self.model).__name__}, which has no labels of its own. Fine-tune one with "
                '`etp finetune`, or give labels as text to `pipeline("zero-shot-ecg-classification")`.'
            )
        if self.feature_extractor is None:
            raise ValueError(
                "the pipeline has no feature_extractor. Pass `feature_extractor=`, or load a folder that "
                "`ETPFeatureExtractor.save_pretrained` wrote to."
            )

    def __call__(self, ecg: Any, *labels, **kwargs) -> Any:
        """Score one ECG or several.

        Args:
            ecg: One ECG: a path, an http(s) URL, the bytes of a file, an `EcgRecording`, an array, tensor or nested
                list of shape `(leads, samples)`, a dict with "array", "sampling_rate", "lead_names" and "units", or a
                dataset row with "ecg" (int16 µV) and "sampling_rate". Or several: a list or tuple of these, an array
                `(batch, leads, samples)`, a generator, a `datasets` dataset or column, a `torch` dataset.
            sampling_rate: Hz, of ECGs that do not state their own.
            lead_names: Names of the rows, of ECGs that do not state their own; the model's leads if omitted.
            units: Unit of arrays, "mV" if omitted; dataset rows of integers are in µV.
            allow_private_addresses: Whether hosts of URLs may have addresses that are not of the public internet; what
                `ETP_ALLOW_PRIVATE_ADDRESSES` says if omitted, and without that they may.
            verify_checksum: Whether the samples of a WFDB record must add up to the checksum in its header.
            max_gap_seconds: Runs of NaN up to this long are bridged; what the feature extractor says if omitted.
            window_overlap: Share of a window that it has in common with the next, in [0, 1); 0.5 if omitted.
            window_pooling: How the logits of windows are pooled: "mean" or "max".
            return_windows: Whether to add to each label its score in every window.
            return_notes: Whether to add to each label what was assumed, left out or filled in of the ECG.
            top_k: How many labels to return at most; all of them if omitted.
            threshold: Lowest score to return; "own": of each label the one that its configuration holds.
            batch_size: ECGs that are run at a time.
            labels: Refused: the model has labels of its own.

        Returns:
            For one ECG a list of `{"score", "label"}`, highest score first; with `return_windows` each has "windows"
            too, a list of `{"start", "end", "score"}` (seconds), with `return_notes` "notes", a list of sentences on
            the ECG. For a list, tuple or batch array a list of such lists, for a generator or dataset an iterator.

        Raises:
            ValueError: If an argument or an ECG cannot be used; names it and the cure.
        """
        if labels:
            raise ValueError(self._own_labels_only())
        return super().__call__(ecg, **kwargs)

    def _sanitize_parameters(self, **kwargs) -> tuple[dict, dict, dict]:
        if "candidate_labels" in kwargs:
            raise ValueError(self._own_labels_only())
        preprocess, forward, postprocess = sort_arguments(kwargs)
        postprocess["labels"] = self._labels()
        if postprocess.get("threshold") == "own":
            postprocess["threshold"] = self._own_thresholds()
        return preprocess, forward, postprocess

    def _labels(self) -> tuple[str, ...]:
        names: Any = self.model.config.id2label
        return tuple(names[index] for index in range(len(names)))

    def _own_labels_only(self) -> str:
        names = self._labels()
        shown = ", ".join(names[:SHOWN_LABELS]) + (", …" if len(names) > SHOWN_LABELS else "")
        return (
            f"a fine-tuned classifier has labels of its own ({shown}), so this pipeline takes no candidate labels and "
            'nothing but the ECG by position; labels as text are for `pipeline("zero-shot-ecg-classification")` with a '
            "model of two towers."
        )

    def _own_thresholds(self) -> list[float]:
        own = self.model.config.thresholds
        if own is None:
            raise ValueError('`threshold="own"`: this model has no thresholds. Pass a number between 0 and 1.')
        return [2.0 if value is None else value for value in own]  # None: nobody is called so

    def _forward(self, model_inputs: dict[str, Any], **pooling) -> dict[str, Any]:
        """Scores of shape `(ecgs, labels)`, and those of the windows where wanted."""
        with evaluation_mode(self.model):
            logits = in_parts(self._logits, model_inputs["input_values"])
        return scores_of(logits, self.model.label_probabilities, model_inputs, **pooling)

    def _logits(self, input_values: Tensor) -> Tensor:
        return self.model(input_values).logits.to(torch.float32)

    def save_pretrained(self, save_directory: str | PathLike, **kwargs) -> None:
        """Save model, feature extractor, and the code of both and of this pipeline."""
        # Code that came with a checkpoint is registered nowhere, and still has to be saved again with it.
        implementation = {
            CLASSIFICATION_TASK: {"impl": type(self), "pt": (AutoModelForAudioClassification,), "type": "multimodal"}
        }
        type(self)._registered_impl = implementation  # type: ignore[attr-defined]  # as `register_pipeline` does
        super().save_pretrained(save_directory, **kwargs)
        # It was set for the file only; on the living configuration it would be saved with the model from now on.
        self.model.config.__dict__.pop("custom_pipelines", None)


__all__ = ["CLASSIFICATION_TASK", "EcgClassificationPipeline"]
