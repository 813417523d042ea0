"""Saved models: round trips, SMP's format, checkpoints without memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from samples import TINY_PYRAMIDS, TINY_TRANSFORMERS

import smp_core
from smp_core.layers import filling

NAMES = (*TINY_PYRAMIDS, *TINY_TRANSFORMERS)


def model_of(arch: str, name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    model = smp_core.create(arch, f"tu-{name}", encoder_weights=None, classes=2, **options).eval()
    for item in model.buffers():
        if item.is_floating_point():
            item.data.add_(0.1 * torch.rand_like(item))  # running statistics other than at the start
    return model


def same(model: Any, other: Any) -> None:
    assert {*model.state_dict()} == {*other.state_dict()}
    for key, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key
    x = torch.randn(1, 3, 60, 80)
    with torch.no_grad():
        torch.testing.assert_close(other(x), model(x), atol=1e-4, rtol=1e-4)  # memory may be aligned otherwise


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name: str, tmp_path: Path) -> None:
    model = model_of("unet", name)
    model.save_pretrained(tmp_path)
    again = smp_core.from_pretrained(tmp_path)
    same(model, again)
    assert again.config == model.config
    assert json.loads((tmp_path / "config.json").read_text())["_smp_core"]["encoder"]["distribution"] == "smp-timm"


@pytest.mark.parametrize(
    ("arch", "name", "options"),
    [
        ("dpt", "test_vit", {"encoder_output_indices": [0, 1, 2, 3]}),
        ("unet", "test_convnext", {"encoder_depth": 3}),
        ("deeplabv3plus", "test_resnet", {}),
        ("linear", "test_vit3", {}),
        ("unet", "test_resnet", {"in_channels": 4}),
        ("unet", "test_coatnet", {"encoder_options": {"img_size": 96}}),
    ],
    ids=lambda item: str(item),
)
def test_round_trip_of_choices(arch: str, name: str, options: dict[str, Any], tmp_path: Path) -> None:
    model = model_of(arch, name, **options)
    if "in_channels" in options:
        model.save_pretrained(tmp_path)
        assert smp_core.from_pretrained(tmp_path).encoder.in_channels == 4
        return
    model.save_pretrained(tmp_path)
    same(model, smp_core.from_pretrained(tmp_path))


def test_a_tag_in_a_name_is_saved(tmp_path: Path) -> None:
    model = model_of("unet", "test_resnet.r160_in1k")
    model.save_pretrained(tmp_path)
    again = smp_core.from_pretrained(tmp_path)
    same(model, again)
    assert again.config["encoder_name"] == "tu-test_resnet.r160_in1k"


def test_loading_initialises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of the file take the place of parameters without memory."""
    for name in ("test_resnet", "test_vit"):
        model_of("unet", name).save_pretrained(tmp_path)
        filled: list[Any] = []
        real = filling.NoFilling.__torch_function__

        def watch(
            mode: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None, real: Any = real, filled: Any = filled
        ) -> Any:
            if func in filling._FILLING and args and isinstance(args[0], torch.Tensor) and not args[0].is_meta:
                filled.append(func)
            return real(mode, func, types, args, kwargs)

        monkeypatch.setattr(filling.NoFilling, "__torch_function__", watch)
        smp_core.from_pretrained(tmp_path)
        monkeypatch.undo()
        assert filled == []


# --- SMP's format: the keys of SMP's own encoders, at the same depth


@pytest.mark.parametrize(
    ("name", "depth", "more", "less"),
    [
        ("test_resnet", 3, (), ("layer3.", "layer4.")),
        ("test_convnext", 3, (), ("stages_2.", "stages_3.")),
        ("test_efficientnet", 3, ("blocks.3.", "blocks.4."), ()),
        ("test_vit", 4, ("norm.weight", "head.weight"), ()),
    ],
)
def test_smp_s_format(name: str, depth: int, more: tuple[str, ...], less: tuple[str, ...], tmp_path: Path) -> None:
    """Strict: what SMP builds at a depth, and nothing besides."""
    arch, options = ("dpt", {}) if name == "test_vit" else ("unet", {"decoder_channels": (64, 32, 16)})
    model = model_of(arch, name, encoder_depth=depth, **options)
    model.save_pretrained(tmp_path, format="smp")
    keys = {*load_file(tmp_path / "model.safetensors")}
    for prefix in more:
        assert any(key.startswith(f"encoder.model.{prefix}") for key in keys), prefix
    for prefix in less:
        assert not any(key.startswith(f"encoder.model.{prefix}") for key in keys), prefix
    assert {*model.state_dict()} <= keys
    same(model, smp_core.from_pretrained(tmp_path))


def test_a_config_of_smp_s_with_options_of_timm_s_is_read(tmp_path: Path) -> None:
    """SMP passes any keyword that it does not know on to timm, and writes it down beside the others."""
    model = model_of("dpt", "test_vit")
    model.save_pretrained(tmp_path, format="smp")
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config.pop("_smp_core", None)
    path.write_text(json.dumps({**config, "dynamic_img_size": True, "drop_path_rate": 0.25}))
    again = smp_core.from_pretrained(tmp_path)
    same(model, again)
    assert dict(again.blueprint.encoder_options) == {"dynamic_img_size": True, "drop_path_rate": 0.25}
