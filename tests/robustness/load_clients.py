"""python tests/robustness/load_clients.py {app,pipeline} --model build/etp-ptb-xl --clients 50 --seconds 600

Ask the app (served on loopback) or one pipeline (shared by threads) from many clients at once, and check every answer.
"""

import argparse
import html
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import requests

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
LABELS = ["normal ECG", "atrial fibrillation", "left bundle branch block", "inferior infarction"]
ECGS = 8
MAX_REQUESTS = 200_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("app", "pipeline"))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between an answer and the next request")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        report = {"app": load_app, "pipeline": load_pipeline}[args.what](args, Path(temporary))
    print(json.dumps({"what": args.what, "clients": args.clients, **report}))
    return 0 if not report["errors"] and report["requests"] else 1


def load_pipeline(args: argparse.Namespace, folder: Path) -> dict:
    """Threads that call one pipeline."""
    from transformers import pipeline

    import modeling_etp  # noqa: F401  (registers the task)

    records, expected = records_and_scores(args.model, folder)
    classifier = pipeline("zero-shot-ecg-classification", model=str(args.model), device="cpu")

    def ask(client: int, number: int) -> None:
        ecg = (client + number) % ECGS
        scores = classifier(str(records[ecg]), candidate_labels=LABELS)
        differences = [abs(entry["score"] - expected[ecg][entry["label"]]) for entry in scores]
        assert len(scores) == len(LABELS), scores
        assert max(differences) < 1e-4, f"scores differ by {max(differences)}"

    return load(ask, args, process=psutil.Process())


def load_app(args: argparse.Namespace, folder: Path) -> dict:
    """Visitors of the page: each uploads a record, is answered, and asks again with other labels."""
    records, expected = records_and_scores(args.model, folder)
    (folder / "temporary").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "TMPDIR": str(folder / "temporary"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        "-m",
        "etp.cli",
        "app",
        "--model",
        args.model.resolve(),
        "--port",
        str(port),
        "--device",
        "cpu",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(list(map(str, command)), cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        page = _Page(f"http://127.0.0.1:{port}", process, folder / "log")

        def ask(client: int, number: int) -> None:
            ecg = (client + number) % ECGS
            shown = page.visit(records[ecg], address=f"198.51.100.{client}")
            for label, score in expected[ecg].items():
                assert abs(shown[label] - score) < 0.011, f"{label}: {shown[label]} shown, {score:.3f} expected"

        report = load(ask, args, process=psutil.Process(process.pid))
        time.sleep(1)
        left = [path for path in (folder / "temporary").rglob("*") if path.is_file() and path.stat().st_size]
        tracebacks = (folder / "log").read_text().count("Traceback")
        return {**report, "uploads_left": len(left), "tracebacks": tracebacks}
    finally:
        process.terminate()
        process.wait(30)


def records_and_scores(model: Path, folder: Path) -> tuple[list[Path], list[dict[str, float]]]:
    """Some synthetic records and their scores, alone and undisturbed."""
    from transformers import pipeline

    import modeling_etp  # noqa: F401
    from datasets_scripts.synthetic import write_archive

    write_archive(folder / "ecgs", num_records=20, seed=5)
    records = sorted((folder / "ecgs").rglob("*_lr.hea"))[:ECGS]
    classifier = pipeline("zero-shot-ecg-classification", model=str(model), device="cpu")
    scored = [classifier(str(record), candidate_labels=LABELS) for record in records]
    return records, [{entry["label"]: entry["score"] for entry in scores} for scores in scored]


def load(ask: Callable[[int, int], None], args: argparse.Namespace, *, process: psutil.Process) -> dict:
    """Let all clients ask until the time is over."""
    latencies: list[float] = []
    errors: list[str] = []
    memory: list[tuple[float, float]] = []
    started = time.monotonic()

    def over() -> bool:
        return time.monotonic() - started > args.seconds or len(latencies) > MAX_REQUESTS

    def client(number: int) -> None:
        asked = 0
        while not over():
            begun = time.monotonic()
            try:
                ask(number, asked)
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}"[:300])
            latencies.append(time.monotonic() - begun)
            asked += 1
            time.sleep(args.pause)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(args.clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        memory.append((time.monotonic() - started, process.memory_info().rss / 1e6))
        time.sleep(1)
    times, sizes = np.array(memory).T
    steady = times > args.seconds / 5
    slope = np.polyfit(times[steady] / 60, sizes[steady], 1)[0] if steady.sum() > 2 else float("nan")
    return {
        "seconds": round(time.monotonic() - started),
        "requests": len(latencies),
        "errors": len(errors),
        "first_errors": sorted(set(errors))[:3],
        "p50_seconds": round(float(np.percentile(latencies, 50)), 2),
        "p99_seconds": round(float(np.percentile(latencies, 99)), 2),
        "mb_after_warm_up": round(float(sizes[steady][0])) if steady.any() else None,
        "mb_at_end": round(float(sizes[-1])),
        "peak_mb": round(float(sizes.max())),
        "mb_per_minute": round(float(slope), 2),
    }


class _Page:
    """The served page, asked as its own script in a browser does."""

    def __init__(self, address: str, process: subprocess.Popen, log: Path):
        self._api = f"{address}/gradio_api"
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                config = requests.get(f"{address}/config", timeout=5).json()
                break
            except requests.RequestException:
                time.sleep(0.5)
        components = {component["id"]: component for component in config["components"]}
        self._upload = next(d for d in config["dependencies"] if "upload" in [event for _, event in d["targets"]])
        self._score = next(d for d in config["dependencies"] if d.get("trigger_after") == self._upload["id"])
        self._values = {key: component["props"].get("value") for key, component in components.items()}
        self._labels = next(key for key, c in components.items() if c["props"].get("elem_id") == "labels")
        self._scores = next(key for key, c in components.items() if c["props"].get("elem_id") == "scores")

    def visit(self, record: Path, *, address: str) -> dict[str, float]:
        """Upload a record and read the scores.

        Args:
            address: Whose visit it is; the server believes it of a client on the same machine, as of a proxy.
        """
        client = requests.Session()
        client.headers["X-Forwarded-For"] = address
        names = record, record.with_suffix(".dat")
        sent = [("files", (name.name, name.read_bytes())) for name in names]
        stored = client.post(f"{self._api}/upload", files=sent, timeout=120)
        stored.raise_for_status()
        files = [
            {"path": path, "orig_name": name.name, "meta": {"_type": "gradio.FileData"}}
            for path, name in zip(stored.json(), names, strict=True)
        ]
        values = {**self._values, self._labels: LABELS}
        session = uuid.uuid4().hex
        self._event(client, session, self._upload["id"], [files])
        outputs = self._event(client, session, self._score["id"], [values[key] for key in self._score["inputs"]])
        scores = outputs[self._score["outputs"].index(self._scores)]
        found = re.findall(r'<th scope="row">(.*?)</th>.*?<td class="etp-number">(.*?)</td>', scores)
        assert len(found) == len(LABELS), f"{outputs}"[:300]
        # "< 0.01" and "> 0.99" stand for their ends.
        return {label: float(html.unescape(number).lstrip("<> ")) for label, number in found}

    def _event(self, client: requests.Session, session: str, number: int, data: list) -> list:
        body = {"data": data, "fn_index": number, "session_hash": session}
        joined = client.post(f"{self._api}/queue/join", json=body, timeout=120)
        assert joined.ok, joined.text[:200]
        with client.get(f"{self._api}/queue/data", params={"session_hash": session}, stream=True, timeout=600) as told:
            for line in told.iter_lines():
                if not line.startswith(b"data:"):
                    continue
                message = json.loads(line[5:])
                if message["msg"] == "process_completed":
                    assert message["success"], str(message["output"])[:200]
                    return message["output"]["data"]
                assert message["msg"] != "unexpected_error", str(message)[:200]
        raise AssertionError("the answer ended before it came")


if __name__ == "__main__":
    sys.exit(main())
