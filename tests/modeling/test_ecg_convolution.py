"""`ETPEcgConv` is an `nn.Conv1d` in all it takes and gives, and adapters fit it."""

import pytest
import torch
from torch import nn

from modeling_etp.classification_etp import ETPForEcgClassification
from modeling_etp.configuration_etp import ETPEcgConfig
from modeling_etp.ecg_resnet_etp import ETPEcgConv


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 3, "bias": False},
        {"padding": "same", "dilation": 2},
        {"padding": 4, "dilation": 2, "groups": 2},
        {"padding": 2, "padding_mode": "circular"},
    ],
)
@pytest.mark.parametrize("shape", [(3, 4, 50), (4, 50)])
def test_it_gives_what_nn_conv1d_gives(options, shape):
    torch.manual_seed(0)
    theirs = nn.Conv1d(4, 6, 7, **options)
    ours = ETPEcgConv(4, 6, 7, **options)
    ours.load_state_dict(theirs.state_dict())
    signals = torch.randn(shape)
    torch.testing.assert_close(ours(signals), theirs(signals))


def test_the_constructor_takes_places_and_tuples_as_adapters_give_them():
    conv = ETPEcgConv(4, 6, (7,), (2,), (3,), bias=False, device="cpu", dtype=torch.float64)
    assert conv(torch.randn(2, 4, 50, dtype=torch.float64)).shape == (2, 6, 25)


@pytest.mark.parametrize("adapter", ["lora", "dora", "loha"])
def test_adapters_of_peft_train_and_merge(adapter, ecgs):
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    config = ETPEcgConfig(hidden_sizes=(8, 16), depths=(1, 1), kernel_sizes=(3, 3), num_labels=2)
    model = ETPForEcgClassification(config).eval()
    targets = [name for name, module in model.named_modules() if isinstance(module, ETPEcgConv)]
    options = {"target_modules": targets, "modules_to_save": ["classifier"], "r": 2}
    chosen = (
        peft.LoHaConfig(**options) if adapter == "loha" else peft.LoraConfig(**options, use_dora=adapter == "dora")
    )
    before = model(ecgs).logits
    adapted = peft.get_peft_model(model, chosen)
    torch.testing.assert_close(adapted(ecgs).logits, before, rtol=1e-4, atol=1e-4)
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        adapted(input_values=ecgs, labels=torch.tensor([0, 1, 0, 1])).loss.backward()
        optimizer.step()
    changed = adapted.eval()(ecgs).logits
    assert not torch.allclose(changed, before, atol=1e-3)
    torch.testing.assert_close(adapted.merge_and_unload()(ecgs).logits, changed, rtol=1e-3, atol=1e-3)
