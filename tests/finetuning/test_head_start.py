"""A head that starts as linear probes of the tower, and what a run says about its epochs."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from etp.finetuning.arguments import ModelArguments
from etp.finetuning.data import LabelledSplit, some_labels
from etp.finetuning.features import FeatureBatches
from etp.finetuning.head_start import MAX_STEPS, STRENGTHS, start_from_probe
from etp.finetuning.labels import MULTI, LabelHead
from etp.finetuning.model import make_optimizer
from etp.scoring.metrics import ranking_metrics
from etp.scoring.probe import choose_probe
from modeling_etp import ETPForEcgClassification
from modeling_etp.configuration_etp import ETPEcgConfig

HEAD = LabelHead({"first": ["a", "b"], "second": ["c"]}, {"first": "first", "second": "second"}, MULTI)


@pytest.fixture
def model():
    return ETPForEcgClassification(
        ETPEcgConfig(hidden_sizes=[4, 4], depths=[1, 1], kernel_sizes=[3, 3], num_labels=3, classifier_dropout=0.0)
    )


def random_split(model, records: int, *, seed: int):
    """Features of different spread, and targets of which every third record says nothing about the second task."""
    random = np.random.default_rng(seed)
    features = random.standard_normal((records, model.config.pooled_size)) * np.arange(1, model.config.pooled_size + 1)
    targets = (features[:, :3] / np.arange(1, 4) + random.standard_normal((records, 3)) > 0.5).astype(np.float32)
    targets[::3, 2] = -100
    return FeatureBatches(torch.from_numpy(features).float(), torch.from_numpy(targets)), targets


def test_the_head_starts_as_the_linear_probe_of_each_task(model):
    (features, targets), (held_out, held_out_targets) = (random_split(model, 200, seed=seed) for seed in (0, 1))
    strengths = start_from_probe(model, HEAD, (features, targets), (held_out, held_out_targets))
    assert list(strengths) == ["first", "second"]
    logits = model.classifier(held_out.features).detach().numpy()
    for own in HEAD.slices.values():
        known, held_out_known = targets[:, own.start] >= 0, held_out_targets[:, own.start] >= 0
        probe, _ = choose_probe(
            features.features[known], targets[known, own] == 1,
            held_out.features[held_out_known], held_out_targets[held_out_known, own] == 1,
            strengths=STRENGTHS, max_steps=MAX_STEPS,
        )  # fmt: skip
        np.testing.assert_allclose(logits[:, own], probe(held_out.features), atol=1e-4)
    known = held_out_targets[:, 2] >= 0
    assert (ranking_metrics(logits[known], held_out_targets[known] == 1)["auroc"] > 0.7).all()


def test_training_that_makes_a_probe_worse_is_undone(finetune, checkpoint_dir, tmp_path, capsys):
    options = ("--tasks", "rhythm", "--head_start", "probe", "--learning_rate", 1)
    assert finetune(tmp_path / "out", *options) == 0
    said = capsys.readouterr().out
    assert "No epoch is better than the start, which is kept." in said
    (start,) = re.findall(r"Before training: validation AUROC ([\d.]+%)", said)
    assert f"by which the weights were chosen: AUROC {start}" in said
    base, own = (load_file(folder / "model.safetensors") for folder in (checkpoint_dir, tmp_path / "out"))
    towers = [name for name in base if name.startswith("ecg_model.")]
    assert all(torch.equal(base[name], own[name]) for name in towers)
    assert own["classifier.weight"].abs().sum() > 0


@pytest.mark.parametrize(
    ("what", "given", "expected"),
    [
        ({}, {}, (3e-4, 1e-4)),
        ({"head_start": "random"}, {}, (3e-4, 3e-3)),
        ({"train": "head"}, {"learning_rate": 0.5}, (None, 0.5)),
        ({}, {"learning_rate": 0.5, "head_learning_rate": 0.25}, (0.5, 0.25)),
    ],
)
def test_a_head_that_starts_as_a_probe_learns_no_faster_than_its_tower(model, what, given, expected):
    if what.get("train") == "head":
        model.ecg_model.requires_grad_(False)
    args = SimpleNamespace(**{"learning_rate": None, "head_learning_rate": None, "weight_decay": 0.0, **given})
    optimizer = make_optimizer(model, ModelArguments(**what), args)
    head = {id(parameter) for parameter in model.classifier.parameters()}
    rates = {(id(p) in head): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert (rates.get(False), rates[True]) == expected


def test_logits_keep_their_digits_under_bfloat16(model):
    ecgs = torch.randn(4, 12, 200, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        output = model.eval()(ecgs)
        features = model.ecg_model(ecgs).pooler_output
    assert output.logits.dtype == torch.float32
    torch.testing.assert_close(output.logits, model.classifier(features.float()), rtol=0, atol=1e-6)


def test_labels_are_left_out_patient_by_patient():
    patients = np.array([f"p{row // 4}" for row in range(80)], dtype=object)
    targets = (np.random.default_rng(0).random((80, 3)) < 0.3).astype(np.float32)
    split = LabelledSplit(np.zeros((80, 12, 10), np.int16), np.arange(80), targets, patients, "")
    drawn = some_labels(split, 0.25, seed=0)
    assert len(drawn) == 4 * len(set(drawn.patients))
    assert np.array_equal(drawn.rows, some_labels(split, 0.25, seed=0).rows)
    assert not np.array_equal(drawn.rows, some_labels(split, 0.25, seed=1).rows)


def test_a_run_says_one_line_an_epoch_and_lists_no_weights(finetune, tmp_path, capsys, caplog):
    assert finetune(tmp_path / "out", "--tasks", "superclass", "rhythm", "--train", "head") == 0
    said = capsys.readouterr()
    epochs = [line for line in said.out.splitlines() if line.startswith("Epoch")]
    number = r"\d+\.\d%"
    line = rf"Epoch \d of 2: loss \d\.\d{{4}}, validation AUROC {number} \(superclass {number}, rhythm {number}\)"
    assert [bool(re.fullmatch(line, epoch)) for epoch in epochs] == [True, True]
    everything = said.out + said.err + caplog.text
    assert "{'" not in everything
    assert "LOAD REPORT" not in everything
    assert "Loading weights" not in everything
