"""Which weight files of a checkpoint may be opened at all."""

import json
import struct
from pathlib import Path, PurePosixPath

from transformers.utils import SAFE_WEIGHTS_INDEX_NAME

# The largest text encoders have some hundred tensors; naming 300,000 costs minutes before anything is refused.
MAX_TENSORS = 20_000
_MAX_INDEX_BYTES = 10_000_000


def check_weight_files(folder: Path) -> None:
    """Refuse weights that point out of their folder, are no safetensors, or would keep the loader busy for minutes.

    Args:
        folder: A checkpoint's; files that are damaged otherwise are left to safetensors, which refuses them.

    Raises:
        ValueError: Naming the file.
    """
    index = folder / SAFE_WEIGHTS_INDEX_NAME
    if index.is_file():
        if index.stat().st_size > _MAX_INDEX_BYTES:
            raise ValueError(f"{index} has more than {_MAX_INDEX_BYTES:,} bytes. It is no index of weights.")
        names = json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values()
        for name in dict.fromkeys(map(str, names)):
            if PurePosixPath(name).name != name or "\\" in name or not name.endswith(".safetensors"):
                raise ValueError(
                    f"{index} names the weight file {name!r}. Only safetensors files beside it are opened: put the "
                    "file there and its bare name in the index."
                )
    for path in folder.glob("*.safetensors"):
        if (count := _count_tensors(path)) > MAX_TENSORS:
            raise ValueError(
                f"{path} holds {count:,} tensors, expected at most {MAX_TENSORS:,}. It is no text encoder's."
            )


def _count_tensors(path: Path) -> int:
    """Number of entries of a safetensors header, near enough to judge it; 0 where there is none."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        header = file.read(min(length, 100_000_000))  # safetensors refuses longer ones
    return header.count(b'"data_offsets"')


__all__ = ["check_weight_files"]
