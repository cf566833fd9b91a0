"""A disk that is full is said before anything is computed."""

import errno
import subprocess
from pathlib import Path

import pytest

from etp.pretraining.options import OptionError


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 8 MB: a file system in memory that lives in a mount namespace of its own, so nothing has to be undone."""
    folder = tmp_path / "disk"
    folder.mkdir()
    script = 'mount -t tmpfs -o size=8m tmpfs "$0" && echo mounted && read -r line'
    holder = subprocess.Popen(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if holder.stdout.readline() != "mounted\n":
        pytest.skip(f"this system gives no mount namespace for a small disk: {holder.communicate()[1].strip()}")
    yield Path(f"/proc/{holder.pid}/root{folder}")
    holder.communicate("done\n")


def fill(disk: Path) -> Path:
    """Write until nothing fits."""
    path = disk / "other"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    return path


def test_too_small_a_disk_is_refused_before_anything_is_computed(run, small_disk):
    with pytest.raises(
        OptionError, match=r"--output_dir .*/disk/run: [78] MB are free on its disk, a run needs 512 MB"
    ):
        run(small_disk / "run")


@pytest.mark.parametrize("flag", ["--output_dir", "--feature_cache", "--cache_dir"])
def test_a_full_disk_is_named_with_its_flag(run, small_disk, tmp_path, flag):
    fill(small_disk)
    with pytest.raises(OptionError, match=rf"{flag} .*/disk/new can't be written: No space left on device. Make room"):
        run(tmp_path / "run", flag, str(small_disk / "new"))
