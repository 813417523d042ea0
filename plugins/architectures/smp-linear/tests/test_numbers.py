"""The numbers of the linear probe, against the protocol written down plainly."""

import math

import pytest
import torch
from torch.nn import functional

import smp_core
from smp_linear.model import Linear
from smp_testing.cases import perturb
from smp_testing.encoders import FULL_RESOLUTION, PATCHES, PYRAMID, TOKENS, TinyTransformer


def reference(model, x, count, first_reduction):
    """What the model computes in evaluation mode, from its tensors alone."""
    tensors = model.state_dict()
    multiple = math.lcm(*model.encoder.reductions)
    height, width = (-(-size // multiple) * multiple for size in x.shape[2:])
    output = model.encoder(functional.pad(x, (0, width - x.shape[3], 0, height - x.shape[2])))
    features = output[0] if isinstance(output, tuple) else output
    size = (height // first_reduction, width // first_reduction)
    maps = [functional.interpolate(item, size, mode="bilinear", align_corners=False) for item in features[-count:]]
    mean, variance, weight, bias = (
        tensors[f"decoder.norm.{name}"][:, None, None] for name in ("running_mean", "running_var", "weight", "bias")
    )
    normalised = (torch.cat(maps, dim=1) - mean) / (variance + 1e-5).sqrt() * weight + bias
    scores = torch.einsum("nchw,kc->nkhw", normalised, tensors["segmentation_head.0.weight"][:, :, 0, 0])
    scores = scores + tensors["segmentation_head.0.bias"][:, None, None]
    masks = functional.interpolate(scores, (height, width), mode="bilinear", align_corners=False)
    return masks[..., : x.shape[2], : x.shape[3]]


def settled(encoder, **options):
    """A model with parameters and statistics that count."""
    torch.manual_seed(0)
    model = Linear(encoder, classes=3, **options)
    perturb(model)
    return model.eval()


def assert_as_written(model, count, first_reduction, size=(67, 93)):
    x = torch.randn(2, model.in_channels, *size)
    with torch.no_grad():
        got, expected = model(x), reference(model, x, count, first_reduction)
    assert got.shape == (2, 3, *size)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize(
    ("kind", "count", "first_reduction"),
    [
        (PYRAMID, 1, 32),
        (PYRAMID, 2, 16),
        (PYRAMID, 4, 4),
        (PYRAMID, 5, 2),
        (PATCHES, 4, 4),
        (FULL_RESOLUTION, 6, 1),
        (TOKENS, 1, 16),
        (TOKENS, 4, 16),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_protocol_as_it_is_written(kind, count, first_reduction):
    assert_as_written(settled(kind.build(depth=5), decoder_features=count), count, first_reduction)


@pytest.mark.parametrize("patch", [1, 2, 7, 8, 12, 14, 16, 20, 32, 64])
def test_patches_of_every_size(patch):
    model = settled(TinyTransformer(4, patch=patch), decoder_features=4)
    for size in ((20, 33), (1, 1), (14, 28)):
        assert_as_written(model, 4, patch, size)


def test_a_dilated_encoder_repeats_its_reduction():
    model = settled(PYRAMID.build(depth=5, output_stride=8), decoder_features=3)
    assert model.decoder.is_resized == [False, False, False]
    assert_as_written(model, 3, 8)


@pytest.mark.parametrize(
    ("encoder", "count", "first_reduction"),
    [("resnet18", 1, 32), ("resnet18", 3, 8), ("mit_b0", 1, 32), ("mit_b0", 4, 4)],
)
def test_encoders_by_name(encoder, count, first_reduction):
    torch.manual_seed(0)
    model = smp_core.create("linear", encoder, encoder_weights=None, in_channels=4, classes=3, decoder_features=count)
    perturb(model)
    assert_as_written(model.eval(), count, first_reduction, (61, 130))


def test_prefix_tokens_have_no_part_in_it():
    """Nor has whether the encoder cuts its maps out of the sequence, or copies them."""

    class Strided(TinyTransformer):
        def forward(self, x):
            features, prefix_tokens = super().forward(x)
            strided = [item.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) for item in features]
            return strided, [torch.full_like(item, torch.nan) for item in prefix_tokens]

    model, strided = settled(TinyTransformer(4), decoder_features=2), settled(Strided(4), decoder_features=2)
    strided.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 50, 70)
    with torch.no_grad():
        masks = strided(x)
        torch.testing.assert_close(masks, model(x))
    assert masks.is_contiguous()


def test_a_classification_head_sees_the_deepest_feature():
    for kind in (PYRAMID, TOKENS):
        model = settled(kind.build(depth=3), decoder_features=2, aux_params={"classes": 5, "dropout": 0.0})
        x = torch.randn(2, 3, 64, 32)
        with torch.no_grad():
            masks, labels = model(x)
            output = model.encoder(x)
        assert masks.shape == (2, 3, 64, 32)
        deepest = output[0][-1] if isinstance(output, tuple) else output[-1]
        linear = model.classification_head[3]
        expected = functional.linear(deepest.mean(dim=(2, 3)), linear.weight, linear.bias)
        torch.testing.assert_close(labels, expected)


def test_the_activation_comes_last():
    plain, activated = settled(TOKENS.build(depth=2)), settled(TOKENS.build(depth=2), activation="softmax")
    activated.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(activated(x), plain(x).softmax(dim=1))
