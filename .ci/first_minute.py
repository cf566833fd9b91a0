"""python .ci/first_minute.py

What a user does first, with the packages of this Python alone: in an empty folder, in an empty cache and offline.
"""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

LABELS = ["atrial fibrillation", "sinus rhythm", "left bundle branch block"]
PORT = 7961
IN_PYTHON = f"""
import modeling_etp
from etp.samples import sample_path
from transformers import pipeline

classifier = pipeline("zero-shot-ecg-classification")
scores = classifier(sample_path("atrial-fibrillation"), candidate_labels={LABELS})
print(scores)
assert scores[0]["label"] == "atrial fibrillation"
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ETP_", "HF_"))
        }
        environment |= {"HF_HOME": str(Path(folder) / "cache"), "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"}
        started = time.monotonic()
        run([sys.executable, "-c", IN_PYTHON], folder, environment)
        etp = [sys.executable, "-m", "etp.cli"]
        run([*etp, "classify", "sample:atrial-fibrillation", "--labels", *LABELS], folder, environment)
        serve([*etp, "app", "--port", str(PORT)], folder, environment)
        print(f"All three in {time.monotonic() - started:.0f} s.")


def run(command: list[str], folder: str, environment: dict[str, str]) -> None:
    print("$", *command, flush=True)
    subprocess.run(command, cwd=folder, env=environment, check=True, stdin=subprocess.DEVNULL)


def serve(command: list[str], folder: str, environment: dict[str, str]) -> None:
    """Start the app, get its page, and end it."""
    print("$", *command, flush=True)
    app = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=10) as page:
                    print(page.status, page.headers["content-type"], len(page.read()), "bytes")
                return
            except OSError:
                if app.poll() is not None:
                    raise SystemExit(f"the app ended with status {app.returncode}") from None
                time.sleep(1)
        raise SystemExit("the app did not answer within 10 minutes")
    finally:
        app.terminate()
        app.wait()


if __name__ == "__main__":
    main()
