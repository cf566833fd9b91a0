"""GradCache against the direct loss, and BatchNorm and dropout inside it."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from transformers import BertConfig

from etp.training.objectives import ContrastiveModel, TextColumns
from etp.training.processes.batch_norm import running_statistics_kept
from etp.training.steps import Batch, backward
from modeling_etp.configuration_etp import ETPConfig, ETPEcgConfig
from modeling_etp.modeling_etp import ETPModel

ECGS, TEXTS = 11, 9


@pytest.fixture
def accelerator():
    from accelerate.state import AcceleratorState, GradientState, PartialState

    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    return Accelerator(cpu=True, mixed_precision="no")


@pytest.fixture
def make(accelerator):
    """Build the same model and batch again, with settings of the ECG tower."""

    def make(loss_type: str = "infonce", **ecg_settings):
        torch.manual_seed(0)
        text_config = BertConfig(
            vocab_size=8, hidden_size=6, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        )
        ecg_config = ETPEcgConfig(hidden_sizes=(16, 16), depths=(1, 1), kernel_sizes=(3, 3), **ecg_settings)
        config = ETPConfig(
            ecg_config=ecg_config, text_config=text_config.to_dict(), projection_dim=8, loss_type=loss_type
        )
        model = ETPModel(config)
        model.freeze_text_model()
        module = ContrastiveModel(model, weights={"batch": 1.0, "vocabulary": 0.5}).train()
        columns = {
            name: TextColumns(torch.randn(TEXTS, 6), (torch.rand(ECGS, TEXTS) < 0.3).float())
            for name in module.weights
        }
        batch = Batch(np.arange(ECGS), torch.randn(ECGS, 12, 64), columns)
        return accelerator.prepare(module), batch

    return make


def gradients(module) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in module.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("loss_type", ["infonce", "siglip"])
@pytest.mark.parametrize("chunk", [1, 3, 4, 10])
def test_chunks_give_the_direct_loss_and_its_gradients(make, accelerator, loss_type, chunk):
    direct, batch = make(loss_type, norm="group")
    expected = backward(accelerator, direct, batch, chunk=None)
    chunked, batch = make(loss_type, norm="group")
    torch.testing.assert_close(backward(accelerator, chunked, batch, chunk=chunk), expected)
    torch.testing.assert_close(gradients(chunked), gradients(direct), rtol=1e-5, atol=1e-5)


def test_dropout_is_the_same_in_both_passes_of_a_chunk(make, accelerator):
    """The reference embeds the chunks one after the other with one graph, so it draws dropout in the same order."""
    chunked, batch = make(norm="group", dropout=0.5)
    torch.manual_seed(1)
    losses = backward(accelerator, chunked, batch, chunk=4)
    reference, batch = make(norm="group", dropout=0.5)
    torch.manual_seed(1)
    embeds = torch.cat([reference(part) for part in torch.tensor_split(batch.input_values, 3)])
    expected = reference(None, batch.columns, other_embeds=embeds)
    expected["loss"].backward()
    torch.testing.assert_close(losses["loss"], expected["loss"].detach())
    torch.testing.assert_close(gradients(chunked), gradients(reference), rtol=1e-5, atol=1e-5)


def test_batch_norm_normalises_by_chunk_and_counts_each_chunk_once(make, accelerator):
    chunked, batch = make(norm="batch")
    backward(accelerator, chunked, batch, chunk=4)
    reference, batch = make(norm="batch")
    embeds = torch.cat([reference(part) for part in torch.tensor_split(batch.input_values, 3)])
    reference(None, batch.columns, other_embeds=embeds)["loss"].backward()
    torch.testing.assert_close(gradients(chunked), gradients(reference), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dict(chunked.named_buffers()), dict(reference.named_buffers()))


def test_the_generator_continues_as_after_one_pass(make, accelerator):
    module, batch = make(norm="group", dropout=0.5)
    torch.manual_seed(1)
    backward(accelerator, module, batch, chunk=4)
    after_chunks = torch.rand(1)
    module, batch = make(norm="group", dropout=0.5)
    torch.manual_seed(1)
    for part in torch.tensor_split(batch.input_values, 3):
        module(part)
    assert torch.equal(after_chunks, torch.rand(1))


def test_running_statistics_are_kept_inside_and_follow_again_outside():
    norm = torch.nn.BatchNorm2d(3)
    image = 5 + torch.randn(4, 3, 1, 8)
    with running_statistics_kept(norm):
        inside = norm(image)
    assert torch.equal(norm.running_mean, torch.zeros(3))
    assert torch.equal(inside, norm(image))
    assert norm.running_mean.min() > 0.3


def test_weights_of_objectives_scale_their_losses(make, accelerator):
    module, batch = make()
    losses = module(batch.input_values, batch.columns)
    assert losses["loss"].item() == pytest.approx(losses["batch"].item() + 0.5 * losses["vocabulary"].item(), rel=1e-6)
