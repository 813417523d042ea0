"""The simple feature pyramid of ViTDet (Li et al., arXiv:2203.16527): every level from a transformer's last feature."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from smp_core.layers import LayerNorm2d, initialise_decoder
from smp_core.options import check_positive
from smp_necks.given import check_features, check_tokens
from smp_necks.levels import reductions_up_to
from smp_necks.resampling import Resample

# Of vision transformers; torch's own default is ten times as large.
_EPSILON = 1e-6
# Channels are halved with each doubling of the resolution, but not below this: a norm over one or two channels leaves
# nothing but a sign.
_FEWEST_CHANNELS = 8


class SimplePyramid(nn.Module):
    """A pyramid of equal widths from the last feature of a plain transformer.

    Finer levels by transposed 2x2 convolutions of stride 2, which halve the channels, with LayerNorm and GELU between
    two; the level of the feature's own reduction as it is; coarser levels by max pooling. Then for each level a 1x1
    convolution to ``channels``, LayerNorm, a 3x3 convolution, LayerNorm, every norm over the channels of a pixel.

    A feature whose reduction is no power of two (patches of 14) is resampled first, bilinearly, to the nearest one in
    the logarithm: 7 to 8, 12 and 14 to 16.

    State-dict keys, for each level i: ``levels.i.scale.0``, ``.3``, ... the transposed convolutions and ``.1``, ``.4``,
    ... the norms between them; ``levels.i.project.0``, ``.1`` the 1x1 convolution and its norm; ``levels.i.smooth.0``,
    ``.1`` the 3x3 convolution and its norm.

    Args:
        out_channels, reductions: of the encoder's features, all of one reduction; the last feature is used.
        tokens: must be True.
        output_stride: 4, 8, 16 or 32: levels of a larger reduction are left out.
        channels: of every level.

    Attributes:
        out_channels, reductions: of the levels, highest resolution first: 4, 8, 16, 32.

    Raises:
        OptionError: features that are not a plain transformer's, or a wrong value; says what was expected.

    >>> import torch
    >>> neck = SimplePyramid(out_channels=(192,), reductions=(16,), tokens=True, channels=64)
    >>> [tuple(level.shape) for level in neck([torch.zeros(1, 192, 14, 20)])]
    [(1, 64, 56, 80), (1, 64, 28, 40), (1, 64, 14, 20), (1, 64, 7, 10)]
    """

    def __init__(
        self,
        *,
        out_channels: Sequence[int],
        reductions: Sequence[int],
        tokens: bool,
        output_stride: int | None = None,
        channels: int = 256,
    ) -> None:
        super().__init__()
        given, scales = check_features("simple_pyramid", out_channels, reductions, output_stride)
        reduction = check_tokens("simple_pyramid", scales, tokens)
        channels = check_positive("simple_pyramid: channels", channels)
        nominal = nearest_power_of_two(reduction)
        self.reductions: tuple[int, ...] = reductions_up_to(output_stride)
        self.out_channels: tuple[int, ...] = (channels,) * len(self.reductions)
        self.resample = Resample(reduction, nominal)
        self.levels = nn.ModuleList(PyramidLevel(given[-1], channels, nominal, item) for item in self.reductions)
        initialise_decoder(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Make the levels.

        Args:
            features: (N, C, h, w) each.

        Returns:
            One (N, channels, H, W) for each level of reduction R, H of at least h * reduction / R, rounded up; W alike.
        """
        x = self.resample(features[-1])
        return [level(x) for level in self.levels]


class PyramidLevel(nn.Module):
    """One level: (N, in_channels, h, w) -> (N, out_channels, H, W), H = h * source / target, rounded up; W alike.

    Args:
        in_channels, out_channels: number of channels.
        source, target: reductions of the map and of the level, powers of two.
    """

    def __init__(self, in_channels: int, out_channels: int, source: int, target: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        while source > target:
            if layers:
                layers += [LayerNorm2d(in_channels, eps=_EPSILON), nn.GELU()]
            halved = max(in_channels // 2, min(in_channels, _FEWEST_CHANNELS))
            layers.append(nn.ConvTranspose2d(in_channels, halved, 2, stride=2))
            in_channels, source = halved, source // 2
        if source < target:
            layers.append(CeilMaxPool2d(target // source))
        self.scale = nn.Sequential(*layers)
        self.project = _convolution(in_channels, out_channels, 1)
        self.smooth = _convolution(out_channels, out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.smooth(self.project(self.scale(x)))
        return out


class CeilMaxPool2d(nn.Module):
    """Max pooling that loses no row or column: (N, C, h, w) -> (N, C, H, W), H = h / window, rounded up; W alike.

    As ``MaxPool2d(window, ceil_mode=True)``, which torch cannot export for every size: it asks whether the last window
    lies outside of the map. Repeating the border changes no maximum.

    Args:
        window: height and width of the windows, and the stride.
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        below = (x.shape[2] + self.window - 1) // self.window * self.window - x.shape[2]
        beside = (x.shape[3] + self.window - 1) // self.window * self.window - x.shape[3]
        return functional.max_pool2d(functional.pad(x, [0, beside, 0, below], mode="replicate"), self.window)

    def extra_repr(self) -> str:
        """The window."""
        return f"{self.window}"


def _convolution(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """A convolution and its norm, whose bias makes one of the convolution needless."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        LayerNorm2d(out_channels, eps=_EPSILON),
    )


def nearest_power_of_two(reduction: int) -> int:
    """The power of two whose logarithm is nearest; between ints there is no tie.

    >>> [nearest_power_of_two(reduction) for reduction in (7, 11, 12, 14, 16, 17)]
    [8, 8, 16, 16, 16, 16]
    """
    power = 1
    # The logarithms part at the square root of two times the power; squared, it is an int.
    while reduction * reduction > 2 * power * power:
        power *= 2
    return power
