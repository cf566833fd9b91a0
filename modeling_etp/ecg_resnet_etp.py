"""Layers of the 1-D residual network that encodes an ECG, run as height-1 images with the channels last."""

from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from .configuration_etp import ETPEcgConfig

# Three views of the same memory are used here: `frames`, shape (batch, frames, channels), is what the network hands out;
# `signals`, shape (batch, channels, frames), is what a 1-D convolution takes; `image`, shape (batch, channels, 1, frames)
# in channels_last order, is what a 2-D convolution takes. Converting costs nothing, and a CPU runs the bfloat16
# convolution of an image five times faster than `nn.Conv1d`.


def frames_to_image(frames: Tensor) -> Tensor:
    return frames.transpose(1, 2).unsqueeze(2)


def image_to_frames(image: Tensor) -> Tensor:
    return image.squeeze(2).transpose(1, 2)


def check_input_values(input_values: Tensor, num_leads: int, *, training: bool) -> None:
    """Refuse a wrong shape, and NaN or infinite values where looking at them does not slow training down."""
    if input_values.ndim != 3 or input_values.shape[1] != num_leads or 0 in input_values.shape:
        looks_transposed = input_values.ndim == 3 and input_values.shape[2] == num_leads
        hint = " It looks transposed: leads come before samples." if looks_transposed else ""
        raise ValueError(
            f"`input_values` must have shape (batch, {num_leads} leads, samples), "
            f"got {tuple(input_values.shape)}.{hint}"
        )
    if torch.compiler.is_compiling() or input_values.is_meta or (training and not input_values.is_cpu):
        return
    if input_values.is_cuda and torch.cuda.is_current_stream_capturing():
        return
    # One pass over memory: NaN and infinity survive a sum.
    if not torch.isfinite(input_values.detach().sum(dtype=torch.float32)):
        finite = torch.isfinite(input_values).all(dim=-1)
        if not finite.all():
            record, lead = (~finite).nonzero()[0].tolist()
            raise ValueError(
                f"`input_values` holds NaN or infinite values in ECG {record}, lead {lead} (counted from 0). "
                "Prepare ECGs with ETPFeatureExtractor, which bridges short gaps and refuses the rest."
            )


class ETPEcgConv(nn.Conv1d):
    """An `nn.Conv1d` in all it takes and gives, so that adapters such as LoRA fit it, that runs as an image.

    Signals `(batch, channels, frames)` whose channels lie together in memory stay so.
    """

    @classmethod
    def same(cls, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> "ETPEcgConv":
        """A convolution with "same" padding and no bias."""
        return cls(in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # the name that nn.Conv1d gives it
        if input.ndim != 3 or isinstance(self.padding, str) or self.padding_mode != "zeros":
            return super().forward(input)
        return F.conv2d(
            input.unsqueeze(2),
            self.weight.unsqueeze(2),
            self.bias,
            stride=(1, *self.stride),
            padding=(0, *self.padding),
            dilation=(1, *self.dilation),
            groups=self.groups,
        ).squeeze(2)


def convolve(conv: nn.Module, image: Tensor) -> Tensor:
    """Run a 1-D convolution, or what has taken its place, on an image."""
    return conv(image.squeeze(2)).unsqueeze(2)


class ETPEcgChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each frame of an image."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def make_norm(norm: str, channels: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "group":
        return nn.GroupNorm(max(1, channels // 16), channels)
    return ETPEcgChannelNorm(channels)


def make_activation(name: str) -> nn.Module:
    # In place, because the only input is a fresh output of a norm or a sum; the other activations have no such form.
    return nn.ReLU(inplace=True) if name == "relu" else ACT2FN[name]


class ETPEcgStem(nn.Module):
    """First convolution and pooling, `(batch, leads, samples)` to frames `(batch, frames, channels)`."""

    def __init__(self, config: ETPEcgConfig):
        super().__init__()
        channels = config.stem_hidden_size or config.hidden_sizes[0]
        self.conv = ETPEcgConv.same(config.num_leads, channels, config.stem_kernel_size, config.stem_stride)
        self.norm = make_norm(config.norm, channels)
        self.activation = make_activation(config.hidden_act)
        self.pool = nn.MaxPool2d((1, 3), stride=(1, 2), padding=(0, 1)) if config.stem_pool else nn.Identity()

    def forward(self, input_values: Tensor) -> Tensor:
        image = input_values.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return image_to_frames(self.pool(self.activation(self.norm(convolve(self.conv, image)))))


class ETPEcgShortcut(nn.Sequential):
    """A convolution of width 1 and a norm, on images."""

    def forward(self, image: Tensor) -> Tensor:
        conv, norm = self
        return norm(convolve(conv, image))


class ETPEcgBlock(GradientCheckpointingLayer):
    """Basic residual block (arXiv:1512.03385, figure 5 left): two convolutions beside a shortcut."""

    def __init__(self, config: ETPEcgConfig, in_channels: int, out_channels: int, *, kernel_size: int, stride: int):
        super().__init__()
        self.conv1 = ETPEcgConv.same(in_channels, out_channels, kernel_size, stride)
        self.norm1 = make_norm(config.norm, out_channels)
        self.conv2 = ETPEcgConv.same(out_channels, out_channels, kernel_size)
        self.norm2 = make_norm(config.norm, out_channels)
        self.activation = make_activation(config.hidden_act)
        self.dropout = nn.Dropout(config.dropout)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            self.shortcut = ETPEcgShortcut(
                ETPEcgConv.same(in_channels, out_channels, 1, stride), make_norm(config.norm, out_channels)
            )

    def forward(self, frames: Tensor) -> Tensor:
        if self.gradient_checkpointing and self.training:
            with _statistics_updated_once(self):
                return self._forward(frames)
        return self._forward(frames)

    def _forward(self, frames: Tensor) -> Tensor:
        image = frames_to_image(frames)
        residual = self.dropout(self.activation(self.norm1(convolve(self.conv1, image))))
        residual = self.norm2(convolve(self.conv2, residual))
        return image_to_frames(self.activation(residual.add_(self.shortcut(image))))


@contextmanager
def _statistics_updated_once(block: nn.Module):
    """Keep the running statistics as they are while gradient checkpointing repeats the forward in the backward pass."""
    repeats = torch._C._current_graph_task_id() != -1  # -1 outside of any backward pass
    norms = [module for module in block.modules() if repeats and isinstance(module, nn.modules.batchnorm._BatchNorm)]
    before = [(norm.momentum, norm.get_buffer("num_batches_tracked").clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, num_batches_tracked) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.get_buffer("num_batches_tracked").copy_(num_batches_tracked)


class ETPEcgStage(nn.Sequential):
    """Residual blocks of equal width; all stages but the first halve the number of frames."""

    def __init__(self, config: ETPEcgConfig, index: int):
        in_channels = config.hidden_sizes[index - 1] if index else config.stem_hidden_size or config.hidden_sizes[0]
        channels, kernel_size = config.hidden_sizes[index], config.kernel_sizes[index]
        first_stride = 2 if index else 1
        blocks = [ETPEcgBlock(config, in_channels, channels, kernel_size=kernel_size, stride=first_stride)]
        for _ in range(1, config.depths[index]):
            blocks.append(ETPEcgBlock(config, channels, channels, kernel_size=kernel_size, stride=1))
        super().__init__(*blocks)


class ETPEcgPooling(nn.Module):
    """Frames `(batch, frames, channels)` to one vector `(batch, pooled_size)`, by mean, maximum or both."""

    def __init__(self, config: ETPEcgConfig):
        super().__init__()
        self.kind = config.pooling

    def forward(self, frames: Tensor) -> Tensor:
        pooled = []
        if self.kind != "max":
            # Summed in float32: a bfloat16 mean of some hundred frames would keep two digits.
            pooled.append(frames.mean(dim=1, dtype=torch.float32).to(frames.dtype))
        if self.kind != "mean":
            pooled.append(frames.amax(dim=1))
        return torch.cat(pooled, dim=-1)


class ETPEcgAttentionPooling(nn.Module):
    """Frames `(batch, frames, channels)` to one vector `(batch, channels)`, weighted by attention to a learned query."""

    def __init__(self, config: ETPEcgConfig):
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.query = nn.Parameter(torch.empty(config.hidden_size))
        self.key_projection = nn.Linear(config.hidden_size, config.hidden_size)
        self.value_projection = nn.Linear(config.hidden_size, config.hidden_size)
        self.output_projection = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, frames: Tensor) -> Tensor:
        batch = len(frames)
        keys = self._split_heads(self.key_projection(frames))
        values = self._split_heads(self.value_projection(frames))
        query = self._split_heads(self.query.to(keys.dtype).expand(batch, 1, -1))
        pooled = F.scaled_dot_product_attention(query, keys, values)  # (batch, heads, 1, channels / heads)
        return self.output_projection(pooled.flatten(1))

    def _split_heads(self, frames: Tensor) -> Tensor:
        return frames.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
