"""What a hostile visitor sends to the app reads and deletes nothing but his own uploads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A namespace in which /tmp is empty and in memory, and everything else can't be written: what is deleted here is lost
# to nobody. The order matters: /tmp is mounted last, and above the root that has become read-only. A clone that lies in /tmp
# is seen at /mnt.
PRIVATE = """
set -e
mount --make-rprivate /
while read -r _ place kind _; do
    case $kind in proc|sysfs|cgroup*|devpts|devtmpfs|mqueue|securityfs|bpf|debugfs|tracefs|pstore) ;;
    *) mount -o remount,bind,ro "$place" || exit 3;; esac
done < /proc/self/mounts
if [ "$1" != "$2" ]; then mount --bind "$1" "$2"; fi
mount -t tmpfs -o size=64m tmpfs /tmp
for folder in / "$2" "$3"; do if touch "$folder/etp-can-write"; then rm "$folder/etp-can-write"; exit 3; fi; done
echo private
shift 3
exec "$@"
"""


@pytest.fixture(scope="module")
def outcome() -> dict:
    """What `app_attacks.py` prints in a mount namespace of its own."""
    unshare = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
    root = "/mnt" if ROOT.is_relative_to("/tmp") else str(ROOT)
    script = [sys.executable.replace(str(ROOT), root), f"{root}/tests/robustness/app_attacks.py"]
    command = [*unshare, "sh", "-c", PRIVATE, "sh", str(ROOT), root, str(Path.home()), *script]
    environment = {**os.environ, "PYTHONPATH": root, "TMPDIR": "/tmp"}
    environment.update(PYTHONDONTWRITEBYTECODE="1", HF_HOME="/tmp/hf", MPLCONFIGDIR="/tmp/mpl", HOME="/tmp/home")
    run = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=300)
    if not run.stdout.startswith("private\n"):
        pytest.skip(f"needs a private mount namespace, which this system refuses: {run.stdout} {run.stderr[-300:]}")
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    assert lines, run.stdout[-2000:] + run.stderr[-4000:]
    return json.loads(lines[-1])


def test_nothing_of_others_is_deleted(outcome):
    assert [path for path, is_left in outcome["left"].items() if not is_left] == []


def test_nothing_of_others_is_read(outcome):
    assert "of somebody else" not in json.dumps(outcome)
    assert set(outcome["served"].values()) <= {403, 404}


def test_what_is_no_upload_is_answered_as_lost(outcome):
    refused = {name: answer for name, answer in outcome["answers"].items() if name != "control"}
    assert len(refused) > 15
    told = ("The upload was lost on its way", "400 This page fetches no addresses", '"error"')
    assert [name for name, answer in refused.items() if not any(words in answer for words in told)] == []


def test_an_upload_of_ones_own_is_read_after_all_that(outcome):
    assert "holiday.jpg: " in outcome["answers"]["control"]


def test_a_flood_of_uploads_is_turned_away_before_the_disk_is_full(outcome):
    assert outcome["large"] == 413
    assert outcome["flood"][:5] == [200] * 5
    assert set(outcome["flood"][5:]) == {429}
    assert outcome["used"] <= 50_000_000
