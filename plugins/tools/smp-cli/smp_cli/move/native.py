"""The table: what each name of segmentation_models_pytorch 0.6.0 becomes here.

Keys are names below the package. A name is looked for as it is written, then among those that mean the same in every
module, then as part of a module, then by its last part, as ``losses.dice.DiceLoss`` is ``losses.DiceLoss``.
"""

from __future__ import annotations

from smp_cli.move.entries import Arguments, Native
from smp_cli.move.native_models import ARCHITECTURES, MODELS, PARAMETERS

_LOSSES = ("smp-losses",)
_MODES = ("BINARY_MODE", "MULTICLASS_MODE", "MULTILABEL_MODE")
_DATASETS = ("OxfordPetDataset", "SimpleOxfordPetDataset")
_REGION = "mode classes log_loss from_logits smooth ignore_index eps"


def _loss(name: str, names: str, differs_with: str = "") -> Native:
    given = Arguments(
        tuple(names.split()), closed=True, added=("smp_values", "True"), added_with=tuple(differs_with.split())
    )
    return Native(f"smp_losses.{name}", arguments=given, needs=_LOSSES)


_MASK_LOSSES = {
    "losses.DiceLoss": _loss("DiceLoss", f"{_REGION} class_weights"),
    "losses.JaccardLoss": _loss("JaccardLoss", f"{_REGION} class_weights"),
    "losses.TverskyLoss": _loss("TverskyLoss", f"{_REGION} alpha beta gamma class_weights"),
    "losses.LovaszLoss": _loss("LovaszLoss", "mode per_image ignore_index from_logits"),
    "losses.MCCLoss": _loss("MCCLoss", "eps"),
    "losses.FocalLoss": _loss(
        "FocalLoss",
        "mode alpha gamma ignore_index from_logits eps reduction normalized reduced_threshold class_weights",
        "from_logits reduction",
    ),
    "losses.SoftBCEWithLogitsLoss": _loss(
        "SoftBCEWithLogitsLoss", "weight ignore_index reduction smooth_factor pos_weight"
    ),
    "losses.SoftCrossEntropyLoss": _loss("SoftCrossEntropyLoss", "reduction smooth_factor ignore_index dim"),
}
SMP_VALUES_NOTE = "smp_values=True keeps segmentation_models_pytorch's values; leave it out for the corrected ones"

_SCORES = (
    "f1_score iou_score accuracy precision recall sensitivity specificity balanced_accuracy positive_predictive_value "
    "negative_predictive_value false_negative_rate false_positive_rate false_discovery_rate false_omission_rate "
    "positive_likelihood_ratio negative_likelihood_ratio"
)
_SCORE = "tp fp fn tn reduction class_weights zero_division"


def _score(name: str, names: str = _SCORE) -> Native:
    arguments = Arguments(
        tuple(names.split()), closed=True, added=("smp_values", "True"), added_with=("class_weights",)
    )
    return Native(f"smp_metrics.{name}", arguments=arguments, needs=("smp-metrics",))


_MEASURES: dict[str, Native] = {
    **{f"metrics.{name}": _score(name) for name in _SCORES.split()},
    "metrics.fbeta_score": _score("fbeta_score", _SCORE.replace("reduction", "beta reduction")),
    "metrics.get_stats": Native(
        "smp_metrics.get_stats",
        arguments=Arguments(
            names=("output", "target", "mode", "ignore_index", "threshold", "num_classes"), closed=True
        ),
        needs=("smp-metrics",),
        with_note=(
            ("threshold",),
            "the threshold is for the output alone; smp_values=True applies it to the labels, too",
        ),
    ),
}

_PREPROCESSING = Arguments(names=("encoder_name", "pretrained"), positional=2)
_BUILD = Arguments(
    names=("name", "in_channels", "depth", "weights", "output_stride"),
    positional=1,
    defaults={"weights": "None"},
    rest="options",
    closed=True,
)
_BASE_ENCODER = Native(
    "smp_core.EncoderBase",
    note="out_channels and reductions are arguments of its __init__, and no method is needed for dilation or other "
    "channels; see the plugin guide, docs/plugins.md",
)
_ENCODERS: dict[str, Native] = {
    "encoders.get_encoder": Native(
        "smp_core.create_encoder",
        arguments=_BUILD,
        dict_note="what the dict has for the encoder itself belongs into options",
    ),
    "encoders.get_encoder_names": Native("smp_core.list_encoders", note="those that are installed"),
    "encoders.get_preprocessing_params": Native(
        "smp_core.preprocessing", arguments=_PREPROCESSING, suffix=".to_dict()"
    ),
    "encoders.get_preprocessing_fn": Native(
        "smp_core.preprocessing",
        arguments=_PREPROCESSING,
        note="a model has it as model.preprocessing; floats in 0..255 are said to be such by white=255",
    ),
    "encoders.preprocess_input": Native(
        reference="smp_core.inputs.Preprocessing",
        note="smp_core.inputs.Preprocessing(mean=..., std=..., input_space=..., input_range=...)(image)",
    ),
    "encoders.encoders": Native(
        "smp_core.list_encoders()",
        subscript="smp_core.describe({}).spec",
        note="an encoder of your own needs no entry: pass the module, smp_core.create(name, module), or make it a "
        "plugin that gives it a name; see docs/plugins.md",
    ),
    "encoders._base.EncoderMixin": _BASE_ENCODER,
    "encoders._utils.patch_first_conv": Native(
        reference="smp_core.encoder.patch_first_convolution", note="its arguments are others; EncoderBase calls it"
    ),
    "encoders.mobileone.reparameterize_model": Native(
        "smp_mobileone.merging.merged",
        needs=("smp-mobileone",),
        note="takes a module in evaluation mode; a whole model, too",
    ),
    "encoders.TimmUniversalEncoder": Native(
        reference="smp_core.create_encoder", needs=("smp-core", "smp-timm"), note='the name is "tu-" and timm\'s'
    ),
    "encoders.TimmViTEncoder": Native(
        reference="smp_core.create_encoder", needs=("smp-core", "smp-timm"), note='the name is "tu-" and timm\'s'
    ),
}

_TIMM_EFFICIENTNET = ("EfficientNetEncoder", "smp-efficientnet", "TimmEfficientNetEncoder")

# The families: the dict of its encoders, its class there, its distribution, its class here.
_FAMILIES = (
    ("resnet", "resnet_encoders", "ResNetEncoder", "smp-resnet", "ResNetEncoder"),
    ("vgg", "vgg_encoders", "VGGEncoder", "smp-vgg", "VGGEncoder"),
    ("densenet", "densenet_encoders", "DenseNetEncoder", "smp-densenet", "DenseNetEncoder"),
    ("dpn", "dpn_encoders", "DPNEncoder", "smp-dpn", "DPNEncoder"),
    ("efficientnet", "efficient_net_encoders", "EfficientNetEncoder", "smp-efficientnet", "EfficientNetEncoder"),
    ("inceptionresnetv2", "inceptionresnetv2_encoders", "InceptionResNetV2Encoder", "smp-inception", "="),
    ("inceptionv4", "inceptionv4_encoders", "InceptionV4Encoder", "smp-inception", "="),
    ("mix_transformer", "mix_transformer_encoders", "MixVisionTransformerEncoder", "smp-mit", "MixTransformerEncoder"),
    ("mobilenet", "mobilenet_encoders", "MobileNetV2Encoder", "smp-mobilenet", "="),
    ("mobileone", "mobileone_encoders", "MobileOne", "smp-mobileone", "MobileOneEncoder"),
    ("senet", "senet_encoders", "SENetEncoder", "smp-senet", "="),
    ("timm_efficientnet", "timm_efficientnet_encoders", *_TIMM_EFFICIENTNET),
    ("timm_sknet", "timm_sknet_encoders", "SkNetEncoder", "smp-sknet", "SKNetEncoder"),
    ("xception", "xception_encoders", "XceptionEncoder", "smp-xception", "="),
)  # fmt: skip


def _families() -> dict[str, Native]:
    table = {}
    for module, names, there, distribution, here in _FAMILIES:
        target = f"{distribution.replace('-', '_')}.encoder.{there if here == '=' else here}"
        needs = ("smp-core", distribution)
        table[f"encoders.{names}"] = Native(
            f'smp_core.list_encoders(provider="{distribution}")', subscript="smp_core.describe({}).spec", needs=needs
        )
        table[f"encoders.{module}.{there}"] = Native(
            reference=target, needs=needs, note="its arguments are others; smp_core.create_encoder(name) builds one"
        )
    return table


_BASE: dict[str, Native] = {
    "base.SegmentationModel": Native(
        reference="smp_core.SegmentationModel",
        note="an architecture of your own is a class over it and a spec; see docs/plugins.md",
    ),
    "base.SegmentationHead": Native(
        "smp_core.heads.SegmentationHead",
        arguments=Arguments(
            names=("in_channels", "out_channels", "kernel_size", "activation", "upsampling"),
            positional=5,
            renamed={"out_channels": "classes"},
        ),
    ),
    "base.ClassificationHead": Native("smp_core.heads.ClassificationHead"),
    "base.Conv2dReLU": Native(
        "smp_core.layers.ConvNormAct",
        arguments=Arguments(
            names=("in_channels", "out_channels", "kernel_size", "padding", "stride", "use_norm"),
            positional=6,
            renamed={"use_norm": "norm"},
        ),
    ),
    "base.Attention": Native(
        "smp_core.layers.build_attention",
        arguments=Arguments(names=("name", "in_channels"), positional=2, renamed={"in_channels": "channels"}),
        note="a function that builds the module; it always takes the channels",
    ),
    "base.Activation": Native(
        "smp_core.layers.build_activation",
        arguments=Arguments(names=("name",), positional=1, dropped=("dim",)),
        note="a function that builds the module; softmax and argmax run over the classes, dimension 1",
    ),
    "base.ArgMax": Native('smp_core.layers.build_activation("argmax")', note="over dimension 1; else torch.argmax"),
    "base.Clamp": Native('smp_core.layers.build_activation("clamp")', note="to [0, 1]; else torch.clamp"),
    "base.SCSEModule": Native(
        "smp_core.layers.SCSE",
        arguments=Arguments(names=("in_channels", "reduction"), positional=2, renamed={"in_channels": "channels"}),
    ),
    "base.get_norm_layer": Native(
        "smp_core.layers.build_norm",
        arguments=Arguments(
            names=("use_norm", "out_channels"),
            positional=2,
            renamed={"use_norm": "norm", "out_channels": "channels"},
        ),
    ),
    "base.initialize_decoder": Native("smp_core.layers.initialise_decoder"),
    "base.initialize_head": Native("smp_core.layers.initialise_head"),
    "base.is_torch_compiling": Native("torch.compiler.is_compiling", needs=()),
}

STAYS = "stays with smp-compat, which has it under the same name"
_INTERNAL = "an internal part of segmentation_models_pytorch, without a counterpart to rely on"
_COMPAT = ("smp-compat",)
_DECODER = Native(
    needs=_COMPAT,
    note=f"{STAYS}; the decoders here (smp_unet.decoder and so on) have the same keys, and arguments of their own",
)
_HOMES = sorted({name.lower() for name in PARAMETERS} - {"deeplabv3plus"})
_PRIVATE_FAMILIES = ("dpn", "efficientnet", "inceptionresnetv2", "inceptionv4", "senet", "xception")


def _of_family(distribution: str) -> Native:
    return Native(note=f"{_INTERNAL}; the family is the distribution {distribution}", needs=("smp-core", distribution))


MODULES: dict[str, Native] = {
    "losses": Native("smp_losses", needs=_LOSSES),
    "metrics": Native("smp_metrics", needs=("smp-metrics",)),
    "datasets": Native("smp_datasets", needs=("smp-datasets",)),
    "encoders": Native(note="its functions are smp_core's: create_encoder, list_encoders, preprocessing"),
    "decoders": Native(note="the architectures are distributions of their own: smp_unet, smp_fpn and so on"),
    "base": Native(note="smp_core.SegmentationModel, smp_core.heads and smp_core.layers"),
    "utils": Native(
        needs=_COMPAT,
        note=f"{STAYS}, deprecated there and here; natively: a training loop of your own, smp_losses and smp_metrics",
    ),
    "encoders._utils": Native(needs=_COMPAT, note=STAYS),
    "losses._functional": Native(note=f"{_INTERNAL}; use the classes of smp_losses"),
    "base.hub_mixin": Native(note="models save and load themselves: model.save_pretrained, smp_core.from_pretrained"),
    **{f"decoders.{home}.decoder": _DECODER for home in _HOMES},
    **{f"encoders.{module}": _of_family(distribution) for module, _, _, distribution, _ in _FAMILIES},
    **{
        f"encoders._{module}": Native(note=f"{_INTERNAL}: smp_compat has no such module, and its import fails")
        for module in _PRIVATE_FAMILIES
    },
}
"""Of whole modules: of what they have and the table has not."""

_ANYWHERE = {
    "EncoderMixin": _BASE_ENCODER,
    "get_encoder": _ENCODERS["encoders.get_encoder"],
    **{name: _BASE[f"base.{name}"] for name in ("SegmentationHead", "ClassificationHead", "SegmentationModel")},
    **ARCHITECTURES,
}

TABLE: dict[str, Native] = {
    **MODELS,
    **_MASK_LOSSES,
    **{f"losses.{name}": Native(f"smp_losses.{name}", needs=_LOSSES) for name in _MODES},
    **_MEASURES,
    **{f"datasets.{name}": Native(f"smp_datasets.{name}", needs=("smp-datasets",)) for name in _DATASETS},
    **_families(),
    **_ENCODERS,
    **_BASE,
    **{
        f"decoders.{home}.decoder.{name}": Native(note="base.modules by another name: see smp_core.layers")
        for home in _HOMES
        for name in ("md", "modules")
    },
}


def native(name: str) -> Native | None:
    """What a name below the package becomes; None where the table has nothing of it.

    Args:
        name: one that segmentation_models_pytorch has, see `smp_cli.move.surface.known_part`.
    """
    last = name.rpartition(".")[2]
    found = TABLE.get(name) or (_ANYWHERE.get(last) if "." in name else None)
    first = name.partition(".")[0]
    prefix = name
    while found is None and prefix:
        found = MODULES.get(prefix) if prefix != first else TABLE.get(f"{first}.{last}") or MODULES.get(first)
        prefix = prefix.rpartition(".")[0]
    return found
