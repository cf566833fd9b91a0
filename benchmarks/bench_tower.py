"""python benchmarks/bench_tower.py [--batch_size 64] [--num_samples 1000] [--repeats 6] [--device cpu]

Records per second of the ECG tower against the same network of plain `nn.Conv1d` layers, measured in turns in one run;
prints one JSON line.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from modeling_etp.configuration_etp import ETPEcgConfig
from modeling_etp.modeling_etp import ETPEcgModel


class PlainBlock(nn.Module):
    """Basic residual block as it is usually written for ECGs."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv1d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm1d(out_channels)
        self.conv2 = nn.Conv1d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm1d(out_channels)
        self.shortcut = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv1d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm1d(out_channels)
            )

    def forward(self, signal: Tensor) -> Tensor:
        residual = self.norm2(self.conv2(self.norm1(self.conv1(signal)).relu()))
        return (residual + self.shortcut(signal)).relu()


class PlainResNet18(nn.Module):
    """ResNet18-1D of `nn.Conv1d` and `nn.BatchNorm1d`, the baseline; the tower's state dict fits it by position."""

    def __init__(self, num_leads: int = 12):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(num_leads, 64, 7, 2, padding=3, bias=False),
            nn.BatchNorm1d(64),
            nn.ReLU(),
            nn.MaxPool1d(3, 2, padding=1),
        )
        widths = (64, 64, 128, 256, 512)
        self.blocks = nn.Sequential(
            *(
                PlainBlock(
                    widths[stage] if first else widths[stage + 1], widths[stage + 1], 2 if stage and first else 1
                )
                for stage in range(4)
                for first in (True, False)
            )
        )

    def forward(self, signal: Tensor) -> Tensor:
        return self.blocks(self.stem(signal)).mean(dim=-1)


def main() -> None:
    args = parse_args()
    device = torch.device(args.device)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    ecgs = torch.randn(args.batch_size, 12, args.num_samples, device=device)
    tower, plain = ETPEcgModel(ETPEcgConfig()).to(device), PlainResNet18().to(device)
    copy_weights(tower, plain)

    def tower_features(ecgs: Tensor) -> Tensor:
        return tower(ecgs).pooler_output

    variants = {
        "conv1d_float32": (plain, plain, torch.float32),
        "conv1d_bfloat16": (plain, plain, torch.bfloat16),
        "tower_float32": (tower, tower_features, torch.float32),
        "tower_bfloat16": (tower, tower_features, torch.bfloat16),
    }
    result = {
        "benchmark": "tower",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "batch_size": args.batch_size,
        "num_samples": args.num_samples,
        "repeats": args.repeats,
        "largest_difference": largest_difference(tower, plain, ecgs),
        "training_records_per_second": measure(variants, ecgs, args.repeats, step=training_step),
        "inference_records_per_second": measure(variants, ecgs, args.repeats, step=inference_step),
    }
    training = result["training_records_per_second"]
    result["training_speedup"] = round(training["tower_bfloat16"] / training["conv1d_float32"], 2)
    print(json.dumps(result))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch_size", type=int, default=64, help="ECGs per step")
    parser.add_argument("--num_samples", type=int, default=1000, help="samples per lead; 1000 is 10 s at 100 Hz")
    parser.add_argument(
        "--repeats", type=int, default=6, help="steps of each variant, taken in turns; the fastest counts"
    )
    parser.add_argument("--threads", type=int, help="CPU threads; all cores if omitted")
    parser.add_argument("--device", default="cpu", help="torch device")
    return parser.parse_args()


def cpu_name() -> str:
    """Model and the matrix instructions it has: AMX is what makes bfloat16 many times faster than float32."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return "cpu"
    lines = [line.partition(":") for line in cpuinfo.read_text().splitlines()]
    fields = {name.strip(): value.strip() for name, _, value in reversed(lines)}
    flags = set(fields.get("flags", "").split()) & {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}
    return f"{fields.get('model name', 'cpu')} ({' '.join(sorted(flags))})"


def copy_weights(tower: nn.Module, plain: nn.Module) -> None:
    """Give both networks the same weights, so that they can be compared in value before they are in speed."""
    values = list(tower.state_dict().values())
    plain.load_state_dict(dict(zip(plain.state_dict(), values, strict=True)))


def largest_difference(tower: nn.Module, plain: nn.Module, ecgs: Tensor) -> float:
    """Largest difference of the pooled features in float32 and evaluation mode."""
    tower.eval(), plain.eval()
    with torch.no_grad():
        return (tower(ecgs).pooler_output - plain(ecgs)).abs().max().item()


def measure(variants: dict, ecgs: Tensor, repeats: int, *, step: Callable) -> dict[str, float]:
    """Records per second of each variant in its fastest step; they take turns, so that a busy machine slows all."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, (model, features, dtype) in variants.items():
            seconds[name].append(timed(step, model, features, ecgs, dtype))
    return {name: round(len(ecgs) / min(times), 1) for name, times in seconds.items()}


def timed(step: Callable, model: nn.Module, features: Callable, ecgs: Tensor, dtype: torch.dtype) -> float:
    synchronize = torch.cuda.synchronize if ecgs.is_cuda else (lambda: None)
    synchronize()
    start = time.perf_counter()
    with torch.autocast(ecgs.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        step(model, features, ecgs)
    synchronize()
    return time.perf_counter() - start


def training_step(model: nn.Module, features: Callable, ecgs: Tensor) -> None:
    model.train()
    model.zero_grad()
    features(ecgs).float().square().mean().backward()


def inference_step(model: nn.Module, features: Callable, ecgs: Tensor) -> None:
    model.eval()
    with torch.inference_mode():
        features(ecgs)


if __name__ == "__main__":
    main()
