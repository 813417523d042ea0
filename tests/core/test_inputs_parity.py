"""Preprocessing against segmentation_models_pytorch 0.6.0, which asks the Hub for the numbers that our specs hold."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import serve

from smp_core.errors import RegistryError
from smp_core.registry import describe

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(
        importlib.util.find_spec("segmentation_models_pytorch") is None,
        reason="the peer is installed in the parity session only",
    ),
]

# What the hub of the test says of each: every combination of colour order and range.
_CONFIGS = {
    "resnet18": {"input_space": "RGB", "input_range": [0, 1], "mean": [0.485, 0.456, 0.406], "std": [0.2, 0.3, 0.4]},
    "resnet34": {"input_space": "BGR", "input_range": [0, 1], "mean": [0.5, 0.4, 0.3], "std": [0.5, 0.25, 0.125]},
    "resnet50": {"input_space": "BGR", "input_range": [0, 255], "mean": [104, 117, 123], "std": [1, 1, 1]},
    "resnet101": {"input_space": "RGB", "input_range": [0, 255], "mean": [123.7, 116.8, 103.9], "std": [58, 57, 56]},
}

_SCRIPT = """
import json, sys
import numpy as np
import segmentation_models_pytorch as peer
from smp_core.inputs import Preprocessing

found = {}
pixels = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3))
for name in sys.argv[1:]:
    params = peer.encoders.get_preprocessing_params(name, "imagenet")
    theirs, ours = peer.encoders.get_preprocessing_fn(name, "imagenet"), Preprocessing.from_dict(params)
    pairs = {"uint8": (pixels.astype(np.uint8), {}), "floats in 0..255": (pixels.astype(np.float64), {"white": 255})}
    if params["input_range"] == [0, 1]:
        pairs["floats in 0..1"] = (pixels / 255, {})
    different = {
        key: float(np.abs(theirs(x) - ours(x, **options)).max() / np.abs(theirs(x)).max())
        for key, (x, options) in pairs.items()
    }
    found[name] = [params, ours.to_dict(), different]
print("answer:" + json.dumps(found))
"""


def test_the_same_numbers(tmp_path: Path) -> None:
    with serve() as hub:
        for name, config in _CONFIGS.items():
            try:
                weights = describe(name).spec.weights["imagenet"]
            except RegistryError:
                pytest.skip("needs smp-resnet")
            hub.files[weights.repo_id] = {}
            hub.files[f"{weights.repo_id}@{weights.revision}"] = {"config.json": json.dumps(config).encode()}
        variables = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path)}
        command = [sys.executable, "-c", _SCRIPT, *_CONFIGS]
        done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.partition("answer:")[2])
    assert found.keys() == _CONFIGS.keys()
    for name, (theirs, ours, different) in found.items():
        assert theirs == ours == _CONFIGS[name]
        assert all(value < 1e-6 for value in different.values()), (name, different)
