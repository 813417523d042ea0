"""Arguments of timm's models that users choose: ``encoder_options``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import timm_checks as check
import torch

import smp_core
from smp_core.errors import OptionError


def encoder(name: str, **options: Any) -> Any:
    return smp_core.create_encoder(f"tu-{name}", weights=None, options=options).eval()


# --- sizes


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("test_coatnet", 96),
        ("test_vit_relpos", (96, 128)),
        ("pit_ti_224", (96, 128)),
        ("test_maxvit", 96),
        ("test_vit", 96),
        ("swin_tiny_patch4_window7_224", 256),
    ],
)
def test_a_model_made_for_another_size_takes_images_of_any(name: str, size: int | tuple[int, int]) -> None:
    module = encoder(name, img_size=size)
    for image in ((96, 96), (50, 70)):
        check.true_to_declaration(module, *image)


def test_a_fixed_model_sees_images_at_the_size_that_was_chosen() -> None:
    seen = []
    module = encoder("test_coatnet", img_size=96)
    module.model.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[2:])))
    with torch.no_grad():
        module(torch.randn(1, 3, 50, 70))
    assert seen == [(96, 96)]


@pytest.mark.parametrize("size", [-3, 0, "big", (96,), 96.5])
def test_a_size_that_is_none(size: Any) -> None:
    for name in ("test_vit", "test_coatnet"):
        with pytest.raises(OptionError, match=r"img_size"):
            encoder(name, img_size=size)


# --- other arguments


def test_stochastic_depth() -> None:
    module = encoder("test_vit", drop_path_rate=0.5)
    rates = [layer.drop_prob for layer in module.modules() if type(layer).__name__ == "DropPath"]
    assert rates
    assert max(rates) == pytest.approx(0.5)
    assert encoder("test_resnet", drop_path_rate=0.2).reductions == (1, 2, 4, 8, 16, 32)


def test_the_final_norm_on_every_feature() -> None:
    plain, normed = encoder("test_vit"), encoder("test_vit", feature_norm=True)
    normed.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before, after = check.features(plain, x), check.features(normed, x)
    for one, other in zip(before, after, strict=True):
        wanted = normed.model.norm(one.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        torch.testing.assert_close(other, wanted)
    assert not hasattr(plain.model.norm, "weight")  # what is not applied is not built


def test_other_prefix_tokens() -> None:
    for options, number in (({"reg_tokens": 2}, 3), ({"class_token": False, "global_pool": "avg"}, 0)):
        module = encoder("test_vit", **options)
        with torch.no_grad():
            _, tokens = module(torch.randn(1, 3, 48, 64))
        assert module.num_prefix_tokens == number
        assert {item.shape[1] for item in tokens} == {number}
        model = smp_core.create("dpt", "tu-test_vit", encoder_weights=None, encoder_options=options).eval()
        with torch.no_grad():
            assert model(torch.randn(1, 3, 48, 64)).shape == (1, 1, 48, 64)


def test_options_are_saved(tmp_path: Path) -> None:
    options = {"img_size": (96, 128), "drop_path_rate": 0.1, "feature_norm": True}
    model = smp_core.create("unet", "tu-test_vit", encoder_weights=None, encoder_options=options).eval()
    model.save_pretrained(tmp_path)
    again = smp_core.from_pretrained(tmp_path)
    assert dict(again.blueprint.encoder_options) == options
    assert again.encoder.encoder.options == {"img_size": (96, 128), "drop_path_rate": 0.1}
    x = torch.randn(1, 3, 60, 80)
    with torch.no_grad():
        torch.testing.assert_close(again(x), model(x))


# --- what is wrong


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "test_vit",
            {"drop_path": 0.1},
            "encoder 'tu-test_vit' has no option 'drop_path'; did you mean 'drop_path_rate'",
        ),
        ("test_resnet", {"img_size": 96}, "encoder 'tu-test_resnet' has no option 'img_size'; it takes block, layers"),
        ("test_resnet", {"output_stride": 8}, "encoder 'tu-test_resnet' has no option 'output_stride'"),
        ("test_resnet", {"feature_norm": True}, "encoder 'tu-test_resnet' has no option 'feature_norm'"),
        ("test_vit", {"in_chans": 4}, "encoder 'tu-test_vit' has no option 'in_chans'"),
        ("test_vit", {"features_only": False}, "encoder 'tu-test_vit' has no option 'features_only'"),
    ],
    ids=str,
)
def test_an_option_that_there_is_not(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        encoder(name, **options)
    with pytest.raises(OptionError, match=re.escape(message)):
        smp_core.blueprint("unet", f"tu-{name}", encoder_weights=None, encoder_options=options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"weight_init": "no"},
            "{'weight_init': 'no'}: timm's 'test_vit' does not take these: AssertionError: assert ",
        ),
        ({"img_size": 7}, "{'img_size': 7}: timm's 'test_vit' does not take these: RuntimeError: cannot reshape"),
        ({"act_layer": "nope"}, "{'act_layer': 'nope'}: timm's 'test_vit' does not take these: KeyError: 'nope'"),
        ({"num_heads": 7}, "{'num_heads': 7}: timm's 'test_vit' does not take these: AssertionError: "),
    ],
    ids=str,
)
def test_a_value_that_timm_does_not_take(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(f"encoder_options={message}")):
        encoder("test_vit", **options)


@pytest.mark.parametrize(("name", "size"), [("test_vit", 7), ("test_coatnet", 100)])
def test_a_size_that_shows_when_it_runs(name: str, size: int) -> None:
    message = f"encoder_options={{'img_size': {size}}}: timm's {name!r} does not take these: RuntimeError: "
    with pytest.raises(OptionError, match=re.escape(message)):
        encoder(name, img_size=size)


@pytest.mark.parametrize("value", ["much", 1.0, -0.1, 2])
@pytest.mark.parametrize("name", ["drop_rate", "drop_path_rate"])
def test_a_rate_that_is_none(name: str, value: object) -> None:
    message = f"encoder_options: {name} must be a number of at least 0 and below 1, got {value!r}"
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        encoder("test_vit", **{name: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_size": 8}, r"\(64, 8, 6\) in place of \(64, 16, 6\)"),
        ({"embed_dim": 128}, r"\(128, 16, 6\) in place of \(64, 16, 6\)"),
    ],
    ids=str,
)
def test_an_option_that_makes_another_model_of_it(options: dict[str, Any], message: str) -> None:
    with pytest.raises(
        OptionError,
        match=rf"timm's 'test_vit' has \(channels, reductions\) {message}; take a model that has them by itself",
    ):
        encoder("test_vit", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"dynamic_img_size": False},
            "dynamic_img_size=False would bind timm's 'test_vit' to one size, and",
        ),
        ({"patch_drop_rate": 0.5}, "patch_drop_rate=0.5 leaves patches out, of which features are made; leave it out"),
    ],
    ids=str,
)
def test_an_option_with_which_there_are_no_features(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(f"encoder_options: {message}")):
        encoder("test_vit", **options)


def test_a_norm_is_applied_or_not() -> None:
    with pytest.raises(OptionError, match="feature_norm must be True or False, got 1"):
        encoder("test_vit", feature_norm=1)
