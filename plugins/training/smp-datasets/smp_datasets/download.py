"""Fetching files: resumed where they broke off, compared with their checksum, and put in place whole or not at all.

A file grows as ``<name>.part`` beside its place. When the connection breaks, or the program ends, the next attempt asks
the server for the rest. Only a file with the right checksum gets its name.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from smp_datasets.errors import ChecksumError, DownloadError, OptionError
from smp_datasets.progress import Progress, Report

_CHUNK = 1 << 20
_LENGTHS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Args:
        url: http or https.
        checksum: ``"<algorithm>:<hexadecimal digits>"``, the algorithm md5, sha1, sha256 or sha512. MD5 finds damage,
            not malice: prefer sha256 where one is published.

    Raises:
        OptionError: another scheme, or no such checksum.
    """

    url: str
    checksum: str

    def __post_init__(self) -> None:
        for what, value in (("url", self.url), ("checksum", self.checksum)):
            if not isinstance(value, str) or not value.isascii():
                raise OptionError(f"{what} must be text of ASCII characters, others percent-encoded; got {value!r}")
        wanted = f"url must be http or https and end in a file's name, got {self.url!r}"
        try:
            scheme = urllib.parse.urlsplit(self.url).scheme
        except ValueError as error:
            raise OptionError(f"{wanted}: {error}") from None
        # The name is that of a file to write: it must be one on every system, and lead nowhere else.
        is_name = self.name not in ("", ".", "..") and PureWindowsPath(self.name).name == self.name
        if scheme not in ("http", "https") or not is_name:
            raise OptionError(wanted)
        algorithm, _, digits = self.checksum.partition(":")
        if _LENGTHS.get(algorithm) != len(digits) or not set(digits.lower()) <= set("0123456789abcdef"):
            raise OptionError(
                f"checksum must be one of {', '.join(_LENGTHS)}, a colon and its hexadecimal digits; "
                f"got {self.checksum!r}"
            )

    @property
    def name(self) -> str:
        """The last part of the address."""
        return urllib.parse.unquote(urllib.parse.urlsplit(self.url).path).replace("\\", "/").rpartition("/")[2]


def fetch(
    file: RemoteFile,
    folder: str | os.PathLike[str],
    *,
    progress: bool | Report = True,
    timeout: float = 30.0,
    attempts: int = 5,
) -> Path:
    """Fetch a file into a folder, unless it is there already.

    One process at a time: in a distributed run, let one fetch and the others wait.

    Args:
        file: what to fetch.
        folder: made where it is missing.
        progress: True writes to standard error; a function is called with the bytes so far and the total, or None
            where the server does not tell; False is silent.
        timeout: seconds to wait for the server, each time that something is awaited.
        attempts: how often a connection may break before that is an error. Each attempt goes on where the last ended.

    Returns:
        Its path.

    Raises:
        OptionError: no attempts, or no time.
        ChecksumError: what came is another file; it is deleted.
        DownloadError: it cannot be had, or not be written. What came so far is kept, and the next call goes on from
            there.
    """
    if not isinstance(attempts, int) or attempts < 1:
        raise OptionError(f"fetch: attempts must be an int of at least 1, got {attempts!r}")
    if not isinstance(timeout, (int, float)) or not 0 < timeout <= threading.TIMEOUT_MAX:
        raise OptionError(f"fetch: timeout must be seconds, above 0, got {timeout!r}")
    place = Path(folder) / file.name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"{file.url} cannot be written to {str(place)!r}: {error}") from error
    if place.is_file() and checksum_of(place, file.checksum) == file.checksum.lower():
        return place
    part = place.with_name(place.name + ".part")
    resumed = part.exists() and part.stat().st_size > 0
    _fetch_all(file, part, progress, timeout, attempts)
    found = checksum_of(part, file.checksum)
    if found != file.checksum.lower() and resumed:
        # The beginning was from another run: perhaps from before the file changed.
        part.unlink()
        _fetch_all(file, part, progress, timeout, attempts)
        found = checksum_of(part, file.checksum)
    if found != file.checksum.lower():
        size = part.stat().st_size
        part.unlink()
        raise ChecksumError(
            f"{file.url} gave {size} bytes with the checksum {found}; expected {file.checksum.lower()}; it was deleted"
        )
    os.replace(part, place)
    return place


def checksum_of(path: str | os.PathLike[str], like: str) -> str:
    """The checksum of a file, by the algorithm and in the form of another: ``"md5:..."``."""
    algorithm = like.partition(":")[0]
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"{algorithm}:{digest.hexdigest()}"


def _fetch_all(file: RemoteFile, part: Path, progress: bool | Report, timeout: float, attempts: int) -> None:
    with Progress(file.name, progress) as report:
        for attempt in range(1, attempts + 1):
            try:
                if _fetch_rest(file, part, report, timeout):
                    return
                reason = "the connection ended early"
            except urllib.error.HTTPError as error:
                error.close()
                # What the client did wrong stays wrong; a server in trouble may recover.
                if error.code < 500 and error.code not in (408, 429):
                    raise DownloadError(f"{file.url} cannot be had: {_answer(error)}") from error
                reason = _answer(error)
            # Timeouts, refused and broken connections, unknown hosts.
            except (OSError, http.client.HTTPException) as error:
                reason = str(getattr(error, "reason", error)) or type(error).__name__
            if attempt < attempts:
                time.sleep(min(0.1 * 2**attempt, 5.0))
    size = part.stat().st_size if part.exists() else 0
    raise DownloadError(
        f"{file.url} could not be fetched in {attempts} attempts: {reason}; {size} bytes are kept in {str(part)!r}, "
        "and the next call goes on from there"
    )


def _answer(error: urllib.error.HTTPError) -> str:
    return f"the server says {error.code} {error.reason}"


def _fetch_rest(file: RemoteFile, part: Path, report: Report, timeout: float) -> bool:
    """Append what is missing; False: the connection ended before all had come."""
    have = part.stat().st_size if part.exists() else 0
    # Without "identity" a proxy may compress what is already compressed, and count other bytes.
    request = urllib.request.Request(file.url, headers={"Accept-Encoding": "identity"})  # noqa: S310 - http(s) is checked
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=timeout)  # noqa: S310
    except urllib.error.HTTPError as error:
        if have and error.code == 416:
            # There is nothing beyond what we have, or the file has become shorter: the checksum will tell.
            error.close()
            return True
        raise
    with response:
        if have and not _goes_on_from(response, have):
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None and length.isdigit() else None
        with part.open("ab" if have else "wb") as target:
            report(have, total)
            while chunk := response.read(_CHUNK):
                target.write(chunk)
                have += len(chunk)
                report(have, total)
    return total is None or have >= total


def _goes_on_from(response: http.client.HTTPResponse, have: int) -> bool:
    """Whether the server sends the rest that was asked for, and not the whole."""
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
