"""Training on a tower that is there already: from its weights on, or with it frozen."""

import re

import pytest
import torch
from safetensors.torch import load_file

from etp.card import training_facts
from etp.options import OptionError
from modeling_etp import ETPModel


@pytest.fixture(scope="module")
def trained(common_options, tmp_path_factory):
    """A tiny run whose tower others start from, and the options of such a run."""
    from etp.training import main as train

    folder = tmp_path_factory.mktemp("trained") / "run"
    assert train.main([*common_options, "--output_dir", str(folder), "--max_steps", "2"]) == 0
    start = common_options.index("--ecg_config")
    end = common_options.index("--model_config")
    return folder, [*common_options[:start], *common_options[end:]]


@pytest.fixture
def continue_from(trained):
    from accelerate.state import AcceleratorState, GradientState, PartialState

    from etp.training import main as train

    tower, options = trained

    def continue_from(output_dir, *extra: str) -> int:
        for state in (AcceleratorState, GradientState, PartialState):
            state._reset_state()
        return train.main([*options, "--output_dir", str(output_dir), "--ecg_model", str(tower), *extra])

    return continue_from


def of_tower(folder) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in load_file(folder / "model.safetensors").items() if "ecg_model." in name}


def test_a_frozen_tower_stays_as_it_was_and_the_projections_learn(trained, continue_from, tmp_path):
    assert continue_from(tmp_path / "run", "--freeze_ecg_model", "true") == 0
    torch.testing.assert_close(of_tower(tmp_path / "run"), of_tower(trained[0]), rtol=0, atol=0)
    assert continue_from(tmp_path / "start", "--freeze_ecg_model", "true", "--max_steps", "1") == 0
    first, last = (ETPModel.from_pretrained(tmp_path / name) for name in ("start", "run"))
    for name in ("ecg_projection", "text_projection"):
        first_weights, last_weights = (getattr(model, name).layers[0].weight for model in (first, last))
        assert not torch.equal(first_weights, last_weights)


def test_the_run_of_the_tower_is_kept_and_its_folder_is_not_in_the_configuration(trained, continue_from, tmp_path):
    tower, run = trained[0], tmp_path / "run"
    assert continue_from(run, "--freeze_ecg_model", "true", "--max_steps", "1") == 0
    for name in ("training_config.yaml", "metrics.jsonl"):
        assert (run / "ecg_model_run" / name).read_bytes() == (tower / name).read_bytes()
    assert str(tower) not in (run / "config.json").read_text()
    both, second = training_facts(run), training_facts(tower)
    assert both["hours"] > second["hours"] > 0


def test_without_freezing_training_goes_on_from_the_tower(trained, continue_from, tmp_path):
    assert continue_from(tmp_path / "run", "--max_steps", "1", "--learning_rate", "1e-6") == 0
    before, after = of_tower(trained[0]), of_tower(tmp_path / "run")
    weights = [name for name in before if name.endswith("conv.weight")]
    assert weights
    for name in weights:
        assert not torch.equal(before[name], after[name])
        torch.testing.assert_close(before[name], after[name], rtol=0, atol=1e-5)


def test_a_run_on_a_frozen_tower_resumes_where_it_was(continue_from, assert_same_weights, tmp_path):
    frozen = ["--freeze_ecg_model", "true"]
    objectives = ["--objectives", "vocabulary=1", "negation=0.5"]
    assert continue_from(tmp_path / "whole", *frozen, *objectives) == 0
    assert continue_from(tmp_path / "parts", *frozen, *objectives, "--checkpoint_every", "3") == 0
    oldest = min((tmp_path / "parts" / "checkpoints").iterdir())
    assert continue_from(tmp_path / "again", *frozen, *objectives, "--resume", str(oldest)) == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "again")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--freeze_ecg_model", "true", "--noise_mv", "0.1"], "--freeze_ecg_model computes .* so --noise_mv can't"),
        (["--ecg_config", "hidden_sizes=[8]"], "--ecg_model brings its own settings: leave --ecg_config out"),
        (["--ecg_model", "{tmp}/nothing"], "--ecg_model .*nothing is neither an ECG tower nor an ETP checkpoint"),
    ],
)
def test_contradictions_are_named(continue_from, tmp_path, extra, message):
    with pytest.raises(OptionError, match=message):
        continue_from(tmp_path / "run", *(word.format(tmp=tmp_path) for word in extra))


def test_freezing_needs_a_tower(run, tmp_path):
    with pytest.raises(OptionError, match=re.escape("--freeze_ecg_model keeps a trained tower as it is: name it")):
        run(tmp_path / "run", "--freeze_ecg_model", "true")
