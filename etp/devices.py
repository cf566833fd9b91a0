"""Where and in which number format a command computes."""

import torch

from etp.options import OptionError


def choose_device(name: str = "auto") -> str:
    """The device of `--device`; `auto` is a GPU if there is one.

    Raises:
        OptionError: There is no such device here, or it doesn't compute, as `meta`.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.ones(1, device=name).add(1).item()
    except (RuntimeError, AssertionError, ImportError, ValueError) as error:  # what a torch without that device raises
        reason = str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")
        raise OptionError(f"--device {name}: {reason}. Take cpu, or a device of this machine.") from error
    return name


def use_bf16(precision: str, *, device: str | torch.device | None = None) -> bool:
    """Whether `--precision` means bfloat16; `auto` does where the machine multiplies it natively.

    Args:
        device: Where it is computed; the GPU if there is one by default.
    """
    if precision != "auto":
        return precision == "bf16"
    kind = torch.device(choose_device() if device is None else device).type
    if kind == "cpu":
        return torch.cpu._is_avx512_bf16_supported()
    return kind == "cuda" and torch.cuda.is_bf16_supported()
