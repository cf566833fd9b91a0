"""The ECG tower: equal to plain convolutions, robust to layout, honest about bad input."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from modeling_etp.configuration_etp import ETPEcgConfig
from modeling_etp.modeling_etp import ETPEcgModel


@pytest.fixture
def make_tower():
    def make(**fields) -> ETPEcgModel:
        torch.manual_seed(0)
        return ETPEcgModel(
            ETPEcgConfig(**{"hidden_sizes": (8, 16), "depths": (2, 1), "kernel_sizes": (3, 5), **fields})
        )

    return make


def conv1d_forward(weights: dict[str, torch.Tensor], signal: torch.Tensor, *, depths: tuple[int, ...]) -> torch.Tensor:
    """ResNet-1D in evaluation mode written with `F.conv1d` alone: the reference."""

    def conv_norm(signal, conv, norm, stride=1):
        weight = weights[f"{conv}.weight"]
        signal = F.conv1d(signal, weight, stride=stride, padding=weight.shape[-1] // 2)
        statistics = [weights[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(signal, *statistics)

    signal = F.max_pool1d(conv_norm(signal, "stem.conv", "stem.norm", stride=2).relu(), 3, 2, padding=1)
    for stage, depth in enumerate(depths):
        for block in range(depth):
            name, stride = f"stages.{stage}.{block}", 2 if stage and not block else 1
            residual = conv_norm(signal, f"{name}.conv1", f"{name}.norm1", stride).relu()
            residual = conv_norm(residual, f"{name}.conv2", f"{name}.norm2")
            if f"{name}.shortcut.0.weight" in weights:
                signal = conv_norm(signal, f"{name}.shortcut.0", f"{name}.shortcut.1", stride)
            signal = (residual + signal).relu()
    return signal.transpose(1, 2)  # (batch, frames, channels)


def test_the_tower_equals_plain_conv1d_layers(make_tower, ecgs):
    tower = make_tower()
    for _ in range(3):
        tower(ecgs)  # running statistics away from their initial zeros and ones
    tower.eval()
    with torch.no_grad():
        output = tower(ecgs)
        expected = conv1d_forward(tower.state_dict(), ecgs, depths=(2, 1))
    torch.testing.assert_close(output.last_hidden_state, expected)
    torch.testing.assert_close(output.pooler_output, expected.mean(dim=1))


def test_gradients_equal_those_of_plain_conv1d_layers(make_tower, ecgs):
    tower = make_tower().eval()
    tower(ecgs).pooler_output.square().sum().backward()
    trained = dict(tower.named_parameters())
    weights = {name: value.clone().requires_grad_(name in trained) for name, value in tower.state_dict().items()}
    conv1d_forward(weights, ecgs, depths=(2, 1)).mean(dim=1).square().sum().backward()
    for name, parameter in trained.items():
        torch.testing.assert_close(parameter.grad, weights[name].grad, msg=name, rtol=1e-4, atol=1e-4)


def test_the_state_dict_has_the_shapes_of_conv1d(make_tower):
    weights = make_tower().state_dict()
    assert weights["stem.conv.weight"].shape == (8, 12, 7)
    assert weights["stages.1.0.conv1.weight"].shape == (16, 8, 5)
    assert weights["stages.1.0.shortcut.0.weight"].shape == (16, 8, 1)
    assert all(value.is_contiguous() for value in weights.values())
    plain = nn.Conv1d(12, 8, 7, bias=False)
    plain.load_state_dict({"weight": weights["stem.conv.weight"]})


@pytest.mark.parametrize("norm", ["batch", "group", "layer"])
def test_activations_keep_the_channels_last_from_stem_to_pooling(make_tower, ecgs, norm):
    tower = make_tower(norm=norm, hidden_sizes=(16, 32))
    layouts = []
    for module in tower.modules():
        if type(module).__name__ == "ETPEcgConv":
            module.register_forward_pre_hook(
                lambda _, args: layouts.append(args[0].unsqueeze(2).is_contiguous(memory_format=torch.channels_last))
            )
    tower(ecgs)
    assert len(layouts) == 8
    assert all(layouts)


@pytest.mark.parametrize("pooling", ["mean", "max", "mean_max", "attention"])
def test_pooling_reduces_the_frames_as_named(make_tower, ecgs, pooling):
    tower = make_tower(pooling=pooling, num_attention_heads=4).eval()
    output = tower(ecgs)
    frames = output.last_hidden_state
    assert output.pooler_output.shape == (4, tower.config.pooled_size)
    if pooling == "attention":
        queries = tower.pooling.query.view(4, 4)  # (heads, width)
        keys = tower.pooling.key_projection(frames).view(4, -1, 4, 4)  # (batch, frames, heads, width)
        values = tower.pooling.value_projection(frames).view(4, -1, 4, 4)
        attention = (torch.einsum("hw,bfhw->bfh", queries, keys) / 2).softmax(dim=1)
        expected = tower.pooling.output_projection(torch.einsum("bfh,bfhw->bhw", attention, values).flatten(1))
    else:
        parts = {"mean": [frames.mean(1)], "max": [frames.amax(1)], "mean_max": [frames.mean(1), frames.amax(1)]}
        expected = torch.cat(parts[pooling], dim=-1)
    torch.testing.assert_close(output.pooler_output, expected)


@pytest.mark.parametrize(
    "fields",
    [
        {"norm": "group"},
        {"norm": "layer", "hidden_act": "gelu"},
        {"stem_pool": False, "stem_stride": 1, "stem_hidden_size": 4, "stem_kernel_size": 15},
        {"pooling": "attention"},
        {"dropout": 0.2, "pooling": "mean_max"},
    ],
)
def test_every_parameter_of_every_variant_gets_a_gradient(make_tower, ecgs, fields):
    tower = make_tower(**fields).train()
    tower(ecgs).pooler_output.square().sum().backward()
    assert [name for name, parameter in tower.named_parameters() if parameter.grad is None] == []
    assert all(parameter.grad.isfinite().all() for parameter in tower.parameters())


def test_layer_norm_is_over_the_channels_of_each_frame(make_tower):
    norm = make_tower(norm="layer").stem.norm
    image = torch.randn(2, 8, 1, 5)
    torch.testing.assert_close(norm(image)[1, :, 0, 3], F.layer_norm(image[1, :, 0, 3], (8,)))


def test_hidden_states_are_the_stem_and_every_stage(make_tower, ecgs):
    output = make_tower()(ecgs, output_hidden_states=True)
    assert [tuple(state.shape) for state in output.hidden_states] == [(4, 50, 8), (4, 50, 8), (4, 25, 16)]
    torch.testing.assert_close(output.hidden_states[-1], output.last_hidden_state)


def test_an_ecg_is_encoded_alike_alone_and_in_a_batch(make_tower, ecgs):
    tower = make_tower().eval()
    with torch.no_grad():
        torch.testing.assert_close(tower(ecgs[2:3]).pooler_output, tower(ecgs).pooler_output[2:3])


@pytest.mark.parametrize("samples", [1, 33, 1000, 5000])
def test_any_number_of_samples_is_encoded(make_tower, samples):
    with torch.no_grad():
        pooled = make_tower().eval()(torch.randn(2, 12, samples)).pooler_output
    assert pooled.shape == (2, 16)
    assert pooled.isfinite().all()


def test_bfloat16_autocast_stays_close_to_float32(make_tower, ecgs):
    tower = make_tower().eval()
    with torch.no_grad():
        exact = tower(ecgs).pooler_output
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = tower(ecgs).pooler_output
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.05)


def test_a_tower_in_half_precision_takes_float32_ecgs(make_tower, ecgs):
    with torch.no_grad():
        assert make_tower().eval().to(torch.bfloat16)(ecgs).pooler_output.dtype == torch.bfloat16


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradient_checkpointing_changes_neither_gradients_nor_running_statistics(make_tower, ecgs, use_reentrant):
    plain, checkpointed = make_tower().train(), make_tower().train()
    checkpointed.activation_checkpointing_enable({"use_reentrant": use_reentrant})
    for tower in (plain, checkpointed):
        tower(ecgs).pooler_output.square().sum().backward()
    for (name, one), (_, other) in zip(plain.named_parameters(), checkpointed.named_parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, msg=name)
    for (name, one), (_, other) in zip(plain.named_buffers(), checkpointed.named_buffers(), strict=True):
        torch.testing.assert_close(other, one, msg=name)


def test_gradient_checkpointing_recomputes_the_blocks(make_tower, ecgs):
    tower = make_tower().train()
    tower.activation_checkpointing_enable()
    calls = []
    tower.stages[0][0].conv1.register_forward_hook(lambda *_: calls.append(1))
    tower(ecgs).pooler_output.sum().backward()
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((12, 200), r"\(batch, 12 leads, samples\), got \(12, 200\)"),
        ((2, 8, 200), r"got \(2, 8, 200\)\.$"),
        ((2, 200, 12), "looks transposed"),
        ((2, 12, 0), r"got \(2, 12, 0\)"),
    ],
)
def test_a_wrong_shape_is_refused(make_tower, shape, message):
    with pytest.raises(ValueError, match=message):
        make_tower()(torch.zeros(shape))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("training", [True, False])
def test_values_that_are_not_finite_are_refused_by_record_and_lead(make_tower, ecgs, value, training):
    ecgs[2, 5, 17] = value
    with pytest.raises(ValueError, match="in ECG 2, lead 5"):
        make_tower().train(training)(ecgs)


def test_finite_values_whose_sum_overflows_are_not_mistaken_for_nan(make_tower):
    make_tower().eval()(torch.full((1, 12, 100), 1e38))
