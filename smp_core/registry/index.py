"""Which first-party distribution owns which name.

The index lets an error say what to install, and it keeps these names safe: no other plugin can take them over.
A stranger's encoder of the same name stays reachable by its qualified name.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

ARCHITECTURES: dict[str, tuple[str, ...]] = {
    "smp-unet": ("unet",),
    "smp-unetplusplus": ("unetplusplus",),
    "smp-manet": ("manet",),
    "smp-linknet": ("linknet",),
    "smp-fpn": ("fpn",),
    "smp-pspnet": ("pspnet",),
    "smp-deeplabv3": ("deeplabv3", "deeplabv3plus"),
    "smp-pan": ("pan",),
    "smp-upernet": ("upernet",),
    "smp-segformer": ("segformer",),
    "smp-dpt": ("dpt",),
    "smp-linear": ("linear",),
}

ENCODERS: dict[str, tuple[str, ...]] = {
    "smp-resnet": (
        *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
        *("resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d"),
        *("resnext101_32x16d", "resnext101_32x32d", "resnext101_32x48d"),
    ),
    "smp-vgg": tuple(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")),
    "smp-densenet": ("densenet121", "densenet169", "densenet201", "densenet161"),
    "smp-mobilenet": ("mobilenet_v2",),
    "smp-mobileone": tuple(f"mobileone_s{size}" for size in range(5)),
    "smp-mit": tuple(f"mit_b{size}" for size in range(6)),
    "smp-dpn": ("dpn68", "dpn68b", "dpn92", "dpn98", "dpn107", "dpn131"),
    "smp-senet": (
        *("senet154", "se_resnet50", "se_resnet101", "se_resnet152"),
        *("se_resnext50_32x4d", "se_resnext101_32x4d"),
    ),
    "smp-inception": ("inceptionv4", "inceptionresnetv2"),
    "smp-xception": ("xception",),
    "smp-efficientnet": (
        *(f"efficientnet-b{size}" for size in range(8)),
        *(f"timm-efficientnet-b{size}" for size in range(9)),
        "timm-efficientnet-l2",
        *(f"timm-tf_efficientnet_lite{size}" for size in range(5)),
    ),
    "smp-sknet": ("timm-skresnet18", "timm-skresnet34", "timm-skresnext50_32x4d"),
}

NECKS: dict[str, tuple[str, ...]] = {
    "smp-necks": ("simple_pyramid", "resize_pyramid", "regrid"),
}

# Open families: the owner's resolver decides; a pattern only tells which distribution to ask or to install.
# The ``timm-`` names are former ones of segmentation_models_pytorch.
ENCODER_PATTERNS: dict[str, str] = {
    "tu-*": "smp-timm",
    **{f"timm-{family}*": "smp-timm" for family in ("gernet", "mobilenetv3", "regnet", "res2ne[tx]", "resnest")},
}

_ARCHITECTURE_OWNERS = {name: owner for owner, names in ARCHITECTURES.items() for name in names}
_NECK_OWNERS = {name: owner for owner, names in NECKS.items() for name in names}
_ENCODER_OWNERS = {name: owner for owner, names in ENCODERS.items() for name in names}


def architecture_owner(name: str) -> str | None:
    """The first-party distribution that owns an architecture name, or a class name in checkpoints, or None.

    The class names of first-party architectures are their names in upper and lower case ("UnetPlusPlus").
    """
    return _ARCHITECTURE_OWNERS.get(name.casefold())


def encoder_owner(name: str) -> str | None:
    """The first-party distribution that owns an encoder name, or None."""
    if name in _ENCODER_OWNERS:
        return _ENCODER_OWNERS[name]
    return next((owner for pattern, owner in ENCODER_PATTERNS.items() if fnmatchcase(name, pattern)), None)


def neck_owner(name: str) -> str | None:
    """The first-party distribution that owns the name of a neck, or None."""
    return _NECK_OWNERS.get(name)


def neck_names() -> tuple[str, ...]:
    """All names of necks that a first-party distribution owns."""
    return tuple(_NECK_OWNERS)


def architecture_names() -> tuple[str, ...]:
    """All architecture names that a first-party distribution owns."""
    return tuple(_ARCHITECTURE_OWNERS)


def encoder_names() -> tuple[str, ...]:
    """All encoder names that a first-party distribution owns, open families excepted."""
    return tuple(_ENCODER_OWNERS)
