"""A hub for one test, on the loopback interface: as much of the Hugging Face Hub's HTTP as the client speaks to it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_TREE = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/?]+)(\?.*)?")
_API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/(?P<verb>preupload|commit)/(?P<revision>[^/]+)")


@dataclass(frozen=True)
class Fault:
    """What goes wrong while a file is sent.

    Attributes:
        after: bytes, after which there is a pause.
        pause: seconds.
        cut: whether the connection is cut then.
        wrong: whether bits of the first byte after them are others than those of the file.
    """

    after: int
    pause: float = 0.0
    cut: bool = False
    wrong: bool = False


@dataclass
class Hub:
    """As much of a hub as the tests need.

    Attributes:
        files: by repository, or ``"repository@revision"``, and name.
        requests: a log.
        created: what repositories were asked for.
        tokens: that a private repository, and POST, ask for.
        faults: of the next answers to GET for a file, by its name, in order.
        large: repositories whose files have their sha256 as entity tag, as large files do.
        status: what is answered instead to every request for a file.
        statuses: what is answered instead to the next ones, in order.
        headers: sent with such an answer.
    """

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)
    status: int = 200
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def clear(self) -> None:
        """Make it as empty as it started."""
        answers = (self.faults, self.large, self.statuses, self.headers)
        for held in (self.files, self.requests, self.created, self.tokens, *answers):
            held.clear()
        self.status = 200

    def files_of(self, repo: str, revision: str) -> dict[str, bytes] | None:
        """The files at a revision, or None where there is none such."""
        if f"{repo}@{revision}" in self.files:
            return self.files[f"{repo}@{revision}"]
        return self.files[repo] if revision in ("main", COMMIT) else None


@contextmanager
def serve() -> Iterator[Hub]:
    """Serve a hub until the end of the block."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = _Server(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        server.cut()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: list[Any] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.append(request)
        super().process_request(request, client_address)

    def cut(self) -> None:
        """Close the connections that clients keep open, over which a stopped server would go on to answer."""
        for request in self._open:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._resolve(body=False)

    def do_GET(self) -> None:
        found = _TREE.fullmatch(self.path)
        if found:
            self._list(found["repo"], found["revision"])
        else:
            self._resolve(body=True)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append(f"POST {self.path}")
        found = _API.fullmatch(self.path.partition("?")[0])
        needed = self.hub.tokens.get("POST")
        if needed and self.headers.get("Authorization") != f"Bearer {needed}":
            self._answer(401, {"error": "Invalid credentials"})
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            self.hub.created.append(asked)
            repo = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.hub.files.setdefault(repo, {})
            self._answer(200, {"url": f"{self.hub.url}/{repo}"})
        elif found and found["verb"] == "preupload":
            asked = json.loads(body)["files"]
            modes = [{"path": item["path"], "uploadMode": "regular", "shouldIgnore": False} for item in asked]
            self._answer(200, {"files": modes})
        elif found:
            for line in body.splitlines():
                item = json.loads(line)
                if item["key"] == "file":
                    content = base64.b64decode(item["value"]["content"])
                    self.hub.files[found["repo"]][item["value"]["path"]] = content
            self._answer(200, {"commitUrl": f"{self.hub.url}/{found['repo']}/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self._answer(200, {})

    def _resolve(self, *, body: bool) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        found = _RESOLVE.fullmatch(self.path)
        repo = found["repo"] if found else ""
        needed = self.hub.tokens.get(repo)
        if needed and self.headers.get("Authorization") != f"Bearer {needed}":
            self._answer(401, {"error": "Invalid credentials"}, error="RepoNotFound")
        elif (status := self.hub.statuses.pop(0) if self.hub.statuses else self.hub.status) != 200:
            self._answer(status, {"error": "said by the hub of the tests"}, headers=self.hub.headers)
        elif not found or repo not in self.hub.files:
            self._answer(404, {"error": "Repository not found"}, error="RepoNotFound")
        elif (files := self.hub.files_of(repo, found["revision"])) is None:
            self._answer(404, {"error": "Invalid rev id"}, error="RevisionNotFound")
        elif found["file"] not in files:
            self._answer(404, {"error": "Entry not found"}, error="EntryNotFound")
        else:
            known = f"{repo}@{found['revision']}" in self.hub.files
            commit = hashlib.sha1(self.path.encode()).hexdigest() if known else COMMIT
            waiting = self.hub.faults.get(found["file"], []) if body else []
            self._send(200, files[found["file"]], body=body, commit=commit, fault=waiting.pop(0) if waiting else None)

    def _list(self, repo: str, revision: str) -> None:
        self.hub.requests.append(f"LIST {repo}@{revision}")
        files = self.hub.files_of(repo, revision) or {}
        self._answer(
            200,
            [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in files.items()
            ],
        )

    def _answer(
        self, status: int, content: Any, error: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        self._send(status, json.dumps(content).encode(), body=self.command != "HEAD", error=error, headers=headers)

    def _send(
        self,
        status: int,
        content: bytes,
        *,
        body: bool,
        error: str | None = None,
        commit: str = COMMIT,
        fault: Fault | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        large = any(self.path.startswith(f"/{repo}/") for repo in self.hub.large)
        etag = hashlib.sha256(content).hexdigest()[: None if large else 40]
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(asked[1]) if asked and body else 0
        self.send_response(206 if start else status)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{etag}"')
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if error:
            self.send_header("X-Error-Code", error)
            self.send_header("X-Error-Message", "said by the hub of the tests")
        self.end_headers()
        if not body:
            return
        if fault is not None:
            self.wfile.write(content[start : start + fault.after])
            self.wfile.flush()
            time.sleep(fault.pause)
            if fault.cut:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            start += fault.after
            if fault.wrong and start < len(content):
                content = content[:start] + bytes([content[start] ^ 0x55]) + content[start + 1 :]
        with contextlib.suppress(OSError):  # the client has lost patience
            self.wfile.write(content[start:])
