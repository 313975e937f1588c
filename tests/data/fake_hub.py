"""A Hub of our own, on this machine only: the few addresses that the libraries ask for, over files in memory."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

SHA = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repo:
    """One data set: its files, and who may read them."""

    files: dict[str, bytes]
    card: dict = field(default_factory=dict)
    gated: bool = False
    private: bool = False
    readers: frozenset[str] = frozenset()
    broken: bool = False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    repos: dict[str, Repo]
    asked: list[tuple[str, str]]

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._answer(body=True, sent=self.rfile.read(length))

    def _answer(self, *, body: bool, sent: bytes = b"") -> None:
        path = unquote(urlsplit(self.path).path)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.asked.append((path, token))
        api = path.startswith("/api/datasets/")
        rest = path.removeprefix("/api").removeprefix("/datasets/")
        name = next((one for one in sorted(self.repos, key=len, reverse=True) if rest == one or rest.startswith(one + "/")), "")
        repo = self.repos.get(name)
        if repo is None or (repo.private and token not in repo.readers):
            return self._send(
                401 if not token else 404,
                {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"},
                b"",
                body,
            )
        if repo.broken:
            return self._send(500, {}, b"oops", body)
        rest = rest.removeprefix(name).strip("/")
        if not api:
            return self._file(repo, rest, token, body)
        return self._json(self._about(name, repo, rest, sent), body)

    def _about(self, name: str, repo: Repo, rest: str, sent: bytes) -> object:
        verb = rest.partition("/")[0]
        if verb == "tree":
            below = rest.split("/", 2)[2] if rest.count("/") > 1 else ""
            return self._tree(repo, below, deep="recursive=true" in self.path.lower())
        if verb == "paths-info":
            text = sent.decode()
            wanted = (
                json.loads(text)["paths"]
                if text.startswith("{")
                else [unquote(one.partition("=")[2]) for one in text.split("&") if one.startswith("paths=")]
            )
            return [self._entry(path, repo) for path in wanted if path in repo.files]
        if rest.startswith("revision/") and rest.removeprefix("revision/") not in ("main", SHA):
            return None
        day = "2026-01-01T00:00:00.000Z"
        return {
            "id": name,
            "sha": SHA,
            "author": name.partition("/")[0],
            "private": repo.private,
            "disabled": False,
            "gated": "auto" if repo.gated else False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "cardData": repo.card,
            "createdAt": day,
            "lastModified": day,
            "siblings": [{"rfilename": path} for path in repo.files],
        }

    def _tree(self, repo: Repo, below: str, *, deep: bool) -> list[dict] | None:
        prefix = f"{below.strip('/')}/" if below else ""
        inside = [path for path in repo.files if path.startswith(prefix)]
        if below and not inside:
            return None
        if deep:
            return [self._entry(path, repo) for path in inside]
        folders = dict.fromkeys(
            prefix + rest.partition("/")[0] for path in inside if "/" in (rest := path.removeprefix(prefix))
        )
        files = [self._entry(path, repo) for path in inside if "/" not in path.removeprefix(prefix)]
        return [*({"type": "directory", "path": path, "size": 0, "oid": SHA} for path in folders), *files]

    @staticmethod
    def _entry(path: str, repo: Repo) -> dict:
        content = repo.files[path]
        return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def _file(self, repo: Repo, rest: str, token: str, body: bool) -> None:
        _, _, path = rest.split("/", 2)
        if repo.gated and token not in repo.readers and path != "README.md":
            code = 403 if token else 401
            return self._send(code, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}, b"", body)
        content = repo.files.get(path)
        if content is None:
            return self._send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": SHA}, b"", body)
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range")
        if asked and body:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first or 0), min(int(last) if last else len(content) - 1, len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            return self._send(206, headers, content[start : end + 1], body)
        return self._send(200, headers, content, body)

    def _json(self, value: object, body: bool) -> None:
        if value is None:
            code = "RevisionNotFound" if "/revision/" in self.path else "EntryNotFound"
            return self._send(404, {"X-Error-Code": code}, b"", body)
        return self._send(200, {"Content-Type": "application/json"}, json.dumps(value).encode(), body)

    def _send(self, status: int, headers: dict[str, str], content: bytes, body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


@contextmanager
def serving(repos: dict[str, Repo]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The address of a running Hub with these data sets, and the list of what was asked: path and token."""
    asked: list[tuple[str, str]] = []
    handler = type("Handler", (Handler,), {"repos": repos, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
