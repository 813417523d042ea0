"""The Hugging Face Hub: the real client, in a process of its own, against a hub on the loopback interface."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import COMMIT, Hub, serve

pytest.importorskip("huggingface_hub")

_HELPERS = Path(__file__).resolve().parent.parent / "helpers"

# The client reads HF_ENDPOINT once, when it is imported: hence another process. It runs one script a line.
_LOOP = """
import json, sys, time
import torch
import smp_core
from smp_core import registry
from smp_core._discovery import LoadedPlugin, PluginRecord
from smp_core.plugin import WeightsSpec
from toy_models import ToyEncoder, architecture_spec, encoder_spec, randomise

time.sleep = lambda seconds: None  # the client waits longer and longer before it tries again

def install(**weights):
    spec = encoder_spec(weights=weights, default_weights=next(iter(weights), None))
    record = PluginRecord(distribution="acme-smp-toy", version="1.2.3", module="toy_models")
    loaded = LoadedPlugin(record=record, encoders={spec.name: spec}, architectures={"toy": architecture_spec()})
    registry._registry = registry.Registry([loaded])

def build(**options):
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None, **options)
    randomise(model)
    return model

def digest(module):
    return {name: tensor.double().sum().item() for name, tensor in module.state_dict().items()}

def attempt(function):
    try:
        return function()
    except smp_core.errors.SmpError as error:
        return [type(error).__name__, str(error)]

for line in sys.stdin:
    install()
    space = dict(globals())
    exec(json.loads(line), space)
    print("answer:" + json.dumps(space["result"]), flush=True)
"""


class Client:
    """A process that speaks to one endpoint."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING", "SMP_"))}
        path = os.pathsep.join((str(_HELPERS), os.environ.get("PYTHONPATH", "")))
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _LOOP],
            env={**kept, "HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "home"), "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def run(self, script: str) -> Any:
        """Run a script and return what it leaves in ``result``."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(script) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("answer:"):
                return json.loads(line.removeprefix("answer:"))
        self.log.seek(0)
        raise AssertionError(self.log.read())

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=60)
        self.log.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Hub]:
    with serve() as hub:
        yield hub


@pytest.fixture(scope="module")
def client(served: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    started = Client(served.url, tmp_path_factory.mktemp("client"))
    yield started
    started.close()


@pytest.fixture
def hub(served: Hub) -> Hub:
    """The hub, as empty as it started."""
    for held in (served.files, served.requests, served.created, served.tokens):
        held.clear()
    return served


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
    files = [f"/acme/pushed/resolve/main/{name}" for name in ("config.json", "model.safetensors")]
    assert [request for request in hub.requests if "/resolve/" in request] == [
        f"{method} {file}" for file in files for method in ("HEAD", "GET")
    ]


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


_WEIGHTS = """
from safetensors.torch import save
import pathlib
encoder = ToyEncoder()
randomise(encoder)
"""


def test_encoder_weights_are_fetched_once(hub: Hub, client: Client, tmp_path: Path) -> None:
    path = str(tmp_path / "weights")
    expected = client.run(
        f"{_WEIGHTS}pathlib.Path({path!r}).write_bytes(save(encoder.state_dict()))\nresult = digest(encoder)"
    )
    hub.files["acme/toy.imagenet"] = {"model.safetensors": Path(path).read_bytes()}
    script = f"""
install(imagenet=WeightsSpec(repo_id="acme/toy.imagenet", revision={COMMIT!r}))
model = smp_core.create("toy", "toy_encoder", encoder_depth=4)
result = [digest(model.encoder), digest(smp_core.create_encoder("toy_encoder"))]
"""
    assert client.run(script) == [expected, expected]
    gets = [request for request in hub.requests if request.startswith("GET /acme")]
    assert gets == [f"GET /acme/toy.imagenet/resolve/{COMMIT}/model.safetensors"]
    hub.requests.clear()
    assert client.run(script) == [expected, expected]
    assert hub.requests == []  # a commit never changes: what is cached is not asked for again


def test_encoder_weights_that_are_not_there(hub: Hub, client: Client) -> None:
    error, message = client.run(
        "install(imagenet=WeightsSpec(repo_id='acme/gone', filename='w.safetensors'))\n"
        "result = attempt(lambda: smp_core.create('toy', 'toy_encoder'))"
    )
    assert error == "WeightsError"
    assert message.startswith(
        "weights 'imagenet' of encoder 'toy_encoder' could not be fetched from the Hub repository 'acme/gone' "
        "(file 'w.safetensors', revision main): RepositoryNotFoundError: "
    )


def test_fetched_weights_are_verified(hub: Hub, client: Client) -> None:
    hub.files["acme/tampered"] = {"model.safetensors": b"something else"}
    error, message = client.run(
        f"install(imagenet=WeightsSpec(repo_id='acme/tampered', sha256={'a' * 64!r}))\n"
        "result = attempt(lambda: smp_core.create('toy', 'toy_encoder'))"
    )
    assert error == "WeightsError"
    assert re.search(rf"has sha256 [0-9a-f]{{64}}, expected {'a' * 64}; delete the file and try again$", message)


def test_an_unreachable_hub(tmp_path: Path) -> None:
    with socket.socket() as reserved:  # bound, but nobody listens
        reserved.bind(("127.0.0.1", 0))
        client = Client(f"http://127.0.0.1:{reserved.getsockname()[1]}", tmp_path)
        weights, model, push = client.run(
            f"install(imagenet=WeightsSpec(repo_id='acme/toy.imagenet', revision={COMMIT!r}))\n"
            "result = [attempt(lambda: smp_core.create('toy', 'toy_encoder')),\n"
            "          attempt(lambda: smp_core.from_pretrained('acme/model')),\n"
            "          attempt(lambda: build().push_to_hub('acme/model', token='hf_write'))]"
        )
        client.close()
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
        "'acme/model' is not a local folder, and could not be fetched from the Hub (revision main)"
    )
    assert push[0] == "CheckpointError"
    assert push[1].startswith("could not upload to the Hub repository 'acme/model': ")
