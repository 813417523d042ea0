"""Processes that begin with some modules imported: one interpreter imports them, and each process is a fork of it.

A new interpreter takes seconds to import torch. A fork of one that has takes none, shares nothing with the process that
asks for it, and has imported nothing else. Where the system does not fork safely, a new interpreter is started.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FORKS = sys.platform == "linux"
"""Elsewhere the system's own libraries may not survive a fork."""

_TIMEOUT = 300.0

# Reads a request a line; answers with the number of the new process, then with its status.
_SERVER = """
import json, os, sys, warnings
for name in json.loads(sys.argv[1]):
    __import__(name)
for line in iter(sys.stdin.buffer.readline, b""):
    with warnings.catch_warnings():  # Python warns of forking where a library has threads; these do nothing yet
        warnings.simplefilter("ignore")
        child = os.fork()
    if not child:
        break
    print(json.dumps(child), flush=True)
    print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])), flush=True)
else:
    raise SystemExit
import importlib, types
os.setsid()
request = json.loads(line)
out, err = (os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) for name in ("out", "err"))
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(out, 1)
os.dup2(err, 2)
os.environ.clear()
os.environ.update(request["environment"])
os.chdir(request["cwd"])
sys.path[:] = request["path"]
sys.argv[:] = ["-c", *request["arguments"]]
importlib.invalidate_caches()
main = sys.modules["__main__"] = types.ModuleType("__main__")
# It ends as any program does, so that what it started ends, too.
exec(compile(request["code"], "<string>", "exec"), main.__dict__)
"""


class Warmed:
    """Starts processes in which some modules are imported already.

    Args:
        imports: the modules.
        options: of the interpreter, such as ``("-W", "error")``.
    """

    def __init__(self, imports: Sequence[str], options: Sequence[str] = ()) -> None:
        self._imports = [*imports]
        self._options = [*options]
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Let the interpreter that is forked import its modules, without waiting for it."""
        if FORKS:
            self._running()

    def run(
        self,
        code: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        path: Sequence[str] | None = None,
        timeout: float = _TIMEOUT,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in a process of its own.

        Args:
            code: the program, which is ``__main__``.
            arguments: what it finds in ``sys.argv[1:]``.
            environment: its variables; those of this process where none are given.
            cwd: its working directory; that of this process where none is given.
            path: its ``sys.path``; that of this process where none is given.
            timeout: seconds until it is killed.

        Raises:
            subprocess.TimeoutExpired: it was killed.
        """
        variables = dict(os.environ if environment is None else environment)
        path = [*(sys.path if path is None else path)]
        if not FORKS:
            command = [sys.executable, *self._options, "-c", code, *arguments]
            variables["PYTHONPATH"] = os.pathsep.join(path)
            options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": timeout}
            return subprocess.run(command, check=False, env=variables, cwd=cwd, **options)  # noqa: S603  # as above
        with tempfile.TemporaryDirectory() as folder:
            request: dict[str, Any] = {
                "code": code,
                "arguments": arguments,
                "environment": variables,
                "cwd": str(cwd or Path.cwd()),
                "path": path,
                "out": str(Path(folder, "out")),
                "err": str(Path(folder, "err")),
            }
            status = self._ask(request, timeout)
            out, err = (_read(request[name]) for name in ("out", "err"))
        return subprocess.CompletedProcess([*arguments], status, out, err)

    def close(self) -> None:
        """End the interpreter that is forked; the next run starts another."""
        server, self._server = self._server, None
        if server is not None:
            assert server.stdin is not None
            assert server.stdout is not None
            server.kill()
            server.stdin.close()
            server.stdout.close()
            server.wait()

    def _ask(self, request: Mapping[str, Any], timeout: float) -> int:
        server = self._running()
        assert server.stdin is not None
        try:
            server.stdin.write(json.dumps(request).encode() + b"\n")
            server.stdin.flush()
            child = self._answer(server, timeout)
            try:
                return self._answer(server, timeout)
            except TimeoutError:
                os.killpg(child, signal.SIGKILL)
                self._answer(server, timeout)
                raise subprocess.TimeoutExpired(request["arguments"], timeout) from None
        except (OSError, ValueError, KeyboardInterrupt):  # what it would answer next is of this request
            self.close()
            raise

    def _running(self) -> subprocess.Popen[bytes]:
        if self._server is None or self._server.poll() is not None:
            self.close()
            # Unbuffered: what was read ahead could not be waited for.
            command = [sys.executable, "-u", *self._options, "-c", _SERVER, json.dumps(self._imports)]
            pipe = subprocess.PIPE
            self._server = subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0)  # noqa: S603  # our own program
            atexit.register(self.close)
        return self._server

    @staticmethod
    def _answer(server: subprocess.Popen[bytes], timeout: float) -> int:
        assert server.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(server.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                raise TimeoutError
        line = server.stdout.readline()
        if not line:
            raise OSError("the interpreter that is forked has ended; what it wrote to stderr says why")
        return int(json.loads(line))


def _read(path: str) -> str:
    file = Path(path)
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
