"""`etp export`: both towers as ONNX models or `torch.export` programs, for use without this package."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from etp.common_options import MODEL_HELP
from etp.options import OptionError, option

from .files import write
from .models import open_checkpoint


@dataclass(kw_only=True)
class ExportArguments:
    """Which model, and in which form."""

    model: str = option(MODEL_HELP, positional=True)
    output: Path = option("Folder that is made.", short="-o")
    format: Literal["onnx", "torch"] = option("onnx: ONNX models; torch: torch.export programs.", "onnx")


def run(args: ExportArguments) -> int:
    if args.output.exists():
        raise OptionError(f"-o {args.output} exists already. Delete it, or choose another folder.")
    from etp.export import export_checkpoint

    description = export_checkpoint(open_checkpoint(args.model), args.output, format=args.format)
    for name, difference in description["largest_difference"].items():
        write(f"{args.output}: {name}, at most {difference:.1e} off the model")
    return 0
