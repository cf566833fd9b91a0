"""Read the same damaged WFDB records with `read_ecg` and with `wfdb.rdrecord`, each in limits, and count what happens.

PYTHONPATH=.:tests:tests/robustness python tests/robustness/compare_with_wfdb.py 2000
"""

import collections
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import wfdb
from file_targets import WfdbCorpus

from modeling_etp.ecg_files_etp import EcgFileError, read_ecg

SECONDS, MEGABYTES = 2, 500


class _TooSlowError(BaseException): ...


def main(count: int, seed: int = 0) -> dict[str, dict[str, int]]:
    """Count the outcomes of both readers, and the records that only `wfdb` gives a signal for."""
    warnings.simplefilter("ignore")
    counts = {name: collections.Counter() for name in ("etp", "wfdb", "only wfdb answers, etp says")}
    signal.signal(signal.SIGALRM, _interrupt)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEGABYTES * 2**20,) * 2)
    with tempfile.TemporaryDirectory() as folder:
        corpus = WfdbCorpus(Path(folder))
        outside = _watch_files(folder)
        for number in range(count):
            path = corpus.write(*corpus.make(random.Random(f"{seed} {number}")))
            name = str(path.with_suffix(""))
            ours, signal_ = _attempt(lambda path=path: read_ecg(path).signal, outside)
            theirs, other = _attempt(lambda name=name: wfdb.rdrecord(name).p_signal, outside)
            if ours == theirs == "answer":
                theirs = ours = f"answer, {_relation(signal_, other.T)}"
            elif theirs == "answer":
                counts["only wfdb answers, etp says"][ours] += 1
            counts["etp"][ours] += 1
            counts["wfdb"][theirs] += 1
    return {name: dict(counter.most_common()) for name, counter in counts.items()}


def _relation(ours: np.ndarray, theirs: np.ndarray) -> str:
    """How two signals `(channels, samples)` of one record compare."""

    def equal(row: np.ndarray, other: np.ndarray) -> bool:
        return np.allclose(row, other, atol=1e-4, equal_nan=True)

    if ours.shape[1] != theirs.shape[1]:
        return "another length"
    rest = iter(theirs)
    if not all(any(equal(row, other) for other in rest) for row in ours):
        return "another number"
    return "the same" if len(ours) == len(theirs) else "the same, but for channels that `read_ecg` leaves out by name"


def _attempt(read, outside: list[str]) -> tuple[str, np.ndarray | None]:
    outside.clear()
    signal.alarm(SECONDS)
    start = time.process_time()
    result = None
    try:
        result = read()
        outcome = "answer"
    except EcgFileError as error:
        outcome = type(error).__name__ + (" (checksum)" if "checksum" in str(error) else "")
    except _TooSlowError:
        outcome = f"over {SECONDS} s"
    except MemoryError:
        outcome = f"over {MEGABYTES} MB"
    except Exception as error:
        own = type(error).__module__.startswith("wfdb")
        outcome = type(error).__name__ if own else f"untyped {type(error).__name__}"
    finally:
        signal.alarm(0)
    if outside:
        outcome = "left its folder"
    elif time.process_time() - start > 1:
        outcome = "over 1 s"
    return outcome, result


def _watch_files(folder: str) -> list[str]:
    outside: list[str] = []
    allowed = (folder, sys.prefix, sys.base_prefix, "/usr", "/proc", os.getcwd())

    def hook(event: str, arguments: tuple) -> None:
        opened = event == "open" and isinstance(arguments[0], str)
        if (opened and not os.path.realpath(arguments[0]).startswith(allowed)) or event.startswith("socket."):
            outside.append(str(arguments[0]))

    sys.addaudithook(hook)
    return outside


def _interrupt(number, frame) -> None:
    raise _TooSlowError


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1])), indent=1))
