"""Fetching files from the Hugging Face Hub: cached, offline where that is asked for, no long wait where nobody answers.

Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from smp_core.errors import OptionError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")

Result = TypeVar("Result")

# What to try again when the Hub itself says that it is busy; the client waits as long as the answer tells it to.
_BUSY = (408, 429, 500, 502, 503, 504)


# Seconds after which a log says that something is still waited for.
_TELL_EVERY = 15.0

_logger = logging.getLogger("smp_core")


class Wait:
    """How long a user waits for all files of one call: as long as it takes, or the seconds of ``SMP_HUB_TIMEOUT``.

    The client's own timeouts are of single reads: where the Hub asks it to come back in an hour, or sends a byte a
    second, it goes on.

    Raises:
        OptionError: the variable is no number above 0.
    """

    def __init__(self) -> None:
        value = os.environ.get("SMP_HUB_TIMEOUT", "")
        try:
            self.seconds = float(value) if value else math.inf
        except ValueError:
            self.seconds = math.nan
        if not self.seconds > 0:
            raise OptionError(f"environment variable SMP_HUB_TIMEOUT is {value!r}; expected seconds, above 0")
        self._started = time.monotonic()

    @property
    def left(self) -> float:
        """Seconds; 0 or less where there are none."""
        return self.seconds - (time.monotonic() - self._started)

    def run(self, call: Callable[[], Result], what: str) -> Result:
        """Call in a thread, which is left alone where it takes too long.

        Raises:
            NotFetchedError: it takes longer than is left.
            Exception: what the call raises.
        """
        results: list[Result] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                results.append(call())
            except BaseException as error:  # passed on to who waits
                errors.append(error)

        thread = threading.Thread(target=work, name="smp-core-hub", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(max(min(self.left, _TELL_EVERY), 0.0))
            if thread.is_alive() and self.left <= 0:
                raise NotFetchedError(f"not there within {self.seconds:g} s, as long as SMP_HUB_TIMEOUT says to wait")
            if thread.is_alive():
                waited = time.monotonic() - self._started
                _logger.warning("waiting for %s for %.0f s; SMP_HUB_TIMEOUT=<seconds> sets a bound", what, waited)
        if errors:
            raise errors[0]
        return results[0]


class NotFetchedError(Exception):
    """Why a file could not be had. Whoever wanted the file catches it, and says what it was wanted for.

    Attributes:
        absent: the Hub answered that the repository holds no file of that name.
    """

    def __init__(self, why: str, *, absent: bool = False) -> None:
        super().__init__(why)
        self.absent = absent


def fetch(
    repo_id: str,
    filename: str,
    revision: str | None,
    *,
    token: str | None = None,
    again: bool = False,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    wait: Wait | None = None,
) -> Path:
    """The local path of a file of a repository, fetched where it is not cached.

    A cached file of a commit is used as it is; one of a branch or tag is compared with the Hub's, where it answers.

    Args:
        repo_id: ``"owner/name"``.
        filename: path in the repository.
        revision: commit, tag or branch; None is the repository's main branch.
        token: access token for a private repository.
        again: fetch also where it is cached, because what is cached was found to be damaged.
        cache_dir: where files are cached; by default where the Hub's client does.
        local_files_only: whether what is not cached is an error.
        wait: of the call that this file is fetched for, where it fetches several.

    Raises:
        NotFetchedError: not cached, and offline, not reachable, not there, or not within the time.
    """
    from huggingface_hub import hf_hub_download  # a third of a second that a local file should not cost

    def download() -> str:
        if not again and not local_files_only and not _is_cached(repo_id, filename, revision, cache_dir):
            _ask(repo_id, filename, revision, token)
        return hf_hub_download(
            repo_id,
            filename,
            revision=revision,
            token=token,
            force_download=again,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
        )

    try:
        path = (wait or Wait()).run(download, f"{filename} of the Hub repository {repo_id}")
    except NotFetchedError:
        raise
    except Exception as error:  # the client's own, and those of its HTTP library, which changes between versions
        raise _explain(error, cached=again) from error
    return Path(path)


def list_files(repo_id: str, revision: str | None) -> list[str]:
    """The names of all files of a repository.

    Raises:
        NotFetchedError: as `fetch`.
    """
    from huggingface_hub import HfApi

    try:
        return sorted(HfApi().list_repo_files(repo_id, revision=revision))
    except Exception as error:
        raise _explain(error, cached=False) from error


def cached_snapshot(repo_id: str, revision: str | None) -> Path | None:
    """The folder in the cache with what was fetched of a repository at a revision, or None."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo_id, revision=revision, local_files_only=True))
    except Exception as error:
        # Newer clients refuse a folder that they know to be incomplete, and say where it is.
        found = getattr(error, "snapshot_path", None)
        return Path(found) if found else None


def published_sha256(path: Path) -> str | None:
    """The checksum that the Hub published for a fetched file, or None where it published none.

    The client names a file in its cache after the Hub's entity tag, which for large files is their sha256, and links to
    it. It does not compare the two: a file that is damaged later, on its disk, it takes for sound.
    """
    try:
        target = Path(os.readlink(path))  # one link only: a cache shared by several users names files otherwise
    except OSError:  # no link, on systems that have none
        return None
    return target.name if target.parent.name == "blobs" and _SHA256.fullmatch(target.name) else None


def wrong_checksum(path: Path, expected: str | None) -> str:
    """What is wrong with a file whose sha256 is known; empty where nothing is, or it is not."""
    if expected is None:
        return ""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:  # in the cache, a link to what somebody has deleted
        return f"{path} cannot be read: {error}"
    found = digest.hexdigest()
    return "" if found == expected else f"{path} has sha256 {found}, expected {expected}"


def commit_of(path: Path) -> str | None:
    """The commit that a fetched file is of, as the client's cache says; None where it does not."""
    folder = next((parent for parent in path.parents if parent.parent.name == "snapshots"), None)
    return folder.name if folder is not None and _COMMIT.fullmatch(folder.name) else None


def _is_cached(repo_id: str, filename: str, revision: str | None, cache_dir: str | Path | None) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repo_id, filename, cache_dir=cache_dir, revision=revision), str)


def _ask(repo_id: str, filename: str, revision: str | None, token: str | None) -> None:
    """Ask for the file's metadata, once.

    The client itself asks six times: where nobody answers, its user waits 23 seconds for the error, and more than six
    minutes behind a firewall that drops what it refuses.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    try:
        get_hf_file_metadata(hf_hub_url(repo_id, filename, revision=revision), token=token)
    except HfHubHTTPError as error:
        if error.response is None or error.response.status_code not in _BUSY:
            raise


def _explain(error: Exception, *, cached: bool) -> NotFetchedError:
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, OfflineModeIsEnabled

    reason: BaseException = error
    # The client wraps the reason in advice of its own: to check the connection, not to force the download.
    while isinstance(reason, (LocalEntryNotFoundError, ValueError)) and reason.__cause__ is not None:
        reason = reason.__cause__
    if isinstance(reason, OfflineModeIsEnabled):
        besides = "" if cached else ", and the file is not in the cache"
        return NotFetchedError(f"offline mode is on (HF_HUB_OFFLINE){besides}")
    absent = isinstance(reason, EntryNotFoundError) and not isinstance(reason, LocalEntryNotFoundError)
    return NotFetchedError(f"{type(reason).__name__}: {reason}", absent=absent)
