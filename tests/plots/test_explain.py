"""An attribution adds up, follows the weights, and points at what the score depends on."""

import numpy as np
import pytest
import torch
from transformers import BertTokenizer

from datasets_scripts.synthetic_ecg import CONDITIONS, simulate_ecgs
from etp.explain import explain_label, integrated_gradients, label_score, plot_attribution
from etp.plots import AGAINST_BREADTH, FOR_BREADTH
from modeling_etp.configuration_etp import ETPConfig
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.modeling_etp import ETPModel
from modeling_etp.processing_etp import ETPProcessor

LABELS = {
    "normal": "normal ecg",
    "anterior ST elevation": "anterior infarction",
    "left bundle branch block": "left bundle branch block",
}
SECONDS = 4


def make_model(seed: int) -> ETPModel:
    torch.manual_seed(seed)
    return ETPModel(
        ETPConfig(
            ecg_config={"hidden_sizes": (12, 24), "depths": (1, 1), "kernel_sizes": (7, 5)},
            text_config={
                "model_type": "bert",
                "vocab_size": 16,
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 16,
            },
            projection_dim=8,
            text_pooling="mean",
        )
    ).eval()


@pytest.fixture(scope="module")
def processor() -> ETPProcessor:
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] normal ecg anterior infarction left bundle branch block".split()
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)}, model_max_length=8)
    return ETPProcessor(ETPFeatureExtractor(100, 100 * SECONDS), tokenizer)


@pytest.fixture(scope="module")
def trained(processor) -> ETPModel:
    """A small model that tells three conditions apart, after about three seconds of training."""
    model = make_model(0).train()
    texts = processor.tokenizer(list(LABELS.values()), padding=True, return_tensors="pt")
    ecgs = simulate_ecgs([CONDITIONS[name] for name in LABELS] * 32, sampling_rate=100, seconds=SECONDS, seed=1).signal
    ecgs = torch.from_numpy(ecgs).unflatten(0, (32, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(50):
        batch = ecgs[torch.arange(8) + step % 4 * 8]
        logits = model(batch.flatten(0, 1), **texts).logits_per_ecg
        loss = torch.nn.functional.cross_entropy(logits, torch.arange(3).repeat(8))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2
    return model.eval()


@pytest.fixture(scope="module")
def ecgs() -> dict[str, np.ndarray]:
    """Label -> a record of it that the model hasn't seen."""
    signal = simulate_ecgs([CONDITIONS[name] for name in LABELS], sampling_rate=100, seconds=SECONDS, seed=77).signal
    return dict(zip(LABELS.values(), signal, strict=True))


def explain(model, processor, ecgs, label, **options):
    return explain_label(
        model, processor, ecgs[label], label, sampling_rate=100, candidate_labels=list(LABELS.values()), **options
    )


@pytest.mark.parametrize("label", LABELS.values())
def test_the_attribution_adds_up_to_the_score(trained, processor, ecgs, label):
    attribution = explain(trained, processor, ecgs, label)
    assert attribution.values.shape == attribution.input_values.shape == (12, 100 * SECONDS)
    assert attribution.score > 0  # more likely than the others together
    assert attribution.integration_error < 0.02
    assert sum(attribution.share_of_leads.values()) == pytest.approx(1)


def test_more_steps_integrate_better(trained, processor, ecgs):
    coarse, fine = (explain(trained, processor, ecgs, "anterior infarction", steps=steps) for steps in (2, 128))
    assert fine.integration_error < coarse.integration_error


def test_a_linear_score_is_attributed_exactly():
    weights, ecg = torch.randn(2, 12, 50, generator=torch.Generator().manual_seed(0))
    identity = torch.nn.Identity()
    values, ends = integrated_gradients(identity, lambda batch: (batch * weights).sum((1, 2)) + 5, ecg[None], steps=3)
    torch.testing.assert_close(values[0], weights * ecg)
    torch.testing.assert_close(ends, torch.stack([torch.tensor(5.0), 5 + (weights * ecg).sum()]))


def test_only_what_the_score_depends_on_is_attributed():
    ecg = torch.randn(1, 12, 100, generator=torch.Generator().manual_seed(0))
    values, _ = integrated_gradients(torch.nn.Identity(), lambda batch: (batch[:, 7, 20:30] ** 3).sum(1), ecg)
    assert (values[0, 7, 20:30] != 0).all()
    values[0, 7, 20:30] = 0
    assert not values.any()


def test_random_weights_change_the_attribution(trained, processor, ecgs):
    for label in LABELS.values():
        learned, random = (explain(model, processor, ecgs, label).values for model in (trained, make_model(5)))
        assert abs(np.corrcoef(learned.ravel(), random.ravel())[0, 1]) < 0.4


def masking_drops(score, input_values, values, *, share=0.1, segment=10, repeats=20, seed=0):
    """Drop of the score where the stretches that speak most for it are flattened, and where random ones are."""
    _, leads, samples = input_values.shape
    per_lead = samples // segment
    weight = values[0, :, : per_lead * segment].reshape(leads, per_lead, segment).sum(dim=2).flatten()
    count = max(1, round(share * len(weight)))
    generator = torch.Generator().manual_seed(seed)
    choices = [weight.topk(count).indices.cpu()]
    choices += [torch.randperm(len(weight), generator=generator)[:count] for _ in range(repeats)]
    keep = torch.ones(len(choices), leads * per_lead)
    for row, chosen in enumerate(choices):
        keep[row, chosen] = 0
    mask = torch.ones(len(choices), leads, samples)
    mask[..., : per_lead * segment] = keep.view(-1, leads, per_lead, 1).expand(-1, -1, -1, segment).flatten(2)
    with torch.no_grad():
        whole = score(input_values)
        drops = (whole - score(input_values * mask.to(input_values))).cpu().numpy()
    return float(drops[0]), drops[1:]


def test_flattening_what_speaks_for_the_label_costs_more_than_flattening_anything(trained, processor, ecgs):
    for label in LABELS.values():
        attribution = explain(trained, processor, ecgs, label)
        top, random = masking_drops(
            label_score(trained, processor.tokenizer, label, list(LABELS.values())),
            torch.from_numpy(attribution.input_values)[None],
            torch.from_numpy(attribution.values)[None],
        )
        assert len(random) == 20
        assert top > random.max()
        assert top > 2 * abs(random.mean())


def test_masking_flattens_the_share_it_is_given():
    ecg = torch.ones(1, 4, 105)
    values = torch.zeros(1, 4, 105)
    values[0, 2, 40:60] = 1
    top, random = masking_drops(lambda batch: batch.sum((1, 2)), ecg, values, share=0.05, segment=10, repeats=3)
    assert top == 20  # 2 of 40 parts of 10 samples
    assert random.tolist() == [20, 20, 20]
    only_there, elsewhere = masking_drops(
        lambda batch: batch[:, 2, 40:60].sum(1), ecg, values, share=0.05, segment=10, repeats=3
    )
    assert only_there == 20
    assert elsewhere.mean() < 20


def test_the_model_is_left_as_it_was(trained, processor, ecgs):
    trained.train()
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    explain(trained, processor, ecgs, "normal ecg", steps=4)
    assert trained.training
    trained.eval()
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(value, before[name])


def test_one_label_alone_is_explained_by_its_logit(trained, processor, ecgs):
    attribution = explain_label(trained, processor, ecgs["normal ecg"], "normal ecg", sampling_rate=100)
    texts = processor.tokenizer(["normal ecg"], return_tensors="pt")
    with torch.no_grad():
        logit = trained(torch.from_numpy(attribution.input_values)[None], **texts).logits_per_ecg.item()
    assert attribution.score == pytest.approx(logit, abs=1e-4)


def test_the_picture_is_coloured(trained, processor, ecgs):
    attribution = explain(trained, processor, ecgs, "left bundle branch block")
    figure = plot_attribution(attribution, scores={"left bundle branch block": 0.9})
    assert any("What speaks for 'left bundle branch block'" in text.get_text() for text in figure.axes[0].texts)
    breadths = {FOR_BREADTH, AGAINST_BREADTH}
    coloured = [part for part in figure.axes[0].collections if breadths & set(part.get_linewidth())]
    assert sum(len(part.get_segments()) for part in coloured) > 100


def test_what_cannot_be_explained_is_refused(trained, processor, ecgs):
    ecg = ecgs["normal ecg"]
    with pytest.raises(ValueError, match="label 'flutter' is not among the candidates normal ecg, infarction"):
        explain_label(
            trained, processor, ecg, "flutter", sampling_rate=100, candidate_labels=["normal ecg", "infarction"]
        )
    with pytest.raises(ValueError, match=r"expected one ECG of shape \(leads, samples\), got 2"):
        explain_label(trained, processor, np.stack([ecg, ecg]), "normal ecg", sampling_rate=100)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        explain_label(trained, processor, ecg, "normal ecg", sampling_rate=100, steps=0)
