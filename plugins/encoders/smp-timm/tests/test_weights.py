"""Pretrained weights: as timm publishes them, from a hub and from files, in every spelling."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from hub_client import Client
from hub_server import Hub
from safetensors.torch import save, save_file
from torch import Tensor

import smp_core
from smp_core.errors import OptionError, WeightsError


def trained(name: str, **options: Any) -> Any:
    """A whole timm model, its classifier included, none of whose tensors is what initialisation makes it."""
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, **options).eval()
    with torch.no_grad():
        for tensor in model.state_dict().values():  # not tables that are computed, and not saved
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.rand_like(tensor))
    return model


def wanted(name: str, model: Any, x: Tensor, blocks: list[int] | None) -> list[Tensor]:
    """What timm itself gives for these weights; of a transformer, the outputs of some blocks."""
    with torch.no_grad():
        if blocks is not None:
            return list(model.forward_intermediates(x, indices=blocks, norm=False, intermediates_only=True))
        features = timm.create_model(name, pretrained=False, features_only=True).eval()
        whole = plain(model)
        features.load_state_dict({key: whole[key.replace(".", "_")] for key in features.state_dict()})
        return list(features(x))


def expect(encoder: Any, name: str, model: Any) -> None:
    """The encoder gives what the whole timm model gives."""
    x = torch.randn(1, 3, 160, 160)
    encoder.eval()
    with torch.no_grad():
        output = encoder(x)
    blocks = encoder.indices if getattr(encoder, "tokens", False) else None
    found = output[1:] if blocks is None else output[0]
    for one, other in zip(found, wanted(name, model, x, blocks), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4 * other.abs().max().item(), rtol=0)


def plain(model: Any) -> dict[str, Tensor]:
    """The tensors of a whole timm model, by names that do not depend on whether it is cut into stages."""
    return {key.replace(".", "_"): value for key, value in model.state_dict().items()}


def written(path: Path, state: Mapping[str, Tensor]) -> str:
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    return str(path)


# --- files

NAMES = ("test_resnet", "test_convnext", "test_efficientnet", "test_vit", "test_vit_relpos")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_a_whole_model_of_timm_s(name: str, tmp_path: Path) -> None:
    model = trained(name)
    path = written(tmp_path / "model.safetensors", model.state_dict())
    expect(smp_core.create_encoder(f"tu-{name}", weights=path), name, model)
    whole = plain(model)
    for arch in ("unet", "linear"):
        inside = smp_core.create(arch, f"tu-{name}", encoder_weights=path).encoder
        for key, value in getattr(inside, "encoder", inside).state_dict().items():
            assert torch.equal(value, whole[key.removeprefix("model.").replace(".", "_")])


@pytest.mark.parametrize("prefix", ["", "model.", "encoder.model.", "module.", "backbone."])
@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit"])
def test_prefixes(name: str, prefix: str, tmp_path: Path) -> None:
    """``model.`` is that of segmentation_models_pytorch's encoders, ``encoder.model.`` that of its models."""
    model = trained(name)
    state = {f"{prefix}{key}": value for key, value in model.state_dict().items()}
    if prefix.startswith("encoder."):
        state |= {"decoder.blocks.0.conv.weight": torch.ones(1), "segmentation_head.0.bias": torch.ones(1)}
    path = written(tmp_path / "model.safetensors", state)
    expect(smp_core.create_encoder(f"tu-{name}", weights=path), name, model)


@pytest.mark.parametrize("prefix", ["", "model.", "encoder.model."])
def test_the_spelling_of_a_model_that_is_cut_into_stages(prefix: str, tmp_path: Path) -> None:
    """timm writes ``stages_0`` for the ``stages.0`` of the whole model."""
    model = trained("test_convnext")
    cut = timm.create_model("test_convnext", pretrained=False, features_only=True)
    whole = plain(model)
    state = {f"{prefix}{key}": whole[key.replace(".", "_")] for key in cut.state_dict()}
    assert f"{prefix}stages_0.blocks.0.conv_dw.weight" in state
    path = written(tmp_path / "model.safetensors", state)
    expect(smp_core.create_encoder("tu-test_convnext", weights=path), "test_convnext", model)


def test_a_model_that_hooks_read_from(tmp_path: Path) -> None:
    model = trained("pit_ti_224")
    path = written(tmp_path / "model.safetensors", model.state_dict())
    encoder = smp_core.create_encoder("tu-pit_ti_224", weights=path)
    assert torch.equal(encoder.model.body.patch_embed.conv.weight, model.patch_embed.conv.weight)
    assert encoder.first_convolution == "model.body.patch_embed.conv"


@pytest.mark.parametrize("depth", [1, 3])
def test_weights_of_what_is_not_built_are_left_out(depth: int, tmp_path: Path) -> None:
    for name in ("test_resnet", "test_efficientnet", "test_vit"):
        model = trained(name)
        path = written(tmp_path / "model.safetensors", model.state_dict())
        encoder = smp_core.create_encoder(f"tu-{name}", weights=path, depth=depth)
        whole = plain(model)
        for key, value in encoder.state_dict().items():
            assert torch.equal(value, whole[key.removeprefix("model.").replace(".", "_")])


def test_the_final_norm_is_loaded_where_it_is_applied(tmp_path: Path) -> None:
    model = trained("test_vit")
    path = written(tmp_path / "model.safetensors", model.state_dict())
    encoder = smp_core.create_encoder("tu-test_vit", weights=path, options={"feature_norm": True})
    assert torch.equal(encoder.model.norm.weight, model.norm.weight)


def test_position_embeddings_of_another_size_are_resampled(tmp_path: Path) -> None:
    from timm.layers import resample_abs_pos_embed

    model = trained("test_vit", img_size=96)
    path = written(tmp_path / "model.safetensors", model.state_dict())
    encoder = smp_core.create_encoder("tu-test_vit", weights=path)
    prefix = model.num_prefix_tokens
    resampled = resample_abs_pos_embed(model.pos_embed, (10, 10), (6, 6), num_prefix_tokens=prefix)
    torch.testing.assert_close(encoder.model.pos_embed, resampled)
    assert torch.equal(encoder.model.blocks[0].attn.qkv.weight, model.blocks[0].attn.qkv.weight)
    # In the spelling of an encoder, too; and to a size that a user chooses: that of the file.
    path = written(tmp_path / "encoder.safetensors", {f"model.{key}": item for key, item in model.state_dict().items()})
    encoder = smp_core.create_encoder("tu-test_vit", weights=path)
    torch.testing.assert_close(encoder.model.pos_embed, resampled)
    encoder = smp_core.create_encoder("tu-test_vit", weights=path, options={"img_size": 96})
    assert torch.equal(encoder.model.pos_embed, model.pos_embed)


# --- channels


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit"])
@pytest.mark.parametrize("in_channels", [1, 4])
def test_other_channels_are_fitted(name: str, in_channels: int, tmp_path: Path) -> None:
    model = trained(name)
    path = written(tmp_path / "model.safetensors", model.state_dict())
    encoder = smp_core.create_encoder(f"tu-{name}", weights=path, in_channels=in_channels)
    first = encoder.get_submodule(encoder.first_convolution).weight
    convolution = {"test_resnet": "conv1.0", "test_convnext": "stem.0", "test_vit": "patch_embed.proj"}[name]
    weight = model.get_submodule(convolution).weight
    assert first.shape[1] == in_channels
    expected = weight.sum(1, keepdim=True) if in_channels == 1 else weight[:, [0, 1, 2, 0]] * (3 / 4)
    torch.testing.assert_close(first, expected)


def test_weights_of_four_channels(tmp_path: Path) -> None:
    model = trained("test_vit", in_chans=4)
    path = written(tmp_path / "model.safetensors", model.state_dict())
    encoder = smp_core.create_encoder("tu-test_vit", weights=path, in_channels=4)
    assert torch.equal(encoder.model.patch_embed.proj.weight, model.patch_embed.proj.weight)
    with pytest.raises(
        WeightsError, match="were trained on 4 input channels, and the encoder 'tu-test_vit' is to have"
    ):
        smp_core.create_encoder("tu-test_vit", weights=path)


# --- what does not belong


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit"])
def test_a_key_that_does_not_belong_is_named(name: str, tmp_path: Path) -> None:
    state = {**trained(name).state_dict(), "acme.weight": torch.ones(2)}
    path = written(tmp_path / "model.safetensors", state)
    with pytest.raises(WeightsError, match=rf"do not fit encoder 'tu-{name}': (?s:.)*Unexpected key.*\"acme\.weight\""):
        smp_core.create_encoder(f"tu-{name}", weights=path)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_a_key_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    encoder = smp_core.create_encoder(f"tu-{name}", weights=None)
    state = encoder.state_dict()
    key = [*state][3]
    del state[key]
    path = written(tmp_path / "model.safetensors", state)
    with pytest.raises(WeightsError, match=rf"do not fit encoder 'tu-{name}': (?s:.)*Missing key.*\"{key}\""):
        smp_core.create_encoder(f"tu-{name}", weights=path)


@pytest.mark.parametrize(
    ("other", "prefix"),
    [("test_resnet", ""), ("test_resnet", "model."), ("test_vit", "module."), ("test_convnext", "")],
)
def test_weights_of_another_model(other: str, prefix: str, tmp_path: Path) -> None:
    """timm itself leaves a model at random then."""
    state = {f"{prefix}{key}": item for key, item in trained(other).state_dict().items()}
    path = written(tmp_path / "model.safetensors", state)
    for name in ("test_vit3", "test_efficientnet", "pit_ti_224"):
        with pytest.raises(WeightsError, match=f"do not fit encoder 'tu-{name}'"):
            smp_core.create_encoder(f"tu-{name}", weights=path)


def test_some_weights_are_not_enough(tmp_path: Path) -> None:
    state = trained("test_vit", img_size=96).state_dict()
    del state["blocks.3.attn.qkv.weight"]
    path = written(tmp_path / "model.safetensors", state)
    with pytest.raises(WeightsError, match=r'(?s)Missing key.*"model\.blocks\.3\.attn\.qkv\.weight"'):
        smp_core.create_encoder("tu-test_vit", weights=path)


def test_a_dict_that_is_loaded_is_left_as_it_is() -> None:
    state = trained("test_convnext").state_dict()
    before = {key: value.clone() for key, value in state.items()}
    smp_core.create_encoder("tu-test_convnext", weights=None).load_state_dict(state)
    assert state.keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in state.items())


# --- the hub


def script(name: str, weights: Any, **options: Any) -> str:
    """What an encoder's tensors sum up to, or the error, in a process that asks the hub of the test."""
    arguments = "".join(f", {key}={value!r}" for key, value in options.items())
    return (
        "smp_core.refresh()\n"
        f"result = attempt(lambda: digest(smp_core.create_encoder({name!r}, weights={weights!r}{arguments})))"
    )


def digest(encoder: Any) -> dict[str, float]:
    return {key: value.double().sum().item() for key, value in encoder.state_dict().items()}


def published(name: str, seed: int = 0) -> tuple[bytes, dict[str, float]]:
    """A file as timm publishes it, and what an encoder with its tensors sums up to."""
    model = trained(name)
    with torch.no_grad():
        next(model.parameters()).add_(seed)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    encoder = smp_core.create_encoder(f"tu-{name}", weights=None)
    encoder.load_state_dict(state)
    return save(state), digest(encoder)


def asked(hub: Hub) -> list[str]:
    return [item.removeprefix("GET ") for item in hub.requests if item.startswith("GET ") and "/resolve/" in item]


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit"])
def test_default_weights_by_every_name(hub: Hub, client: Client, name: str) -> None:
    content, expected = published(name)
    hub.files[f"timm/{name}.r160_in1k"] = {"model.safetensors": content}
    for weights in (True, "imagenet", "r160_in1k"):
        assert client.run(script(f"tu-{name}", weights)) == pytest.approx(expected)
    assert client.run(script(f"tu-{name}.r160_in1k", True)) == pytest.approx(expected)
    assert asked(hub) == [f"/timm/{name}.r160_in1k/resolve/main/model.safetensors"]


def test_a_tag_chooses_among_weights(hub: Hub, client: Client) -> None:
    found = {}
    for seed, tag in enumerate(("a1_in1k", "tv_in1k")):
        content, found[tag] = published("resnet18", seed)
        hub.files[f"timm/resnet18.{tag}"] = {"model.safetensors": content}
    assert client.run(script("tu-resnet18", True)) == pytest.approx(found["a1_in1k"])
    assert client.run(script("tu-resnet18", "tv_in1k")) == pytest.approx(found["tv_in1k"])
    assert client.run(script("tu-resnet18.tv_in1k", "imagenet")) == pytest.approx(found["tv_in1k"])


def test_a_repository_of_one_s_own(hub: Hub, client: Client) -> None:
    content, expected = published("test_vit", 3)
    hub.files["acme/mine"] = {"config.json": b"{}", "model.safetensors": content}
    assert client.run(script("tu-test_vit", "hf-hub:acme/mine")) == pytest.approx(expected)
    fitted = client.run(script("tu-test_vit", "hf-hub:acme/mine", in_channels=4))
    key = "model.patch_embed.proj.weight"
    assert {**fitted, key: 0} == pytest.approx({**expected, key: 0})
    assert fitted[key] != pytest.approx(expected[key])


def test_weights_that_are_not_there(hub: Hub, client: Client) -> None:
    kind, message = client.run(script("tu-test_nfnet", True))
    assert kind == "WeightsError"
    assert message.startswith(
        "weights 'r160_in1k' of encoder 'tu-test_nfnet' could not be fetched from the Hub repository "
        "'timm/test_nfnet.r160_in1k' (file 'model.safetensors', revision main): "
    )


def test_weights_that_are_in_no_repository() -> None:
    for name in ("tu-gcvit_tiny", "tu-gcvit_tiny.in1k", "tu-test_coatnet"):
        with pytest.raises(OptionError, match=f"encoder '{name}' has no pretrained weights; pass"):
            smp_core.create_encoder(name)
