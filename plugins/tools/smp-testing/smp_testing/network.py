"""A process without a network."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any, NoReturn
from unittest import mock

_LOCAL_FAMILIES = (getattr(socket, "AF_UNIX", None),)


@contextlib.contextmanager
def blocked() -> Iterator[list[str]]:
    """Refuse every connection and name look-up, as a machine that is offline would.

    Yields:
        A list that grows by one line for every attempt, also those whose `OSError` somebody swallows.
    """
    attempts: list[str] = []

    def refuse(what: str) -> NoReturn:
        attempts.append(what)
        raise OSError(f"the network is blocked: {what}")

    def guarded(name: str) -> Any:
        original = getattr(socket.socket, name)

        def method(self: socket.socket, *arguments: Any) -> Any:
            if self.family in _LOCAL_FAMILIES:  # between processes of this machine
                return original(self, *arguments)
            refuse(f"{name} to {arguments[-1]}")

        return method

    def look_up(name: str) -> Any:
        return lambda *arguments, **_: refuse(f"{name} of {arguments[0] if arguments else 'a host'}")

    with contextlib.ExitStack() as stack:
        for name in ("connect", "connect_ex", "sendto"):
            stack.enter_context(mock.patch.object(socket.socket, name, guarded(name)))
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            stack.enter_context(mock.patch.object(socket, name, look_up(name)))
        yield attempts
