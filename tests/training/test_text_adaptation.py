"""Adapting a text tower: its loss, what is trained, that it repeats, and that projections can be trained beside it."""

import json

import pytest
import torch
import torch.nn.functional as F
import yaml
from safetensors.torch import load_file
from transformers import AutoTokenizer

from etp import cli
from etp.options import OptionError, parse_options
from etp.run_files import training_seconds
from etp.training.adaptation_arguments import AdaptationArguments
from etp.training.text_adaptation import term_loss
from etp.weights import detach, join
from modeling_etp.modeling_etp import ETPModel

OPTIONS = ["--num_steps", "4", "--terms_per_step", "12", "--unfreeze_text_from", "1", "--learning_rate", "0.01"]


@pytest.fixture(scope="module")
def adapted(text_tower, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapted") / "text"
    assert cli.main(["adapt-text", "--text_model", str(text_tower), "--output_dir", str(folder), *OPTIONS]) == 0
    return folder


def test_the_loss_of_views_that_all_look_alike_is_that_of_a_guess():
    alike = F.normalize(torch.ones(5, 3), dim=-1)
    loss, _ = term_loss(alike, alike, torch.eye(5, dtype=torch.bool), temperature=0.05)
    assert loss.item() == pytest.approx(torch.log(torch.tensor(5.0)).item())


def test_what_says_the_same_is_no_negative():
    alike = F.normalize(torch.ones(4, 3), dim=-1)
    same = torch.eye(4, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    loss, _ = term_loss(alike, alike, same, temperature=0.05)
    expected = (2 * torch.log(torch.tensor(3.0)) + 2 * torch.log(torch.tensor(4.0))) / 4
    assert loss.item() == pytest.approx(expected.item())


def test_the_loss_falls_and_more_is_found_where_views_of_a_term_lie_together():
    same = torch.eye(6, dtype=torch.bool)
    right, found = term_loss(torch.eye(6), torch.eye(6), same, temperature=0.05)
    wrong, missed = term_loss(torch.eye(6), torch.eye(6).roll(1, dims=0), same, temperature=0.05)
    assert right < 0.001 < 10 < wrong
    assert (found, missed) == (1.0, 0.0)


def test_only_the_upper_layers_change_and_they_are_bfloat16_numbers(adapted, text_tower):
    before, after = (load_file(folder / "model.safetensors") for folder in (text_tower, adapted))
    changed = {name for name, tensor in after.items() if not torch.equal(before[name], tensor)}
    assert changed
    assert all(name.startswith("encoder.layer.1.") for name in changed)
    assert all(torch.equal(after[name], after[name].bfloat16().float()) for name in changed)
    assert {name for name in before if not name.startswith("pooler.")} == set(after)


def test_it_repeats_and_another_seed_gives_another_tower(adapted, text_tower, tmp_path):
    for seed in ("0", "1"):
        words = ["adapt-text", "--text_model", str(text_tower), "--output_dir", str(tmp_path / seed), "--seed", seed]
        assert cli.main([*words, *OPTIONS]) == 0
    first, again, other = (
        load_file(folder / "model.safetensors") for folder in (adapted, tmp_path / "0", tmp_path / "1")
    )
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert any(not torch.equal(tensor, other[name]) for name, tensor in first.items())


def test_the_log_tells_what_was_done(adapted):
    lines = [json.loads(line) for line in (adapted / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(line["loss"] > 0 and 0 <= line["found"] <= 1 for line in lines)
    options = yaml.safe_load((adapted / "training_config.yaml").read_text())
    assert options["num_steps"] == 4
    assert options["unfreeze_text_from"] == 1


def test_a_folder_that_holds_files_is_kept(adapted, text_tower, capsys):
    words = ["adapt-text", "--text_model", str(text_tower), "--output_dir", str(adapted), *OPTIONS]
    before = (adapted / "model.safetensors").read_bytes()
    assert cli.main(words) == 2
    assert "holds files" in capsys.readouterr().err
    assert (adapted / "model.safetensors").read_bytes() == before
    assert cli.main([*words, "--overwrite", "--seed", "5"]) == 0
    assert (adapted / "model.safetensors").read_bytes() != before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--term_views", "poem=1"], "unknown 'poem', choose from synonym, sentence, list, description"),
        (["--temperature", "0"], "--temperature must be a number above 0, got 0"),
        (["--negated_fraction", "1.5"], "--negated_fraction must be at most 1"),
        (["--terms_per_step", "1"], "--terms_per_step must be"),
    ],
)
def test_impossible_options_are_refused(words, message, tmp_path):
    with pytest.raises(OptionError, match=message):
        parse_options((AdaptationArguments,), ["--output_dir", str(tmp_path), *words])


def test_a_layer_that_the_tower_lacks_is_refused(text_tower, tmp_path, capsys):
    words = ["adapt-text", "--text_model", str(text_tower), "--output_dir", str(tmp_path / "new")]
    assert cli.main([*words, "--unfreeze_text_from", "2"]) == 2
    assert "has the layers 0 to 1" in capsys.readouterr().err


def test_projections_train_beside_it_and_the_model_is_detached_and_joined(adapted, text_tower, run, tmp_path):
    aligned = tmp_path / "run"
    assert run(aligned, "--text_model", str(adapted), "--max_steps", "1") == 0
    assert (aligned / "text_model_run" / "training_config.yaml").read_bytes() == (
        adapted / "training_config.yaml"
    ).read_bytes()
    assert training_seconds(aligned) > training_seconds(adapted)
    detached = detach(aligned, tmp_path / "detached", text_model=str(text_tower))
    kept = [name for name in load_file(detached / "model.safetensors") if name.startswith("text_model.")]
    assert kept
    assert all(name.startswith("text_model.encoder.layer.1.") for name in kept)
    joined = join(detached, tmp_path / "joined", text_model=str(text_tower))
    tokens = AutoTokenizer.from_pretrained(joined)(["sinus rhythm", "st depression"], return_tensors="pt")
    before, after = (ETPModel.from_pretrained(folder).eval() for folder in (aligned, joined))
    torch.testing.assert_close(
        after.get_text_tower_features(**tokens), before.get_text_tower_features(**tokens), atol=0, rtol=0
    )
    assert (joined / "text_model_run" / "metrics.jsonl").is_file()
