"""timm's models whose stages halve the resolution, as feature pyramids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d
from timm.utils.model import reparameterize_model
from torch import Tensor, nn

from smp_core.finetuning import recompute_blocks
from smp_core.inference import Walk
from smp_core.inference.folding import split_norms
from smp_core.inference.trust import is_as_its_class
from smp_core.layers.recomputing import recompute
from smp_timm import keys, models
from smp_timm.base import TimmBased


class TimmEncoder(TimmBased):
    """A timm model's stages as a pyramid, true to its reductions for images of any size.

    State-dict keys: those of ``timm.create_model(model, features_only=True)`` under ``model.``, as
    segmentation_models_pytorch's ``tu-`` encoders have them; timm's own are taken, too.

    Args:
        model: name of the timm model.
        channels, reductions: of all its features, the image apart.
        positions: where they are among all that timm counts; empty where these are the first ones.
        build: arguments of timm's that free the model from one size.
        sizes: how it takes images of any size; see `smp_timm.sizes.Sizes`.
        first_convolutions: names, in the whole timm model, of the layers that see the input.
        any_channels: whether it takes other than 3 input channels.
        in_channels, depth, output_stride: see `smp_core.encoder.EncoderBase`.
        **options: arguments of the timm model that a user chose.

    Raises:
        OptionError: an option that the model does not take, or other input channels where it takes 3 alone.
        PluginError: the installed timm does not have the model.
    """

    truncated_elsewhere = True

    wants_center = False  # segmentation_models_pytorch has one over its own VGG alone

    def __init__(
        self,
        model: str,
        *,
        channels: Sequence[int],
        reductions: Sequence[int],
        build: Mapping[str, Any],
        sizes: Mapping[str, Any],
        first_convolutions: Sequence[str],
        positions: Sequence[int] = (),
        any_channels: bool = True,
        in_channels: int = 3,
        depth: int = 5,
        output_stride: int = 32,
        **options: Any,
    ) -> None:
        whole = reductions[0] == 1
        image = () if whole else (in_channels,)
        super().__init__(
            model,
            out_channels=(*image, *channels),
            reductions=(*(() if whole else (1,)), *reductions),
            in_channels=in_channels,
            depth=depth,
            any_channels=any_channels,
            options=options,
        )
        kept = [index for index, reduction in enumerate(reductions) if reduction <= 2**depth]
        deepest = reductions[kept[-1]]
        stride = output_stride if output_stride < min(deepest, 32) else deepest  # 32 is what the core says for none
        dilated = {"output_stride": stride} if stride < deepest else {}
        taken = tuple((positions or range(len(reductions)))[index] for index in kept)
        self.build(**build, features_only=True, out_indices=taken, **dilated)
        models.drop_unused(self.model)
        info = self.model.feature_info
        declared = tuple(channels[index] for index in kept), tuple(min(reductions[index], stride) for index in kept)
        found = tuple(info.channels()), tuple(info.reduction())
        models.check_same(model, options, declared, found)
        self.full_resolution = whole
        self.output_stride = output_stride
        self.out_channels = (*image, *found[0])
        self.reductions = (*(() if whole else (1,)), *found[1])
        self.recomputes = False
        self._is_channels_last = models.is_channels_last(self.model)
        self._feature_reductions = list(found[1])
        self.take_sizes(sizes, first_convolutions, reductions=reductions, channels=channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features: list[Tensor] = [] if self.full_resolution else [x]
        image = self._sizes.fit(x)
        found: list[Tensor] = self._recomputed(image) if self.recomputes and self.training else self.model(image)
        for feature, reduction in zip(found, self._feature_reductions, strict=True):
            if self._is_channels_last:
                feature = feature.permute(0, 3, 1, 2).contiguous()
            features.append(self._sizes.restore(feature, reduction, x))
        return features

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: ``forward`` asks for sizes; the model is called as a whole."""
        if all(map(is_as_its_class, self.model.modules())):
            _merge_branches(self.model)
        split_norms(self.model, BatchNormAct2d, ("drop", "act"))
        self.model = walk.over(self.model)
        return self

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """See `smp_core.Encoder`: blocks are recomputed, or, where there are none, what lies between two features."""
        if models.is_list_of_layers(self.model):
            self.recomputes = enabled
        else:
            recompute_blocks(self, enabled)

    def _recomputed(self, x: Tensor) -> list[Tensor]:
        """As ``model`` gives them, which runs one layer after the other."""
        features: list[Tensor] = []
        layers: list[nn.Module] = []
        for name, layer in self.model.items():
            layers.append(layer)
            if name in self.model.return_layers:
                x = recompute(nn.Sequential(*layers), x)
                features.append(x)
                layers = []
        return features

    def unused_shapes(self) -> dict[str, tuple[int, ...]]:
        """See `smp_core.encoder.EncoderBase`: what timm builds besides, and nothing runs."""
        return keys.unused_shapes(self, keys.shapes_of(keys.built_by_timm(self)))

    def any_image(self) -> Tensor:
        """An image of a size that the timm model itself takes, without memory."""
        return self._sizes.fit(torch.empty(1, self.in_channels, 224, 224, device="meta"))


def _merge_branches(model: nn.Module) -> None:
    """Have timm merge branches, which it does in float32: so not of a model in float64, or of several dtypes."""
    dtypes = {item.dtype for item in (*model.parameters(), *model.buffers()) if item.is_floating_point()}
    if len(dtypes) == 1 and torch.float64 not in dtypes:
        model.float()
        reparameterize_model(model, inplace=True)
        model.to(dtypes.pop()).requires_grad_(False)
