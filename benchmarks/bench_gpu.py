"""The ECG tower on an accelerator: does it compute what the CPU computes, and how much of the machine does a step use?

    python benchmarks/bench_gpu.py [--device cuda] [--batch_size 512] [--steps 30]

One JSON line: the largest difference of embeddings from the CPU's in float32 and under bfloat16 autocast; records per
second of training steps (forward, backward, fused AdamW; data resident, channels last, bfloat16); operations per record,
counted by torch; and the fraction that is of the fastest bfloat16 matrix product measured here. With --device cpu and a
small batch it runs anywhere.
"""

import argparse
import json
import platform
import time

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from modeling_etp.configuration_etp import ETPEcgConfig
from modeling_etp.modeling_etp import ETPEcgModel

SIDE = 8192  # of the square matrices whose product is the measure of what is possible


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work, device: torch.device, repeats: int) -> float:
    """Fewest seconds of a call, to the end of its work on the device, after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        synchronise(device)
        started = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - started)
    return min(times[1:])


@torch.no_grad()
def differences(model: ETPEcgModel, ecgs: Tensor, device: torch.device) -> dict[str, float]:
    """Largest difference of pooled features from the CPU's, relative to their largest value."""
    model.eval()
    expected = model.cpu()(ecgs).pooler_output
    model.to(device)
    scale = expected.abs().max()
    found = {}
    for name, enabled in (("float32", False), ("bfloat16", True)):
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled):
            pooled = model(ecgs.to(device)).pooler_output
        found[name] = float((pooled.float().cpu() - expected).abs().max() / scale)
    return found


def training_step(model: ETPEcgModel, batch: Tensor, device: torch.device):
    """A function that takes one optimizer step on the batch."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss = model(batch).pooler_output.float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch_size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--side", type=int, default=SIDE, help="of the matrices of the reference product")
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    model = ETPEcgModel(ETPEcgConfig(stem_kernel_size=15, pooling="mean_max"))
    ecgs = torch.randn(16, 12, 1000)
    off = differences(model, ecgs, device)

    batch = torch.randn(args.batch_size, 12, 1000, device=device)
    step = training_step(model, batch, device)
    with FlopCounterMode(display=False) as counter:
        step()
    operations = counter.get_total_flops()
    seconds = seconds_of(step, device, args.steps)
    left, right = (torch.randn(args.side, args.side, device=device, dtype=torch.bfloat16) for _ in range(2))
    possible = 2 * args.side**3 / seconds_of(lambda: left @ right, device, 5)
    print(
        json.dumps(
            {
                "benchmark": "gpu",
                "device": torch.cuda.get_device_name(device)
                if device.type == "cuda"
                else platform.processor() or "cpu",
                "relative_difference_from_cpu": off,
                "records_per_s": round(args.batch_size / seconds, 1),
                "gflop_per_record": round(operations / args.batch_size / 1e9, 3),
                "tflops": round(operations / seconds / 1e12, 3),
                "fraction_of_matrix_product": round(operations / seconds / possible, 3),
                "peak_memory_gb": round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
                if device.type == "cuda"
                else None,
                "batch_size": args.batch_size,
                "torch": torch.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
