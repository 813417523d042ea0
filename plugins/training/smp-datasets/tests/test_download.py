"""Fetching from a server on this machine: whole, resumed, damaged, refused."""

from __future__ import annotations

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from smp_datasets import ChecksumError, DownloadError, OptionError, RemoteFile, fetch
from smp_datasets import download as download_module
from smp_datasets.progress import Progress

CONTENT = bytes(range(256)) * 5000


def refused(error, message):
    return pytest.raises(error, match=re.escape(message))


class Server:
    """Serves one file, as badly as it is told to.

    Attributes:
        content: of the file.
        breaks: after how many bytes each of the coming answers ends.
        answers: status codes of the coming answers, before the file is sent.
        ranges: whether it can send a part.
        tells_length: whether it says how long the file is.
        seen: the Range headers that came.
    """

    def __init__(self):
        self.content, self.breaks, self.answers = CONTENT, [], []
        self.ranges, self.tells_length, self.seen = True, True, []
        handler = type("Handler", (_Handler,), {"served": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/data/a%20b.tar.gz"

    def file(self, checksum=None):
        return RemoteFile(self.url, checksum or "sha256:" + hashlib.sha256(self.content).hexdigest())


class _Handler(BaseHTTPRequestHandler):
    served: Server

    def do_GET(self):
        served = self.served
        asked = self.headers.get("Range")
        served.seen.append(asked)
        if served.answers:
            self._answer(served.answers.pop(0))
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and served.ranges else 0
        if start >= len(served.content):
            self.send_error(416)
            return
        body = served.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(served.content) - 1}/{len(served.content)}")
        if served.tells_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: served.breaks.pop(0)] if served.breaks else body)

    def _answer(self, status):
        if status != 302:
            self.send_error(status)
            return
        self.send_response(302)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download_module.time, "sleep", lambda _: None)
    served = Server()
    thread = threading.Thread(target=served.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.http.shutdown()
    served.http.server_close()
    thread.join()


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_whole(server, tmp_path, algorithm):
    digest = hashlib.new(algorithm, CONTENT).hexdigest().upper()
    path = fetch(server.file(f"{algorithm}:{digest}"), tmp_path / "new" / "folder", progress=False)
    assert path == tmp_path / "new" / "folder" / "a b.tar.gz"
    assert path.read_bytes() == CONTENT
    assert [item.name for item in path.parent.iterdir()] == ["a b.tar.gz"]


def test_what_is_there_is_not_fetched(server, tmp_path):
    path = fetch(server.file(), tmp_path, progress=False)
    fetch(server.file(), tmp_path, progress=False)
    assert server.seen == [None]
    path.write_bytes(b"damaged")
    assert fetch(server.file(), tmp_path, progress=False).read_bytes() == CONTENT


def test_broken_connections_are_resumed(server, tmp_path):
    server.breaks = [100_000, 200_000, 0]
    assert fetch(server.file(), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.seen == [None, "bytes=100000-", "bytes=300000-", "bytes=300000-"]


def test_redirections(server, tmp_path):
    server.answers, server.breaks = [302], [1000]
    assert fetch(server.file(), tmp_path, progress=False).name == "a b.tar.gz"
    assert server.seen == [None, None, "bytes=1000-"]


def test_the_next_call_goes_on(server, tmp_path):
    server.breaks = [100_000, 1]
    message = (
        f"{server.url} could not be fetched in 2 attempts: the connection ended early; 100001 bytes are kept in "
        f"{str(tmp_path / 'a b.tar.gz.part')!r}, and the next call goes on from there"
    )
    with refused(DownloadError, message):
        fetch(server.file(), tmp_path, progress=False, attempts=2)
    assert fetch(server.file(), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.seen[2:] == ["bytes=100001-"]
    assert [item.name for item in tmp_path.iterdir()] == ["a b.tar.gz"]


def test_a_server_that_sends_no_parts(server, tmp_path):
    server.ranges = False
    server.breaks = [100_000]
    assert fetch(server.file(), tmp_path, progress=False).read_bytes() == CONTENT


def test_a_server_that_does_not_say_how_long(server, tmp_path):
    server.tells_length = False
    reports = []
    assert fetch(server.file(), tmp_path, progress=lambda *report: reports.append(report)).read_bytes() == CONTENT
    assert reports[-1] == (len(CONTENT), None)


def test_all_was_there_but_its_name(server, tmp_path):
    (tmp_path / "a b.tar.gz.part").write_bytes(CONTENT)
    assert fetch(server.file(), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.seen == [f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize("size", [1000, 2_000_000])
def test_a_beginning_of_another_file_is_thrown_away(server, tmp_path, size):
    (tmp_path / "a b.tar.gz.part").write_bytes(b"x" * size)
    assert fetch(server.file(), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.seen == [f"bytes={size}-", None]


def test_another_file_is_refused_and_deleted(server, tmp_path):
    expected = "sha256:" + "0" * 64
    message = f"{server.url} gave {len(CONTENT)} bytes with the checksum {server.file().checksum}; expected {expected}"
    with refused(ChecksumError, message):
        fetch(server.file(expected), tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_server_in_trouble_is_asked_again(server, tmp_path):
    server.answers = [503, 429, 500]
    assert fetch(server.file(), tmp_path, progress=False).read_bytes() == CONTENT
    server.answers = [503] * 3
    with refused(DownloadError, "could not be fetched in 3 attempts: the server says 503 Service Unavailable; 0 bytes"):
        fetch(server.file("md5:" + "0" * 32), tmp_path, progress=False, attempts=3)


def test_what_is_not_there_is_asked_for_once(server, tmp_path):
    server.answers = [404, 404]
    with refused(DownloadError, f"{server.url} cannot be had: the server says 404 Not Found"):
        fetch(server.file(), tmp_path, progress=False)
    assert server.answers == [404]


def test_nobody_answers(server, tmp_path, monkeypatch):
    server.http.server_close()
    with refused(DownloadError, f"{server.url} could not be fetched in 2 attempts: [Errno"):
        fetch(server.file(), tmp_path, progress=False, attempts=2)


BAD_URLS = [
    "file:///etc/passwd",
    "ftp://host/a.tar",
    "a.tar",
    "http://host/",
    "http://host/a/..",
    "http://host/a/%2e%2e",
]


@pytest.mark.parametrize("url", [*BAD_URLS, "http://host/..%5C..", "http://host/C:a", "http://host/%2E"])
def test_addresses(url):
    with refused(OptionError, f"url must be http or https and end in a file's name, got {url!r}"):
        RemoteFile(url, "md5:" + "0" * 32)


def test_names():
    for path in ("a.tar.gz", "%2e%2e%2fa.tar.gz", "..%5Ca.tar.gz", "x/a.tar.gz?token=b/c"):
        assert RemoteFile(f"http://host/{path}", "md5:" + "0" * 32).name == "a.tar.gz"


@pytest.mark.parametrize("checksum", ["", "0" * 32, "md5:" + "0" * 31, "md5:" + "g" * 32, "crc32:00000000"])
def test_checksums(checksum):
    with refused(
        OptionError,
        f"checksum must be one of md5, sha1, sha256, sha512, a colon and its hexadecimal digits; got {checksum!r}",
    ):
        RemoteFile("http://host/a", checksum)


def test_progress_in_a_log(server, tmp_path, capsys):
    fetch(server.file(), tmp_path)
    assert capsys.readouterr().err.splitlines() == [
        "a b.tar.gz: 0.0 of 1.3 MB (0 %)",
        "a b.tar.gz: 1.0 of 1.3 MB (81 %)",
        "a b.tar.gz: 1.3 of 1.3 MB (100 %)",
    ]


def test_progress_without_a_total(capsys):
    with Progress("a", True) as report:
        for done in range(0, 120_000_001, 10_000_000):
            report(done, None)
    assert capsys.readouterr().err == "a: 0.0 MB\na: 50.0 MB\na: 100.0 MB\n"


def test_progress_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress("a", True) as report:
        for done in range(0, 10_000_001, 1000):
            report(done, 10_000_000)
    text = capsys.readouterr().err
    assert text.startswith("\ra: 0.0 of 10.0 MB (0 %)\x1b[K")
    assert text.endswith("\ra: 10.0 of 10.0 MB (100 %)\x1b[K\n")
    assert text.count("\r") < 100


def test_silence(capsys):
    with Progress("a", False) as report:
        report(1, 2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("url", "checksum", "message"),
    [
        (3, "md5:" + "0" * 32, "url must be text of ASCII characters, others percent-encoded; got 3"),
        ("http://h/\u00e9", "md5:" + "0" * 32, "url must be text of ASCII characters, others percent-encoded; got "),
        ("http://[/b", "md5:" + "0" * 32, "url must be http or https and end in a file's name, got 'http://[/b': "),
        ("http://h/a", None, "checksum must be text of ASCII characters, others percent-encoded; got None"),
    ],
)
def test_an_address_that_is_none(url, checksum, message):
    with pytest.raises(OptionError, match=f"^{re.escape(message)}"):
        RemoteFile(url, checksum)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attempts": 0}, "fetch: attempts must be an int of at least 1, got 0"),
        ({"attempts": "3"}, "fetch: attempts must be an int of at least 1, got '3'"),
        ({"timeout": -1}, "fetch: timeout must be seconds, above 0, got -1"),
        ({"timeout": "x"}, "fetch: timeout must be seconds, above 0, got 'x'"),
        ({"timeout": float("nan")}, "fetch: timeout must be seconds, above 0, got nan"),
    ],
)
def test_attempts_and_times_that_are_none(options, message, tmp_path):
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        fetch(RemoteFile("http://127.0.0.1:9/a", "md5:" + "0" * 32), tmp_path, **options)


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DownloadError, match=r"^http://127\.0\.0\.1:9/a cannot be written to '.*/a': "):
            fetch(RemoteFile("http://127.0.0.1:9/a", "md5:" + "0" * 32), folder)
