"""What SMP has and this has not, with what takes its place: asked for, it raises an error that says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smp_compat._errors import NotProvidedError

_BLOCKS = "its blocks are not SMP's: build on the whole decoder beside it, or on the layers of {}"
_PARTS = "build the whole encoder, smp_compat.encoders.get_encoder(name), or on timm's or torchvision's parts"

NOT_PROVIDED: dict[str, tuple[tuple[str, ...], str]] = {
    "base.hub_mixin": (
        ("MODEL_CARD", "SMPHubMixin", "supports_config_loading"),
        "every smp_core.SegmentationModel is saved and loaded without it",
    ),
    "base.model": (("SMPHubMixin",), "every smp_core.SegmentationModel is saved and loaded without it"),
    "base.modules": (("InPlaceABN",), "pass decoder_use_norm='inplace', with the package inplace_abn installed"),
    "datasets.oxford_pet": (
        ("TqdmUpTo", "download_url", "extract_archive"),
        "use smp_datasets.fetch and smp_datasets.extract, which verify what they fetch",
    ),
    "decoders.deeplabv3.decoder": (
        ("ASPP", "ASPPConv", "ASPPPooling", "ASPPSeparableConv", "SeparableConv2d"),
        _BLOCKS.format("smp_core.layers and smp_deeplabv3"),
    ),
    "decoders.dpt.decoder": (
        (
            *("DPTSegmentationHead", "FusionBlock", "ReadoutAddBlock", "ReadoutConcatBlock", "ReadoutIgnoreBlock"),
            *("ReassembleBlock", "ResidualConvBlock"),
        ),
        _BLOCKS.format("smp_dpt"),
    ),
    "decoders.dpt.model": (("DPTSegmentationHead",), "smp_dpt.head has it"),
    "decoders.fpn.decoder": (
        ("Conv3x3GNReLU", "FPNBlock", "MergeBlock", "SegmentationBlock"),
        _BLOCKS.format("smp_core.layers and smp_fpn"),
    ),
    "decoders.linknet.decoder": (("DecoderBlock", "TransposeX2"), _BLOCKS.format("smp_linknet")),
    "decoders.manet.decoder": (("DecoderBlock", "MFABBlock", "PABBlock"), _BLOCKS.format("smp_manet")),
    "decoders.pan.decoder": (("ConvBnRelu", "FPABlock", "GAUBlock"), _BLOCKS.format("smp_pan")),
    "decoders.pspnet.decoder": (("PSPBlock", "PSPModule"), _BLOCKS.format("smp_core.layers")),
    "decoders.segformer.decoder": (("MLP",), _BLOCKS.format("smp_segformer")),
    "decoders.unet.decoder": (("UnetCenterBlock", "UnetDecoderBlock"), "smp_core.layers.UnetBlock takes their place"),
    "decoders.unetplusplus.decoder": (("CenterBlock", "DecoderBlock"), "smp_core.layers.UnetBlock takes their place"),
    "decoders.upernet.decoder": (("FPNLateralBlock", "LayerNorm2d", "PSPModule"), _BLOCKS.format("smp_upernet")),
    "encoders": (
        ("is_equivalent_to_timm_universal",),
        "smp_core.describe(name).spec says what is known of an encoder",
    ),
    "encoders.dpn": (("DPN",), _PARTS),
    "encoders.efficientnet": (("EfficientNet", "get_model_params"), _PARTS),
    "encoders.inceptionresnetv2": (("InceptionResNetV2",), _PARTS),
    "encoders.inceptionv4": (("InceptionV4",), _PARTS),
    "encoders.mix_transformer": (
        ("Attention", "Block", "DWConv", "LayerNorm", "MixVisionTransformer", "Mlp", "OverlapPatchEmbed"),
        _PARTS,
    ),
    "encoders.mobileone": (("MobileOneBlock", "SEBlock"), _PARTS),
    "encoders.senet": (("SEBottleneck", "SENet", "SEResNeXtBottleneck", "SEResNetBottleneck"), _PARTS),
    "encoders.timm_efficientnet": (
        ("gen_efficientnet_lite_kwargs", "get_efficientnet_kwargs", "prepare_settings"),
        _PARTS,
    ),
    "encoders.timm_vit": (
        ("preprocess_output_indices", "sample_block_indices_uniformly", "validate_output_indices"),
        "smp_core.create_encoder checks the indices that it is given",
    ),
    "encoders.vgg": (("cfg", "pretrained_settings"), "smp_compat.encoders.encoders has an entry of every encoder"),
    "encoders.xception": (("Xception",), _PARTS),
    "losses.lovasz": (("isnan", "mean"), "torch.isnan and torch.mean do the same"),
}
"""By module: the names, and what to use."""


def refuse_force_download(force_download: bool) -> None:
    """Of the functions that load a model, which have the argument, as SMP's."""
    if force_download:
        raise NotProvidedError(
            "force_download is not provided: what the Hub publishes a checksum of is compared with it at each load and "
            "fetched again where it differs; give another cache_dir to fetch the rest again"
        )


def raises_for(module: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module of this package that lacks some of SMP's names.

    Args:
        module: its ``__name__``.
    """
    names, instead = NOT_PROVIDED[module.partition(".")[2]]

    def get(name: str) -> Any:
        if name in names:
            raise NotProvidedError(f"{module}.{name} is not provided: {instead}")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return get
