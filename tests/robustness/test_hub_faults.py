"""Whatever the Hub answers or sends, or becomes of the cache: the right model or an error of ours, in time."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_client import Client
from hub_server import Fault, Hub, serve
from outcomes import RIGHT, HangError, judged, tally, time_limit

pytest.importorskip("huggingface_hub")

_MODEL = "acme/model"
_NAMES = ("config.json", "model.safetensors")
_CALLS = {
    "model": "smp_core.from_pretrained({!r}, cache_dir={!r})",
    "encoder": "smp_core.create('toy', 'toy_encoder', encoder_weights='hf-hub:{}').encoder",
}


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serve() as hub:
        yield hub


@pytest.fixture(scope="module")
def client(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("client")
    with Client(hub.url, folder, HF_HUB_DOWNLOAD_TIMEOUT="1", SMP_HUB_TIMEOUT="4") as started:
        yield started


def _publish(hub: Hub, client: Client) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files of a model, and what a model and an encoder that were loaded from them hold."""
    hub.clear()
    script = f"model = build(classes=2)\nmodel.push_to_hub({_MODEL!r}, token='hf_write')\n"
    whole, encoder = client.run(f"{script}result = [digest(model), digest(model.encoder)]")
    return dict(hub.files[_MODEL]), {"model": whole, "encoder": encoder}


def _spoil(draw: random.Random, hub: Hub, files: dict[str, bytes]) -> str:
    """Let something go wrong with what is asked next."""
    name = draw.choice(_NAMES)
    size = len(files[name])
    served = next(held for repo, held in hub.files.items() if repo != _MODEL)
    kind = draw.choice(("status", "cut", "always cut", "wrong", "pause", "stall", "other file", "gone"))
    if kind == "status":
        hub.statuses += draw.choices((200, 400, 401, 403, 404, 408, 410, 416, 418, 429, 500, 502, 503, 504), k=4)
        hub.headers |= draw.choice(({}, {"Retry-After": "3600"}, {"Retry-After": "soon"}))
    elif kind in ("cut", "always cut"):
        times = 1 if kind == "cut" else 100
        hub.faults[name] = [Fault(after=draw.randrange(size), cut=True) for _ in range(times)]
    elif kind == "wrong":
        hub.faults[name] = [Fault(after=draw.randrange(size), wrong=True) for _ in range(draw.choice((1, 1, 100)))]
    elif kind in ("pause", "stall"):
        hub.faults[name] = [Fault(after=draw.randrange(size), pause=0.2 if kind == "pause" else 20.0)]
    elif kind == "other file":
        other = bytearray(files[name])
        other[draw.randrange(size)] ^= draw.randrange(1, 256)
        cut = draw.choice((None, None, draw.randrange(size)))
        served[name] = bytes(other[:cut])
    else:
        del served[name]
    return f"{kind} of {name}"


def _damage_cache(draw: random.Random, cache: Path, repo: str) -> None:
    """Flip a bit of a cached file, cut it, or take it away."""
    blobs = sorted((cache / f"models--{repo.replace('/', '--')}" / "blobs").iterdir())
    blob = draw.choice(blobs)
    data = bytearray(blob.read_bytes())
    kind = draw.randrange(3)
    if kind == 0:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        blob.write_bytes(data)
    elif kind == 1:
        blob.write_bytes(data[: draw.randrange(len(data))])
    else:
        blob.unlink()


def _outcomes(hub: Hub, client: Client, folder: Path, seed: int, count: int) -> Iterator[tuple[str, object]]:
    draw = random.Random(seed)
    files, expected = _publish(hub, client)
    for number in range(count):
        repo, what = f"acme/s{seed}-{number}", draw.choice(list(_CALLS))
        hub.clear()
        hub.files |= {_MODEL: files, repo: dict(files)}
        hub.large.add(repo)  # whose entity tags are checksums: of all other files the Hub publishes none
        call = _CALLS[what].format(repo, str(folder))
        script = f"import warnings\nwarnings.simplefilter('ignore')\nresult = attempt(lambda: digest({call}))"
        cache = folder if what == "model" else client.home / "hub"
        cached = draw.random() < 0.3
        if cached:
            assert client.run(script) == expected[what]
            _damage_cache(draw, cache, repo)
        spoilt = _spoil(draw, hub, files) if not cached or draw.random() < 0.3 else "nothing else"
        is_other = spoilt.startswith("other file")  # another file that the Hub publishes, with its checksum
        try:
            with time_limit(60.0):
                answer = client.run(script)
        except HangError:
            yield "hangs", (repo, what, cached, spoilt)
            return  # the client is no longer to be had
        if isinstance(answer, list):
            found = judged(*answer)
        else:
            found = RIGHT if answer == expected[what] or is_other else "another model"
        yield found, (repo, what, cached, spoilt)


def test_hub_faults(hub: Hub, client: Client, tmp_path: Path) -> None:
    tally(_outcomes(hub, client, tmp_path, seed=0, count=12))


@pytest.mark.robustness
@pytest.mark.parametrize("seed", range(1, 11))
def test_many_hub_faults(hub: Hub, client: Client, tmp_path: Path, seed: int) -> None:
    tally(_outcomes(hub, client, tmp_path, seed, count=40))
    client.log.seek(0)  # the client's process has written on, from the place that both share
    assert not re.search("Traceback", client.log.read())
