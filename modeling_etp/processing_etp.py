"""ECGs and texts -> what `ETPModel.forward` takes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from transformers import BatchFeature, ProcessorMixin
from transformers.processing_utils import ProcessingKwargs, Unpack

from .text_limits_etp import warn_of_cut_texts
from .zero_shot_etp import LabelEmbeddings, embed_labels

if TYPE_CHECKING:
    from .modeling_etp import ETPModel


class ETPEcgKwargs(TypedDict, total=False):
    """Keyword arguments of [`ETPFeatureExtractor`]; see its `__call__`."""

    sampling_rate: int | float | None
    lead_names: Sequence[str] | None
    units: str
    record_ids: Sequence[str] | str | None
    max_gap_seconds: float | None
    return_lead_mask: bool
    return_tensors: str | None


class ETPProcessorKwargs(ProcessingKwargs, total=False):
    # What transformers hands to any feature extractor; ours takes other arguments than those for audio.
    audio_kwargs: ETPEcgKwargs  # type: ignore[misc]


class ETPProcessor(ProcessorMixin):
    """[`ETPFeatureExtractor`] and a tokenizer as one callable.

    Texts are padded to the longest of the call and cut to what the text tower takes, unless said otherwise; a warning
    names what is cut. They stay as they are: what a label means is read by `embed_labels`.

    Raises:
        ValueError: If the tokenizer knows no word, as one does whose vocabulary is missing from its folder.
    """

    valid_processor_kwargs = ETPProcessorKwargs  # type: ignore[assignment]  # a TypedDict has no nominal subtypes
    text_kwargs = {"padding": True, "truncation": True}

    def __init__(self, feature_extractor, tokenizer):
        super().__init__(feature_extractor, tokenizer)
        if len(tokenizer) <= len(tokenizer.all_special_ids):
            raise ValueError(
                f"the tokenizer {tokenizer.name_or_path or type(tokenizer).__name__} has {len(tokenizer)} tokens and no "
                "word among them, so every text would read alike. Its vocabulary (tokenizer.json or vocab.txt) is "
                "missing: fetch the checkpoint again, or save the tokenizer again."
            )

    def __call__(
        self,
        ecg: Any = None,
        text: str | Sequence[str] | None = None,
        **kwargs: Unpack[ETPProcessorKwargs],
    ) -> BatchFeature:
        """Prepare ECGs, texts, or both.

        Args:
            ecg: As [`ETPFeatureExtractor`] takes it; needs `sampling_rate` (Hz) too.
            text: One text or several.
            kwargs: `sampling_rate`, `lead_names`, `units` … go to the feature extractor, `padding`, `max_length` …
                to the tokenizer, `return_tensors` to both.

        Returns:
            `input_values` for `ecg`, and `input_ids`, `attention_mask` … for `text`.

        Raises:
            ValueError: If neither is given, or an ECG can't be used.
        """
        if ecg is None and text is None:
            raise ValueError("expected `ecg`, `text` or both, got neither.")
        merged = self._merge_kwargs(tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs)
        features = {}
        if text is not None:
            options = merged["text_kwargs"]
            features.update(self.tokenizer(text, **options))
            if options.get("truncation"):
                texts = [text] if isinstance(text, str) else [own for own in text if isinstance(own, str)]
                longest = options.get("max_length") or self.tokenizer.model_max_length
                warn_of_cut_texts(self.tokenizer, texts, longest)
        if ecg is not None:
            features.update(self.feature_extractor(ecg, **merged["audio_kwargs"]))
        return BatchFeature(features)

    def embed_labels(
        self, model: "ETPModel", candidate_labels: Sequence[str] | Mapping[str, Sequence[str]], **kwargs: Any
    ) -> LabelEmbeddings:
        """Embed labels as the pipeline does, for [`label_logits`]; arguments as of [`embed_labels`]."""
        return embed_labels(model, self.tokenizer, candidate_labels, **kwargs)

    def save_pretrained(self, *args, **kwargs) -> list[str]:
        """Save both parts; the `auto_map` of the saved files doesn't stay on the objects."""
        saved = super().save_pretrained(*args, **kwargs)
        for part in (self, self.feature_extractor):
            part.__dict__.pop("auto_map", None)
        return saved
