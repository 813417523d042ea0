"""Encoders of every kind: shapes, sizes, channels, depths, what is refused."""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest
import timm_checks as check
import torch
from samples import EVERY, PYRAMIDS, TINY_PYRAMIDS, TINY_TRANSFORMERS, TRANSFORMERS, long_ones_slow

import smp_core
from smp_core.errors import IncompatibleError, OptionError, PluginError
from smp_timm import index


@functools.lru_cache(maxsize=1)
def built(name: str) -> Any:
    """In evaluation mode; the last one is kept."""
    return smp_core.create_encoder(f"tu-{name}", weights=None).eval()


def native(name: str) -> tuple[int, int]:
    facts = index.find(name)
    assert facts is not None
    return facts.input_size


@pytest.mark.parametrize("name", long_ones_slow(EVERY))
def test_what_is_built_is_what_is_declared(name: str) -> None:
    check.structure(f"tu-{name}")


SIZES = ((224, 224), (256, 320), (250, 190), (37, 65), (1, 1))


@pytest.mark.parametrize("name", long_ones_slow(EVERY))
def test_features_of_images_of_any_size(name: str) -> None:
    small = name.startswith("test_")
    for size in (native(name), *SIZES) if small else (native(name), *SIZES[3:]):
        check.true_to_declaration(built(name), *size)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EVERY if not name.startswith("test_")])
def test_features_of_images_of_all_sizes(name: str) -> None:
    for size in SIZES:
        check.true_to_declaration(built(name), *size)


@pytest.mark.parametrize("name", [*TINY_PYRAMIDS, *TINY_TRANSFORMERS])
@pytest.mark.parametrize("in_channels", [1, 2, 4, 13])
def test_input_channels(name: str, in_channels: int) -> None:
    encoder = smp_core.create_encoder(f"tu-{name}", weights=None, in_channels=in_channels).eval()
    assert encoder.in_channels == in_channels
    check.true_to_declaration(encoder, 48, 70, in_channels)


@pytest.mark.parametrize("name", long_ones_slow(PYRAMIDS))
def test_the_first_feature(name: str) -> None:
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        first = built(name)(x)[0]
    is_image = first.shape == x.shape and torch.equal(first, x)
    assert is_image is not built(name).full_resolution
    assert built(name).full_resolution is (name == "sedarknet21")


@pytest.mark.parametrize("name", long_ones_slow(TRANSFORMERS))
def test_prefix_tokens(name: str) -> None:
    with torch.no_grad():
        features, tokens = built(name)(torch.randn(2, 3, 40, 56))
    assert len(features) == len(tokens) == 6
    facts = index.find(name)
    assert facts is not None
    assert built(name).num_prefix_tokens == facts.prefix_tokens
    assert {item.shape for item in tokens} == {(2, facts.prefix_tokens, facts.channels[0])}


def test_a_batch_is_images_side_by_side() -> None:
    for name in (*TINY_PYRAMIDS, *TINY_TRANSFORMERS):
        x = torch.randn(2, 3, 50, 60)
        with torch.no_grad():
            both = check.features(built(name), x)
            last = check.features(built(name), x[1:])
        for one, other in zip(both, last, strict=True):
            torch.testing.assert_close(one[1:], other, atol=1e-4, rtol=1e-4)


# --- sizes that a model does not take by itself


def test_what_is_padded_gives_what_the_padded_image_gives() -> None:
    x = torch.randn(1, 3, 50, 60)
    padded = torch.nn.functional.pad(x, [0, 4, 0, 14])  # test_convnext: 32
    with torch.no_grad():
        small, large = built("test_convnext")(x)[1:], built("test_convnext")(padded)[1:]
    for one, other in zip(small, large, strict=True):
        torch.testing.assert_close(one, other[:, :, : one.shape[2], : one.shape[3]])


def test_an_image_of_its_own_size_is_left_as_it_is() -> None:
    """What a fixed model gives for that is what timm's own model gives, bit by bit."""
    encoder = built("test_coatnet")
    x = torch.randn(1, 3, *native("test_coatnet"))
    with torch.no_grad():
        found, wanted = encoder(x)[1:], encoder.model(x)
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


def test_features_with_the_channels_last_are_turned() -> None:
    encoder = built("test_mambaout")
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        found, wanted = encoder(x)[1:], encoder.model(x)
    assert [item.shape[-1] for item in wanted] == list(encoder.out_channels[1:])
    assert all(torch.equal(one, other.permute(0, 3, 1, 2)) for one, other in zip(found, wanted, strict=True))


# --- depth


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "sequencer2d_s", "dla46_c"])
def test_less_deep_is_the_beginning(name: str) -> None:
    """The same features, of as many parameters as these take, all of which get a gradient."""
    full = built(name)
    x = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        wanted = full(x)
    spec = smp_core.describe(f"tu-{name}").spec
    for depth in range(spec.min_depth, spec.max_depth):
        encoder = smp_core.create_encoder(f"tu-{name}", weights=None, depth=depth).eval()
        encoder.load_state_dict(full.state_dict())
        found = encoder(x)
        assert len(found) == len([item for item in full.reductions if item <= 2**depth])
        for one, other in zip(found, wanted, strict=False):
            torch.testing.assert_close(one, other)
        torch.stack([item.square().mean() for item in found[1:]]).sum().backward()
        assert [key for key, item in encoder.named_parameters() if item.grad is None] == []


@pytest.mark.parametrize(
    ("name", "depth", "message"),
    [
        ("convnext_atto", 1, "takes depth 2..5, not 1"),
        ("crossvit_tiny_240", 3, "takes depth 4..5, not 3"),
        ("efficientvit_m0", 7, "takes depth 4..6, not 7"),
        ("test_vit", 7, "takes depth 1..6, not 7"),
    ],
)
def test_depths_that_a_model_does_not_have(name: str, depth: int, message: str) -> None:
    with pytest.raises(IncompatibleError, match=f"encoder 'tu-{name}' {message}"):
        smp_core.create_encoder(f"tu-{name}", weights=None, depth=depth)


# --- dilation


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
@pytest.mark.parametrize("stride", [8, 16])
def test_output_strides(name: str, stride: int) -> None:
    encoder = smp_core.create_encoder(f"tu-{name}", weights=None, output_stride=stride).eval()
    assert max(encoder.reductions) == stride
    check.true_to_declaration(encoder, 70, 100)
    encoder.load_state_dict(built(name).state_dict())


@pytest.mark.parametrize("name", ["test_mambaout", "test_maxvit", "swin_tiny_patch4_window7_224", "ghostnetv3_050"])
@pytest.mark.parametrize(("arch", "stride"), [("deeplabv3", 8), ("deeplabv3plus", 16)])
def test_a_model_that_cannot_be_dilated_is_refused(name: str, arch: str, stride: int) -> None:
    message = f"architecture '{arch}' asks for output stride {stride}; encoder 'tu-{name}' cannot be dilated"
    with pytest.raises(IncompatibleError, match=message):
        smp_core.create(arch, f"tu-{name}", encoder_weights=None)
    assert not smp_core.compatible(arch, f"tu-{name}")


# --- architectures that know nothing of the family


@pytest.mark.parametrize("name", ["test_vit", "test_vit_relpos", "crossvit_tiny_240", "efficientvit_m0"])
@pytest.mark.parametrize("arch", ["unet", "deeplabv3plus"])
def test_plain_transformers_and_odd_reductions_under_a_neck(name: str, arch: str) -> None:
    model = smp_core.create(arch, f"tu-{name}", encoder_weights=None, classes=2).eval()
    assert model.blueprint.neck is not None or arch == "unet"
    with torch.no_grad():
        assert model(torch.randn(1, 3, 75, 93)).shape == (1, 2, 75, 93)


@pytest.mark.parametrize("name", TINY_TRANSFORMERS)
def test_plain_transformers_under_what_takes_them(name: str) -> None:
    for arch in ("dpt", "linear"):
        model = smp_core.create(arch, f"tu-{name}", encoder_weights=None).eval()
        assert model.blueprint.neck is None
        with torch.no_grad():
            assert model(torch.randn(1, 3, 75, 93)).shape == (1, 1, 75, 93)


# --- which blocks


def test_the_blocks_by_default() -> None:
    for depth, wanted in ((1, [5]), (2, [2, 5]), (3, [1, 3, 5]), (4, [0, 2, 3, 5]), (6, [0, 1, 2, 3, 4, 5])):
        assert smp_core.create_encoder("tu-test_vit", weights=None, depth=depth).indices == wanted


def test_negative_indices_count_from_the_end() -> None:
    for indices, wanted in (([-1, -6, 2, 3], [0, 2, 3, 5]), ([-2], [4]), ([0], [0])):
        encoder = smp_core.create_encoder("tu-test_vit", weights=None, depth=len(indices), output_indices=indices)
        assert encoder.indices == wanted


def test_later_blocks_are_not_built() -> None:
    encoder = smp_core.create_encoder("tu-test_vit", weights=None, depth=2, output_indices=[0, 2])
    assert len(encoder.model.blocks) == 3
    assert not [key for key in encoder.state_dict() if "head" in key or key.startswith("model.norm")]


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0, 1, 2, 6], r"timm's 'test_vit' has 6 blocks; expected output indices in -6\.\.5, got \[6\]"),
        ([-7, 1, 2, 8], r"expected output indices in -6\.\.5, got \[-7, 8\]"),
        ([0, 0, 1, 2], r"timm's 'test_vit': the output indices \[0, 0, 1, 2\] name a block twice"),
        ([0, -6, 1, 2], r"the output indices \[0, -6, 1, 2\] name a block twice"),
    ],
)
def test_wrong_output_indices(indices: list[int], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        smp_core.create("dpt", "tu-test_vit", encoder_weights=None, encoder_output_indices=indices)


# --- what a model does not take


def test_a_model_that_takes_three_channels_alone() -> None:
    message = "timm's 'csatv2' takes images of 3 channels alone, got in_channels=4"
    with pytest.raises(OptionError, match=message):
        smp_core.create("unet", "tu-csatv2", encoder_weights=None, in_channels=4)
    assert math.prod(built("csatv2").reductions) > 1


def test_a_model_that_the_installed_timm_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    monkeypatch.setattr(timm, "is_model", lambda _: False)
    message = rf"timm {timm.__version__} has no model 'test_vit'; a newer one may: pip install -U timm"
    with pytest.raises(PluginError, match=message):
        smp_core.create_encoder("tu-test_vit", weights=None)
