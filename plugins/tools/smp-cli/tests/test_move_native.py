"""The table knows every name, and every line that it gives holds: it is evaluated with the libraries themselves."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch

from smp_cli.move.calls import Answer, Translator
from smp_cli.move.finding import find
from smp_cli.move.native import native
from smp_cli.move.native_models import PARAMETERS
from smp_cli.move.surface import known_part
from smp_core.registry import index, list_architectures

SMP = "segmentation_models_pytorch"
NAMES = json.loads((Path(__file__).parent / "data" / "smp_names.json").read_text())


def answers(expression: str) -> list[Answer]:
    found = find(f"import {SMP} as smp\n{expression}\n")
    translator = Translator(found)
    return [translator.answer(use) for use in found.uses]


def line(expression: str) -> str | None:
    return answers(expression)[0].line


def evaluate(expression: str, **names):
    """The value of the line that an expression becomes, with what it says must be imported."""
    (answer, *inner) = answers(expression)
    assert answer.line is not None
    scope = {**names, "torch": torch}
    for item in (answer, *inner):
        if item.module is not None:
            importlib.import_module(item.module)
            scope[item.module.partition(".")[0]] = importlib.import_module(item.module.partition(".")[0])
    return eval(answer.line, scope)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_in_the_table(name):
    assert known_part(name) == name
    entry = native(name)
    assert entry is not None
    assert entry.target or entry.reference or entry.note


def test_the_parameters_of_an_architecture_are_those_of_the_plugin():
    assert {name.lower() for name in PARAMETERS} == {*index.architecture_names()} - {"linear"}
    assert {*(name.lower() for name in PARAMETERS)} & {*list_architectures()}, "no architecture is installed"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (
            'smp.Unet("resnet34", encoder_weights="imagenet", classes=3)',
            'smp_core.create("unet", "resnet34", encoder_weights="imagenet", classes=3)',
        ),
        ("smp.Unet()", 'smp_core.create("unet", "resnet34")'),
        ("smp.DPT(classes=2)", 'smp_core.create("dpt", "tu-vit_base_patch16_224.augreg_in21k", classes=2)'),
        (
            'smp.PSPNet("vgg16", None, 3, 512)',
            'smp_core.create("pspnet", "vgg16", encoder_weights=None, encoder_depth=3, psp_out_channels=512)',
        ),
        ("smp.Unet(classes=2, encoder_name=name)", 'smp_core.create("unet", name, classes=2)'),
        ("smp.Unet(name, **options)", 'smp_core.create("unet", name, **options)'),
        (
            "smp.Unet(name, decoder_use_batchnorm=False)",
            'smp_core.create("unet", name, decoder_use_norm="identity")',
        ),
        ("smp.Unet(name, drop=0.1)", 'smp_core.create("unet", name, drop=0.1)'),
        (
            "smp.Unet('tu-resnet18', drop_rate=0.1)",
            'smp_core.create("unet", \'tu-resnet18\', encoder_options={"drop_rate": 0.1})',
        ),
        ("smp.Unet('tu-resnet18', clases=3)", "smp_core.create(\"unet\", 'tu-resnet18', clases=3)"),
        ("smp.PAN(name, encoder_dilation=True)", 'smp_core.create("pan", name, encoder_dilation=True)'),
        ("smp.Unet(encoder_name=(n := name))", 'smp_core.create("unet", (n := name))'),
        (
            "smp.Unet(name, aux_params=f(\n smp.FPN(a,\n classes=smp.losses)))",
            'smp_core.create("unet", name, aux_params=f(smp_core.create("fpn", a, classes=smp_losses)))',
        ),
        ("smp.unet.Unet(name)", 'smp_core.create("unet", name)'),
        (
            'smp.create_model("fpn", "mit_b0", None, decoder_dropout=0.1)',
            'smp_core.create("fpn", "mit_b0", encoder_weights=None, decoder_dropout=0.1)',
        ),
        ("smp.create_model(arch=a)", 'smp_core.create(a, "resnet34")'),
        ('smp.Unet.from_pretrained("me/x", revision="a")', 'smp_core.from_pretrained("me/x", revision="a")'),
        ("smp.losses.DiceLoss(smp.losses.BINARY_MODE)", "smp_losses.DiceLoss(smp_losses.BINARY_MODE, smp_values=True)"),
        ("smp.losses.FocalLoss('binary')", "smp_losses.FocalLoss('binary')"),
        (
            "smp.losses.FocalLoss('binary', None, 2.0, None, False)",
            "smp_losses.FocalLoss('binary', None, 2.0, None, False, smp_values=True)",
        ),
        ("smp.metrics.iou_score(*stats, reduction='micro')", "smp_metrics.iou_score(*stats, reduction='micro')"),
        ("smp.encoders.get_encoder('resnet18')", "smp_core.create_encoder('resnet18', weights=None)"),
        ("smp.encoders.get_preprocessing_params('a')['mean']", "smp_core.preprocessing('a').to_dict()"),
        ("smp.encoders.encoders['resnet34']", "smp_core.describe('resnet34').spec"),
        ("list(smp.encoders.encoders.keys())", "smp_core.list_encoders()"),
        ("smp.base.modules.Conv2dReLU(3, 8, 3, use_norm=n)", "smp_core.layers.ConvNormAct(3, 8, 3, norm=n)"),
        ("smp.Unet(*arguments)", None),
        ("smp.Unet(**arguments)", None),
        ("smp.create_model(**arguments)", None),
        ("smp.encoders.get_encoder(name, **arguments)", None),
        ("smp.encoders.encoders.update(mine)", None),
        ("smp.MODEL_ARCHITECTURES_MAPPING['unet']", None),
        ("smp.encoders.encoders['mine'] = {}", None),
        ("smp.utils.train.TrainEpoch(model)", None),
        ("smp.decoders.unet.decoder.UnetDecoder(c)", None),
    ],
)
def test_lines(expression, expected):
    assert line(expression) == expected


def test_an_expression_of_several_lines_is_one_line():
    code = "smp.Unet(\n    'resnet34',  # small\n    decoder_channels=[\n        1,\n        2,  # two\n    ],\n)"
    assert line(code) == "smp_core.create(\"unet\", 'resnet34', decoder_channels=[1, 2])"


@pytest.mark.parametrize(
    ("expression", "note"),
    [
        (
            "smp.Unet('resnet18', clases=3)",
            "clases is no parameter of Unet in segmentation_models_pytorch 0.6.0; did you mean classes?",
        ),
        (
            "smp.Unet('resnet18', drop=0.1)",
            "drop is no parameter of Unet in segmentation_models_pytorch 0.6.0, and the encoder resnet18 takes no "
            "options: leave it out",
        ),
        (
            "smp.create_model(a, b, drop=0.1)",
            "drop is no parameter of create_model in segmentation_models_pytorch 0.6.0, and nothing says that the "
            "encoder takes it; if it does, write encoder_options={...}",
        ),
        (
            "smp.encoders.get_encoder('acme/x', drop=0.1)",
            "and the encoder acme/x is not known; if it takes it, write options={...}",
        ),
        (
            "smp.Unet('tu-resnet18', drop_rate=1)",
            "drop_rate is for the encoder: it must be an argument of timm's model",
        ),
        ("smp.losses.DiceLoss('binary', smoth=1)", "smoth is no parameter of losses.DiceLoss in"),
        ("smp.fpn.FPN", "fpn.FPN has been decoders.fpn.FPN since segmentation_models_pytorch 0.2"),
        (
            "smp.decoders.unet.decoder.UnetDecoderBlock(1, 2)",
            "not provided, nor by smp-compat: smp_core.layers.UnetBlock takes their place",
        ),
        (
            "smp.base.hub_mixin.SMPHubMixin",
            "not provided, nor by smp-compat: every smp_core.SegmentationModel is saved and loaded without it",
        ),
        ("smp.Unet(*a)", "arguments given by * cannot be told apart: name them"),
        ("smp.losses.MCCLoss(*a)", "smp_values=True keeps segmentation_models_pytorch's values"),
        ("smp.get_encoder()", "get_encoder is unknown to segmentation_models_pytorch 0.6.0"),
        ("smp.losses.Dice()", "losses.Dice is unknown to segmentation_models_pytorch 0.6.0"),
        ("smp.from_pretrained(a, force_download=True)", "force_download is left out: it has no counterpart"),
        ("smp.create_model(a, **b)", "write out what the dict has of encoder_name: it is needed by name"),
        ("smp.Unet(name, **b)", "what the dict has for the encoder itself belongs into encoder_options"),
        ("isinstance(m, smp.FPN)", 'models are made by smp_core.create("fpn", ...)'),
        ("smp.encoders.encoders['a'] = {}", "an encoder of your own needs no entry: pass the module"),
        ("smp.utils.losses.DiceLoss()", "stays with smp-compat"),
        ("smp.metrics.get_stats(a, b, threshold=0.5)", "the threshold is for the output alone"),
    ],
)
def test_notes(expression, note):
    assert any(note in text for text in answers(expression)[0].notes)


def test_what_to_install():
    (found,) = answers('smp.create_model("Unet", "mit_b0")')
    assert found.needs == {"smp-core", "smp-unet", "smp-mit"}
    assert not found.unnamed_encoder
    (found,) = answers("smp.FPN(name)")
    assert found.needs == {"smp-core", "smp-fpn"}
    assert found.unnamed_encoder
    (found,) = answers('smp.FPN("acme/encoder")')  # a stranger's distribution is not advised to be installed
    assert found.needs == {"smp-core", "smp-fpn"}


@pytest.mark.parametrize("name", [name for name in PARAMETERS if index.architecture_owner(name)])
def test_every_architecture_is_built(name):
    if name.lower() not in list_architectures():
        pytest.skip("not installed")
    encoder = "tu-vit_tiny_patch16_224" if name == "DPT" else "resnet18"
    if name == "DPT":
        pytest.importorskip("smp_timm")
    model = evaluate(f'smp.{name}("{encoder}", encoder_weights=None, classes=2, in_channels=1)')
    assert type(model).__name__ == name
    assert model.in_channels == 1
    assert isinstance(model, evaluate(f"smp.{name}"))


def test_arguments_by_position_build_what_they_did():
    model = evaluate('smp.Unet("resnet18", 3, None, False, [32, 16, 8], "scse", "bilinear", 1, 4, "sigmoid")')
    config = model.blueprint.to_config()
    assert (config["encoder_depth"], config["decoder_interpolation"]) == (3, "bilinear")
    assert (config["decoder_attention_type"], config["activation"]) == ("scse", "sigmoid")
    assert model(torch.zeros(1, 1, 32, 32)).shape == (1, 4, 32, 32)


@pytest.mark.parametrize(
    ("expression", "class_name"),
    [
        ('smp.create_model("fpn", "resnet18", None)', "FPN"),
        ("smp.losses.DiceLoss(smp.losses.MULTICLASS_MODE, [0, 1], ignore_index=255)", "DiceLoss"),
        ('smp.losses.JaccardLoss("binary")', "JaccardLoss"),
        ('smp.losses.TverskyLoss("binary", alpha=0.3)', "TverskyLoss"),
        ('smp.losses.FocalLoss("multiclass", from_logits=False)', "FocalLoss"),
        ('smp.losses.LovaszLoss("binary", True)', "LovaszLoss"),
        ("smp.losses.MCCLoss(eps=1e-3)", "MCCLoss"),
        ("smp.losses.SoftBCEWithLogitsLoss(smooth_factor=0.1)", "SoftBCEWithLogitsLoss"),
        ("smp.losses.SoftCrossEntropyLoss(smooth_factor=0.1)", "SoftCrossEntropyLoss"),
        ('smp.encoders.get_encoder("resnet18", 4, depth=3)', "ResNetEncoder"),
        ('smp.encoders.get_preprocessing_fn("resnet18", pretrained="imagenet")', "Preprocessing"),
        ('smp.encoders.get_preprocessing_params("resnet18")', "dict"),
        ('smp.encoders.encoders["resnet18"]', "EncoderSpec"),
        ("smp.encoders.get_encoder_names()", "list"),
        ("smp.encoders.resnet_encoders", "list"),
        ("smp.MODEL_ARCHITECTURES_MAPPING", "list"),
        ("smp.__version__", "str"),
        ("smp.base.SegmentationHead(16, out_channels=2, kernel_size=1, upsampling=2)", "SegmentationHead"),
        ("smp.base.ClassificationHead(16, classes=2, pooling='max')", "ClassificationHead"),
        ("smp.base.Conv2dReLU(3, 8, 3, padding=1, use_norm='identity')", "ConvNormAct"),
        ("smp.base.Attention('scse', in_channels=16)", "Attention"),
        ("smp.base.modules.Activation('sigmoid')", "Sigmoid"),
        ("smp.base.modules.SCSEModule(in_channels=16, reduction=8)", "SCSE"),
        ("smp.base.modules.get_norm_layer('batchnorm', out_channels=4)", "BatchNorm2d"),
        ("smp.base.modules.ArgMax(dim=1)", "ArgMax"),
        ("smp.base.modules.Clamp()", "Clamp"),
        ("smp.base.initialization.initialize_decoder(torch.nn.Conv2d(1, 1, 1))", "NoneType"),
        ("smp.base.initialization.initialize_head(torch.nn.Conv2d(1, 1, 1))", "NoneType"),
        ("smp.base.utils.is_torch_compiling()", "bool"),
        ("smp.encoders._base.EncoderMixin", "type"),
        ("smp.base.SegmentationModel", "type"),
        ("smp.datasets.SimpleOxfordPetDataset", "type"),
        ("smp.encoders.resnet.ResNetEncoder", "type"),
    ],
)
def test_lines_build_what_they_say(expression, class_name):
    assert type(evaluate(expression)).__name__ == class_name


def test_scores_are_computed():
    prediction, target = torch.tensor([[[[0, 1]]]]), torch.tensor([[[[1, 1]]]])
    stats = evaluate("smp.metrics.get_stats(p, t, mode='binary', threshold=None)", p=prediction, t=target)
    value = evaluate("smp.metrics.fbeta_score(*stats, beta=2.0, reduction='macro', class_weights=[1.0])", stats=stats)
    assert value.item() == pytest.approx(5 / 9)


def test_the_names_of_targets_exist():
    """Where the distribution is installed, what the table says can be imported."""
    for name in NAMES:
        entry = native(name)
        for target in filter(None, (entry.reference, entry.target.partition("(")[0])):
            module, _, attribute = target.rpartition(".")
            try:
                home = importlib.import_module(module or target)
            except ModuleNotFoundError:
                continue
            assert not module or hasattr(home, attribute), target
