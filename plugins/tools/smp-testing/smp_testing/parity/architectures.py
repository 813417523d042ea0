"""Comparing our architectures with the peer's: whole models, and our decoders over the peer's encoders."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import smp_core
from smp_testing.parity.comparison import (
    assert_same_gradients,
    assert_same_keys,
    assert_same_numbers,
    image,
    randomise_norms,
    relative_difference,
)

ENCODER = "resnet34"
"""Over which architectures are compared where nothing else is said."""


def architecture_pair(
    architecture: str,
    peer: Callable[..., nn.Module],
    encoder: str = ENCODER,
    *,
    size: tuple[int, int] = (64, 64),
    **options: Any,
) -> tuple[nn.Module, nn.Module]:
    """Our model and the peer's with the same weights, in evaluation mode.

    Norms are given statistics that count and results of order one, and the head is scaled to scores of order one, as a
    trained model's are: gates and activations of huge values would measure nothing but rounding. The keys must be the
    same, stages of the encoder that the depth does not reach excepted; the peer's full state dict must load strictly
    and stay as it was.

    Args:
        architecture: our name of it.
        peer: the peer's class; called with the encoder's name, ``encoder_weights=None`` and the options.
        encoder: name of an encoder of the same module names in both.
        size: of an input that the peer takes.
        options: of the architecture.
    """
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the peer warns of is not ours to mend
        theirs = peer(encoder, encoder_weights=None, **options)
    ours = smp_core.create(architecture, encoder, encoder_weights=None, **options)
    randomise_norms(theirs)
    _tame(theirs.eval(), options.get("in_channels", 3), size)
    built = ours.state_dict().keys()
    assert_same_keys(ours, theirs, dropped=lambda key: key.startswith("encoder.layer") and key not in built)
    full = theirs.state_dict()
    before = list(full)
    ours.load_state_dict(full)
    assert list(full) == before, "loading changed the caller's state dict"
    return ours.eval(), theirs.eval()


@torch.no_grad()
def _tame(model: nn.Module, in_channels: int, size: tuple[int, int]) -> None:
    scores: list[Tensor] = []
    norms = [layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    last = [layer for layer in model.segmentation_head.modules() if isinstance(layer, nn.Conv2d)][-1]  # type: ignore[union-attr]
    hooks = [norm.register_forward_pre_hook(_settle) for norm in norms]
    hooks.append(last.register_forward_hook(lambda *arguments: scores.append(arguments[-1])))
    # So many images that the deepest map, of a few pixels, still tells what its norms meet.
    model(torch.randn(max(1, 2**16 // (size[0] * size[1])), in_channels, *size))
    for hook in hooks:
        hook.remove()
    for parameter in last.parameters():
        parameter.div_(scores[0].abs().max() / 4)


def _settle(norm: nn.Module, arguments: tuple[Tensor]) -> None:
    """Scale the running variance to what the norm meets, each of its results being of order one then.

    Otherwise features grow from block to block, over resnet34 to a thousand, and gates of such values are steps: with
    its channels innermost in memory the peer then differs from itself by a hundredth of the score.
    """
    mean, variance = norm.running_mean, norm.running_var
    if isinstance(mean, Tensor) and isinstance(variance, Tensor):
        values = arguments[0].transpose(0, 1).flatten(1)
        variance.mul_((values - mean[:, None]).square().mean(1).clamp(min=0.01))


def compare_architecture(
    architecture: str,
    peer: Callable[..., nn.Module],
    options: dict[str, Any],
    *,
    tolerance: float = 1e-5,
    size: tuple[int, int] = (64, 96),
    encoder: str = ENCODER,
    gradients: bool = True,
) -> tuple[nn.Module, nn.Module, Tensor]:
    """Assert that our model and the peer's agree in keys, outputs and gradients; see `architecture_pair`.

    Args:
        tolerance: relative, of the outputs in float32.
        size: height and width of the input; a batch of two.
        encoder: as for `architecture_pair`.
        gradients: also compare the gradient of the input, on a part of it and in float64, which is slow.

    Returns:
        Our model, the peer's, and the input.
    """
    ours, theirs = architecture_pair(architecture, peer, encoder, size=size, **options)
    x = image(options.get("in_channels", 3), size)
    assert_same_numbers(ours, theirs, x, tolerance=tolerance)
    if gradients:
        assert_same_gradients(ours, theirs, x[:1, :, : size[0] // 2, : size[1] // 2])
        ours.float()
        theirs.float()
    return ours, theirs, x


class WithoutEmptyLevels(nn.Module):
    """A reference's encoder as one of ours: a level that its backbone lacks, which it gives no channels, is left out.

    Args:
        encoder: has ``out_channels``, one for each reduction from 1 on, and ``output_stride``; returns one map of each.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.inner = encoder
        channels: list[int] = list(encoder.out_channels)  # type: ignore[arg-type]
        stride: int = encoder.output_stride  # type: ignore[assignment]
        self.kept = [index for index, count in enumerate(channels) if count > 0]
        self.out_channels = tuple(channels[index] for index in self.kept)
        self.reductions = tuple(min(2**index, stride) for index in self.kept)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features = self.inner(x)
        return [features[index] for index in self.kept]


def compare_over_reference_encoder(
    architecture: str,
    peer: Callable[..., nn.Module],
    options: dict[str, Any],
    *,
    encoder: str = "mit_b0",
    tolerance: float = 1e-5,
    size: tuple[int, int] = (64, 96),
) -> None:
    """Assert that our decoder and head agree with the peer's over an encoder of the peer's that lacks levels.

    Args:
        encoder: its name.
        architecture, peer, options, tolerance, size: as for `compare_architecture`.
    """
    torch.manual_seed(0)
    theirs = peer(encoder, encoder_weights=None, **options)
    randomise_norms(theirs)
    for_encoder = ("encoder_depth", "encoder_output_stride", "in_channels")
    own = {key: value for key, value in options.items() if key not in for_encoder}
    ours = smp_core.create(architecture, WithoutEmptyLevels(theirs.encoder), encoder_weights=None, **own)  # type: ignore[arg-type]
    for part, reference in ((ours.decoder, theirs.decoder), (ours.segmentation_head, theirs.segmentation_head)):
        assert_same_keys(part, reference)  # type: ignore[arg-type]
        part.load_state_dict(reference.state_dict())  # type: ignore[union-attr]
    x = image(options.get("in_channels", 3), size)
    assert_same_numbers(ours.eval(), theirs.eval(), x, tolerance=tolerance)


def assert_same_decoder(
    build: Callable[[Sequence[int], Sequence[int]], nn.Module],
    peer: Callable[..., nn.Module],
    encoder: str,
    *,
    tolerance: float = 1e-5,
    dropped: Callable[[str], bool] = lambda _: False,
    **options: Any,
) -> None:
    """Assert that our decoder agrees with the peer's over features of the peer's encoder, of any pyramid.

    Args:
        build: makes our decoder of the channels and the reductions of the features.
        peer: the peer's class.
        encoder: name of an encoder of the peer's.
        tolerance: relative, of the decoders' output in float32.
        dropped: says which keys of the peer's decoder ours does not have.
        options: of the peer's model.
    """
    torch.manual_seed(0)
    theirs = peer(encoder, encoder_weights=None, **options).eval()
    randomise_norms(theirs)
    pyramid = WithoutEmptyLevels(theirs.encoder)  # type: ignore[arg-type]
    ours = build(pyramid.out_channels, pyramid.reductions).eval()
    assert_same_keys(ours, theirs.decoder, dropped)  # type: ignore[arg-type]
    ours.load_state_dict(theirs.decoder.state_dict())  # type: ignore[union-attr]
    with torch.no_grad():
        features = theirs.encoder(image(size=(64, 96)))  # type: ignore[operator]
        reference = theirs.decoder(features)  # type: ignore[operator]
        mine = ours([features[index] for index in pyramid.kept])
    difference = relative_difference(mine, reference)
    assert difference <= tolerance, f"the decoders differ by {difference:.2e}, allowed is {tolerance:.0e}"
