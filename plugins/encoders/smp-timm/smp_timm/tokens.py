"""timm's models that keep one resolution: plain transformers above all."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from smp_core.errors import OptionError
from smp_timm import keys, models
from smp_timm.base import TimmBased


class TimmTokenEncoder(TimmBased):
    """Features out of the blocks of a model that keeps one resolution, and its prefix tokens.

    State-dict keys: those of ``timm.create_model(model, num_classes=0)`` under ``model.``, without what is not run;
    timm's own are taken, too.

    Args:
        model: name of the timm model.
        channels, reduction: of its features.
        blocks: how many it has.
        prefix_tokens: how many tokens it has before those of the image.
        build: arguments of timm's that free the model from one size.
        sizes: how it takes images of any size; see `smp_timm.sizes.Sizes`.
        first_convolutions: names, in the timm model, of the layers that see the input.
        any_channels: whether it takes other than 3 input channels.
        in_channels: channels of the input.
        depth: how many features.
        output_stride: 32; it cannot be dilated.
        output_indices: the blocks whose outputs are the features, in whatever order, each once; by default ``depth``
            evenly spaced ones, the last block among them.
        feature_norm: whether the model's final norm is applied to each feature, as in the evaluation protocol of
            DINOv2 (arXiv:2304.07193).
        **options: arguments of the timm model that a user chose.

    Raises:
        OptionError: an option that the model does not take, a block that it does not have, or other input channels
            where it takes 3 alone.
        PluginError: the installed timm does not have the model.
    """

    tokens = True

    def __init__(
        self,
        model: str,
        *,
        channels: int,
        reduction: int,
        blocks: int,
        prefix_tokens: int,
        build: Mapping[str, Any],
        sizes: Mapping[str, Any],
        first_convolutions: Sequence[str],
        any_channels: bool = True,
        in_channels: int = 3,
        depth: int = 4,
        output_stride: int = 32,
        output_indices: Sequence[int] | None = None,
        feature_norm: bool = False,
        **options: Any,
    ) -> None:
        del output_stride
        super().__init__(
            model,
            out_channels=(channels,),
            reductions=(max(reduction, 2),),
            in_channels=in_channels,
            depth=depth,
            any_channels=any_channels,
            options=options,
        )
        if not isinstance(feature_norm, bool):
            raise OptionError(f"encoder_options: feature_norm must be True or False, got {feature_norm!r}")
        self.out_channels = (channels,) * depth
        self.reductions = (reduction,) * depth
        self.feature_norm = feature_norm
        self.build(**build, num_classes=0)
        last = self.model.feature_info[-1]
        found = (last["num_chs"], last["reduction"], models.blocks_of(self.model))
        models.check_same(model, options, (channels, reduction, blocks), found)
        before = len(self.model.feature_info) - blocks
        self.indices = [before + index for index in _indices(model, depth, blocks, output_indices)]
        taken = inspect.signature(self.model.forward_intermediates).parameters
        # With or without a class token, with more registers: a user's options may change their number.
        counts_again = options and "return_prefix_tokens" in taken
        self.num_prefix_tokens = int(self.model.num_prefix_tokens) if counts_again else prefix_tokens
        self._extra: dict[str, Any] = {"return_prefix_tokens": True} if self.num_prefix_tokens else {}
        if "norm" in taken:
            self._extra["norm"] = feature_norm
        elif feature_norm:
            raise OptionError(f"encoder_options: timm's {model!r} has no final norm for feature_norm=True")
        self._prune()
        self.take_sizes(sizes, first_convolutions, reductions=(reduction,), channels=(channels,))

    def _prune(self) -> None:
        """Drop what makes no feature: later blocks, the head, the final norm where it is not applied."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model.prune_intermediate_layers(self.indices, prune_norm=not self.feature_norm, prune_head=True)

    def forward(  # type: ignore[override]  # what a tokens encoder returns
        self, x: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Features and prefix tokens.

        Args:
            x: (N, in_channels, H, W), any H and W.

        Returns:
            ``depth`` features (N, C, ceil(H / reduction), ceil(W / reduction)), and as many prefix tokens
            (N, number of prefix tokens, C), in the order of the blocks.
        """
        found = self.model.forward_intermediates(
            self._sizes.fit(x), indices=self.indices, output_fmt="NCHW", intermediates_only=True, **self._extra
        )
        features: list[Tensor] = []
        prefix: list[Tensor] = []
        for item in found:
            feature, tokens = item if self.num_prefix_tokens else (item, None)
            features.append(self._sizes.restore(feature, self.reductions[0], x))
            prefix.append(feature.new_zeros(feature.shape[0], 0, feature.shape[1]) if tokens is None else tokens)
        return features, prefix

    def unused_shapes(self) -> dict[str, tuple[int, ...]]:
        """See `smp_core.encoder.EncoderBase`: what is not built here, and is in the whole model."""
        return keys.unused_shapes(self, self.whole_shapes)


def _indices(model: str, depth: int, blocks: int, chosen: Sequence[int] | None) -> list[int]:
    """The blocks whose outputs are the features, counted from the first, in order."""
    if chosen is None:
        return [int(blocks / depth * number) - 1 for number in range(1, depth + 1)]
    wrong = [index for index in chosen if not -blocks <= index < blocks]
    if wrong:
        raise OptionError(
            f"timm's {model!r} has {blocks} blocks; expected output indices in {-blocks}..{blocks - 1}, got {wrong}"
        )
    indices = sorted(index % blocks for index in chosen)
    if len({*indices}) < len(indices):
        raise OptionError(f"timm's {model!r}: the output indices {[*chosen]} name a block twice")
    return indices
