"""A small model that is saved once, pictures of every kind, and ways to run the command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import smp_core
from smp_cli.app import app
from smp_core.inputs import Preprocessing

Run = Callable[..., Any]


@pytest.fixture
def run() -> Run:
    """Run ``smp`` in this process: ``run("list", "encoders")``."""

    def invoke(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="smp")

    return invoke


@pytest.fixture
def smp() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``smp`` as a process of its own, with additions to the environment."""

    def invoke(*arguments: object, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "smp_cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, **(environment or {})},
            check=False,
            timeout=300,
        )

    return invoke


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output is for a person, on a wide terminal."""
    for module in ("tables", "console"):
        monkeypatch.setattr(f"smp_cli.{module}.is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def sections() -> Callable[[str], dict[str, dict[str, str]]]:
    """Reads what ``smp show`` prints into a pipe: rows by title and label."""

    def read(text: str) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        title = ""
        for line in text.splitlines():
            if line.startswith("  "):
                label, _, value = line.strip().partition(": ")
                found[title][label] = value
            elif line:
                title = line
                found[title] = {}
        return found

    return read


def build_model(in_channels: int = 1, classes: int = 1, **options: Any) -> smp_core.SegmentationModel:
    """A small Unet that gives about half of the test picture to each class; for several classes, some to each."""
    torch.manual_seed(3)
    model = smp_core.create(
        "unet",
        "resnet18",
        encoder_weights=None,
        encoder_depth=2,
        decoder_channels=(16, 8),
        in_channels=in_channels,
        classes=classes,
        **options,
    )
    with torch.no_grad():
        for _ in range(5):
            model(torch.randn(4, in_channels, 32, 32))
        bands = _pixels()[..., [band % 4 for band in range(in_channels)]].transpose(2, 0, 1)
        x = (torch.from_numpy(bands.astype(np.float32) / 255)[None] - 0.5) / 0.25
        head = model.eval().segmentation_head[0]
        head.bias -= head(model.decoder(model.encoder(x))).flatten(2).median(dim=2).values[0]
    return model


@pytest.fixture
def small_model() -> smp_core.SegmentationModel:
    """The model that `save_model` saves by default."""
    return build_model()


@pytest.fixture(scope="session")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Build and save a model, once for each set of arguments."""
    known: dict[str, Path] = {}

    def save(preprocessed: bool = True, **arguments: Any) -> Path:
        key = repr((preprocessed, sorted(arguments.items())))
        if key not in known:
            model = build_model(**arguments)
            if preprocessed:
                channels = arguments.get("in_channels", 1)
                model.preprocessing = Preprocessing(mean=(0.5,) * channels, std=(0.25,) * channels)
            known[key] = model.save_pretrained(tmp_path_factory.mktemp("model"))
        return known[key]

    return save


@pytest.fixture
def pixels() -> np.ndarray[Any, Any]:
    """(37, 53, 4) bytes: odd sizes, soft shapes."""
    return _pixels()


def _pixels() -> np.ndarray[Any, Any]:
    rows, columns = np.mgrid[0:37, 0:53]
    bands = [np.sin(rows / (4 + k)) * np.cos(columns / (5 + k)) for k in range(4)]
    return np.rint((np.stack(bands, axis=2) + 1) * 127.5).astype(np.uint8)


@pytest.fixture
def picture(tmp_path: Path, pixels: np.ndarray[Any, Any]) -> Path:
    """An 8-bit grey PNG."""
    path = tmp_path / "cells.png"
    Image.fromarray(pixels[..., 0]).save(path)
    return path
