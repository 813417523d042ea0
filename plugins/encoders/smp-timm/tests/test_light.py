"""Names, tags, licences and statistics of timm's models, without importing torch or timm."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

import smp_core
from smp_core.errors import UnknownEncoderError

_LOOK = """
import json, sys
import smp_core

wanted = json.loads(sys.argv[1])
names = smp_core.list_encoders(open_families=True)
found = {name: smp_core.describe(name) for name in wanted}
errors = {}
for name in ("tu-resnet43", "tu-resnet18.nope"):
    try:
        smp_core.describe(name)
    except smp_core.errors.UnknownEncoderError as error:
        errors[name] = str(error)
answer = {
    "listed": smp_core.list_encoders(),
    "open": [name for name in names if name.startswith("tu-")],
    "dilated": smp_core.list_encoders(provider="smp-timm", capability="dilation", open_families=True),
    "bare": smp_core.list_encoders(provider="smp-timm", weights=False, open_families=True),
    "names": {name: item.qualified_name for name, item in found.items()},
    "compatible": bool(smp_core.compatible("unet", "tu-resnet18")),
    "mean": smp_core.preprocessing("tu-vit_tiny_patch16_224").to_dict()["mean"],
    "errors": errors,
    "heavy": [name for name in ("torch", "timm", "torchvision", "numpy", "smp_timm.probing") if name in sys.modules],
}
print(json.dumps(answer))
"""
_WANTED = (
    "tu-resnet18",
    "tu-resnet18.a1_in1k",
    "timm-regnetx_002",
    "tu-vit_tiny_patch16_224",
    "smp-timm/tu-convnext_atto",
)


@pytest.fixture(scope="module")
def looked() -> Any:
    """What a fresh process finds out without importing anything heavy."""
    command = [sys.executable, "-W", "error", "-c", _LOOK, json.dumps(_WANTED)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def spec(name: str) -> Any:
    return smp_core.describe(name).spec


def test_nothing_heavy_is_imported(looked: Any) -> None:
    assert looked["heavy"] == []
    assert looked["compatible"]


def test_the_family_is_listed_where_it_is_asked_for(looked: Any) -> None:
    assert not [name for name in looked["listed"] if name.startswith(("tu-", "smp-timm/"))]
    assert len(looked["open"]) > 1300
    assert {"tu-resnet18", "tu-vit_small_patch14_dinov2", "tu-test_vit"} <= {*looked["open"]}
    assert not [name for name in looked["open"] if "." in name]  # the names with tags are countless
    assert "tu-test_resnet" in looked["dilated"]
    assert "tu-swin_tiny_patch4_window7_224" not in looked["dilated"]
    assert "tu-gcvit_tiny" in looked["bare"]


def test_what_names_mean(looked: Any) -> None:
    assert looked["names"] == {
        "tu-resnet18": "smp-timm/tu-resnet18",
        "tu-resnet18.a1_in1k": "smp-timm/tu-resnet18.a1_in1k",
        "timm-regnetx_002": "smp-timm/tu-regnetx_002",
        "tu-vit_tiny_patch16_224": "smp-timm/tu-vit_tiny_patch16_224",
        "smp-timm/tu-convnext_atto": "smp-timm/tu-convnext_atto",
    }


def test_preprocessing_is_that_of_the_default_weights(looked: Any) -> None:
    assert looked["mean"] == [0.5, 0.5, 0.5]
    assert spec("tu-vit_tiny_patch16_224").weights["augreg_in21k_ft_in1k"].mean == (0.5, 0.5, 0.5)
    assert spec("tu-resnet18").weights["a1_in1k"].mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("former", "today"),
    [
        ("tu-gluon_resnet18_v1b", "tu-resnet18.gluon_in1k"),
        ("tu-tf_efficientnet_b0_ns", "tu-tf_efficientnet_b0.ns_jft_in1k"),
        ("tu-efficientnet_b2a", "tu-efficientnet_b2"),
        ("tu-vit_base_patch16_224_sam", "tu-vit_base_patch16_224"),  # timm has no such weights any more
    ],
)
def test_what_timm_once_called_otherwise(former: str, today: str) -> None:
    with pytest.warns(DeprecationWarning, match=re.escape(f"{today!r}")):
        made = smp_core.blueprint("unet", former, encoder_weights=None)
    assert made.to_config()["encoder_name"] == today


# --- names that mean nothing


def test_a_model_that_there_is_not(looked: Any) -> None:
    # One of another depth is never taken for it.
    assert re.match(
        r"encoder 'tu-resnet43': smp-timm \S+ does not provide it; did you mean", looked["errors"]["tu-resnet43"]
    )


def test_weights_that_there_are_not(looked: Any) -> None:
    assert looked["errors"]["tu-resnet18.nope"].endswith(
        "timm's model 'resnet18' has no weights 'nope'; it has a1_in1k, a2_in1k, a3_in1k, fb_ssl_yfcc100m_ft_in1k, "
        "fb_swsl_ig1b_ft_in1k, gluon_in1k, tv_in1k"
    )


@pytest.mark.parametrize(
    "name", ["tu-", "tu-nope", "tu-resnet18 ", "tu-Resnet18", "tu-resnet43.a1_in1k", "smp-timm/resnet18"]
)
def test_names_that_mean_nothing(name: str) -> None:
    with pytest.raises(UnknownEncoderError, match=rf"encoder '{re.escape(name)}': smp-timm \S+ does not provide it; "):
        smp_core.describe(name)


@pytest.mark.parametrize("name", ["resnet43", "timm-foo", "TU-resnet18", "timm-vit_tiny_patch16_224"])
def test_names_that_are_not_the_family_s(name: str) -> None:
    with pytest.raises(UnknownEncoderError, match=f"unknown encoder '{name}'"):
        smp_core.describe(name)


def test_a_tag_without_a_name_is_named_as_wrong() -> None:
    with pytest.raises(UnknownEncoderError, match=r"timm's model 'resnet18' has no weights ''; it has a1_in1k"):
        smp_core.describe("tu-resnet18.")


# --- former names

FORMER = {
    "timm-regnetx_002": "tu-regnetx_002",
    "timm-regnety_320": "tu-regnety_320",
    "timm-res2net50_26w_4s": "tu-res2net50_26w_4s",
    "timm-res2next50": "tu-res2next50",
    "timm-resnest14d": "tu-resnest14d",
    "timm-gernet_s": "tu-gernet_s",
    "timm-mobilenetv3_small_075": "tu-tf_mobilenetv3_small_075",
    "timm-mobilenetv3_large_minimal_100": "tu-tf_mobilenetv3_large_minimal_100",
}


@pytest.mark.parametrize(("former", "today"), FORMER.items())
def test_former_names_mean_what_they_meant(former: str, today: str) -> None:
    assert smp_core.describe(former).spec.name == today
    assert spec(former).former_names == (former,)
    assert spec(former).out_channels == spec(today).out_channels
    assert spec(today).former_names == ()


def test_a_former_name_is_told_today_s() -> None:
    with pytest.warns(DeprecationWarning, match="'timm-regnetx_002' is a former name; write 'tu-regnetx_002'"):
        wanted = smp_core.blueprint("unet", "timm-regnetx_002", encoder_weights=None)
    assert wanted.to_config()["encoder_name"] == "tu-regnetx_002"


@pytest.mark.parametrize(
    ("name", "owner"), {"timm-skresnet18": "smp-sknet", "timm-efficientnet-b0": "smp-efficientnet"}.items()
)
def test_former_names_of_others_stay_theirs(name: str, owner: str) -> None:
    try:
        found = smp_core.describe(name).distribution
    except smp_core.errors.MissingPluginError as error:
        found = str(error).rpartition("pip install ")[2]
    assert found == owner


# --- weights


def test_a_tag_chooses_the_weights() -> None:
    every, one = spec("tu-resnet50"), spec("tu-resnet50.fb_swsl_ig1b_ft_in1k")
    assert {*one.weights} == {"fb_swsl_ig1b_ft_in1k", "imagenet"}
    assert one.default_weights == "fb_swsl_ig1b_ft_in1k"
    assert one.weights["imagenet"] == every.weights["fb_swsl_ig1b_ft_in1k"]
    assert one.weights["imagenet"].repo_id == "timm/resnet50.fb_swsl_ig1b_ft_in1k"
    assert one.out_channels == every.out_channels


def test_imagenet_is_what_smp_calls_the_default_weights() -> None:
    resnet = spec("tu-resnet18")
    assert resnet.default_weights == "a1_in1k"
    assert resnet.weights["imagenet"] == resnet.weights["a1_in1k"]
    # Even where these never saw ImageNet.
    assert spec("tu-vit_small_patch14_dinov2").weights["imagenet"].repo_id == "timm/vit_small_patch14_dinov2.lvd142m"


LICENSES = {
    "tu-resnet18.a1_in1k": "Apache-2.0",
    "tu-regnetx_002.pycls_in1k": "MIT",
    "tu-efficientvit_b0.r224_in1k": "Apache-2.0",
    "tu-convnextv2_atto.fcmae": "CC-BY-NC-4.0",
    "tu-vit_small_patch16_dinov3.lvd1689m": "dinov3-license",
    "tu-vit_base_patch16_rope_224.naver_in1k": "Apache-2.0",
    "tu-res2net50_26w_4s.in1k": None,
}


@pytest.mark.parametrize(("name", "license"), LICENSES.items())
def test_weights_have_licences_of_their_own(name: str, license: str | None) -> None:
    assert spec(name).weights["imagenet"].license == license
    assert spec(name).license == "Apache-2.0"  # timm's code


def test_weights_for_non_commercial_use_say_so() -> None:
    found: set[str | None] = set()
    for name in smp_core.list_encoders(provider="smp-timm", open_families=True):
        found |= {item.license for item in spec(name).weights.values()}
    assert {"CC-BY-NC-4.0", "dinov3-license", "fair-noncommercial-research-license"} <= found


def test_weights_in_no_repository_are_no_weights() -> None:
    for name in ("tu-gcvit_tiny", "tu-gcvit_tiny.in1k"):
        assert dict(spec(name).weights) == {}
        assert spec(name).default_weights is None
