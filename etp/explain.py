"""Integrated gradients of a label's score, per lead and sample."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from modeling_etp.leads_etp import leads_of
from modeling_etp.zero_shot_etp import check_labels, embed_labels, evaluation_mode, label_logits

from .beat_average import average_over_beats, r_peaks
from .extras import install_hint
from .plots import plot_ecg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from modeling_etp.ecg_files_etp import EcgRecording

# Input values, shape (batch, leads, samples) -> one score per ECG, shape (batch,).
Score = Callable[[Tensor], Tensor]

SMOOTHING_SECONDS = 0.03


@dataclass(frozen=True)
class Attribution:
    """Which parts of an ECG speak for a label and which against it.

    Attributes:
        label: The label.
        values: Shape `(leads, samples)`, positive where the signal speaks for the label. They add up to
            `score - baseline_score`, up to the error of the integration.
        input_values: What the model saw: shape `(leads, samples)`, mV.
        lead_names: Of both.
        sampling_rate: Of both, Hz.
        score: Of the ECG: the label's logit or, among several candidates, its log odds against the others.
        baseline_score: Of the flat line it is compared with.
    """

    label: str
    values: np.ndarray
    input_values: np.ndarray
    lead_names: tuple[str, ...]
    sampling_rate: float
    score: float
    baseline_score: float

    @property
    def share_of_leads(self) -> dict[str, float]:
        """Lead -> its part of all the attribution, whatever the sign; they add up to 1."""
        magnitude = np.abs(self.values).sum(axis=1)
        return dict(zip(self.lead_names, (magnitude / max(magnitude.sum(), 1e-12)).tolist(), strict=True))

    @property
    def integration_error(self) -> float:
        """How far the values are from adding up, relative to the larger of the two scores' difference and 1."""
        gained = self.score - self.baseline_score
        return abs(float(self.values.sum()) - gained) / max(abs(gained), 1.0)


def explain_label(
    model: Any,
    processor: Any,
    ecg: Any,
    label: str,
    *,
    sampling_rate: float,
    lead_names: Sequence[str] | None = None,
    candidate_labels: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    templates: str | Sequence[str] = ("{}",),
    interpret_labels: bool = True,
    steps: int = 128,
) -> Attribution:
    """Attribute a label's zero-shot score to the samples of one ECG.

    Args:
        model: An `ETPModel`.
        processor: Its `ETPProcessor`.
        ecg: One record of shape `(leads, samples)`, mV; of a long one, the window that the feature extractor keeps.
        label: What is to be explained; one of the candidates, if those are given.
        sampling_rate: Of the ECG, Hz.
        lead_names: Names of its rows; `None`: those of the feature extractor.
        candidate_labels: Labels, or label -> phrases. With more than one, the log odds of the label against the others
            are explained: what sets it apart. `None`: the logit of the label alone.
        templates: Texts with `{}` in the place of a phrase.
        interpret_labels: Whether lists, descriptions and negations are taken apart.
        steps: Points of the integration.

    Raises:
        ValueError: If the label is not among the candidates, or the ECG is not a single one the model can take.
    """
    candidates = [label] if candidate_labels is None else candidate_labels
    score = label_score(
        model, processor.tokenizer, label, candidates, templates=templates, interpret_labels=interpret_labels
    )
    input_values = _input_values(processor.feature_extractor, ecg, sampling_rate, lead_names)
    return _attribution(model, processor.feature_extractor, score, input_values, label, steps=steps)


def explain_class(
    model: Any,
    feature_extractor: Any,
    ecg: Any,
    label: str,
    *,
    sampling_rate: float,
    lead_names: Sequence[str] | None = None,
    steps: int = 128,
) -> Attribution:
    """Attribute a fine-tuned classifier's score of a label to the samples of one ECG.

    Of a classifier of several labels per ECG that score is the label's logit, of one label per ECG its log odds against
    the others.

    Args:
        model: An `ETPForEcgClassification`.
        feature_extractor: Of its folder.
        ecg, sampling_rate, lead_names, steps: As of [`explain_label`].
        label: One of the model's.

    Raises:
        ValueError: If the model has no such label, or the ECG is not a single one the model can take.
    """
    names = [model.config.id2label[number] for number in range(model.config.num_labels)]
    if label not in names:
        raise ValueError(
            f"label {label!r} is not among the labels of the model, {', '.join(names)}. Choose one of them."
        )
    position = names.index(label)
    compete = model.config.problem_type == "single_label_classification" and len(names) > 1
    others = [number for number in range(len(names)) if number != position] if compete else []

    def score(input_values: Tensor) -> Tensor:
        return _against(model(input_values).logits, position, others)

    input_values = _input_values(feature_extractor, ecg, sampling_rate, lead_names)
    return _attribution(model, feature_extractor, score, input_values, label, steps=steps)


def _input_values(extractor: Any, ecg: Any, sampling_rate: float, lead_names: Sequence[str] | None) -> Tensor:
    input_values = extractor(ecg, sampling_rate=sampling_rate, lead_names=lead_names, return_tensors="pt").input_values
    if len(input_values) != 1:
        raise ValueError(
            f"expected one ECG of shape (leads, samples), got {len(input_values)}. Explain one at a time."
        )
    return input_values


def _attribution(
    model: Any, extractor: Any, score: Score, input_values: Tensor, label: str, *, steps: int
) -> Attribution:
    input_values = input_values.to(model.device)
    values, ends = integrated_gradients(model, score, input_values, steps=steps)
    return Attribution(
        label=label,
        values=values[0].cpu().numpy(),
        input_values=input_values[0].cpu().numpy(),
        lead_names=tuple(extractor.lead_names),
        sampling_rate=extractor.sampling_rate,
        score=float(ends[1]),
        baseline_score=float(ends[0]),
    )


def _against(logits: Tensor, position: int, others: Sequence[int]) -> Tensor:
    """The logit of a label, or its log odds against others where there are any."""
    return logits[:, position] - logits[:, others].logsumexp(dim=1) if others else logits[:, position]


def label_score(
    model: Any,
    tokenizer: Any,
    label: str,
    candidate_labels: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    templates: str | Sequence[str] = ("{}",),
    interpret_labels: bool = True,
) -> Score:
    """The score that `explain_label` explains: the label's logit, or its log odds against the other candidates.

    Raises:
        ValueError: If the label is not among the candidates.
    """
    candidates = check_labels(candidate_labels)
    if label not in candidates:
        raise ValueError(f"label {label!r} is not among the candidates {', '.join(candidates)}. Add it to them.")
    label_embeddings = embed_labels(
        model, tokenizer, candidates, templates=templates, interpret_labels=interpret_labels
    )
    position = list(candidates).index(label)
    others = [index for index in range(len(candidates)) if index != position]
    with evaluation_mode(model):
        scale = model.get_logit_scale().detach()

    def score(input_values: Tensor) -> Tensor:
        logits = label_logits(model.get_ecg_features(input_values).pooler_output, label_embeddings, scale)
        return _against(logits, position, others)

    return score


def integrated_gradients(
    model: nn.Module, score: Score, input_values: Tensor, *, steps: int = 128, batch_size: int = 16
) -> tuple[Tensor, Tensor]:
    """Integrate the gradient of a score from the flat line to an ECG (Sundararajan et al. 2017, arXiv:1703.01365).

    The baseline is 0 mV in every lead, which is also what the model gets for a missing lead. The integral is taken by
    Gauss-Legendre quadrature.

    Args:
        model: What the score runs; dropout is off meanwhile, and its parameters get no gradients.
        score: Input values, shape `(batch, leads, samples)` -> one score per ECG, shape `(batch,)`; records must not
            influence each other.
        input_values: One ECG, shape `(1, leads, samples)`, mV.
        steps: Points of the integration.
        batch_size: Points that are run at a time.

    Returns:
        The attribution, shape of `input_values`, and the scores of baseline and ECG, shape `(2,)`.

    Raises:
        ValueError: If `steps` is below 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}.")
    points, weights = (
        torch.as_tensor(values / 2).to(input_values) for values in np.polynomial.legendre.leggauss(steps)
    )
    points = points + 0.5  # from [-1, 1] to [0, 1]
    gradient = torch.zeros_like(input_values)
    with evaluation_mode(model):
        for point, weight in zip(points.split(batch_size), weights.split(batch_size), strict=True):
            with torch.enable_grad():
                between = (point[:, None, None] * input_values).requires_grad_()
                (slope,) = torch.autograd.grad(score(between).sum(), between)
            gradient += (weight[:, None, None] * slope).sum(dim=0)
        with torch.no_grad():
            ends = score(torch.cat([torch.zeros_like(input_values), input_values]))
    return gradient * input_values, ends


def plot_attribution(
    attribution: Attribution,
    *,
    title: str | None = None,
    scores: Mapping[str, float] | Sequence[Mapping] | None = None,
    layout: str = "3x4+1",
) -> "Figure":
    """Draw the ECG as the model saw it, broad and red where it speaks for the label, narrow and blue where against.

    Args:
        attribution: From `explain_label`.
        title: Default: the label.
        scores: Drawn beside the paper, see `plot_ecg`.
        layout: See `plot_ecg`.
    """
    return plot_ecg(
        attribution.input_values,
        attribution.sampling_rate,
        attribution.lead_names,
        title=title or f"What speaks for {attribution.label!r}",
        scores=scores,
        highlight=attribution_layer(attribution),
        layout=layout,
    )


def attribution_layer(attribution: Attribution, *, onto: "EcgRecording | None" = None) -> np.ndarray:
    """What `plot_ecg` takes as `highlight`: the attribution as it is best seen.

    It is averaged over the beats that look alike, if openecg is installed (the extra `measure`) and finds beats,
    smoothed over 30 ms, and divided by its largest magnitude: colours of two pictures do not compare.

    Args:
        attribution: From `explain_label`.
        onto: The recording that is drawn, if that isn't what the model saw: its own rate, its own leads. The model's
            window has to begin where it begins; past the window, and in leads that the model didn't see, the layer is 0.

    Returns:
        -1 to 1, shape `(leads, samples)` of what is drawn.
    """
    from scipy.ndimage import gaussian_filter1d

    values = attribution.values
    try:
        peaks = r_peaks(attribution.input_values, attribution.sampling_rate, attribution.lead_names)
    except ModuleNotFoundError as error:
        if install_hint(error) is None:
            raise
    else:
        values = average_over_beats(values, attribution.input_values, peaks, attribution.sampling_rate)
    smooth = gaussian_filter1d(values, SMOOTHING_SECONDS * attribution.sampling_rate, axis=1)
    layer = smooth / max(float(np.abs(smooth).max()), 1e-12)
    if onto is None:
        return layer
    known = np.arange(layer.shape[1]) / attribution.sampling_rate
    times = np.arange(onto.signal.shape[1]) / onto.sampling_rate
    of_lead = dict(zip(attribution.lead_names, layer, strict=True))
    nothing = np.zeros_like(known)
    return np.stack(
        [np.interp(times, known, of_lead.get(lead or "", nothing), right=0.0) for lead in leads_of(onto.lead_names)]
    )
