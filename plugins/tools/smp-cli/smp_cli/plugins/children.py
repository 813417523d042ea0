"""Asks a process of its own, in which a stranger's code runs, and hears what the function that was asked says.

Whatever that code does, the asking process goes on: it may end its process, print, leave threads and processes behind,
or never return. The answer comes through a file, whose name nothing but standard input tells, so that no line that is
printed can be taken for it. That is no wall: code in the same process can still reach for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

from smp_cli.errors import CliError
from smp_cli.plugins.interpreter import running
from smp_core.errors import SmpError

Say: TypeAlias = Callable[[str, Any], None]
"""What a function that is asked answers with: a kind of message, and its value as JSON knows it."""

_PROGRAM = "from smp_cli.plugins import children\nchildren.main()\n"
_PAUSE = 0.02  # seconds between looks at the file
_REFUSED, _DONE = "refused", "done"


class ChildError(Exception):
    """The process gave no answer; the message says what became of it, as it follows "the process"."""


def ask(
    target: str,
    arguments: Mapping[str, Any],
    *,
    patience: float,
    environment: Mapping[str, str] | None = None,
    output: int | IO[Any] | None = None,
) -> Generator[tuple[str, Any], None, None]:
    """What a function says in a process of its own, as it comes. Its working directory is empty, and removed.

    Args:
        target: ``"module:function"``; called as ``function(say, **arguments)``.
        arguments: as JSON knows them.
        patience: seconds between two messages after which the process is killed.
        environment: its variables; those of this process where none are given.
        output: where goes what it prints, on both streams; the standard error of this process where none is given.

    Yields:
        What the function gives to ``say``.

    Raises:
        CliError: the function raised it, or an `SmpError`.
        ChildError: the process ended before the function did, the function raised, or nothing came in time.
    """
    with tempfile.TemporaryDirectory(prefix="smp-", ignore_cleanup_errors=True) as name:
        folder, answer = Path(name, "empty"), Path(name, "answer")
        folder.mkdir()
        answer.touch()
        child = subprocess.Popen(  # noqa: S603  # our own program
            running(_PROGRAM),
            stdin=subprocess.PIPE,
            stdout=_standard_error() if output is None else output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(os.environ if environment is None else environment),
            start_new_session=True,  # so that what it leaves behind ends with it
        )
        try:
            _request(child, {"answer": str(answer), "target": target, "arguments": dict(arguments)})
            yield from _messages(child, answer, patience)
        finally:
            _end(child)


def _messages(child: subprocess.Popen[bytes], answer: Path, patience: float) -> Iterator[tuple[str, Any]]:
    last, rest = time.monotonic(), ""
    with answer.open(encoding="utf-8") as file:
        while True:
            status = child.poll()  # before what it wrote is read
            *lines, rest = (rest + file.read()).split("\n")
            for line in lines:
                kind, value = json.loads(line)
                if kind == _DONE:
                    if value:
                        raise ChildError(value)
                    return
                if kind == _REFUSED:
                    raise CliError(value)
                yield kind, value
                last = time.monotonic()
            if status is not None:
                raise ChildError(_ending(status))
            if time.monotonic() - last > patience:
                raise ChildError(f"was killed, as nothing came of it for {patience:g} s")
            time.sleep(_PAUSE)


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _standard_error() -> int:
    try:
        os.fstat(2)
    except OSError:  # the shell has closed it
        return subprocess.DEVNULL
    return 2


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The same, with folders that do not depend on the working directory."""
    folders = variables.get("PYTHONPATH", "").split(os.pathsep)
    return {**variables, "PYTHONPATH": os.pathsep.join(str(Path(folder).absolute()) for folder in folders if folder)}


def _request(child: subprocess.Popen[bytes], request: Mapping[str, Any]) -> None:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError), child.stdin as stdin:  # it has ended, and how is told later
        stdin.write(json.dumps(request).encode() + b"\n")


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the process, and the processes that it has started."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    child.wait()


def main() -> None:
    """The child's side: do what is asked, say so, and end."""
    request = json.loads(sys.stdin.buffer.readline())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    own = os.getpid()
    with open(request["answer"], "a", encoding="utf-8") as file:

        def say(kind: str, value: Any) -> None:
            if os.getpid() == own:  # a plugin may have forked this one
                file.write(f"{json.dumps([kind, value])}\n")
                file.flush()

        problem = None
        try:
            pkgutil.resolve_name(request["target"])(say, **request["arguments"])
        except (CliError, SmpError) as error:
            say(_REFUSED, str(error))
        except BaseException as error:  # a stranger's code raises what it likes
            sys.excepthook(type(error), error, error.__traceback__)
            problem = f"was left by {type(error).__name__}: {error}"
        say(_DONE, problem)
    os._exit(0)  # a thread of the plugin's may never end
