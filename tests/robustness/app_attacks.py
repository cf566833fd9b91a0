"""python app_attacks.py: serve the page and attack it over HTTP; to be run in a mount namespace of its own only.

Prints one line of JSON: what each attack was answered, and what of the files that are none of its business is left.
"""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx

TEMPORARY = Path("/tmp")
UPLOADS = TEMPORARY / "etp-uploads"
SECRET = TEMPORARY / "bystander" / "secret.npy"
FIELDS = [None, "", "", "normal ECG", False]  # what the page's other fields say


def main() -> None:
    if os.listdir(TEMPORARY):
        sys.exit(f"{TEMPORARY} isn't empty: this is no place to attack. Run it as test_app_attacks.py does.")
    os.environ.update(GRADIO_TEMP_DIR=str(UPLOADS), GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1")
    from etp.app.interface import build_interface, launch_options

    SECRET.parent.mkdir()
    SECRET.write_bytes(b"of somebody else")
    interface = build_interface(SimpleNamespace(own_labels=None))  # no attack gets as far as the model
    _, url, _ = interface.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_options())
    visitor, attacker = Visitor(url), Visitor(url)
    pending = [Path(visitor.upload(f"pending{number}.npy", b"waits %d" % number)) for number in range(2)]
    answers = {}
    for name, paths in attacks(attacker, pending[0]).items():
        try:
            answers[name] = attacker.choose(paths)
        except httpx.HTTPError as error:
            answers[name] = f"no answer: {error}"
    answers["a file in a text field"] = attacker.score({"path": str(SECRET), "meta": {"_type": "gradio.FileData"}})
    left = {str(path): path.is_file() for path in (SECRET, UPLOADS / "loose.npy", *pending)}
    answers["control"] = attacker.choose([attacker.upload("holiday.jpg", b"\xff\xd8\xff\xe0 no ECG")])
    served = {
        path: attacker.client.get(f"/gradio_api/file={path}").status_code for path in map(str, (SECRET, pending[0]))
    }
    outcome = {"answers": answers, "left": left, "served": served}
    flood = [attacker.client.post("/gradio_api/upload", files=many(9_000_000, 1)).status_code for _ in range(8)]
    large = Visitor(url).client.post("/gradio_api/upload", files=many(9_000_000, 20)).status_code
    used = sum(path.stat().st_size for path in UPLOADS.rglob("*") if path.is_file())
    print(json.dumps({**outcome, "flood": flood, "large": large, "used": used}), flush=True)
    os._exit(0)  # without the goodbyes of the server, which may have lost its folder


def attacks(attacker: "Visitor", pending: Path) -> dict[str, list[str]]:
    """Name -> the paths that a hostile visitor sends in place of those of uploads."""
    own = Path(attacker.upload("own.npy", b"own"))
    (UPLOADS / "loose.npy").write_bytes(b"directly in the root")
    (UPLOADS / "deep" / "deeper").mkdir(parents=True)
    (UPLOADS / "deep" / "deeper" / "a.npy").write_bytes(b"two below")
    # No visitor can make links, but what else writes here might.
    (UPLOADS / "folder-link").symlink_to(SECRET.parent)
    (UPLOADS / "links").mkdir()
    (UPLOADS / "links" / "link.npy").symlink_to(SECRET)
    os.link(SECRET, UPLOADS / "links" / "hard.npy")
    os.mkfifo(UPLOADS / "links" / "fifo.npy")
    return {
        "the root of uploads": [str(UPLOADS)],
        "a file of the server": [str(SECRET)],
        "a file directly in the root": [str(UPLOADS / "loose.npy")],
        "a file two folders below": [str(UPLOADS / "deep" / "deeper" / "a.npy")],
        "a folder of an upload's depth": [str(UPLOADS / "deep" / "deeper")],
        "a linked folder": [str(UPLOADS / "folder-link" / SECRET.name)],
        "a link": [str(UPLOADS / "links" / "link.npy")],
        "a hard link": [str(UPLOADS / "links" / "hard.npy")],
        "a pipe": [str(UPLOADS / "links" / "fifo.npy")],
        "upwards": [f"{own.parent}/../../bystander/{SECRET.name}"],
        "upwards in its name": [f"{UPLOADS}/deep/.."],
        "relative": [os.path.relpath(SECRET)],
        "nothing": [""],
        "a null character": [f"{own}\0"],
        "an address": ["http://127.0.0.1:9/a.npy"],
        "the folder of an own upload": [str(own.parent)],
        "the folder of another's upload": [str(pending.parent)],
        "the folder of the root": [f"{UPLOADS}/"],
        "above the root": [str(UPLOADS.parent)],
    }


def many(size: int, count: int) -> list[tuple]:
    return [("files", (f"{number}.npy", os.urandom(size))) for number in range(count)]


class Visitor:
    """A session of somebody who doesn't use the page's own script."""

    def __init__(self, url: str):
        self.client = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self.session = os.urandom(5).hex()
        config = self.client.get("/config").json()
        files = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == "files")
        self.take = next(event for event in config["dependencies"] if [files, "upload"] in event["targets"])
        self.score_event = next(
            (event for event in config["dependencies"] if event.get("trigger_after") == self.take["id"]), None
        )

    def upload(self, name: str, content: bytes) -> str:
        answer = self.client.post("/gradio_api/upload", files={"files": (name, content)})
        answer.raise_for_status()
        return answer.json()[0]

    def choose(self, paths: list[str]) -> str:
        """Name files as just uploaded; returns all that the page would show."""
        files = [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in paths]
        answer = self.send(self.take, [files, *FIELDS][: len(self.take["inputs"])])
        return answer if "<p" in answer or answer.startswith("4") else answer + self.score()

    def score(self, labels: object = "normal ECG") -> str:
        return self.send(self.score_event, [None, None, "", "", labels, False])

    def send(self, event: dict, data: list) -> str:
        join = {"data": data, "fn_index": event["id"], "session_hash": self.session, "trigger_id": None}
        answer = self.client.post("/gradio_api/queue/join", json=join)
        if answer.status_code != 200:
            return f"{answer.status_code} {answer.text}"
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as lines:
            for line in lines.iter_lines():
                if '"process_completed"' in line:
                    return json.dumps(json.loads(line.removeprefix("data:"))["output"])
        return "nothing"


if __name__ == "__main__":
    main()
