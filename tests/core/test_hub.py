"""The Hugging Face Hub: the real client, in a process of its own, against a hub on the loopback interface."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

import pytest
from hub_client import Client
from hub_server import COMMIT, Fault, Hub

from smp_core.errors import OptionError
from smp_core.sources import hub as hub_source
from smp_core.sources.hub import Wait

pytest.importorskip("huggingface_hub")


def test_a_model_is_pushed_and_comes_back(hub: Hub, client: Client) -> None:
    url, pushed = client.run(
        "model = build(classes=2)\n"
        "result = [model.push_to_hub('acme/pushed', private=True, token='hf_write'), digest(model)]"
    )
    assert url == f"{hub.url}/acme/pushed"
    assert sorted(hub.files["acme/pushed"]) == ["README.md", "config.json", "model.safetensors"]
    assert hub.files["acme/pushed"]["README.md"].startswith(b"---\nlibrary_name: smp-core\n")
    (created,) = hub.created
    assert (created["organization"], created["name"]) == ("acme", "pushed")
    assert created.get("private") is True or created.get("visibility") == "private"
    hub.requests.clear()
    loaded, config, preprocessing = client.run(
        "model = smp_core.from_pretrained('acme/pushed')\n"
        "result = [digest(model), model.config['classes'], model.preprocessing]"
    )
    assert (loaded, config, preprocessing) == (pushed, 2, None)
    # What follows the config is asked for at its commit, to which the branch need not point any more.
    files = [f"/acme/pushed/resolve/{at}" for at in ("main/config.json", f"{COMMIT}/model.safetensors")]
    assert [request for request in hub.requests if "/resolve/" in request] == [
        f"{method} {file}" for file in files for method in ("HEAD", "HEAD", "GET")
    ]


def test_saving_and_uploading_at_once(hub: Hub, client: Client) -> None:
    folder, named = client.run(
        "import tempfile, pathlib\n"
        "folder = pathlib.Path(tempfile.mkdtemp()) / 'model'\n"
        "options = {'push_to_hub': True, 'token': 'hf_write', 'dataset': 'scans', 'max_shard_size': 4000}\n"
        "build().save_pretrained(folder, repo_id='acme/saved', **options)\n"
        "model = smp_core.from_pretrained('acme/saved', cache_dir=folder.parent / 'cache')\n"
        "result = [sorted(path.name for path in folder.iterdir()), digest(model) == digest(build())]"
    )
    assert named is True
    assert sorted(hub.files["acme/saved"]) == folder
    assert "model.safetensors.index.json" in folder
    assert b"## Dataset\n\nscans\n" in hub.files["acme/saved"]["README.md"]


def test_what_is_cached_and_nothing_else(hub: Hub, client: Client) -> None:
    client.run("build().push_to_hub('acme/cached', token='hf_write')\nresult = None")
    script = "result = attempt(lambda: digest(smp_core.from_pretrained('acme/cached', local_files_only={})))"
    error, message = client.run(script.format(True))
    assert error == "CheckpointError"
    assert message.startswith("'acme/cached' is not a local folder, and could not be fetched from the Hub")
    fetched = client.run(script.format(False))
    hub.requests.clear()
    assert client.run(script.format(True)) == fetched
    assert hub.requests == []


def test_a_revision_and_a_token(hub: Hub, client: Client) -> None:
    client.run("build().push_to_hub('acme/private', token='hf_write')\nresult = None")
    hub.tokens["acme/private"] = "hf_read"
    script = "result = attempt(lambda: digest(smp_core.from_pretrained('acme/private', revision={!r}, token={!r})))"
    assert isinstance(client.run(script.format(COMMIT, "hf_read")), dict)
    assert any(f"/acme/private/resolve/{COMMIT}/config.json" in request for request in hub.requests)
    error, message = client.run(script.format("v9", "hf_read"))
    assert error == "CheckpointError"
    assert message.startswith(
        "'acme/private' is not a local folder, and could not be fetched from the Hub (revision v9): RevisionNotFound"
    )
    error, message = client.run(script.format("main", "hf_wrong"))
    assert (error, "could not be fetched from the Hub (revision main): " in message) == ("CheckpointError", True)


def test_a_repository_that_is_not_there_or_not_a_model(hub: Hub, client: Client) -> None:
    hub.files["acme/text"] = {"config.json": b'{"architectures": ["Bert"]}', "model.safetensors": b"not weights"}
    hub.files["acme/half"] = {"config.json": b"{}"}
    script = "result = attempt(lambda: smp_core.from_pretrained({!r}))"
    prefix = "{!r} is not a local folder, and could not be fetched from the Hub (revision main): {}: "
    error, message = client.run(script.format("acme/nothing"))
    assert error == "CheckpointError"
    assert message.startswith(prefix.format("acme/nothing", "RepositoryNotFoundError"))
    error, message = client.run(script.format("acme/half"))
    assert error == "CheckpointError"
    assert re.match(r"'acme/half' is not a local folder, .* \(revision main\): \w*EntryNotFoundError: ", message)
    error, message = client.run(script.format("acme/text"))
    assert error == "CheckpointError"
    assert message.endswith("has no '_model_class': not written by save_pretrained")
    error, message = client.run(script.format("./nothing"))
    assert error == "CheckpointError"
    assert message.startswith(prefix.format("./nothing", "HFValidationError"))


def test_pushing_where_nobody_may_write(hub: Hub, client: Client) -> None:
    hub.tokens["POST"] = "hf_write"
    error, message = client.run("result = attempt(lambda: build().push_to_hub('acme/closed', token='hf_wrong'))")
    assert error == "CheckpointError"
    assert message.startswith("could not upload to the Hub repository 'acme/closed': ")
    assert "401" in message
    assert hub.files == {}
    error, message = client.run("result = attempt(lambda: build().push_to_hub('a/b/c', token='hf_write'))")
    assert error == "CheckpointError"
    assert message.startswith("could not upload to the Hub repository 'a/b/c': HFValidationError: ")


def test_a_model_that_cannot_be_saved_makes_no_repository(hub: Hub, client: Client) -> None:
    error, message = client.run(
        "from toy_models import ToyModel\nresult = attempt(lambda: ToyModel(ToyEncoder()).push_to_hub('acme/none'))"
    )
    assert error == "CheckpointError"
    assert message.startswith("this ToyModel was not built by smp_core.create")
    assert [request for request in hub.requests if request.startswith("POST")] == []


def test_an_unreachable_hub(tmp_path: Path) -> None:
    with socket.socket() as reserved:  # bound, but nobody listens
        reserved.bind(("127.0.0.1", 0))
        with Client(f"http://127.0.0.1:{reserved.getsockname()[1]}", tmp_path) as client:
            weights, model, slept, push = client.run(
                f"install(imagenet=WeightsSpec(repo_id='acme/toy.imagenet', revision={COMMIT!r}))\n"
                "result = [attempt(lambda: smp_core.create('toy', 'toy_encoder')),\n"
                "          attempt(lambda: smp_core.from_pretrained('acme/model')), list(slept),\n"
                "          attempt(lambda: build().push_to_hub('acme/model', token='hf_write'))]"
            )
    assert slept == []  # the client by itself would try six times to fetch either
    assert weights[0] == "WeightsError"
    assert weights[1].startswith(
        "weights 'imagenet' of encoder 'toy_encoder' could not be fetched from the Hub repository 'acme/toy.imagenet' "
        f"(file 'model.safetensors', revision {COMMIT}): "
    )
    assert weights[1].endswith(
        "\nTwo ways out: pass a local file of these weights, encoder_weights='path/to/model.safetensors', "
        "or start from random ones, encoder_weights=None."
    )
    assert model[0] == "CheckpointError"
    assert model[1].startswith(
        "'acme/model' is not a local folder, and could not be fetched from the Hub (revision main): Connect"
    )
    assert push[0] == "CheckpointError"
    assert push[1].startswith("could not upload to the Hub repository 'acme/model': ")


# --- what is fetched belongs together, and is what was published


def test_a_branch_that_moves_between_two_files(hub: Hub, client: Client) -> None:
    push = "model = build(classes={})\nmodel.push_to_hub('acme/moving', token='hf_write')\nresult = digest(model)"
    client.run(push.format(5))
    newer = hub.files["acme/moving"]["model.safetensors"]
    expected = client.run(push.format(2))
    hub.files[f"acme/moving@{COMMIT}"] = dict(hub.files["acme/moving"])
    hub.files["acme/moving"]["model.safetensors"] = newer
    script = "result = attempt(lambda: digest(smp_core.from_pretrained('acme/moving')))"
    assert client.run(script) == expected


def test_files_of_two_saves_in_one_commit(hub: Hub, client: Client) -> None:
    for classes in (5, 2):
        before = hub.files.get("acme/mixed", {}).get("model.safetensors")
        client.run(f"build(classes={classes}).push_to_hub('acme/mixed', token='hf_write')\nresult = None")
    hub.files["acme/mixed"]["model.safetensors"] = before or b""
    error, message = client.run("result = attempt(lambda: smp_core.from_pretrained('acme/mixed'))")
    assert error == "CheckpointError"
    assert message.startswith("config.json and model.safetensors in 'acme/mixed' are of two different saves: ")


def test_a_flipped_bit_in_the_cache(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.large.add("acme/flipped")
    expected = client.run(
        "model = build(classes=2)\nmodel.push_to_hub('acme/flipped', token='hf_write')\nresult = digest(model)"
    )
    script = "result = attempt(lambda: digest(smp_core.from_pretrained('acme/flipped')))"
    assert client.run(script) == expected
    (cached,) = (client.home / "hub" / "models--acme--flipped" / "snapshots").glob("*/model.safetensors")
    data = bytearray(cached.read_bytes())
    data[-5] ^= 1
    cached.resolve().write_bytes(data)
    hub.requests.clear()
    assert client.run(script) == expected
    assert [request for request in hub.requests if request.startswith("GET")] == [
        f"GET /acme/flipped/resolve/{COMMIT}/model.safetensors"
    ]
    cached.resolve().write_bytes(data)
    hub.files.pop("acme/flipped")
    error, message = client.run(script)
    assert error == "CheckpointError"
    assert re.search(
        r"model\.safetensors has sha256 [0-9a-f]{64}, expected [0-9a-f]{64}\nThe file is damaged, and could not be "
        r"fetched again from the Hub repository 'acme/flipped': ",
        message,
    )


def test_a_bound_on_the_whole_wait(hub: Hub, tmp_path: Path) -> None:
    """The client's own timeouts are of single reads: a byte now and then is no silence to it."""
    with Client(hub.url, tmp_path, SMP_HUB_TIMEOUT="1.5") as client:
        client.run("build(classes=2).push_to_hub('acme/slow', token='hf_write')\nresult = None")
        hub.faults["model.safetensors"] = [Fault(after=500, pause=20.0)]
        for call in ("smp_core.from_pretrained('acme/slow')", "smp_core.create('toy', 'toy_encoder', {})"):
            started = time.monotonic()
            weights = "encoder_weights='hf-hub:acme/slow'"
            error, message = client.run(f"result = attempt(lambda: {call.format(weights)})")
            assert time.monotonic() - started < 10
            assert error in ("CheckpointError", "WeightsError")
            assert "not there within 1.5 s, as long as SMP_HUB_TIMEOUT says to wait" in message


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan"])
def test_a_bound_that_is_none(monkeypatch, value: str) -> None:
    monkeypatch.setenv("SMP_HUB_TIMEOUT", value)
    message = f"environment variable SMP_HUB_TIMEOUT is {value!r}; expected seconds, above 0"
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        Wait()


def test_waiting_is_not_silent(monkeypatch, caplog) -> None:
    monkeypatch.setattr(hub_source, "_TELL_EVERY", 0.05)
    assert Wait().run(lambda: time.sleep(0.2) or 3, "a file") == 3
    assert "waiting for a file for 0 s; SMP_HUB_TIMEOUT=<seconds> sets a bound" in caplog.text
    with pytest.raises(KeyError, match="missing"):
        Wait().run(lambda: {}["missing"], "a file")
