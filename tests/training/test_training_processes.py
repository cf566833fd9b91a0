"""Several processes learn what one learns: real ones, started by `accelerate launch`."""

import json

import pytest
import torch
from safetensors.torch import load_file

# A last batch of 14 records, so that no share is like another with four processes.
UNEVEN = "--batch_size 16 --drop_last false --objectives batch=1 bank=1".split()
LOSSES = {
    "infonce": ["--text_views", "report=1"],
    "several positives": ["--text_views", "report=1", "statement=2", "subset=1"],
    "siglip": ["--text_views", "statement=1", "--model_config", "projection_dim=16", "loss_type=siglip"],
}
TOLERANCE = 1e-5


@pytest.fixture
def gradients(launch, tmp_path):
    """Losses, gradients and statistics of norms after one backward pass of N processes."""

    def gradients(num_processes: int, *options: str) -> dict[str, torch.Tensor]:
        file = tmp_path / f"{num_processes}.safetensors"
        script = ["tests/training/write_gradients.py", str(file)]
        process = launch(tmp_path / "unused", *UNEVEN, *options, num_processes=num_processes, script=script)
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
        found = load_file(file)
        assert found.pop("processes") == num_processes
        return found

    return gradients


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_and_gradients_do_not_depend_on_the_number_of_processes(gradients, loss):
    one = gradients(1, *LOSSES[loss])
    assert any(name.startswith("gradient") and value.abs().max() > 1e-3 for name, value in one.items())
    for num_processes in (2, 4):
        torch.testing.assert_close(gradients(num_processes, *LOSSES[loss]), one, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.slow
def test_chunks_of_several_processes_give_the_gradients_of_one(gradients):
    """With BatchNorm a chunk is normalised by itself, so the norm of this comparison is by group."""
    options = ["--ecg_config", "hidden_sizes=[8,8]", "depths=[1,1]", "kernel_sizes=[7,5]", "norm=group"]
    whole = gradients(1, *options)
    for num_processes in (1, 2):
        chunked = gradients(num_processes, *options, "--grad_cache_chunk", "3")
        torch.testing.assert_close(chunked, whole, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_three_steps_of_two_processes_equal_those_of_one(launch, assert_same_weights, tmp_path, loss):
    for num_processes in (1, 2):
        options = [*UNEVEN, *LOSSES[loss], "--max_steps", "3", "--ema_decay", "0.9"]
        process = launch(tmp_path / str(num_processes), *options, num_processes=num_processes)
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
    assert_same_weights(tmp_path / "1", tmp_path / "2", tolerance=TOLERANCE)
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("1", "2")
    )
    assert one[-1]["num_ecgs"] == two[-1]["num_ecgs"] == 11  # every record of the split, none twice
    for first, second in zip(one, two, strict=True):
        for name in first.keys() - {"pairs_per_second", "data_wait_share"}:
            assert second[name] == pytest.approx(first[name], abs=1e-4), name
