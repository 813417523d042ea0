"""Whatever a ``config.json`` holds, loading gives the right model or an error of ours that people can read."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mutations import mutate, mutate_text, written
from outcomes import memory_limit, outcome, tally
from safetensors.torch import load_file

import smp_core

_PREPROCESSING = {"mean": [0.5] * 3, "std": [0.2] * 3, "input_space": "RGB", "input_range": [0, 1]}
_AUX = {"classes": 2, "pooling": "max", "dropout": 0.1, "activation": None}
_UNET = {"decoder_channels": (8, 8, 8), "encoder_depth": 3}
_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "unet": ("resnet18", {**_UNET, "decoder_attention_type": "scse", "aux_params": _AUX}),
    "unetplusplus": ("resnet18", {**_UNET, "decoder_use_norm": {"type": "batchnorm", "eps": 1e-3}}),
    "manet": ("resnet18", {**_UNET, "decoder_pab_channels": 8}),
    "linknet": ("resnet18", {"encoder_depth": 3}),
    "fpn": ("resnet18", {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32}),
    "pspnet": ("resnet18", {"psp_out_channels": 32}),
    "pan": ("resnet18", {"decoder_channels": 8}),
    "deeplabv3": ("resnet18", {"decoder_channels": 16}),
    "deeplabv3plus": ("resnet18", {"decoder_channels": 16}),
    "upernet": ("resnet18", {"decoder_channels": 16}),
    "segformer": ("resnet18", {"decoder_segmentation_channels": 16}),
    "linear": ("resnet18", {}),
    "dpt": ("tu-test_vit", {"encoder_depth": 1, "decoder_intermediate_channels": (16,), "decoder_fusion_channels": 16}),
}
_OF_SMP = "-of-smp"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Each architecture small, once as we save it and once without what SMP does not write."""
    base = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    for architecture, (encoder, options) in _MODELS.items():
        model = smp_core.create(
            architecture,
            encoder,
            encoder_weights=None,
            classes=2,
            activation="sigmoid",
            preprocessing=_PREPROCESSING,
            **options,
        )
        model.save_pretrained(base / architecture)
        if architecture != "dpt":  # names of timm's encoders are ours to spell
            shutil.copytree(base / architecture, base / f"{architecture}{_OF_SMP}")
            path = base / f"{architecture}{_OF_SMP}" / "config.json"
            config = json.loads(path.read_text())
            del config["_smp_core"]
            path.write_text(json.dumps(config))
    return sorted(base.iterdir())


def check_whole(folder: Path) -> None:
    """What was loaded is what the file holds, works, and can be written down."""
    model = smp_core.from_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    loaded = model.state_dict()
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(tensor, loaded[key]) for key, tensor in tensors.items())
    result = model.predict(torch.rand(1, model.blueprint.in_channels, 40, 33))
    mask = result[0] if isinstance(result, tuple) else result
    assert mask.shape[0] == 1
    assert mask.isfinite().all()
    config = json.loads(json.dumps(model.blueprint.to_config()))
    assert smp_core.Blueprint.from_config(config).options == model.blueprint.options


def _outcomes(folders: list[Path], seed: int, count: int) -> Iterator[tuple[str, object]]:
    draw = random.Random(seed)
    originals = {folder: (folder / "config.json").read_bytes() for folder in folders}
    configs = {folder: json.loads(data) for folder, data in originals.items()}
    try:
        for _ in range(count):
            folder = draw.choice(folders)
            if draw.random() < 0.05:
                data = mutate_text(draw, json.dumps(configs[folder]))
            else:
                data = written(mutate(draw, configs[folder]))
            (folder / "config.json").write_bytes(data)
            with memory_limit(2 << 30):
                found = outcome(lambda folder=folder: check_whole(folder))
            yield found, (folder.name, data)
    finally:
        for folder, data in originals.items():
            (folder / "config.json").write_bytes(data)


def test_configs(folders: list[Path]) -> None:
    tally(_outcomes(folders, seed=0, count=200))


@pytest.mark.robustness
@pytest.mark.parametrize("seed", range(1, 41))
def test_many_configs(folders: list[Path], seed: int) -> None:
    tally(_outcomes(folders, seed, count=500))


def test_unchanged_ones_are_right(folders: list[Path]) -> None:
    for folder in folders:
        check_whole(folder)
