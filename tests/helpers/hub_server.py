"""A hub for one test, on the loopback interface: as much of the Hugging Face Hub's HTTP as the client speaks to it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/(?P<verb>preupload|commit)/(?P<revision>[^/]+)")


@dataclass
class Hub:
    """Files by repository and name; a log of the requests; the tokens that a private repository and POST ask for."""

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)


@contextmanager
def serve() -> Iterator[Hub]:
    """Serve a hub until the end of the block."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._resolve(body=False)

    def do_GET(self) -> None:
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
        elif not found or repo not in self.hub.files:
            self._answer(404, {"error": "Repository not found"}, error="RepoNotFound")
        elif found["revision"] not in ("main", COMMIT):
            self._answer(404, {"error": "Invalid rev id"}, error="RevisionNotFound")
        elif found["file"] not in self.hub.files[repo]:
            self._answer(404, {"error": "Entry not found"}, error="EntryNotFound")
        else:
            self._send(200, self.hub.files[repo][found["file"]], body=body)

    def _answer(self, status: int, content: Any, error: str | None = None) -> None:
        self._send(status, json.dumps(content).encode(), body=self.command != "HEAD", error=error)

    def _send(self, status: int, content: bytes, *, body: bool, error: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()[:40]}"')
        if error:
            self.send_header("X-Error-Code", error)
            self.send_header("X-Error-Message", "said by the hub of the tests")
        self.end_headers()
        if body:
            self.wfile.write(content)
