"""Training with FSDP2: what differs when weights, gradients and optimizer state are sharded."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy
from torch.distributed.tensor import DTensor, distribute_tensor

from etp.options import OptionError


def is_sharded(accelerator: Accelerator) -> bool:
    return accelerator.distributed_type == DistributedType.FSDP


def enable_sharding(accelerator: Accelerator) -> None:
    """Set FSDP up where the launch asks for it, on CPUs too, where accelerate leaves it out.

    Raises:
        OptionError: The launch asks for a form of FSDP that would train another model than one process does.
    """
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() != "true":
        return
    state = accelerator.state
    if accelerator.distributed_type == DistributedType.MULTI_CPU:
        state.fsdp_plugin = FullyShardedDataParallelPlugin()
        # In both states, as accelerate does on GPUs: the one is updated from the other whenever it is looked up.
        state.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    if not is_sharded(accelerator):
        raise OptionError("FSDP needs several processes: raise --num_processes, or launch without FSDP.")
    plugin = state.fsdp_plugin
    for flag, wanted, given in (
        ("fsdp_version", 2, plugin.fsdp_version),
        ("fsdp_cpu_ram_efficient_loading", False, bool(plugin.cpu_ram_efficient_loading)),
    ):
        if given != wanted:
            raise OptionError(f"FSDP is used with {flag}: {wanted}, got {given}; see examples/accelerate/fsdp.yaml.")
    # Blocks write to no tensor that a block before them returned, so no hook is lost.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    # Autocast decides the dtype of each operation, as on one process; weights in bfloat16 would be another training.
    plugin.mixed_precision_policy = MixedPrecisionPolicy()


def leave_whole(accelerator: Accelerator, model: nn.Module) -> None:
    """Keep out of the shards what can't be cut, numbers, and what is used outside the model's forward pass, frozen towers."""
    whole = [p for p in model.parameters() if p.ndim == 0 or not p.requires_grad]
    accelerator.state.fsdp_plugin.ignored_modules = [nn.ParameterList(whole)]


def average_whole_gradients(model: nn.Module) -> None:
    """Average the gradients of trained numbers, such as the temperature, over the processes; FSDP does the others."""
    for parameter in model.parameters():
        if parameter.ndim == 0 and parameter.requires_grad and parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= dist.get_world_size()


@contextmanager
def gathered(model: nn.Module) -> Iterator[None]:
    """Inside, the model has its whole weights, whichever part of it is called; after it, the shards as they then are."""
    parts = [part for part in model.modules() if isinstance(part, FSDPModule)]
    for part in parts:
        part.reshard()  # what a forward pass left gathered may be of other weights
    for part in parts:
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()


def whole(value: Any) -> Any:
    """Tensors without shards, in mappings and sequences too. Every process must ask for the same at the same time."""
    if isinstance(value, DTensor):
        return value.full_tensor().detach()
    if isinstance(value, Mapping):
        return {key: whole(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(whole(entry) for entry in value)
    return value


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor, in the same memory."""
    return tensor._local_tensor if isinstance(tensor, DTensor) else tensor


def cut_like(tensor: Tensor, example: Tensor) -> Tensor:
    """A whole tensor as shards of the example's, if it has any."""
    if not isinstance(example, DTensor):
        return tensor
    return distribute_tensor(tensor.to(example.device), example.device_mesh, example.placements, src_data_rank=None)


def load_whole_state(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load a state dict of whole tensors, of one process or many, into an optimizer of shards or of whole weights."""
    parameters: Sequence[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
    own_kernels = [{name: group[name] for name in ("fused", "foreach")} for group in optimizer.param_groups]
    cut = {
        index: {
            name: cut_like(value, parameters[index]) if value.shape == parameters[index].shape else value
            for name, value in entry.items()
        }
        for index, entry in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": cut})
    for group, kernels in zip(optimizer.param_groups, own_kernels, strict=True):
        group.update(kernels)
