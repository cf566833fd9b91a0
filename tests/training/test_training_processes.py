"""Several processes learn what one learns: real ones, started by `accelerate launch`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
SHARDED = {"num_processes": 2, "launcher": ["--config_file", "examples/accelerate/fsdp.yaml"]}
# A last batch of 14 records: with four processes no share is like another.
# A small learning rate, because Adam divides a gradient by its own size: an entry that is nothing but rounding moves by
# up to the rate, on one process as on many.
UNEVEN = "--batch_size 16 --drop_last false --objectives batch=1 vocabulary=1 --learning_rate 1e-4".split()
TOWER = "--ecg_config hidden_sizes=[16,16] depths=[1,1] kernel_sizes=[7,5]".split()
VARIANTS = {
    "infonce": ["--text_views", "report=1"],
    "several positives": ["--text_views", "report=1", "statement=2", "subset=1"],
    # A sum over all pairs: its weights bring loss and gradients to the size of the others.
    "siglip": [
        *("--text_views", "statement=1", "--model_config", "projection_dim=16", "loss_type=siglip"),
        *("--objectives", "batch=0.2", "vocabulary=0.2"),
    ],
    "negations": ["--objectives", "batch=1", "negation=1"],
    "group norm": [*TOWER, "norm=group"],
    "group norm in chunks": [*TOWER, "norm=group", "--grad_cache_chunk", "3"],
    "batch norm in chunks": [*TOWER, "--grad_cache_chunk", "8"],
    "trained text": ["--objectives", "batch=1", "--unfreeze_text_from", "1", "--text_learning_rate", "1e-4"],
}
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


LAUNCHES = {"1": {"num_processes": 1}, "2": {"num_processes": 2}, "4": {"num_processes": 4}, "2 sharded": SHARDED}


@pytest.fixture(scope="module")
def learned(launch, common_options, tmp_path_factory):
    """What each launch learns: `{launch: {"variant: what": tensor}}`."""
    folder = tmp_path_factory.mktemp("learned")
    options = [*common_options, "--output_dir", str(folder), *UNEVEN]
    variants = json.dumps({name: [*options, *extra] for name, extra in VARIANTS.items()})
    found = {}
    for name, launching in LAUNCHES.items():
        file = folder / f"{name}.safetensors"
        process = launch("tests/training/write_gradients.py", str(file), variants, **launching)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output
        found[name] = load_file(file)
        assert found[name].pop("processes") == launching["num_processes"]
        shards = [found[name].pop(f"{variant}: shards") for variant in VARIANTS]
        assert min(shards) > 10 if name == "2 sharded" else max(shards) == 0
    return found


def of_variant(tensors: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    found = {key.split(": ")[1]: tensor for key, tensor in tensors.items() if key.startswith(f"{name}: ")}
    # A softmax does not see the bias of its keys: that gradient is nothing but rounding, and Adam's steps along it too.
    return {key: tensor for key, tensor in found.items() if not (key.startswith("weights") and "key.bias" in key)}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("many", ["2", "4", "2 sharded"])
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "batch norm in chunks"])
def test_what_is_learned_does_not_depend_on_the_number_of_processes(learned, variant, many):
    one = of_variant(learned["1"], variant)
    assert max(tensor.abs().max() for name, tensor in one.items() if name.startswith("gradient")) > 1e-2
    torch.testing.assert_close(of_variant(learned[many], variant), one, **TOLERANCE)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("many", LAUNCHES)
def test_chunks_learn_what_whole_batches_learn(learned, many):
    chunked, whole = of_variant(learned[many], "group norm in chunks"), of_variant(learned["1"], "group norm")
    torch.testing.assert_close(chunked, whole, **TOLERANCE)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_batch_norm_in_chunks_differs_from_the_whole_batch(learned):
    """The chunk is what it normalises by, so this is the documented exception of the test above."""
    chunked, whole = of_variant(learned["1"], "batch norm in chunks"), of_variant(learned["1"], "several positives")
    assert (chunked["loss loss"] - whole["loss loss"]).abs() > 1e-4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_whole_run_of_two_processes_equals_that_of_one(launch_train, assert_same_weights, tmp_path):
    for num_processes in (1, 2):
        options = [*UNEVEN, "--max_steps", "3", "--ema_decay", "0.9"]
        process = launch_train(tmp_path / str(num_processes), *options, num_processes=num_processes)
        output, _ = process.communicate(timeout=500)
        assert process.returncode == 0, output
    assert_same_weights(tmp_path / "1", tmp_path / "2", tolerance=1e-5)
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("1", "2")
    )
    assert one[-1]["num_ecgs"] == two[-1]["num_ecgs"] == 11  # every record of the split, none twice
    for first, second in zip(one, two, strict=True):
        for name in first.keys() - {"pairs_per_second", "data_wait_fraction", "seconds", "peak_memory_gb"}:
            assert second[name] == pytest.approx(first[name], abs=1e-4), name


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_holds_the_process_group_when_it_is_left(launch, common_options, tmp_path):
    """A wrapper that did would wait there for a thread of gloo's, which may wait for Python's lock: for ever."""
    options = [*common_options, "--output_dir", str(tmp_path / "run"), "--max_steps", "1"]
    process = launch("tests/training/leave_group.py", *options, num_processes=2)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert output.count("models made 1, alive 0") == 2, output


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_refused_is_said_once_and_leaves_no_process_waiting(launch_train, tmp_path):
    process = launch_train(tmp_path / "run", "--dataset_config", "250hz", num_processes=2)
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert output.count("train.py: --dataset ptb_xl") == 1
    assert "BuilderConfig '250hz' not found" in output
    assert "Connection closed by peer" not in output


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_machines_meet_over_the_network(launch_train, tmp_path):
    """Two launchers that know each other by an address alone, as on two hosts; here both are this one."""
    port = "29653"
    network = ["--main_process_ip", "127.0.0.1", "--main_process_port", port]
    machines = [
        launch_train(
            tmp_path / "run",
            *UNEVEN,
            "--max_steps",
            "2",
            num_processes=2,
            machines=2,
            launcher=[*network, "--machine_rank", rank],
        )
        for rank in ("0", "1")
    ]
    outputs = [machine.communicate(timeout=500)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], "\n".join(outputs)
    assert len(re.findall("Saved the model and its processor", "".join(outputs))) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_machines_in_network_namespaces_learn_what_one_process_learns(
    launch_train, common_options, assert_same_weights, tmp_path
):
    """The recipe of examples/two_machines.sh: two hosts with a network of their own, torchrun on each."""
    probe = subprocess.run(
        ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && ip netns add a"],
        capture_output=True,
        text=True,
    )
    if probe.returncode:
        pytest.skip(f"this system makes no network namespaces: {probe.stderr.strip()}")
    options = [*UNEVEN, "--max_steps", "3", "--ema_decay", "0.9"]
    one = launch_train(tmp_path / "one", *options)
    two = subprocess.run(
        ["examples/two_machines.sh", *common_options, "--output_dir", str(tmp_path / "two"), *options],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert two.returncode == 0, two.stderr
    output, _ = one.communicate(timeout=500)
    assert one.returncode == 0, output
    assert_same_weights(tmp_path / "one", tmp_path / "two", tolerance=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sharded_run_learns_saves_and_resumes_as_a_whole_one(launch_train, assert_same_weights, tmp_path):
    options = [*UNEVEN, "--max_steps", "5", "--ema_decay", "0.9", "--checkpoint_every", "1", "--keep_checkpoints", "9"]

    def finish(name: str, *more: str, **launching) -> None:
        process = launch_train(tmp_path / name, *options, *more, **launching)
        output, _ = process.communicate(timeout=500)
        assert process.returncode == 0, output

    finish("one")
    finish("sharded", **SHARDED)
    assert_same_weights(tmp_path / "one", tmp_path / "sharded", tolerance=1e-5)
    for step in ("step_00000002", "step_00000004"):  # inside the first epoch, and where it ends
        checkpoint = str(tmp_path / "sharded" / "checkpoints" / step)
        finish(f"sharded from {step}", "--resume", checkpoint, **SHARDED)
        assert_same_weights(tmp_path / "sharded", tmp_path / f"sharded from {step}")
        finish(f"one from {step}", "--resume", checkpoint)
        assert_same_weights(tmp_path / "one", tmp_path / f"one from {step}", tolerance=1e-5)
