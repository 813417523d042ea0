"""Comparing a model with a reference implementation: the same weights, the same numbers.

The reference is any module with the same state-dict keys (or a renamed state dict); nothing here knows which.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import smp_core

Output = Tensor | list[Tensor] | tuple[Tensor, ...]


def randomise_norms(module: nn.Module, seed: int = 0) -> None:
    """Give every norm statistics and affine parameters that differ from its initial ones, so that they count."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            for name, low, high in (
                ("running_mean", -0.1, 0.1),
                ("running_var", 0.5, 1.5),
                ("weight", 0.5, 1.5),
                ("bias", -0.1, 0.1),
            ):
                tensor = getattr(layer, name, None)
                is_norm = isinstance(layer, (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm))
                if is_norm and isinstance(tensor, Tensor):
                    tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)


def relative_difference(ours: Tensor, theirs: Tensor) -> float:
    """Largest absolute difference, relative to the largest absolute value of the reference; 0 for two empty maps."""
    if ours.shape != theirs.shape:
        raise AssertionError(f"shapes differ: ours {tuple(ours.shape)}, the reference's {tuple(theirs.shape)}")
    if not theirs.numel():
        return 0.0
    scale = theirs.abs().max().item() or 1.0
    return (ours - theirs).abs().max().item() / scale


def assert_same_keys(ours: nn.Module, theirs: nn.Module, dropped: Callable[[str], bool] = lambda _: False) -> None:
    """Assert equal state-dict keys, in any order, and equal shapes; ``dropped`` says which of theirs to skip."""
    mine = {key: tuple(value.shape) for key, value in ours.state_dict().items()}
    reference = {key: tuple(value.shape) for key, value in theirs.state_dict().items() if not dropped(key)}
    missing, extra = sorted(reference.keys() - mine.keys()), sorted(mine.keys() - reference.keys())
    assert not [*missing, *extra], f"ours lacks {missing[:5]} and adds {extra[:5]}"
    differing = {key: (mine[key], reference[key]) for key in mine if mine[key] != reference[key]}
    assert not differing, f"shapes differ (ours, the reference's): {dict(list(differing.items())[:5])}"


def assert_same_numbers(ours: nn.Module, theirs: nn.Module, x: Tensor, *, tolerance: float = 1e-5) -> None:
    """Assert equal outputs, within a tolerance relative to the largest value of the reference.

    Args:
        ours, theirs: in the same mode, with the same weights.
        x: the input, (N, C, H, W).
        tolerance: largest relative difference.

    Raises:
        AssertionError: says which output differs, and by how much.
    """
    with torch.no_grad():
        mine, reference = _as_list(ours(x)), _as_list(theirs(x))
    assert len(mine) == len(reference), f"ours has {len(mine)} outputs, the reference {len(reference)}"
    for index, (a, b) in enumerate(zip(mine, reference, strict=True)):
        difference = relative_difference(a, b)
        assert difference <= tolerance, f"output {index} differs by {difference:.2e}, allowed is {tolerance:.0e}"


def assert_same_gradients(ours: nn.Module, theirs: nn.Module, x: Tensor, *, tolerance: float = 1e-8) -> None:
    """Assert equal gradients of the input, computed in float64; both modules stay in float64.

    In float32 the comparison would measure chance: where two orders of summation put a value near zero on either side
    of a ReLU, the gradient there is one or nothing.

    Args:
        ours, theirs, x: as for `assert_same_numbers`.
        tolerance: relative to the largest value of the reference.

    Raises:
        AssertionError: says by how much they differ.
    """
    gradients = []
    for module in (ours, theirs):
        image = x.double().requires_grad_()
        projection = _projection(_as_list(module.double()(image)))
        gradients.append(torch.autograd.grad(projection, image)[0])
    difference = relative_difference(*gradients)
    assert difference <= tolerance, f"the input's gradient differs by {difference:.2e}, allowed is {tolerance:.0e}"


def _as_list(output: Output) -> list[Tensor]:
    return [output] if isinstance(output, Tensor) else list(output)


def _projection(outputs: list[Tensor]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    total = torch.zeros((), dtype=torch.float64)
    for output in outputs:
        if output.requires_grad:
            total = total + (output * torch.randn(output.shape, generator=generator).to(output)).mean()
    return total


def architecture_pair(
    architecture: str,
    peer: Callable[..., nn.Module],
    encoder: str = "resnet18",
    *,
    size: tuple[int, int] = (64, 64),
    **options: Any,
) -> tuple[nn.Module, nn.Module]:
    """Our model and the peer's with the same weights, in evaluation mode.

    Norms are given statistics that count, and the head is scaled to scores of order one, as a trained model's are: an
    activation of huge scores would measure nothing. The keys must be the same, stages of the encoder that the depth
    does not reach excepted; the peer's full state dict must load strictly and stay as it was.

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
    last = [layer for layer in model.segmentation_head.modules() if isinstance(layer, nn.Conv2d)][-1]  # type: ignore[union-attr]
    hook = last.register_forward_hook(lambda *arguments: scores.append(arguments[-1]))
    model(torch.randn(1, in_channels, *size))
    hook.remove()
    for parameter in last.parameters():
        parameter.div_(scores[0].abs().max() / 4)


def compare_architecture(
    architecture: str,
    peer: Callable[..., nn.Module],
    options: dict[str, Any],
    *,
    tolerance: float = 1e-5,
    size: tuple[int, int] = (64, 96),
    encoder: str = "resnet18",
    gradients: bool = True,
) -> tuple[nn.Module, nn.Module, Tensor]:
    """Assert that our model and the peer's agree in keys, outputs and gradients; see `architecture_pair`.

    Args:
        tolerance: relative, of the outputs in float32.
        size: height and width of the input; a batch of two.
        gradients: also compare the gradient of the input, on a part of it and in float64, which is slow.

    Returns:
        Our model, the peer's, and the input.
    """
    ours, theirs = architecture_pair(architecture, peer, encoder, size=size, **options)
    x = torch.randn(2, options.get("in_channels", 3), *size, generator=torch.Generator().manual_seed(2))
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
    x = torch.randn(1, options.get("in_channels", 3), *size, generator=torch.Generator().manual_seed(2))
    assert_same_numbers(ours.eval(), theirs.eval(), x, tolerance=tolerance)
