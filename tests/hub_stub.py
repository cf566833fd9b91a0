"""A stub of the Hub on the loopback interface: repositories in memory, plain and LFS uploads, no accounts."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

_API = re.compile(
    r"/api/(?:models|datasets|spaces)/(?P<repo>[^/]+/[^/]+)"
    r"(?:/(?P<call>revision|preupload|commit|tree|paths-info)/(?P<rest>.*))?"
)
_FILE = re.compile(r"(?:/datasets|/spaces)?/(?P<repo>[^/]+/[^/]+)/resolve/[^/]+/(?P<path>.+)")
_LFS_SUFFIXES = (".parquet", ".safetensors")


class HubStub(ThreadingHTTPServer):
    """Repositories are `{repo_id: {path: content}}` whatever their type; the last commit is what is read.

    Attributes:
        created: What was asked for at the creation of each repository: type, sdk, visibility.
        refused: Status that every request to create or to commit gets, e.g. 403; None accepts them.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _HubHandler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.objects: dict[str, bytes] = {}  # LFS, by SHA256
        self.created: dict[str, dict] = {}
        self.refused: int | None = None
        self.commits = 0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def head(self) -> str:
        return hashlib.sha1(str(self.commits).encode()).hexdigest()


class _HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubStub

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if match := _FILE.fullmatch(path):
            content = self.server.repos.get(match["repo"], {}).get(match["path"])
            self._send_file(content)
        elif match := _API.fullmatch(path):
            self._read_repository(match)
        else:
            self._send(404, {"error": f"the stub doesn't know {path}"})

    do_HEAD = do_GET  # noqa: N815

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(content).hexdigest() == oid
        self.server.objects[oid] = content
        self._send(200, b"")

    def do_POST(self):
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match = _API.fullmatch(path)
        if self.server.refused and (path == "/api/repos/create" or (match and match["call"] == "commit")):
            self._send(self.server.refused, {"error": "You don't have the rights"})
        elif path == "/api/repos/create":
            asked = json.loads(body)
            repo = "/".join(filter(None, (asked.get("organization") or "user", asked["name"])))
            exists = repo in self.server.repos
            self.server.repos.setdefault(repo, {})
            self.server.created.setdefault(repo, asked)
            url = f"{self.server.url}/{self._prefix(repo)}{repo}"
            self._send(409 if exists else 200, {"url": url, "id": repo, "name": repo})
        elif path == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif match and match["call"] == "preupload":
            modes = {True: "lfs", False: "regular"}
            files = [
                {"path": name, "uploadMode": modes[name.endswith(_LFS_SUFFIXES)], "shouldIgnore": False}
                for name in (file["path"] for file in json.loads(body)["files"])
            ]
            self._send(200, {"files": files})
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                wanted | {"actions": {"upload": {"href": f"{self.server.url}/lfs/{wanted['oid']}"}}}
                for wanted in json.loads(body)["objects"]
            ]
            self._send(200, {"transfer": "basic", "objects": objects})
        elif match and match["call"] == "commit":
            self._commit(match["repo"], body)
        elif match and match["call"] == "paths-info":
            wanted = json.loads(body)["paths"]
            self._send(200, [entry for entry in self._entries(match["repo"]) if entry["path"] in wanted])
        else:
            self._send(404, {"error": f"the stub doesn't know {path}"})

    def _read_repository(self, match: re.Match) -> None:
        files = self.server.repos.get(match["repo"])
        if files is None:
            self._send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        elif match["call"] == "tree":
            folder = match["rest"].partition("/")[2]
            recursive = "recursive=true" in self.path.lower()
            inside = [
                entry
                for entry in self._entries(match["repo"])
                if entry["path"].startswith(f"{folder}/" if folder else "")
            ]
            depth = folder.count("/") + 1 if folder else 0
            entries = [entry for entry in inside if recursive or entry["path"].count("/") == depth]
            if folder and not inside:
                self._send(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
            else:
                self._send(200, entries)
        else:
            siblings = [{"rfilename": path} for path in files]
            info = {"id": match["repo"], "sha": self.server.head, "siblings": siblings, "private": True, "tags": []}
            self._send(200, info | {"disabled": False, "gated": False, "downloads": 0, "likes": 0})

    def _commit(self, repo: str, body: bytes) -> None:
        files = self.server.repos[repo]
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
            elif operation["key"] == "deletedFile":
                files.pop(value["path"], None)
        self.server.commits += 1
        url = f"{self.server.url}/{self._prefix(repo)}{repo}/commit/{self.server.head}"
        self._send(200, {"success": True, "commitUrl": url, "commitOid": self.server.head, "hookOutput": ""})

    def _prefix(self, repo: str) -> str:
        """Of the addresses of a repository's pages."""
        return {"dataset": "datasets/", "space": "spaces/"}.get(self.server.created[repo].get("type"), "")

    def _entries(self, repo: str) -> list[dict]:
        files = self.server.repos[repo]
        folders = {path.rsplit("/", depth)[0] for path in files for depth in range(1, path.count("/") + 1)}
        return [
            *(
                {"type": "directory", "path": folder, "oid": _oid(folder.encode()), "size": 0}
                for folder in sorted(folders)
            ),
            *(
                {"type": "file", "path": path, "oid": _oid(content), "size": len(content)}
                for path, content in files.items()
            ),
        ]

    def _send_file(self, content: bytes | None) -> None:
        if content is None:
            self._send(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, stop = (int(asked[1]), int(asked[2] or len(content) - 1) + 1) if asked else (0, len(content))
        part = content[start:stop]
        headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": self.server.head, "Accept-Ranges": "bytes"}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        self._send(206 if asked else 200, part, headers)

    def _send(self, status: int, content: bytes | dict | list, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args):
        """Keep the test output clean."""


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
