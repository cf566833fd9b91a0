"""`pipeline("zero-shot-ecg-classification")`: any ECG and any labels -> scores."""

from collections.abc import Mapping, Sequence
from functools import partial
from os import PathLike
from os.path import exists
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModel

from .ecg_inputs_etp import as_inputs, batched, is_one_ecg, open_numbered
from .ecg_windows_etp import WINDOW_OVERLAP, pool_windows, windows_of
from .label_cache_etp import LabelCache
from .pipeline_base_etp import EcgPipeline, in_parts, scores_of, sort_arguments
from .processing_etp import ETPProcessor
from .zero_shot_etp import (
    NEUTRAL_PHRASES,
    PHRASE_POOLINGS,
    LabelEmbeddings,
    check_labels,
    check_templates,
    evaluation_mode,
    label_logits,
)

if TYPE_CHECKING:
    from .modeling_etp import ETPModel

TASK = "zero-shot-ecg-classification"
_FORWARD = ("candidate_labels", "hypothesis_template", "multi_label", "phrase_pooling", "interpret_labels")

Labels = Sequence[str] | Mapping[str, Sequence[str]]


class ZeroShotEcgClassificationPipeline(EcgPipeline):
    """Score ECGs against labels that are given as text.

    A recording of another length than the model's is cut into windows that overlap, a shorter one is padded; sampling
    rate, unit and order of leads are adapted by the feature extractor. The embeddings of labels are kept, and made
    anew when the weights, the tokenizer or the device changed. Writes through `parameter.data` that leave the first
    value of a parameter as it was are not noticed: call `forget_labels()` after such.

    Args:
        candidate_labels, hypothesis_template, …: Every argument of `__call__` may be given here as its default.

    Example:
        >>> import modeling_etp
        >>> from transformers import pipeline
        >>> classifier = pipeline("zero-shot-ecg-classification", model="build/etp-ptb-xl")  # doctest: +SKIP
        >>> classifier("ptb-xl/records100/00000/00001_lr", ["normal ECG", "atrial fibrillation"])  # doctest: +SKIP
        [{'score': 0.98, 'label': 'normal ECG'}, {'score': 0.02, 'label': 'atrial fibrillation'}]
    """

    # Loaded where they are found, because both may come in a `processor` instead; `__init__` insists on them.
    _load_processor = False  # type: ignore[assignment]  # the base class has None, for "not said"
    _load_image_processor = False  # type: ignore[assignment]
    _load_feature_extractor = None
    _load_tokenizer = None

    model: "ETPModel"
    processor: ETPProcessor  # of the two parts, however they came

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name in ("feature_extractor", "tokenizer"):
            if getattr(self, name) is None:
                setattr(self, name, getattr(self.processor, name, None))
            if getattr(self, name) is None:
                raise ValueError(
                    f"the pipeline has no {name}. Pass `{name}=` or `processor=`, or load a folder that "
                    "`ETPProcessor.save_pretrained` wrote to."
                )
        # The one that was given may be of other parts than those that were given beside it.
        self.processor = ETPProcessor(self.feature_extractor, self.tokenizer)
        self._label_cache = LabelCache()

    def __call__(self, ecg: Any, candidate_labels: Labels | None = None, **kwargs) -> Any:
        """Score one ECG or several.

        Args:
            ecg: One ECG: a path, an http(s) URL, the bytes of a file, an `EcgRecording`, an array, tensor or nested
                list of shape `(leads, samples)`, a dict with "array", "sampling_rate", "lead_names" and "units", or a
                dataset row with "ecg" (int16 µV) and "sampling_rate". Or several: a list or tuple of these, an array
                `(batch, leads, samples)`, a generator, a `datasets` dataset or column, a `torch` dataset.
            candidate_labels: Labels, or label -> phrases that state it. A list is its alternatives, a description its
                sentences, "no X" the absence of X.
            interpret_labels: Whether labels are read so; `False` takes every text as it is.
            sampling_rate: Hz, of ECGs that do not state their own.
            lead_names: Names of the rows, of ECGs that do not state their own; the model's leads if omitted.
            units: Unit of arrays, "mV" if omitted; dataset rows of integers are in µV.
            allow_private_addresses: Whether hosts of URLs may have addresses that are not of the public internet; what
                `ETP_ALLOW_PRIVATE_ADDRESSES` says if omitted, and without that they may.
            verify_checksum: Whether the samples of a WFDB record must add up to the checksum in its header.
            max_gap_seconds: Runs of NaN up to this long are bridged; what the feature extractor says if omitted.
            hypothesis_template: A text with `{}` in the place of the phrase, or several; "{}" if omitted: phrases such
                as "atrial fibrillation" are statements of a report already.
            multi_label: Whether labels are judged one by one instead of against each other. A score is then relative
                to what may be said of any ECG (or the bias of a SigLIP model) and 0.5 is no calibrated threshold. A
                single label is always judged so: there is nothing else to weigh it against.
            phrase_pooling: How phrases of a label are pooled: "logsumexp", "mean" or "max".
            window_overlap: Share of a window that it has in common with the next, in [0, 1); 0.5 if omitted.
            window_pooling: How the logits of windows are pooled: "mean" or "max".
            return_windows: Whether to add to each label its score in every window.
            return_notes: Whether to add to each label what was assumed, left out or filled in of the ECG.
            top_k: How many labels to return at most.
            threshold: Lowest score to return.
            batch_size: ECGs that are run at a time.

        Returns:
            For one ECG a list of `{"score", "label"}`, highest score first; with `return_windows` each has "windows"
            too, a list of `{"start", "end", "score"}` (seconds), with `return_notes` "notes", a list of sentences on the
            ECG, the same for each label. For a list, tuple or batch array a list of such
            lists, for a generator or dataset an iterator over them.

        Raises:
            ValueError: If labels, an argument or an ECG cannot be used; names it and the cure.
        """
        if candidate_labels is not None:
            kwargs["candidate_labels"] = candidate_labels
        if "candidate_labels" not in {*kwargs, *self._forward_params}:
            raise ValueError(
                '`candidate_labels` is missing. Pass a list such as ["atrial fibrillation", "sinus rhythm"], or a '
                "mapping label -> phrases."
            )
        return super().__call__(ecg, **kwargs)

    def _sanitize_parameters(self, **kwargs) -> tuple[dict, dict, dict]:
        preprocess, forward, postprocess = sort_arguments(kwargs, forward=_FORWARD)
        if (pooling := forward.get("phrase_pooling", "mean")) not in PHRASE_POOLINGS:
            raise ValueError(f"`phrase_pooling` must be one of {', '.join(PHRASE_POOLINGS)}, got {pooling!r}.")
        if postprocess.get("threshold") == "own":
            raise ValueError("`threshold` is a score between 0 and 1: labels given as text have none of their own.")
        if "candidate_labels" in forward:
            forward["candidate_labels"] = check_labels(forward["candidate_labels"])
            postprocess["labels"] = tuple(forward["candidate_labels"])
        if "hypothesis_template" in forward:
            forward["hypothesis_template"] = check_templates(forward["hypothesis_template"])
        return preprocess, forward, postprocess

    def _forward(
        self,
        model_inputs: dict[str, Any],
        *,
        candidate_labels: Mapping[str, Sequence[str]],
        hypothesis_template: Sequence[str] = ("{}",),
        multi_label: bool = False,
        phrase_pooling: str = "logsumexp",
        interpret_labels: bool = True,
        **pooling,
    ) -> dict[str, Any]:
        """Scores of shape `(ecgs, labels)`, and those of the windows where wanted."""
        with evaluation_mode(self.model):
            embeds = self._embed_windows(model_inputs["input_values"])
            label_embeds = self._label_cache.get(
                self.model, self.tokenizer, candidate_labels, hypothesis_template, interpret_labels=interpret_labels
            )
            # Of one label the softmax would be 1 whatever the ECG.
            multi_label = multi_label or len(candidate_labels) == 1
            logits = self._logits(embeds, label_embeds, multi_label, phrase_pooling)
        probabilities = torch.sigmoid if multi_label else partial(torch.softmax, dim=-1)
        return scores_of(logits, probabilities, model_inputs, **pooling)

    def _embed_windows(self, input_values: Tensor) -> Tensor:
        return in_parts(lambda part: self.model.get_ecg_features(part).pooler_output, input_values)

    def _logits(self, embeds: Tensor, label_embeds: LabelEmbeddings, multi_label: bool, pooling: str) -> Tensor:
        """Shape `(windows, labels)`; for labels that are judged one by one, 0 is as likely as not."""
        scale = self.model.get_logit_scale()
        logits = label_logits(embeds, label_embeds, scale, pooling=pooling)
        if not multi_label:
            return logits
        if self.model.logit_bias is not None:
            return logits + self.model.logit_bias.float()
        # InfoNCE ranks and its logits have no zero. What may be said of any ECG takes its place.
        neutral = self._label_cache.get(self.model, self.tokenizer, {"neutral": NEUTRAL_PHRASES}, ("{}",))
        return logits - label_logits(embeds, neutral, scale, pooling=pooling)

    def embed_ecgs(
        self,
        ecgs: Any,
        *,
        batch_size: int = 64,
        window_overlap: float = WINDOW_OVERLAP,
        max_gap_seconds: float | None = None,
        **source,
    ) -> np.ndarray:
        """Embed ECGs as unit vectors; of several windows, the normalised mean.

        Args:
            ecgs: One ECG or several, as `__call__` takes them.
            batch_size: ECGs that are run at a time.
            window_overlap: As in `__call__`.
            max_gap_seconds: As in `__call__`.
            source: `sampling_rate`, `lead_names`, `units`, `verify_checksum`, as in `__call__`.

        Returns:
            Shape `(ecgs, projection_dim)`, float32; one row for one ECG.
        """
        inputs = as_inputs(ecgs)
        inputs = [inputs] if is_one_ecg(inputs) else inputs
        opened = (open_numbered(numbered, **source) for numbered in enumerate(inputs))
        embeds = []
        for batch in batched(opened, batch_size):
            prepared = windows_of(
                batch, self.feature_extractor, overlap=window_overlap, max_gap_seconds=max_gap_seconds
            )
            with torch.no_grad(), evaluation_mode(self.model):
                windows = self._embed_windows(prepared["input_values"].to(self.device))
                pooled = pool_windows(windows, [len(own) for own in prepared["seconds"]], "mean")
                embeds.append(torch.nn.functional.normalize(pooled, dim=-1).cpu().numpy())
        if not embeds:
            raise ValueError("there is no ECG to embed. Pass at least one.")
        return np.concatenate(embeds)

    def embed_texts(self, texts: str | Sequence[str], *, batch_size: int = 64) -> np.ndarray:
        """Embed texts as unit vectors, shape `(texts, projection_dim)`, float32; one row for one text."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        return self._label_cache.embed_texts(self.model, self.tokenizer, texts, batch_size=batch_size).cpu().numpy()

    def encode(self, inputs: Any, *, batch_size: int = 64, **source) -> np.ndarray:
        """Embed texts or ECGs, under the name that sentence-transformers gives both: strings are texts.

        Args:
            inputs: A text or a list of texts; or an ECG or several as `embed_ecgs` takes them, files as `pathlib.Path`.
            batch_size: Texts or ECGs that are run at a time.
            source: What `embed_ecgs` is told of ECGs: `sampling_rate=`, `lead_names=` …

        Returns:
            Unit vectors, `(inputs, projection_dim)`, float32; `(projection_dim,)` for one text or one ECG.

        Raises:
            ValueError: If a string is the path of a file or a URL, or texts and ECGs are mixed.
        """
        texts = [inputs] if isinstance(inputs, str) else inputs
        if isinstance(texts, (list, tuple)) and any(isinstance(text, str) for text in texts):
            _check_texts(texts, source)
            embeds = self.embed_texts(texts, batch_size=batch_size)
        else:
            embeds = self.embed_ecgs(inputs, batch_size=batch_size, **source)
        return embeds[0] if isinstance(inputs, str) or is_one_ecg(inputs) else embeds

    def forget_labels(self) -> None:
        """Embed labels anew at the next call."""
        self._label_cache.clear()

    def save_pretrained(self, save_directory: str | PathLike, **kwargs) -> None:
        """Save model, tokenizer and feature extractor, the processor that joins them, and the code of this pipeline."""
        # Code that came with a checkpoint is registered nowhere, and still has to be saved again with it.
        implementation = {TASK: {"impl": type(self), "pt": (AutoModel,), "type": "multimodal"}}
        type(self)._registered_impl = implementation  # type: ignore[attr-defined]  # as `register_pipeline` does
        ETPProcessor.register_for_auto_class()
        super().save_pretrained(save_directory, **kwargs)
        # It was set for the file only; on the living configuration it would be saved with the model from now on.
        self.model.config.__dict__.pop("custom_pipelines", None)
        self.processor.save_pretrained(save_directory)


def _check_texts(texts: Sequence[Any], source: Mapping[str, Any]) -> None:
    """Refuse what `encode` would take for texts although it may be meant as ECGs."""
    if source or not all(isinstance(text, str) for text in texts):
        what = f"{', '.join(source)} of texts" if source else "texts and ECGs in one list"
        raise ValueError(
            f"expected texts alone or ECGs alone, got {what}. Encode each by itself, files as pathlib.Path."
        )
    for text in texts:
        if text.startswith(("http://", "https://")) or exists(text) or exists(f"{text}.hea"):
            raise ValueError(f"{text!r} is a file, and strings are texts. Pass pathlib.Path, or call `embed_ecgs`.")


__all__ = ["NEUTRAL_PHRASES", "TASK", "ZeroShotEcgClassificationPipeline"]
