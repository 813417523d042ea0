"""Assembling a model: what is refused and how, before anything is built; and what a built model is."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest
import torch
from torch import nn
from toy_models import ToyEncoder, ToyModel, architecture_spec, encoder_spec

import smp_core
from smp_core.errors import (
    IncompatibleError,
    MissingPluginError,
    OptionError,
    UnknownArchitectureError,
    UnknownEncoderError,
)
from smp_core.factory import architecture_options

_ABSENT = "package_that_is_not_there.model:Model"


def create(arch: str = "toy", encoder: Any = "toy_encoder", **options: Any) -> smp_core.SegmentationModel:
    return smp_core.create(arch, encoder, **{"encoder_weights": None, **options})


@pytest.mark.usefixtures("toys")
def test_a_model_of_any_size() -> None:
    model = create(classes=3)
    assert isinstance(model, ToyModel)
    assert model.training
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    assert model(torch.zeros(2, 3, 17, 9)).shape == (2, 3, 17, 9)


@pytest.mark.usefixtures("toys")
def test_options_reach_the_architecture() -> None:
    model = create(width=5, decoder_use_norm="identity", classes=2, activation="sigmoid", aux_params={"classes": 7})
    assert model.decoder.out_channels == 5
    assert isinstance(model.segmentation_head[2], nn.Sigmoid)
    masks, labels = model(torch.zeros(1, 3, 16, 16))
    assert (masks.shape, labels.shape) == ((1, 2, 16, 16), (1, 7))


@pytest.mark.usefixtures("toys")
def test_options_of_an_architecture() -> None:
    assert architecture_options("toy") == {"width": 8, "decoder_use_norm": "batchnorm", "size_multiple": 1}


@pytest.mark.usefixtures("toys")
def test_an_unknown_option_lists_the_known_ones() -> None:
    message = (
        "architecture 'acme-smp-toy/toy' has no option 'decoder_widths', 'norm'; its options are width, "
        "decoder_use_norm, size_multiple, and every architecture takes encoder_weights, in_channels, classes, "
        "activation, aux_params, encoder_depth"
    )
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        create(decoder_widths=3, norm=None)
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        create(encoder=ToyEncoder(), decoder_widths=3, norm=None)


def test_an_architecture_that_dilates_takes_an_output_stride(install) -> None:
    install(encoder_spec(), architecture_spec(dilation=(8, 16), default_depth=4))
    with pytest.raises(OptionError, match=r"encoder_depth, encoder_output_stride$"):
        create(nothing=1)
    assert create().encoder.reductions == (1, 2, 4, 8, 8)
    assert create(encoder_output_stride=16).encoder.reductions == (1, 2, 4, 8, 16)
    assert create(encoder_output_stride=16).config["encoder_output_stride"] == 16


@pytest.mark.parametrize("name", ["in_channels", "classes"])
@pytest.mark.parametrize("value", [0, -1, 1.0, "3", None, True])
@pytest.mark.usefixtures("toys")
def test_counts_are_positive_ints(name: str, value: Any) -> None:
    if (name, value) == ("in_channels", None):  # as many as the encoder is made for
        assert create(in_channels=None).in_channels == 3
        return
    with pytest.raises(OptionError, match=f"^{name} must be an int of at least 1, got {value!r}$"):
        create(**{name: value})


@pytest.mark.parametrize("value", ["3", 3.0, True])
@pytest.mark.usefixtures("toys")
def test_a_depth_is_an_int(value: Any) -> None:
    for build in (lambda: create(encoder_depth=value), lambda: smp_core.create_encoder("toy_encoder", depth=value)):
        with pytest.raises(OptionError, match=f"^the encoder depth must be an int, got {value!r}$"):
            build()


@pytest.mark.usefixtures("toys")
def test_unknown_names() -> None:
    with pytest.raises(UnknownArchitectureError, match="unknown architecture 'toi'; did you mean 'toy'"):
        create("toi")
    with pytest.raises(UnknownEncoderError, match="unknown encoder 'toy_encodr'; did you mean 'toy_encoder'"):
        create(encoder="toy_encodr")
    with pytest.raises(MissingPluginError, match="run: pip install smp-unet"):
        create("unet")
    with pytest.raises(OptionError, match="expected the name of an encoder as a str, got ToyEncoder"):
        create(encoder=_NotAModule("ToyEncoder"))


def _NotAModule(name: str) -> Any:  # noqa: N802
    return type(name, (), {})()


@pytest.mark.parametrize(
    ("arch", "encoder", "options", "message"),
    [
        ({}, {"max_depth": 2}, {"encoder_depth": 3}, "encoder 'toy_encoder' takes encoder_depth 1..2, not 3"),
        ({"min_depth": 2}, {}, {"encoder_depth": 1}, "architecture 'toy' takes encoder_depth 2..5, not 1"),
        (
            {"tokens": True, "pyramid": False},
            {},
            {},
            "architecture 'toy' needs prefix tokens of a plain transformer; encoder 'toy_encoder' yields none",
        ),
        (
            {},
            {"reductions": (1, 3, 4, 8, 16)},
            {},
            "architecture 'toy' needs a feature pyramid whose reductions are increasing powers of two; "
            "encoder 'toy_encoder' has reductions (1, 3, 4, 8, 16): name a neck that makes a feature pyramid of its "
            "features (smp_core.list_necks; pip install smp-necks)",
        ),
        ({}, {}, {"encoder_output_stride": 8}, "architecture 'toy' takes no encoder_output_stride, got 8"),
        (
            {"dilation": (8,), "default_depth": 4},
            {"dilation": ()},
            {},
            "architecture 'toy' asks for output stride 8; encoder 'toy_encoder' cannot be dilated",
        ),
    ],
)
def test_an_incompatible_pair_is_refused_before_anything_is_built(
    install, arch: dict[str, Any], encoder: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    """Neither target can be imported: who gets that far fails with another error."""
    install(encoder_spec(target=_ABSENT, **encoder), architecture_spec(target=_ABSENT, **arch))
    with pytest.raises(IncompatibleError, match=f"^{re.escape(message)}$"):
        create(**options)
    answer = smp_core.compatible("toy", "toy_encoder", **options)
    assert (answer.ok, answer.reasons) == (False, (message,))


def test_nothing_of_an_incompatible_pair_is_imported(install, monkeypatch, tmp_path) -> None:
    (tmp_path / "acme_untouched.py").write_text("class Model:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    install(encoder_spec(target="acme_untouched:Model", max_depth=1), architecture_spec(min_depth=2, target=_ABSENT))
    with pytest.raises(IncompatibleError, match=r"architecture 'toy' takes encoder_depth 2..5, not 1"):
        create()
    assert "acme_untouched" not in sys.modules


def test_an_unknown_option_is_refused_before_the_encoder_is_imported(install) -> None:
    install(encoder_spec(target=_ABSENT), architecture_spec())
    with pytest.raises(OptionError, match="has no option 'nothing'"):
        create(nothing=1)


def test_every_reason_is_given_at_once(install) -> None:
    install(encoder_spec(max_depth=2, dilation=()), architecture_spec(min_depth=4, default_depth=5, dilation=(8,)))
    with pytest.raises(
        IncompatibleError, match=r"takes encoder_depth 1..2, not 5; architecture 'toy' takes .*not 2"
    ) as e:
        create(encoder_depth=5, encoder_output_stride=2)
    assert str(e.value).count("; ") >= 1


@pytest.mark.usefixtures("toys")
def test_an_encoder_alone() -> None:
    encoder = smp_core.create_encoder("toy_encoder", weights=None, in_channels=2)
    assert [tuple(item.shape) for item in encoder(torch.zeros(1, 2, 32, 32))] == [
        *((1, 2, 32, 32), (1, 4, 16, 16), (1, 8, 8, 8), (1, 12, 4, 4), (1, 16, 2, 2))
    ]
    shallow = smp_core.create_encoder("acme-smp-toy/toy_encoder", weights=None, depth=1)
    assert (shallow.out_channels, shallow.reductions) == ((3, 4), (1, 2))
    dilated = smp_core.create_encoder("toy_encoder", weights=None, output_stride=8)
    assert dilated.reductions == (1, 2, 4, 8, 8)
    assert smp_core.create_encoder("toy_encoder", weights=None, output_stride=32).reductions[-1] == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 5}, "encoder 'toy_encoder' takes depth 1..4, not 5"),
        ({"depth": 0}, "encoder 'toy_encoder' takes depth 1..4, not 0"),
        ({"output_stride": 16}, "encoder 'toy_encoder' can be dilated only to 8, asked for output stride 16"),
        ({"output_stride": 4}, "encoder 'toy_encoder' can be dilated only to 8, asked for output stride 4"),
    ],
)
@pytest.mark.usefixtures("toys")
def test_an_encoder_alone_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(IncompatibleError, match=f"^{re.escape(message)}$"):
        smp_core.create_encoder("toy_encoder", weights=None, **options)


@pytest.mark.parametrize("value", [0, "3", True])
@pytest.mark.usefixtures("toys")
def test_channels_of_an_encoder_alone(value: Any) -> None:
    with pytest.raises(OptionError, match=f"^in_channels must be an int of at least 1, got {value!r}$"):
        smp_core.create_encoder("toy_encoder", weights=None, in_channels=value)


@pytest.mark.usefixtures("toys")
def test_the_config_rebuilds_the_model() -> None:
    model = create(width=5, classes=2, activation="softmax", aux_params={"classes": 3}, in_channels=4)
    assert json.loads(json.dumps(model.config)) == {
        "_model_class": "Toy",
        "encoder_name": "toy_encoder",
        "encoder_depth": 3,
        "encoder_weights": None,
        "in_channels": 4,
        "classes": 2,
        "activation": "softmax",
        "aux_params": {"classes": 3},
        "width": 5,
        "decoder_use_norm": "batchnorm",
        "size_multiple": 1,
        "_smp_core": {
            "smp_core": smp_core.__version__,
            "torch": str(torch.__version__),
            "architecture": {"distribution": "acme-smp-toy", "version": "1.2.3", "name": "acme-smp-toy/toy"},
            "encoder": {"distribution": "acme-smp-toy", "version": "1.2.3", "name": "acme-smp-toy/toy_encoder"},
            "preprocessing": None,
        },
    }
    options = {key: value for key, value in model.config.items() if not key.startswith(("_", "encoder_name"))}
    assert create(**options).config == model.config


@pytest.mark.usefixtures("toys")
def test_the_config_is_a_copy() -> None:
    aux = {"classes": 3}
    model = create(aux_params=aux)
    aux["classes"] = 9
    model.config["aux_params"]["classes"] = 8
    model.config["_smp_core"].clear()
    assert model.config["aux_params"] == {"classes": 3}
    assert model.config["_smp_core"]["smp_core"] == smp_core.__version__
    assert ToyModel(ToyEncoder()).config == {}


def test_plugins_are_told_of_a_created_model(toys, calls) -> None:
    toys(distribution="acme-smp-listener", created=lambda model, config: calls.seen.append((model, config)))
    toys(distribution="acme-smp-fewer", created=lambda model: calls.seen.append((model, None)))
    model = create(classes=4)
    assert [item[0] is model for item in calls.seen] == [True, True]
    assert calls.seen[0][1] == model.config
    calls.seen[0][1].clear()
    assert model.config["classes"] == 4
    calls.seen.clear()
    create(encoder=ToyEncoder())
    assert len(calls.seen) == 2
    smp_core.create_encoder("toy_encoder", weights=None)
    assert len(calls.seen) == 2


@pytest.mark.parametrize("error", [RuntimeError("out of ink"), SystemExit("out of ink")])
def test_a_listener_that_raises_does_not_take_the_model_away(toys, calls, error: BaseException) -> None:
    def raises(model: nn.Module) -> None:
        raise error

    toys(distribution="acme-smp-bad", version="0.9", created=raises)
    toys(distribution="acme-smp-good", created=lambda model: calls.seen.append(model))
    message = (
        f"plugin 'acme-smp-bad' 0.9: hook 'smp_model_created' raised {type(error).__name__}: out of ink\nTraceback"
    )
    with pytest.warns(RuntimeWarning, match=re.escape(message)) as caught:
        model = create()
    assert calls.seen == [model]
    assert [item.filename for item in caught] == [__file__]
