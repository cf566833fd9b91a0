"""Uploads that a library in C reads are read in a process of their own first: a damaged one may crash it, or keep it for good."""

import subprocess
import sys
from contextlib import suppress

from modeling_etp.ecg_errors_etp import EcgCorruptError, EcgFileError
from modeling_etp.ecg_files_etp import read_ecg
from modeling_etp.ecg_sniffing_etp import HEAD_BYTES, recognise

KINDS = (
    "HDF5",
)  # libhdf5 2.0: of 100,000 damaged files one crashed it and three kept it for good (docs/reliability.md)
SECONDS = 20.0  # a start takes half of one


def check_outlived(content: bytes, name: str) -> None:
    """Let another process read an upload of such a kind, and see what becomes of it.

    Raises:
        EcgCorruptError: If the process crashed, or was still reading after `SECONDS`.
    """
    try:
        if recognise(content[:HEAD_BYTES], name) not in KINDS:
            return
    except EcgFileError:  # the reader says so itself
        return
    command = [sys.executable, "-m", __name__]
    try:
        status = subprocess.run(
            command, input=content, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=SECONDS, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        status = None
    if status != 0:
        raise EcgCorruptError(name, "it is damaged so badly that reading it doesn't end well. Get the file again.")


if __name__ == "__main__":
    with suppress(EcgFileError):
        read_ecg(sys.stdin.buffer.read())
