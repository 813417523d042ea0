"""The real client of the Hugging Face Hub, in a process of its own that speaks to one endpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_HELPERS = Path(__file__).resolve().parent

# The client reads HF_ENDPOINT once, when it is imported: hence another process. It runs one script a line.
_LOOP = """
import json, sys, time
import torch
import smp_core
from smp_core import registry
from smp_core.registry.discovery import LoadedPlugin, PluginRecord
from smp_core.plugin import WeightsSpec
from toy_models import ToyEncoder, architecture_spec, encoder_spec, randomise

slept = []
time.sleep = slept.append  # the client waits longer and longer before it tries again

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
    slept.clear()
    space = dict(globals())
    exec(json.loads(line), space)
    print("answer:" + json.dumps(space["result"]), flush=True)
"""


class Client:
    """A process that speaks to one endpoint, until the end of the block.

    Args:
        endpoint: URL of the hub.
        folder: for the cache and a log.
        **variables: of its environment, beyond.
    """

    def __init__(self, endpoint: str, folder: Path, **variables: str) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING", "SMP_"))}
        path = os.pathsep.join((str(_HELPERS), os.environ.get("PYTHONPATH", "")))
        self.home = folder / "home"
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _LOOP],
            env={**kept, "HF_ENDPOINT": endpoint, "HF_HOME": str(self.home), "PYTHONPATH": path, **variables},
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

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=60)
        self.log.close()
