"""On a disk that is full, or becomes full, a run stops with a sentence and can be continued."""

import errno
import subprocess
from pathlib import Path

import pytest

from etp.atomic_files import NotWrittenError
from etp.options import OptionError
from etp.training import loop, preflight
from etp.training.checkpoints import CheckpointError, newest_checkpoint


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


@pytest.mark.parametrize("step", [2, 3, 6])
def test_a_disk_that_becomes_full_costs_no_step_that_was_saved(
    run, small_disk, assert_same_weights, tmp_path, monkeypatch, step
):
    monkeypatch.setattr(preflight, "FREE_BYTES", 1 << 20)
    original, others = loop.Trainer._step, []

    def filling(self, batch):
        if self.position.step + 1 == step:
            others.append(fill(small_disk))
        original(self, batch)

    options = ["--checkpoint_every", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "_step", filling)
        with pytest.raises((CheckpointError, NotWrittenError), match=r"can't be written: No space left"):
            run(small_disk / "run", *options)
    assert newest_checkpoint(small_disk / "run").name == f"step_{step - 1:08d}"
    others[0].unlink()
    assert run(small_disk / "run", *options, "--resume", "auto") == 0
    assert run(tmp_path / "whole", *options) == 0
    assert_same_weights(small_disk / "run", tmp_path / "whole")


def test_a_full_disk_at_the_very_end_costs_nothing(run, small_disk, assert_same_weights, tmp_path, monkeypatch):
    from etp.training import main as train

    monkeypatch.setattr(preflight, "FREE_BYTES", 1 << 20)
    original, others = train.save_model, []

    def filling(*args):
        others.append(fill(small_disk))
        original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(train, "save_model", filling)
        with pytest.raises(NotWrittenError, match=r"/disk/run can't be written: No space left"):
            run(small_disk / "run")
    others[0].unlink()
    assert run(small_disk / "run", "--resume", "auto") == 0
    assert run(tmp_path / "whole") == 0
    assert_same_weights(small_disk / "run", tmp_path / "whole")
