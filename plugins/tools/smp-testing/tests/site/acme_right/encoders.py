"""Encoders as people write them."""

import itertools

import timm
import torch
import torchvision
from acme_filters.statistics import gaussian
from acme_upstream import Upstream
from torch import Tensor, nn
from torch.nn import functional

from smp_core.encoder import EncoderBase, cut_features, whole_patches
from smp_core.errors import OptionError


class Patches14(nn.Module):
    """Patches of 14 x 14, filled up, and a feature between."""

    first_convolution = "patches"

    def __init__(self, *, in_channels=3, depth=5, output_stride=32):
        super().__init__()
        self.in_channels = in_channels
        self.reductions = (1, 7, 14, 28)[: 2 + int(depth > 3) + int(depth > 4)]
        self.out_channels = (in_channels, 12, 16, 20)[: len(self.reductions)]
        self._reductions = list(self.reductions)
        self.patches = nn.Conv2d(in_channels, 12, 7, 7)
        self.blocks = nn.Sequential(nn.GroupNorm(2, 12), nn.GELU(), nn.Conv2d(12, 12, 1))
        self.deeper = nn.ModuleList(
            nn.Conv2d(12 + 4 * level, 16 + 4 * level, 2, 2) for level in range(len(self.reductions) - 2)
        )

    def stage_modules(self):
        return [["patches", "blocks"], *([f"deeper.{index}"] for index in range(len(self.deeper)))]

    def forward(self, x: Tensor) -> list[Tensor]:
        whole = whole_patches(x, 28)
        features = [whole, self.blocks(self.patches(whole))]
        for layer in self.deeper:
            features.append(layer(features[-1]).relu())
        features = cut_features(features, x, self._reductions)
        return [x] + features[1:]  # noqa: RUF005  # TorchScript knows no star


class PlainTransformer(nn.Module):
    """A plain transformer with patches and prefix tokens of any number, and position embeddings that are resized."""

    tokens = True

    def __init__(self, *, patch=16, prefix=1, width=24, in_channels=3, depth=4, output_stride=32, output_indices=None):
        super().__init__()
        indices = range(4 - depth, 4) if output_indices is None else output_indices
        if any(not -4 <= index < 4 for index in indices) or len({index % 4 for index in indices}) < len(indices):
            raise OptionError(f"expected different blocks of 4, got {indices}")
        self.chosen = [index % 4 for index in indices]
        self.in_channels, self.patch, self.num_prefix_tokens = in_channels, patch, prefix
        self.out_channels, self.reductions = (width,) * depth, (patch,) * depth
        self.embedding = nn.Conv2d(in_channels, width, patch, patch)
        self.prefix = nn.Parameter(0.02 * torch.randn(1, prefix, width)) if prefix else None
        self.positions = nn.Parameter(0.02 * torch.randn(1, width, 4, 4))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
            for _ in range(max(self.chosen) + 1)
        )

    first_convolution = "embedding"

    def no_weight_decay(self):
        return {"positions"}

    def stage_modules(self):
        stem = ["embedding", "positions", *(["prefix"] if self.num_prefix_tokens else [])]
        return [stem, *([f"blocks.{index}"] for index in range(len(self.blocks)))]

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        x = self.embedding(whole_patches(x, self.patch))
        height, width = x.shape[2], x.shape[3]
        x = x + functional.interpolate(self.positions, size=[height, width], mode="bilinear")
        x = x.flatten(2).transpose(1, 2)
        prefix = self.prefix
        if prefix is not None:
            x = torch.cat([prefix.expand(x.shape[0], -1, -1), x], dim=1)
        features: list[Tensor] = []
        prefixes: list[Tensor] = []
        for block in self.blocks:
            x = block(x)
            features.append(x[:, self.num_prefix_tokens :].transpose(1, 2).unflatten(2, [height, width]).contiguous())
            prefixes.append(x[:, : self.num_prefix_tokens])
        return [features[index] for index in self.chosen], [prefixes[index] for index in self.chosen]


class Functional(EncoderBase):
    """Parameters of its own and functions alone; one cell, used again at every level, as recurrent nets have it."""

    def __init__(self, *, in_channels=3, depth=4, output_stride=32):
        super().__init__(
            out_channels=(in_channels, 8, 8, 8, 8),
            reductions=(1, 2, 4, 8, 16),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
        )
        self.lift = nn.Parameter(0.3 * torch.randn(8, in_channels))
        self.cell = nn.Parameter(0.2 * torch.randn(8, 8, 3, 3))
        self.gate = nn.Parameter(0.2 * torch.randn(8, 8, 1, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [x]
        state = torch.einsum("oc,nchw->nohw", self.lift, x)
        for _ in self.reductions[1:]:
            state = functional.avg_pool2d(state, 3, 2, 1)
            update = torch.sigmoid(functional.conv2d(state, self.gate))
            state = update * state + (1 - update) * torch.tanh(functional.conv2d(state, self.cell, padding=1))
            features.append(state)
        return features


class OfTorchvision(EncoderBase):
    """SqueezeNet's first stages."""

    first_convolution = "layers.0"

    def __init__(self, *, in_channels=3, depth=3, output_stride=32):
        ends = (1, 4, 7)[:depth]
        super().__init__(
            out_channels=(in_channels, 64, 128, 256),
            reductions=(1, 2, 4, 8),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            ignored_keys=[f"layers.{index}." for index in range(ends[-1] + 1, 8)],
        )
        layers = [*torchvision.models.squeezenet1_1(weights=None).features[:8]]
        layers[0] = nn.Conv2d(in_channels, 64, 3, 2, 1)
        for layer in layers:
            if isinstance(layer, nn.MaxPool2d):
                layer.padding, layer.ceil_mode = 1, False
        self.layers = nn.Sequential(*layers[: ends[-1] + 1])
        self.ends = list(ends)

    def stage_modules(self):
        return self.stages_of_list("layers", self.ends)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [x]
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self.ends:
                features.append(x)
        return features


class OfTimm(nn.Module):
    """timm's own pyramid of a small ConvNeXt, wrapped; images are filled up to whole patches."""

    first_convolution = "model.stem_0"

    def __init__(self, *, name="test_convnext", in_channels=3, depth=5, output_stride=32):
        super().__init__()
        indices = tuple(range(depth - 1))
        self.model = timm.create_model(name, features_only=True, out_indices=indices, in_chans=in_channels)
        self.in_channels = in_channels
        self.out_channels = (in_channels, *self.model.feature_info.channels())
        self.reductions = (1, *self.model.feature_info.reduction())
        self._reductions = list(self.reductions)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = self.model(whole_patches(x, self._reductions[-1]))
        return [x] + cut_features(features, x, self._reductions[1:])  # noqa: RUF005  # TorchScript knows no star


class ChannelsLast(EncoderBase):
    """Layers that see the channels innermost, as ConvNeXt's; the first level is at a quarter of the image."""

    channels_last = True
    first_convolution = "stem.projection"

    def __init__(self, *, in_channels=3, depth=4, output_stride=32):
        widths = (12, 16, 20)[: depth - 1]
        super().__init__(
            out_channels=(in_channels, 12, 16, 20),
            reductions=(1, 4, 8, 16),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            ignored_keys=[f"stages.{index}." for index in range(len(widths) - 1, 2)],
        )
        self.stem = Patch(in_channels, 12, 4)
        self.stages = nn.ModuleList(
            nn.Sequential(Patch(source, width, 2), Pointwise(width)) for source, width in itertools.pairwise(widths)
        )

    def stage_modules(self):
        return [["stem"], *([f"stages.{index}"] for index in range(len(self.stages)))]

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [x, self.stem(x)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features


class Patch(nn.Module):
    def __init__(self, source, width, size):
        super().__init__()
        self.size = size
        self.projection = nn.Conv2d(source, width, size, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(whole_patches(x, self.size))


class Pointwise(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.narrow(functional.gelu(self.wide(y))).permute(0, 3, 1, 2)


class FullResolution(EncoderBase):
    """As VGG: the first feature is a stage's."""

    full_resolution = True
    first_convolution = "stages.0.0"

    def __init__(self, *, in_channels=3, depth=3, output_stride=32):
        super().__init__(
            out_channels=(8, 12, 16, 20),
            reductions=(1, 2, 4, 8),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            ignored_keys=[f"stages.{index}." for index in range(depth + 1, 4)],
        )
        widths = (in_channels, 8, 12, 16, 20)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(widths[index], widths[index + 1], 3, 2 if index else 1, 1), nn.SiLU())
            for index in range(depth + 1)
        )

    def stage_modules(self):
        return [[f"stages.{index}"] for index in range(len(self.stages))]

    def forward(self, x: Tensor) -> list[Tensor]:
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class OfUpstream(EncoderBase):
    """A model that cannot be built on the meta device, wrapped."""

    first_convolution = "model.blocks.0.down"

    def __init__(self, *, in_channels=3, depth=4, output_stride=32):
        super().__init__(
            out_channels=(in_channels, 8, 12, 16, 20),
            reductions=(1, 2, 4, 8, 16),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            ignored_keys=[f"model.blocks.{index}." for index in range(depth, 4)],
        )
        self.model = Upstream(in_channels, (8, 12, 16, 20))
        del self.model.blocks[depth:]

    def stage_modules(self):
        return [[f"model.blocks.{index}"] for index in range(len(self.model.blocks))]

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [x]
        for block in self.model.blocks:
            x = block(x)
            features.append(x)
        return features


class Blurred(EncoderBase):
    """Anti-aliased downsampling with kernels that somebody else's package computes; a buffer holds them."""

    first_convolution = "stages.0"

    def __init__(self, *, in_channels=3, depth=3, output_stride=32):
        super().__init__(
            out_channels=(in_channels, 8, 12, 16),
            reductions=(1, 2, 4, 8),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            ignored_keys=[f"stages.{index}." for index in range(depth, 3)],
        )
        widths = (in_channels, 8, 12, 16)
        self.stages = nn.ModuleList(nn.Conv2d(widths[i], widths[i + 1], 3, padding=1) for i in range(depth))
        bell = torch.tensor(gaussian(3, 1.0))
        self.register_buffer("kernel", (bell[:, None] * bell[None])[None, None], persistent=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [x]
        for stage in self.stages:
            x = functional.gelu(stage(x))
            x = functional.conv2d(x, self.kernel.expand(x.shape[1], -1, -1, -1), stride=2, padding=1, groups=x.shape[1])
            features.append(x)
        return features


class TiedWeights(EncoderBase):
    """One block at every level, by several names."""

    first_convolution = "stem"

    def __init__(self, *, in_channels=3, depth=3, output_stride=32):
        super().__init__(
            out_channels=(in_channels, 8, 8, 8),
            reductions=(1, 2, 4, 8),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            ignored_keys=[f"again.{index}." for index in range(depth, 3)],
        )
        self.stem = nn.Conv2d(in_channels, 8, 1)
        block = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.GELU())
        self.again = nn.ModuleList(block for _ in range(depth))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [x]
        x = self.stem(x)
        for block in self.again:
            x = block(x)
            features.append(x)
        return features
