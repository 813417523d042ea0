"""Encoder weights from the Hugging Face Hub: the real client, against a hub on the loopback interface."""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_client import Client
from hub_server import COMMIT, Fault, Hub, serve
from safetensors.torch import save
from toy_models import ToyEncoder, randomise

pytest.importorskip("huggingface_hub")

WAYS_OUT = (
    "\nTwo ways out: pass a local file of these weights, encoder_weights='path/to/model.safetensors', "
    "or start from random ones, encoder_weights=None."
)


def weights(seed: int = 0) -> tuple[bytes, dict[str, float]]:
    """A weight file, and what `digest` makes of the encoder that it is loaded into."""
    encoder = ToyEncoder()
    randomise(encoder, seed)
    state = encoder.state_dict()
    return save(state), {name: tensor.double().sum().item() for name, tensor in state.items()}


def torch_file(path: Path, seed: int) -> bytes:
    encoder = ToyEncoder()
    randomise(encoder, seed)
    torch.save(encoder.state_dict(), path)
    return path.read_bytes()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def by_spec(repo: str, **fields: Any) -> str:
    """A script that loads the toy encoder's own weights from a repository."""
    arguments = "".join(f", {name}={value!r}" for name, value in fields.items())
    return (
        f"install(imagenet=WeightsSpec(repo_id={repo!r}{arguments}))\n"
        "result = attempt(lambda: digest(smp_core.create_encoder('toy_encoder')))"
    )


def by_user(source: str) -> str:
    """A script that loads what a user names."""
    return f"result = attempt(lambda: digest(smp_core.create_encoder('toy_encoder', weights={source!r})))"


def gets(hub: Hub) -> list[str]:
    found = [request.removeprefix("GET ") for request in hub.requests if request.startswith("GET ")]
    return [request for request in found if "/resolve/" in request]  # newer clients ask for other things besides


def cached(home: Path, repo: str, name: str = "model.safetensors") -> Path:
    (found,) = (home / "hub" / f"models--{repo.replace('/', '--')}" / "snapshots").glob(f"*/{name}")
    return found


def could_not(
    repo: str, why: str, name: str = "model.safetensors", revision: str = "main", title: str = "imagenet"
) -> str:
    """The beginning of the error for weights that cannot be had; ``why`` is a regular expression."""
    return (
        rf"^weights '{title}' of encoder 'toy_encoder' could not be fetched from the Hub repository '{repo}' "
        rf"\(file '{re.escape(name)}', revision {revision}\): {why}"
    )


def assert_error(answer: Any, pattern: str, error: str = "WeightsError", end: str = WAYS_OUT) -> None:
    assert answer[0] == error
    assert re.match(pattern, answer[1]), answer[1]
    assert answer[1].endswith(end)


# --- fetched, cached


def test_weights_are_fetched_once(hub: Hub, client: Client) -> None:
    content, expected = weights()
    hub.files["acme/toy.imagenet"] = {"model.safetensors": content}
    script = by_spec("acme/toy.imagenet", revision=COMMIT, sha256=sha256(content))
    assert client.run(script) == expected
    assert gets(hub) == [f"/acme/toy.imagenet/resolve/{COMMIT}/model.safetensors"]
    hub.requests.clear()
    assert client.run(script) == expected
    assert hub.requests == []  # a commit never changes: what is cached is not asked for again


def test_a_branch_is_asked_about_and_not_fetched_again(hub: Hub, client: Client) -> None:
    content, expected = weights()
    hub.files["acme/branch"] = {"model.safetensors": content}
    assert client.run(by_spec("acme/branch")) == expected
    hub.requests.clear()
    assert client.run(by_spec("acme/branch")) == expected
    assert hub.requests == ["HEAD /acme/branch/resolve/main/model.safetensors"]


def test_a_revision_is_pinned(hub: Hub, client: Client) -> None:
    found = {}
    for seed, revision in enumerate(("", "@v1", "@v2")):
        content, found[revision] = weights(seed)
        hub.files[f"acme/many{revision}"] = {"model.safetensors": content}
    assert client.run(by_spec("acme/many", revision="v1")) == found["@v1"]
    assert client.run(by_spec("acme/many", revision="v2")) == found["@v2"]
    assert client.run(by_spec("acme/many")) == found[""]
    assert client.run(by_user("hf-hub:acme/many@v1")) == found["@v1"]
    assert gets(hub) == [f"/acme/many/resolve/{name}/model.safetensors" for name in ("v1", "v2", "main")]
    assert_error(
        client.run(by_spec("acme/many", revision="v3")), could_not("acme/many", "RevisionNotFoundError", revision="v3")
    )


# --- what is not there


def test_what_is_not_there(hub: Hub, client: Client) -> None:
    hub.files["acme/other"] = {"weights.safetensors": b""}
    hub.files["acme/private"] = {"model.safetensors": b""}
    hub.tokens["acme/private"] = "hf_secret"
    assert_error(
        client.run(by_spec("acme/gone", filename="w.safetensors")),
        could_not("acme/gone", "RepositoryNotFoundError: 40", "w.safetensors"),
    )
    assert_error(client.run(by_spec("acme/private")), could_not("acme/private", "RepositoryNotFoundError: 401"))
    assert_error(client.run(by_spec("acme/other")), could_not("acme/other", r"\w*EntryNotFoundError: 404"))
    assert gets(hub) == []


def test_a_hub_that_is_busy_is_asked_again(hub: Hub, client: Client) -> None:
    hub.status = 503
    answer = client.run(f"{by_spec('acme/busy')}\nresult = [result, slept]")
    assert_error(answer[0], could_not("acme/busy", "HfHubHTTPError: .*503"))
    assert len(answer[1]) > 1


# --- what is not what it should be


def test_a_checksum_that_differs_twice(hub: Hub, client: Client) -> None:
    content, _ = weights()
    hub.files["acme/tampered"] = {"model.safetensors": content}
    answer = client.run(by_spec("acme/tampered", sha256="a" * 64))
    assert_error(
        answer,
        rf"^weights 'imagenet' of encoder 'toy_encoder': .*model\.safetensors has sha256 {sha256(content)}, expected "
        rf"{'a' * 64}\nIt was fetched twice: this is what the Hub repository 'acme/tampered' holds "
        r"\(file 'model\.safetensors', revision main\)\.",
    )
    assert len(gets(hub)) == 2


def test_a_file_that_is_no_weights(hub: Hub, client: Client) -> None:
    hub.files["acme/text"] = {"model.safetensors": b"not weights", "pytorch_model.bin": b"nor this"}
    for answer in (client.run(by_spec("acme/text")), client.run(by_user("hf-hub:acme/text"))):
        pattern = r"^cannot read weights from '.*model\.safetensors': SafetensorError: .*\nIt was fetched twice: "
        assert_error(answer, pattern)


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda content: b"", lambda _: b"x" * 99]
)
def test_a_damaged_file_in_the_cache_is_fetched_again(
    hub: Hub, client: Client, checksum: bool, damage: Any, request: pytest.FixtureRequest
) -> None:
    content, expected = weights()
    repo = f"acme/{hashlib.sha1(request.node.name.encode()).hexdigest()[:8]}"
    hub.files[repo] = {"model.safetensors": content}
    script = by_spec(repo, revision=COMMIT, **({"sha256": sha256(content)} if checksum else {}))
    assert client.run(script) == expected
    file = cached(client.home, repo)
    file.write_bytes(damage(content))
    assert client.run(script) == expected
    assert len(gets(hub)) == 2
    assert cached(client.home, repo).read_bytes() == content
    assert client.run(script) == expected
    assert len(gets(hub)) == 2


def test_a_readable_file_in_the_cache_with_another_checksum(hub: Hub, client: Client) -> None:
    (content, expected), (other, _) = weights(0), weights(1)
    hub.files["acme/swapped"] = {"model.safetensors": content}
    script = by_spec("acme/swapped", revision=COMMIT, sha256=sha256(content))
    assert client.run(script) == expected
    cached(client.home, "acme/swapped").write_bytes(other)
    assert client.run(script) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="the cache has no links there that say what the Hub published")
def test_a_checksum_that_only_the_hub_knows(hub: Hub, client: Client) -> None:
    (content, expected), (other, _) = weights(0), weights(1)
    hub.files["acme/large"] = {"model.safetensors": content}
    hub.large.add("acme/large")
    scripts = (by_spec("acme/large"), by_user(f"hf-hub:acme/large@{COMMIT}"))
    for script in scripts:
        assert client.run(script) == expected
        cached(client.home, "acme/large").write_bytes(other)
        assert client.run(script) == expected
        assert cached(client.home, "acme/large").read_bytes() == content
    hub.files["acme/large"] = {}
    cached(client.home, "acme/large").write_bytes(other)
    assert_error(
        client.run(scripts[1]),
        rf"^weights 'hf-hub:acme/large@{COMMIT}' of encoder 'toy_encoder': .*model\.safetensors has sha256 "
        rf"{sha256(other)}, expected {sha256(content)}\nThe file is damaged, and could not be fetched again from the "
        rf"Hub repository 'acme/large' \(revision {COMMIT}\): \w*EntryNotFoundError: 404",
    )


# --- connections that break


def test_a_connection_that_is_cut_once(hub: Hub, client: Client) -> None:
    content, expected = weights()
    hub.files["acme/cut"] = {"model.safetensors": content}
    hub.faults["model.safetensors"] = [Fault(after=1000, cut=True)]
    assert client.run(by_spec("acme/cut", sha256=sha256(content))) == expected
    assert len(gets(hub)) == 2


def test_a_connection_that_is_always_cut(hub: Hub, client: Client) -> None:
    content, expected = weights()
    hub.files["acme/broken"] = {"model.safetensors": content}
    hub.faults["model.safetensors"] = [Fault(after=1000, cut=True), *[Fault(after=0, cut=True)] * 20]
    script = by_spec("acme/broken", revision=COMMIT, sha256=sha256(content))
    assert_error(
        client.run(script),
        could_not("acme/broken", r"\w+: .*(peer closed connection|Connection broken)", revision=COMMIT),
    )
    # What came is nowhere, so that it cannot be taken for the file: the next attempt starts anew.
    assert not list((client.home / "hub" / "models--acme--broken" / "snapshots").glob("*/*"))
    hub.faults.clear()
    assert client.run(script) == expected


def test_a_slow_hub(hub: Hub, client: Client) -> None:
    content, expected = weights()
    hub.files["acme/slow"] = {"model.safetensors": content}
    hub.faults["model.safetensors"] = [Fault(after=500, pause=0.3)]
    assert client.run(by_spec("acme/slow", sha256=sha256(content))) == expected
    assert len(gets(hub)) == 1


def test_a_hub_that_falls_silent(hub: Hub, client: Client) -> None:
    content, expected = weights()
    hub.files["acme/silent"] = {"model.safetensors": content}
    hub.faults["model.safetensors"] = [Fault(after=500, pause=2.6)]  # the client waits for 2 s
    assert client.run(by_spec("acme/silent", sha256=sha256(content))) == expected
    assert len(gets(hub)) == 2


# --- repositories that a user names


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["pytorch_model.bin", "model.safetensors"], "model.safetensors"),
        (["config.json", "pytorch_model.bin", "other.pth"], "pytorch_model.bin"),
        (["README.md", "toy.pth", "checkpoints/toy.pth"], "toy.pth"),
    ],
)
def test_the_obvious_file_of_a_repository(
    hub: Hub, client: Client, tmp_path: Path, names: list[str], chosen: str
) -> None:
    repo = f"acme/{chosen.replace('_', '.')}"
    _, expected = weights(names.index(chosen))
    files = {name: torch_file(tmp_path / "file", seed) for seed, name in enumerate(names) if "." in name}
    files["model.safetensors"] = weights(names.index(chosen))[0]
    hub.files[repo] = {name: files[name] for name in names}
    assert client.run(by_user(f"hf-hub:{repo}")) == expected
    assert gets(hub) == [f"/{repo}/resolve/main/{chosen}"]


def test_a_repository_without_an_obvious_file(hub: Hub, client: Client) -> None:
    hub.files["acme/zoo"] = {"README.md": b"", "a.pth": b"", "b.pth": b""}
    assert_error(
        client.run(by_user("hf-hub:acme/zoo")),
        r"^weights 'hf-hub:acme/zoo' of encoder 'toy_encoder': this is a repository without one obvious weight file: "
        r"expected model\.safetensors or pytorch_model\.bin, or one file that ends in \.safetensors, \.pth, \.pt, "
        r"\.bin; it holds README\.md, a\.pth, b\.pth; ",
        error="OptionError",
        end="pass the path of a local file",
    )


def test_a_repository_that_is_not_there(hub: Hub, client: Client) -> None:
    hub.files["acme/known"] = {}
    pattern = could_not("acme/gone", "RepositoryNotFoundError: ", title="hf-hub:acme/gone")
    assert_error(client.run(by_user("hf-hub:acme/gone")), pattern)
    pattern = could_not("acme/known", "RevisionNotFoundError: ", revision="v3", title="hf-hub:acme/known@v3")
    assert_error(client.run(by_user("hf-hub:acme/known@v3")), pattern)


def test_the_encoder_of_a_model_on_the_hub(hub: Hub, client: Client) -> None:
    found, expected, known = client.run(
        "model = build(classes=2)\n"
        "model.push_to_hub('acme/model', token='hf_write')\n"
        "other = smp_core.create('toy', 'toy_encoder', encoder_weights='hf-hub:acme/model')\n"
        "known = [other.config['encoder_weights'], other.preprocessing]\n"
        "result = [digest(other.encoder), digest(model.encoder), known]"
    )
    assert found == expected
    assert known == [None, None]


def test_a_link_in_the_cache_to_what_is_gone(hub: Hub, client: Client) -> None:
    content, expected = weights()
    hub.files["acme/link"] = {"model.safetensors": content}
    script = by_user("hf-hub:acme/link")
    assert client.run(script) == expected
    cached(client.home, "acme/link").resolve().unlink()
    hub.status = 500
    assert_error(client.run(script), could_not("acme/link", "", title="hf-hub:acme/link"))
    hub.status = 200
    assert client.run(script) == expected


# --- no network


def test_a_hub_that_is_gone(tmp_path: Path) -> None:
    content, expected = weights()
    pinned = by_spec("acme/toy", revision=COMMIT)
    with contextlib.ExitStack() as stack:
        with serve() as hub:
            client = stack.enter_context(Client(hub.url, tmp_path))
            hub.files["acme/toy"] = {"model.safetensors": content, "other.safetensors": content}
            hub.files["acme/odd"] = {"weights.pth": torch_file(tmp_path / "file", 3)}
            for script in (pinned, by_spec("acme/toy"), by_user("hf-hub:acme/toy")):
                assert client.run(script) == expected
            assert client.run(by_user("hf-hub:acme/odd")) == weights(3)[1]
        for script in (pinned, by_spec("acme/toy"), by_user("hf-hub:acme/toy"), by_user(f"hf-hub:acme/toy@{COMMIT}")):
            assert client.run(script) == expected
        assert client.run(by_user("hf-hub:acme/odd")) == weights(3)[1]
        # What is not in the cache is an error at once: the client by itself would try six times, for 23 seconds.
        unreachable = r"Connect\w+: .*[Rr]efused"
        missing = by_spec("acme/toy", filename="third.safetensors")
        answer, slept = client.run(f"{missing}\nresult = [result, slept]")
        assert_error(answer, could_not("acme/toy", unreachable, "third.safetensors"))
        assert slept == []
        answer, slept = client.run(f"{by_user('hf-hub:acme/gone')}\nresult = [result, slept]")
        assert_error(answer, could_not("acme/gone", unreachable, title="hf-hub:acme/gone"))
        assert slept == []
        cached(client.home, "acme/toy").write_bytes(content[:100])
        assert_error(
            client.run(pinned),
            r"^cannot read weights from '.*model\.safetensors': .*\nThe file is damaged, and could not be fetched "
            rf"again from the Hub repository 'acme/toy' \(revision {COMMIT}\): {unreachable}",
        )


def test_offline_mode(hub: Hub, client: Client, tmp_path: Path) -> None:
    content, expected = weights()
    hub.files["acme/kept"] = {"model.safetensors": content}
    scripts = (by_spec("acme/kept", revision=COMMIT, sha256=sha256(content)), by_user("hf-hub:acme/kept"))
    for script in scripts:
        assert client.run(script) == expected
    hub.requests.clear()
    with Client(hub.url, tmp_path, HF_HOME=str(client.home), HF_HUB_OFFLINE="1") as offline:
        for script in scripts:
            assert offline.run(script) == expected
        why = r"offline mode is on \(HF_HUB_OFFLINE\), and the file is not in the cache\n"
        assert_error(offline.run(by_spec("acme/other")), could_not("acme/other", why))
        pattern = could_not("acme/other", why, title="hf-hub:acme/other")
        assert_error(offline.run(by_user("hf-hub:acme/other")), pattern)
        cached(client.home, "acme/kept").write_bytes(b"damaged")
        assert_error(
            offline.run(scripts[0]),
            rf"^weights 'imagenet' of encoder 'toy_encoder': .* has sha256 {sha256(b'damaged')}, expected "
            rf"{sha256(content)}\nThe file is damaged, and could not be fetched again from the Hub repository "
            rf"'acme/kept' \(revision {COMMIT}\): offline mode is on \(HF_HUB_OFFLINE\)\n",
        )
    assert hub.requests == []
