"""What format="smp" writes of an encoder is what segmentation_models_pytorch 0.6.0 has of it, at every depth."""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path

import pytest
import torch

import smp_core
from smp_core.encoder import EncoderBase
from smp_core.parts.emptiness import without_memory
from smp_core.tensors.smp_format import complete, with_unused

KEYS = Path(__file__).parents[3] / "shared" / "reference" / "state_dict_keys.json.gz"

if not KEYS.exists():
    pytest.skip(f"the keys of the peer's models are not beside this checkout: {KEYS}", allow_module_level=True)


@functools.cache
def reference():
    with gzip.open(KEYS, "rt", encoding="utf-8") as file:
        encoders = json.load(file)["encoders"]
    return {name: {key: tuple(shape) for key, shape in shapes.items()} for name, shapes in encoders.items()}


def native():
    """Names of the installed encoders that the peer has as well."""
    return [name for name in smp_core.list_encoders() if name in reference()]


def shapes(tensors):
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def built(name, depth):
    with without_memory():
        encoder = smp_core.create_encoder(name, weights=None, depth=depth)
    assert isinstance(encoder, EncoderBase)
    return encoder


def test_every_encoder_of_the_peer_is_there():
    assert reference().keys() == set(native())


@pytest.mark.parametrize("name", native())
def test_the_full_encoder_has_exactly_the_keys_of_the_peer(name):
    """And one of the least depth has a part of them, in the same shapes, so that the rest of them is what is added."""
    spec = smp_core.describe(name).spec
    whole = shapes(complete(built(name, spec.max_depth)))
    assert whole == reference()[name]
    shallow = built(name, spec.min_depth)
    assert shapes(shallow.to_published_keys(shallow.state_dict())).items() <= whole.items()


@pytest.mark.parametrize("depth", [2, 5])
@pytest.mark.parametrize("name", ["resnet18", "efficientnet-b0", "timm-efficientnet-b0", "timm-tf_efficientnet_lite2"])
def test_a_whole_model_has_them_in_its_own_dtype(name, depth):
    with torch.device("meta"):
        model = smp_core.create("unet", name, encoder_weights=None, encoder_depth=depth, in_channels=4).half()
    assert model.blueprint is not None
    tensors = with_unused(model.state_dict(), model, model.blueprint)
    assert list(tensors)[: len(model.state_dict())] == list(model.state_dict())
    found = {key.removeprefix("encoder."): value for key, value in tensors.items() if key.startswith("encoder.")}
    first = f"{model.encoder.first_convolution}.weight"
    expected = reference()[name]
    assert shapes(found) == {**expected, first: (expected[first][0], 4, *expected[first][2:])}
    for key, value in found.items():
        assert value.dtype == (torch.int64 if key.endswith("num_batches_tracked") else torch.float16), key


def test_what_never_runs_has_harmless_values():
    encoder = smp_core.create_encoder("efficientnet-b0", weights=None)
    values = complete(encoder)
    assert values["_bn1.num_batches_tracked"].dtype == torch.int64
    assert values["_bn1.num_batches_tracked"].item() == 0
    assert values["_bn1.running_var"].eq(1).all()
    for key in ("_conv_head.weight", "_bn1.weight", "_bn1.bias", "_bn1.running_mean"):
        assert values[key].eq(0).all(), key
