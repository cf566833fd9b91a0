"""Change the code in small ways and see whether a test fails: a random sample of what mutmut can change, by file.

python tests/robustness/mutation.py [CHANGES_PER_FILE] [SEED]    # 0 for all; results are kept in mutants/
"""

import collections
import json
import random
import subprocess
import sys
from pathlib import Path

from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

KILLED = ("killed", "timeout", "segfault", "caught by type check")


def main(most: int, seed: int) -> None:
    chosen = []
    for path in sorted(walk_mutatable_files()):
        module = ".".join(path.with_suffix("").parts)
        names = [f"{module}.{name}" for name in mutate_file_contents(str(path), path.read_text()).mutant_names]
        count = min(most or len(names), len(names))
        chosen += random.Random(f"{seed} {path.name}").sample(names, count)
    subprocess.run([sys.executable, "-m", "mutmut", "run", "--max-children", "1", *chosen], check=True)
    report(set(chosen))


def report(chosen: set[str]) -> None:
    """Print killed and tried by file, and the names of the survivors: `mutmut show NAME` shows one."""
    survivors = []
    total: collections.Counter = collections.Counter()
    for meta in sorted(Path("mutants").rglob("*.py.meta")):
        codes = json.loads(meta.read_text())["exit_code_by_key"]
        statuses = {name: status_by_exit_code[code] for name, code in codes.items() if name in chosen}
        if not statuses:
            continue
        killed = sum(status in KILLED for status in statuses.values())
        survivors += [f"{name}: {status}" for name, status in statuses.items() if status not in KILLED]
        total.update(killed=killed, tried=len(statuses), all=len(codes))
        print(f"{meta.name.removesuffix('.meta'):32} {killed:4} of {len(statuses):4} tried ({len(codes)} in all)")
    print(f"{'all':32} {total['killed']:4} of {total['tried']:4} = {total['killed'] / total['tried']:.1%}")
    print("\n".join(survivors))


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:]]
    main(*arguments, *(50, 0)[len(arguments) :])
