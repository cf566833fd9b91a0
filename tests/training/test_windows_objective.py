"""The objective `windows`: two windows of an ECG belong together, with reports beside it or without any."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from transformers import BertConfig

from etp.options import OptionError
from etp.run_files import read_metrics
from etp.training.objectives import WINDOW_DIM, ContrastiveModel, TextColumns, window_loss
from etp.training.steps import Batch, backward
from modeling_etp.configuration_etp import ETPConfig, ETPEcgConfig
from modeling_etp.modeling_etp import ETPModel

ECGS, TEXTS = 6, 5
ALONE = "--objectives windows=1 --initial_crop 0.5 --noise_mv 0.02".split()


def unit(*shape: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(0)), dim=-1)


def test_the_loss_is_that_of_finding_the_other_window():
    first, second = unit(ECGS, 8), unit(2 * ECGS, 8)[ECGS:]
    logits = first @ second.T / 0.1
    target = torch.arange(ECGS)
    expected = (
        torch.nn.functional.cross_entropy(logits, target) + torch.nn.functional.cross_entropy(logits.T, target)
    ) / 2
    torch.testing.assert_close(window_loss(torch.cat([first, second])), expected)


@pytest.fixture
def make():
    def make(**weights: float):
        torch.manual_seed(0)
        text_config = BertConfig(
            vocab_size=8, hidden_size=6, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        )
        ecg_config = ETPEcgConfig(hidden_sizes=(16, 16), depths=(1, 1), kernel_sizes=(3, 3), norm="group")
        model = ETPModel(ETPConfig(ecg_config=ecg_config, text_config=text_config.to_dict(), projection_dim=8))
        model.freeze_text_model()
        columns = (
            {"batch": TextColumns(torch.randn(TEXTS, 6), torch.rand(2 * ECGS, TEXTS))} if "batch" in weights else {}
        )
        batch = Batch(np.arange(ECGS), torch.randn(2 * ECGS, 12, 64), columns)
        return ContrastiveModel(model, weights=weights).train(), batch

    return make


@pytest.mark.parametrize("chunk", [1, 3, 5])
@pytest.mark.parametrize("weights", [{"windows": 1.0}, {"batch": 1.0, "windows": 0.5}])
def test_chunks_give_the_direct_loss_and_its_gradients(make, weights, chunk):
    accelerator = Accelerator(cpu=True, mixed_precision="no")
    direct, batch = make(**weights)
    expected = backward(accelerator, direct, batch, chunk=None)
    assert expected["loss"].item() == pytest.approx(sum(weights[name] * expected[name].item() for name in weights))
    chunked, batch = make(**weights)
    torch.testing.assert_close(backward(accelerator, chunked, batch, chunk=chunk), expected)
    found = {name: p.grad for name, p in chunked.named_parameters() if p.requires_grad}
    torch.testing.assert_close(
        found, {name: p.grad for name, p in direct.named_parameters() if p.requires_grad}, rtol=1e-5, atol=1e-5
    )


def test_windows_have_a_space_of_their_own(make):
    module, batch = make(batch=1.0, windows=0.5)
    assert module(batch.input_values).shape == (2 * ECGS, 8 + WINDOW_DIM)
    assert module.eval()(batch.input_values).shape == (2 * ECGS, 8)
    module, batch = make(windows=1.0)
    backward(Accelerator(cpu=True, mixed_precision="no"), module, batch, chunk=None)
    assert {
        name.split(".")[0] for name, p in module.named_parameters() if p.grad is not None and p.grad.abs().sum()
    } == {
        "model",
        "window_projection",
    }
    assert not any(p.requires_grad for p in module.model.text_projection.parameters())


def test_it_trains_beside_texts(run, tmp_path):
    options = "--objectives batch=1 vocabulary=1 windows=0.5 --initial_crop 0.5 --noise_mv 0.02 --num_epochs 4".split()
    assert run(tmp_path / "run", *options) == 0
    lines = [line for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if "loss_windows" in line]
    assert lines[-1]["loss_windows"] < lines[0]["loss_windows"]
    assert "window_projection" not in " ".join(ETPModel.from_pretrained(tmp_path / "run").state_dict())


def test_without_any_report_it_trains_alone_and_its_tower_can_be_aligned_later(run, archive, tmp_path):
    silent = tmp_path / "silent"
    shutil.copytree(archive, silent)
    with (silent / "ptbxl_database.csv").open(newline="") as file:
        rows = [{**row, "report": ""} for row in csv.DictReader(file)]
    with (silent / "ptbxl_database.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    with pytest.raises(OptionError, match="has a text"):
        run(tmp_path / "run", "--data_dir", str(silent))
    options = [*ALONE, "--data_dir", str(silent), "--num_epochs", "3"]
    assert run(tmp_path / "run", *options) == 0
    (last,) = [line for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if "validation_loss" in line][-1:]
    assert 0 <= last["window_to_window_recall_at_1"] <= 1
    assert json.loads((tmp_path / "run" / "config.json").read_text())["model_type"] == "etp"
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000
    assert run(tmp_path / "later", "--ecg_model", str(tmp_path / "run"), "--ecg_config", "{}", "--max_steps", "1") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--objectives", "windows=1"], "add --initial_crop"),
        (
            [*ALONE, "--freeze_ecg_model", "true", "--ecg_model", "tower", "--ecg_config", "{}"],
            "windows train the ECG tower",
        ),
    ],
)
def test_what_contradicts_is_said_before_anything_is_computed(run, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        run(tmp_path / "run", *options)
