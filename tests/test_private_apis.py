"""The private interfaces of other packages that ours relies on: after an upgrade this file says what is gone, and what it breaks."""

import inspect
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


def test_datasets_keeps_its_record_batches_and_indices():
    """etp/arrow_batches.py reads signals without a copy from `dataset.data._batches`; every training and evaluation."""
    rows = datasets.Dataset.from_dict({"value": list(range(10))})
    assert all(isinstance(batch, pa.RecordBatch) for batch in rows.data._batches), "etp.arrow_batches.read_signals"
    assert list(rows.data._offsets) == [0, 10], "etp.arrow_batches.read_signals"
    assert rows._indices is None, "etp.arrow_batches.read_signals"
    chosen = rows.select([7, 2, 5])
    assert chosen._indices.column(0).to_pylist() == [7, 2, 5], "etp.arrow_batches: rows of another order"


def test_accelerate_shares_the_state_of_a_process_and_knows_fsdp():
    """etp/training/processes/sharding.py turns a launch on CPUs into FSDP2 through `PartialState._shared_state`."""
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    assert isinstance(PartialState._shared_state, dict), "etp.training.processes.sharding.enable_sharding"
    assert DistributedType.FSDP in DistributedType, "etp.training.processes.sharding.enable_sharding"


def test_accelerate_launch_takes_what_etp_train_passes_on():
    """etp/training/launch.py starts `accelerate.commands.launch`, unless its default file asks for something else."""
    from accelerate.commands.config.config_args import default_config_file
    from accelerate.commands.launch import launch_command_parser

    from etp.training.launch import LauncherArguments

    assert Path(default_config_file).suffix == ".yaml", "etp.training.launch: the file of `accelerate config`"
    known = {action.dest for action in launch_command_parser()._actions}
    assert set(LauncherArguments.__dataclass_fields__) <= known, "etp.training.launch.launch_options"
    assert {"multi_gpu", "mixed_precision", "dynamo_backend", "module"} <= known, "etp.training.launch.launch_options"


def test_torch_tells_a_backward_pass_and_native_bf16():
    """modeling_etp/ecg_resnet_etp.py asks whether a forward pass repeats; etp/devices.py what `--precision auto` is."""
    assert torch._C._current_graph_task_id() == -1, "modeling_etp.ecg_resnet_etp: batch norm under recomputation"
    seen = []

    class Ask(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, gradient):
            seen.append(torch._C._current_graph_task_id())
            return gradient

    Ask.apply(torch.ones(1, requires_grad=True)).sum().backward()
    assert seen[0] != -1, "modeling_etp.ecg_resnet_etp: batch norm under recomputation"
    assert torch.cpu._is_avx512_bf16_supported() in (True, False), "etp.devices.use_bf16"


def test_torch_averages_lists_of_tensors_in_place():
    """etp/training/optimization.py moves the averaged weights (`--ema_decay`) with one `torch._foreach_lerp_`."""
    averages = [torch.zeros(2), torch.zeros(3)]
    torch._foreach_lerp_(averages, [torch.ones(2), torch.ones(3)], 0.25)
    assert all((average == 0.25).all() for average in averages), "etp.training.optimization.WeightAverage"


def test_transformers_maps_text_configurations_to_models():
    """modeling_etp/text_tower_etp.py finds the class of any text tower in `AutoModel._model_mapping`."""
    from transformers import AutoModel, BertConfig, BertModel

    assert BertConfig in AutoModel._model_mapping, "modeling_etp.text_tower_etp"
    assert AutoModel._model_mapping[BertConfig] is BertModel, "modeling_etp.text_tower_etp"


def test_transformers_saves_a_pipeline_with_its_registered_code():
    """modeling_etp/pipeline_etp.py sets `_registered_impl`, as `register_pipeline` does, so that a saved pipeline loads."""
    from transformers.pipelines.base import Pipeline, PipelineRegistry

    assert "_registered_impl" in inspect.getsource(PipelineRegistry.register_pipeline), "modeling_etp.pipeline_etp"
    assert "_registered_impl" in inspect.getsource(Pipeline.save_pretrained), "modeling_etp.pipeline_etp"


PRIVATE = {
    "._batches", "._offsets", "dataset._indices", "._shared_state", "_current_graph_task_id", "_is_avx512_bf16_supported",
    "_foreach_lerp_", "._model_mapping", "._registered_impl",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PRIVATE))
def test_what_is_held_here_is_still_used(name):
    sources = (path for package in ("etp", "modeling_etp") for path in (ROOT / package).rglob("*.py"))
    assert any(name in path.read_text(encoding="utf-8") for path in sources), f"{name}: take its test out"
