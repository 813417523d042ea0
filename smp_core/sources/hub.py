"""Fetching files from the Hugging Face Hub: cached, offline where that is asked for, no long wait where nobody answers.

Nothing here imports torch.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")

# What to try again when the Hub itself says that it is busy; the client waits as long as the answer tells it to.
_BUSY = (408, 429, 500, 502, 503, 504)


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

    Raises:
        NotFetchedError: not cached, and offline, not reachable, or not there.
    """
    from huggingface_hub import hf_hub_download  # a third of a second that a local file should not cost

    try:
        if not again and not local_files_only and not _is_cached(repo_id, filename, revision, cache_dir):
            _ask(repo_id, filename, revision, token)
        path = hf_hub_download(
            repo_id,
            filename,
            revision=revision,
            token=token,
            force_download=again,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
        )
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
