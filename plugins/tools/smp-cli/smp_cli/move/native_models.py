"""The part of the table about models: what is built and loaded."""

from __future__ import annotations

from collections.abc import Mapping

from smp_cli.move.entries import Arguments, Native

# The parameters of each class after encoder_name, in their order.
_LAST = "in_channels classes activation"
_UNET = (
    "encoder_depth encoder_weights decoder_use_norm decoder_channels decoder_attention_type decoder_interpolation "
    f"{_LAST} aux_params"
)
_DEEPLAB = (
    "encoder_depth encoder_weights encoder_output_stride decoder_channels decoder_atrous_rates decoder_aspp_separable "
    f"decoder_aspp_dropout {_LAST} upsampling aux_params"
)
PARAMETERS: dict[str, str] = {
    "Unet": _UNET,
    "UnetPlusPlus": _UNET,
    "MAnet": _UNET.replace("decoder_attention_type", "decoder_pab_channels"),
    "Linknet": f"encoder_depth encoder_weights decoder_use_norm {_LAST} aux_params",
    "FPN": (
        "encoder_depth encoder_weights decoder_pyramid_channels decoder_segmentation_channels decoder_merge_policy "
        f"decoder_dropout decoder_interpolation {_LAST} upsampling aux_params"
    ),
    "PSPNet": (
        f"encoder_weights encoder_depth psp_out_channels decoder_use_norm psp_dropout {_LAST} upsampling aux_params"
    ),
    "DeepLabV3": _DEEPLAB,
    "DeepLabV3Plus": _DEEPLAB,
    "PAN": (
        "encoder_depth encoder_weights encoder_output_stride decoder_channels decoder_interpolation "
        f"{_LAST} upsampling aux_params"
    ),
    "UPerNet": f"encoder_depth encoder_weights decoder_channels decoder_use_norm {_LAST} upsampling aux_params",
    "Segformer": f"encoder_depth encoder_weights decoder_segmentation_channels {_LAST} upsampling aux_params",
    "DPT": (
        "encoder_depth encoder_weights encoder_output_indices decoder_readout decoder_intermediate_channels "
        f"decoder_fusion_channels {_LAST} aux_params"
    ),
}
_BATCHNORM = {"True": '"batchnorm"', "False": '"identity"'}
_FORMER: dict[str, tuple[str, Mapping[str, str]]] = {
    "decoder_use_batchnorm": ("decoder_use_norm", _BATCHNORM),
    "psp_use_batchnorm": ("decoder_use_norm", _BATCHNORM),
    "upscale_mode": ("decoder_interpolation", {}),
    "encoder_dilation": ("encoder_dilation", {}),
}
_HAD = {
    "decoder_use_batchnorm": ("Unet", "UnetPlusPlus", "MAnet", "Linknet"),
    "psp_use_batchnorm": ("PSPNet",),
    "upscale_mode": ("PAN",),
    "encoder_dilation": ("PAN",),
}
_IN_A_DICT = "what the dict has for the encoder itself belongs into encoder_options"


def _architecture(name: str) -> Native:
    encoder = '"tu-vit_base_patch16_224.augreg_in21k"' if name == "DPT" else '"resnet34"'
    home = "deeplabv3" if name.startswith("DeepLab") else name.lower()
    return Native(
        target="smp_core.create",
        reference=f"smp_{home}.model.{name}",
        arguments=Arguments(
            names=("encoder_name", *PARAMETERS[name].split()),
            positional=1,
            first=f'"{name.lower()}"',
            defaults={"encoder_name": encoder},
            former={old: now for old, now in _FORMER.items() if name in _HAD[old]},
            rest="encoder_options",
            closed=True,
        ),
        needs=("smp-core", f"smp-{home}"),
        dict_note=_IN_A_DICT,
    )


ARCHITECTURES = {name: _architecture(name) for name in PARAMETERS}
"""By class; what a class is where it is not called is good for isinstance and annotations alone."""

CLASS_NOTE = (
    "good for isinstance and annotations (or smp_core.SegmentationModel, for any model); it takes a built encoder, so "
    'models are made by smp_core.create("{}", ...)'
)
ROLE_NOTES = {
    "partial": 'in place of the class write: smp_core.create, "{}"; the other arguments follow by their names',
    "base": (
        "a subclass of it takes a built encoder: super().__init__(smp_core.create_encoder(...), classes=...); or build "
        'a model by smp_core.create("{}", ...) and wrap it'
    ),
}
"""What to know of a class by what is done with it, see `smp_cli.move.scopes.Read`."""

_FROM_PRETRAINED = Native(
    "smp_core.from_pretrained",
    arguments=Arguments(names=("pretrained_model_name_or_path",), positional=1, dropped=("force_download",)),
)
_EVERY_PARAMETER = sorted({name for names in PARAMETERS.values() for name in names.split()} - {"encoder_weights"})
_COMMON = ("arch", "encoder_name", "encoder_weights", "in_channels", "classes")

MODELS: dict[str, Native] = {
    **ARCHITECTURES,
    "create_model": Native(
        "smp_core.create",
        arguments=Arguments(
            names=(*_COMMON, *(name for name in _EVERY_PARAMETER if name not in _COMMON)),
            positional=2,
            defaults={"encoder_name": '"resnet34"'},
            former=_FORMER,
            rest="encoder_options",
            closed=True,
        ),
        dict_note=_IN_A_DICT,
    ),
    "from_pretrained": _FROM_PRETRAINED,
    "MODEL_ARCHITECTURES_MAPPING": Native(
        "smp_core.list_architectures()",
        note="names in place of classes: smp_core.create(name, ...) builds a model; upper and lower case do not matter",
    ),
    "_MODEL_ARCHITECTURES": Native("smp_core.list_architectures()", note="names in place of classes"),
    "__version__": Native("smp_core.__version__", note="1.0 and later; compare with nothing of the old numbers"),
    "": Native("smp_core", note="the package itself is passed on: see what becomes of it there"),
}
METHODS = {"from_pretrained": _FROM_PRETRAINED}
"""What can be called on the classes of models, and on the base of them."""
