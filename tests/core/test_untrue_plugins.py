"""Plugins whose implementation is not what their spec declares: the error names the plugin, and both sides."""

from __future__ import annotations

import re
from typing import Any

import pytest
from toy_models import architecture_spec, encoder_spec

import smp_core
from smp_core.errors import InvalidSpecError, OptionError, PluginError

_ABSENT = "package_that_is_not_there.model:Model"


def create(arch: str = "toy", encoder: Any = "toy_encoder", **options: Any) -> smp_core.SegmentationModel:
    return smp_core.create(arch, encoder, **{"encoder_weights": None, **options})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (_ABSENT, "cannot import 'package_that_is_not_there.model' (target 'package_that_is_not_there.model:Model'): "),
        ("toy_models:Missing", "module 'toy_models' has no 'Missing' (target 'toy_models:Missing')"),
        ("toy_models:ToyModel.Missing", "module 'toy_models' has no 'ToyModel.Missing' (target "),
    ],
)
def test_a_target_that_is_not_there(install, target: str, message: str) -> None:
    install(encoder_spec(target=target), encoder_spec(name="fine"), architecture_spec(target=target))
    install(architecture_spec(name="fine"), distribution="acme-smp-fine")
    with pytest.raises(PluginError, match=re.escape(f"encoder 'acme-smp-toy/toy_encoder': {message}")):
        create("fine")
    with pytest.raises(PluginError, match=re.escape(f"architecture 'acme-smp-toy/toy': {message}")):
        create("toy", "fine")


def test_a_target_whose_module_raises(install, monkeypatch, tmp_path) -> None:
    (tmp_path / "acme_raises.py").write_text("raise RuntimeError('built for another torch')\n")
    monkeypatch.syspath_prepend(tmp_path)
    install(encoder_spec(target="acme_raises:Encoder"), architecture_spec())
    message = "encoder 'acme-smp-toy/toy_encoder': cannot import 'acme_raises' (target 'acme_raises:Encoder'): "
    with pytest.raises(PluginError, match=f"^{re.escape(message)}RuntimeError: built for another torch$"):
        create()


def test_an_architecture_with_a_sink(install) -> None:
    install(encoder_spec(), architecture_spec(target="toy_models:Sink"))
    message = "architecture 'acme-smp-toy/toy': its target takes **kwargs, so that wrong options would pass"
    with pytest.raises(PluginError, match=re.escape(message)):
        create(anything="goes")


def test_an_architecture_that_builds_something_else(install) -> None:
    install(encoder_spec(), architecture_spec(target="toy_models:no_model"))
    message = "its target built a Conv2d; expected an smp_core.SegmentationModel"
    with pytest.raises(PluginError, match=f"^architecture 'acme-smp-toy/toy': {message}$"):
        create()


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        (
            {"out_channels": (3, 4, 8, 12, 99)},
            {"encoder_depth": 4},
            "at depth 4 its spec declares out_channels (3, 4, 8, 12, 99) and reductions (1, 2, 4, 8, 16), but the "
            "built module has (3, 4, 8, 12, 16) and (1, 2, 4, 8, 16)",
        ),
        (
            {"out_channels": (4, 8, 12, 16), "reductions": (2, 4, 8, 16)},
            {"encoder_depth": 1, "in_channels": 2},
            "at depth 1 its spec declares out_channels (4,) and reductions (2,), but the built module has (2, 4) and "
            "(1, 2)",
        ),
    ],
)
def test_an_encoder_that_differs_from_its_spec(
    install, fields: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    install(encoder_spec(**fields), architecture_spec())
    with pytest.raises(PluginError, match=re.escape(f"encoder 'acme-smp-toy/toy_encoder': {message}")):
        create(**options)


def test_an_encoder_target_that_builds_no_module(install) -> None:
    install(encoder_spec(target="builtins:dict"), architecture_spec())
    message = "encoder 'acme-smp-toy/toy_encoder': expected an encoder's name or an nn.Module .* got dict"
    with pytest.raises(PluginError, match=f"^{message}$"):
        create()


def test_targets_that_cannot_be_called_as_declared(install) -> None:
    install(encoder_spec(options={"widths": (1, 2)}), encoder_spec(name="fine"))
    install(architecture_spec(), architecture_spec(name="odd", target="toy_models:Bare"))
    message = "its target cannot be called with the keywords widths, in_channels, depth, output_stride: "
    with pytest.raises(PluginError, match=f"^encoder 'acme-smp-toy/toy_encoder': {message}.*'widths'$"):
        create()
    message = (
        "its target cannot be called with an encoder and the keywords classes, activation, aux_params, reductions: "
    )
    with pytest.raises(PluginError, match=f"^architecture 'acme-smp-toy/odd': {message}.*'classes'$"):
        create("odd", "fine")


def test_options_of_a_spec_are_copied_for_each_encoder(install) -> None:
    install(encoder_spec(options={"dropout": 0.25}), architecture_spec())
    assert create().encoder.stage1[3].p == 0.25


def test_architectures_that_share_a_class(install, tmp_path) -> None:
    """What differs between them is in their specs, and is no option."""
    options = {"decoder_use_norm": "batchnorm", "size_multiple": 1}
    install(
        encoder_spec(),
        architecture_spec(name="toy-4", arguments={"width": 4}, options=options),
        architecture_spec(name="toy-12", arguments={"width": 12}),
    )
    for name, width in (("toy-4", 4), ("toy-12", 12)):
        model = smp_core.create(name, "toy_encoder", encoder_weights=None)
        assert model.segmentation_head[0].in_channels == width
        assert dict(model.blueprint.options) == options
        loaded = smp_core.from_pretrained(model.save_pretrained(tmp_path / name))
        assert (loaded.blueprint.architecture.spec.name, loaded.segmentation_head[0].in_channels) == (name, width)
        with pytest.raises(OptionError, match=f"architecture 'acme-smp-toy/{name}' has no option 'width'; its options"):
            smp_core.create(name, "toy_encoder", encoder_weights=None, width=3)


def test_arguments_that_an_architecture_does_not_take(install) -> None:
    install(encoder_spec(), architecture_spec(arguments={"widht": 4}))
    with pytest.raises(PluginError, match=r"its target cannot be called with an encoder and the keywords .*widht"):
        smp_core.create("toy", "toy_encoder", encoder_weights=None)
    message = "field 'arguments': expected a mapping of keyword names, the options and classes, activation, aux_params"
    for fields in ({"arguments": {"classes": 2}}, {"arguments": {"width": 2}, "options": {"width": 3}}):
        with pytest.raises(InvalidSpecError, match=message):
            architecture_spec(**fields)
