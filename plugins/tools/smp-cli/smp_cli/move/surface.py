"""The names of segmentation_models_pytorch 0.6.0, module by module, to tell one that never was from one that was."""

from __future__ import annotations

_NAMES: dict[str, str] = {
    "": (
        "DPT DeepLabV3 DeepLabV3Plus FPN Linknet MAnet MODEL_ARCHITECTURES_MAPPING PAN PSPNet Segformer "
        "UPerNet Unet UnetPlusPlus _MODEL_ARCHITECTURES __version__ base create_model datasets decoders "
        "encoders from_pretrained losses metrics utils"
    ),
    "base": (
        "Attention ClassificationHead Conv2dReLU SegmentationHead SegmentationModel heads hub_mixin "
        "initialization model modules utils"
    ),
    "base.heads": "Activation ClassificationHead SegmentationHead",
    "base.hub_mixin": "MODEL_CARD SMPHubMixin _format_parameters supports_config_loading",
    "base.initialization": "initialize_decoder initialize_head",
    "base.model": "SMPHubMixin SegmentationModel init is_torch_compiling",
    "base.modules": "Activation ArgMax Attention Clamp Conv2dReLU InPlaceABN SCSEModule get_norm_layer",
    "base.utils": "is_torch_compiling",
    "datasets": "OxfordPetDataset SimpleOxfordPetDataset oxford_pet",
    "datasets.oxford_pet": "OxfordPetDataset SimpleOxfordPetDataset TqdmUpTo download_url extract_archive",
    "decoders": "deeplabv3 dpt fpn linknet manet pan pspnet segformer unet unetplusplus upernet",
    "decoders.deeplabv3": "DeepLabV3 DeepLabV3Plus decoder model",
    "decoders.deeplabv3.decoder": (
        "ASPP ASPPConv ASPPPooling ASPPSeparableConv DeepLabV3Decoder DeepLabV3PlusDecoder SeparableConv2d"
    ),
    "decoders.deeplabv3.model": (
        "ClassificationHead DeepLabV3 DeepLabV3Decoder DeepLabV3Plus DeepLabV3PlusDecoder SegmentationHead "
        "SegmentationModel get_encoder supports_config_loading"
    ),
    "decoders.dpt": "DPT decoder model",
    "decoders.dpt.decoder": (
        "Activation DPTDecoder DPTSegmentationHead FusionBlock ReadoutAddBlock ReadoutConcatBlock "
        "ReadoutIgnoreBlock ReassembleBlock ResidualConvBlock"
    ),
    "decoders.dpt.model": (
        "ClassificationHead DPT DPTDecoder DPTSegmentationHead SegmentationModel TimmViTEncoder "
        "is_torch_compiling supports_config_loading"
    ),
    "decoders.fpn": "FPN decoder model",
    "decoders.fpn.decoder": "Conv3x3GNReLU FPNBlock FPNDecoder MergeBlock SegmentationBlock",
    "decoders.fpn.model": (
        "ClassificationHead FPN FPNDecoder SegmentationHead SegmentationModel get_encoder supports_config_loading"
    ),
    "decoders.linknet": "Linknet decoder model",
    "decoders.linknet.decoder": "DecoderBlock LinknetDecoder TransposeX2 modules",
    "decoders.linknet.model": (
        "ClassificationHead Linknet LinknetDecoder SegmentationHead SegmentationModel get_encoder "
        "supports_config_loading"
    ),
    "decoders.manet": "MAnet decoder model",
    "decoders.manet.decoder": "DecoderBlock MAnetDecoder MFABBlock PABBlock md",
    "decoders.manet.model": (
        "ClassificationHead MAnet MAnetDecoder SegmentationHead SegmentationModel get_encoder supports_config_loading"
    ),
    "decoders.pan": "PAN decoder model",
    "decoders.pan.decoder": "ConvBnRelu FPABlock GAUBlock PANDecoder",
    "decoders.pan.model": (
        "ClassificationHead PAN PANDecoder SegmentationHead SegmentationModel get_encoder supports_config_loading"
    ),
    "decoders.pspnet": "PSPNet decoder model",
    "decoders.pspnet.decoder": "PSPBlock PSPDecoder PSPModule modules",
    "decoders.pspnet.model": (
        "ClassificationHead PSPDecoder PSPNet SegmentationHead SegmentationModel get_encoder supports_config_loading"
    ),
    "decoders.segformer": "Segformer decoder model",
    "decoders.segformer.decoder": "MLP SegformerDecoder md",
    "decoders.segformer.model": (
        "ClassificationHead Segformer SegformerDecoder SegmentationHead SegmentationModel get_encoder "
        "supports_config_loading"
    ),
    "decoders.unet": "Unet decoder model",
    "decoders.unet.decoder": "UnetCenterBlock UnetDecoder UnetDecoderBlock md",
    "decoders.unet.model": (
        "ClassificationHead SegmentationHead SegmentationModel Unet UnetDecoder get_encoder supports_config_loading"
    ),
    "decoders.unetplusplus": "UnetPlusPlus decoder model",
    "decoders.unetplusplus.decoder": "CenterBlock DecoderBlock UnetPlusPlusDecoder md",
    "decoders.unetplusplus.model": (
        "ClassificationHead SegmentationHead SegmentationModel UnetPlusPlus UnetPlusPlusDecoder get_encoder "
        "supports_config_loading"
    ),
    "decoders.upernet": "UPerNet decoder model",
    "decoders.upernet.decoder": "FPNLateralBlock LayerNorm2d PSPModule UPerNetDecoder md",
    "decoders.upernet.model": (
        "ClassificationHead SegmentationHead SegmentationModel UPerNet UPerNetDecoder get_encoder "
        "supports_config_loading"
    ),
    "encoders": (
        "TimmUniversalEncoder TimmViTEncoder _base _dpn _efficientnet _inceptionresnetv2 _inceptionv4 "
        "_preprocessing _senet _utils _xception densenet densenet_encoders dpn dpn_encoders "
        "efficient_net_encoders efficientnet encoders get_encoder get_encoder_names get_preprocessing_fn "
        "get_preprocessing_params inceptionresnetv2 inceptionresnetv2_encoders inceptionv4 "
        "inceptionv4_encoders is_equivalent_to_timm_universal mix_transformer mix_transformer_encoders "
        "mobilenet mobilenet_encoders mobileone mobileone_encoders preprocess_input resnet resnet_encoders "
        "senet senet_encoders timm_efficientnet timm_efficientnet_encoders timm_sknet timm_sknet_encoders "
        "timm_universal timm_vit vgg vgg_encoders xception xception_encoders"
    ),
    "encoders._base": "EncoderMixin utils",
    "encoders._dpn": (
        "AdaptiveAvgMaxPool2d BnActConv2d CatBnAct DPN DualPathBlock InputBlock adaptive_avgmax_pool2d pooling_factor"
    ),
    "encoders._efficientnet": (
        "BlockArgs BlockDecoder Conv2dDynamicSamePadding Conv2dStaticSamePadding EfficientNet GlobalParams "
        "MBConvBlock MaxPool2dDynamicSamePadding MaxPool2dStaticSamePadding calculate_output_image_size "
        "drop_connect efficientnet efficientnet_params get_model_params get_same_padding_conv2d "
        "get_same_padding_maxPool2d get_width_and_height_from_size round_filters round_repeats"
    ),
    "encoders._inceptionresnetv2": "BasicConv2d Block17 Block35 Block8 InceptionResNetV2 Mixed_5b Mixed_6a Mixed_7a",
    "encoders._inceptionv4": (
        "BasicConv2d InceptionV4 Inception_A Inception_B Inception_C Mixed_3a Mixed_4a Mixed_5a Reduction_A Reduction_B"
    ),
    "encoders._preprocessing": "preprocess_input",
    "encoders._senet": "Bottleneck SEBottleneck SEModule SENet SEResNeXtBottleneck SEResNetBottleneck",
    "encoders._utils": "patch_first_conv replace_strides_with_dilation",
    "encoders._xception": "Block SeparableConv2d Xception",
    "encoders.densenet": "DenseNetEncoder EncoderMixin densenet_encoders",
    "encoders.dpn": "DPN DPNEncoder EncoderMixin dpn_encoders",
    "encoders.efficientnet": "EfficientNet EfficientNetEncoder EncoderMixin efficient_net_encoders get_model_params",
    "encoders.inceptionresnetv2": "EncoderMixin InceptionResNetV2 InceptionResNetV2Encoder inceptionresnetv2_encoders",
    "encoders.inceptionv4": "EncoderMixin InceptionV4 InceptionV4Encoder inceptionv4_encoders",
    "encoders.mix_transformer": (
        "Attention Block DWConv EncoderMixin LayerNorm MixVisionTransformer MixVisionTransformerEncoder Mlp "
        "OverlapPatchEmbed mix_transformer_encoders"
    ),
    "encoders.mobilenet": "EncoderMixin MobileNetV2Encoder mobilenet_encoders",
    "encoders.mobileone": "EncoderMixin MobileOne MobileOneBlock SEBlock mobileone_encoders reparameterize_model utils",
    "encoders.resnet": "EncoderMixin ResNetEncoder resnet_encoders",
    "encoders.senet": (
        "EncoderMixin SEBottleneck SENet SENetEncoder SEResNeXtBottleneck SEResNetBottleneck senet_encoders"
    ),
    "encoders.timm_efficientnet": (
        "EfficientNetBaseEncoder EfficientNetEncoder EfficientNetLiteEncoder EncoderMixin "
        "gen_efficientnet_lite_kwargs get_efficientnet_kwargs prepare_settings timm_efficientnet_encoders"
    ),
    "encoders.timm_sknet": "EncoderMixin SkNetEncoder timm_sknet_encoders",
    "encoders.timm_universal": "TimmUniversalEncoder _merge_kwargs_no_duplicates",
    "encoders.timm_vit": (
        "TimmViTEncoder _merge_kwargs_no_duplicates preprocess_output_indices sample_block_indices_uniformly "
        "validate_output_indices"
    ),
    "encoders.vgg": "EncoderMixin VGGEncoder cfg pretrained_settings vgg_encoders",
    "encoders.xception": "EncoderMixin Xception XceptionEncoder xception_encoders",
    "losses": (
        "BINARY_MODE DiceLoss FocalLoss JaccardLoss LovaszLoss MCCLoss MULTICLASS_MODE MULTILABEL_MODE "
        "SoftBCEWithLogitsLoss SoftCrossEntropyLoss TverskyLoss _functional constants dice focal jaccard "
        "lovasz mcc soft_bce soft_ce tversky"
    ),
    "losses._functional": (
        "focal_loss_with_logits label_smoothed_nll_loss soft_dice_score soft_jaccard_score soft_tversky_score "
        "softmax_focal_loss_with_logits to_tensor wing_loss"
    ),
    "losses.constants": "BINARY_MODE MULTICLASS_MODE MULTILABEL_MODE",
    "losses.dice": "BINARY_MODE DiceLoss MULTICLASS_MODE MULTILABEL_MODE soft_dice_score to_tensor",
    "losses.focal": "BINARY_MODE FocalLoss MULTICLASS_MODE MULTILABEL_MODE focal_loss_with_logits to_tensor",
    "losses.jaccard": "BINARY_MODE JaccardLoss MULTICLASS_MODE MULTILABEL_MODE soft_jaccard_score to_tensor",
    "losses.lovasz": (
        "BINARY_MODE LovaszLoss MULTICLASS_MODE MULTILABEL_MODE _flatten_binary_scores _flatten_probas "
        "_lovasz_grad _lovasz_hinge _lovasz_hinge_flat _lovasz_softmax _lovasz_softmax_flat isnan mean"
    ),
    "losses.mcc": "MCCLoss",
    "losses.soft_bce": "SoftBCEWithLogitsLoss",
    "losses.soft_ce": "SoftCrossEntropyLoss label_smoothed_nll_loss",
    "losses.tversky": "BINARY_MODE DiceLoss MULTICLASS_MODE MULTILABEL_MODE TverskyLoss soft_tversky_score",
    "metrics": (
        "accuracy balanced_accuracy f1_score false_discovery_rate false_negative_rate false_omission_rate "
        "false_positive_rate fbeta_score functional get_stats iou_score negative_likelihood_ratio "
        "negative_predictive_value positive_likelihood_ratio positive_predictive_value precision recall "
        "sensitivity specificity"
    ),
    "metrics.functional": (
        "_accuracy _balanced_accuracy _compute_metric _doc _false_discovery_rate _false_negative_rate "
        "_false_omission_rate _false_positive_rate _fbeta_score _get_stats_multiclass _get_stats_multilabel "
        "_handle_zero_division _iou_score _negative_likelihood_ratio _negative_predictive_value "
        "_positive_likelihood_ratio _positive_predictive_value _sensitivity _specificity accuracy "
        "balanced_accuracy f1_score false_discovery_rate false_negative_rate false_omission_rate "
        "false_positive_rate fbeta_score get_stats iou_score negative_likelihood_ratio "
        "negative_predictive_value positive_likelihood_ratio positive_predictive_value precision recall "
        "sensitivity specificity"
    ),
    "utils": "base functional losses meter metrics train",
    "utils.base": "BaseObject Loss Metric MultipliedLoss SumOfLosses",
    "utils.functional": "_take_channels _threshold accuracy f_score iou jaccard precision recall",
    "utils.losses": (
        "Activation BCELoss BCEWithLogitsLoss CrossEntropyLoss DiceLoss F JaccardLoss L1Loss MSELoss NLLLoss base"
    ),
    "utils.meter": "AverageValueMeter Meter",
    "utils.metrics": "Accuracy Activation F Fscore IoU Precision Recall base",
    "utils.train": "AverageValueMeter Epoch TrainEpoch ValidEpoch",
}

_KNOWN = {module: frozenset(names.split()) for module, names in _NAMES.items()}

_HOMES = ("unet", "linknet", "fpn", "pspnet", "pan", "deeplabv3", "manet", "unetplusplus")
FORMER_MODULES: dict[str, str] = {**{home: f"decoders.{home}" for home in _HOMES}, "common.blocks": "base.modules"}
"""Modules as they were called before segmentation_models_pytorch 0.2, and what they have been called since."""


def is_module(name: str) -> bool:
    """Whether a name below the package is a module; the empty name is the package itself."""
    return name in _KNOWN


def public_names(module: str) -> frozenset[str]:
    """What a star import of a module binds, as far as it is the package's own."""
    return frozenset(name for name in _KNOWN.get(module, ()) if not name.startswith("_"))


def moved(name: str) -> str | None:
    """A dotted name below the package as it is called since 0.2; None where it was never called otherwise.

    >>> moved("unet.model.Unet"), moved("losses")
    ('decoders.unet.model.Unet', None)
    """
    for former, today in FORMER_MODULES.items():
        if f"{name}.".startswith(f"{former}."):
            return today + name[len(former) :]
    return None


def known_part(name: str) -> str | None:
    """The longest part of a dotted name below the package that names something; None where nothing is called so.

    What follows an object of a module, ``Unet.from_pretrained``, is the object's own affair.

    >>> known_part("losses.DiceLoss.forward"), known_part("losses.Dice")
    ('losses.DiceLoss', None)
    """
    module = ""
    for part in name.split(".") if name else ():
        below = f"{module}.{part}".lstrip(".")
        if below in _KNOWN:
            module = below
        elif part in _KNOWN[module]:
            return below
        else:
            return None
    return module
