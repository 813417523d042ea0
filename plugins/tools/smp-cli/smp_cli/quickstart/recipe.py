"""How the demo trains: a fixed number of steps on random crops of the three training quadrants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_cli.quickstart.sample import Sample
from smp_core import SegmentationModel
from smp_losses import DiceLoss, SoftBCEWithLogitsLoss
from smp_metrics import ConfusionMatrix


@dataclass(frozen=True)
class Recipe:
    """The settings of a run.

    Attributes:
        seed: of the parameters and of everything random in the data.
        steps: optimiser steps; the learning rate rises for a fifth of them, then falls along a cosine.
        batch: crops a step.
        side: height and width of a crop.
        learning_rate: the largest.
        weight_decay: of AdamW.
    """

    seed: int = 0
    steps: int = 80
    batch: int = 8
    side: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2


def train(model: SegmentationModel, sample: Sample, recipe: Recipe, on_step: Callable[[int, float], None]) -> None:
    """Train a model in place; it ends in evaluation mode.

    Args:
        model: one channel in, one class out; its preprocessing is set.
        sample: the micrograph.
        recipe: the settings.
        on_step: called after every step with the number of steps done and the loss.
    """
    assert model.preprocessing is not None
    crops = Crops(sample, recipe)
    # Pixels whose channels lie together make the convolutions of a CPU about a fifth faster.
    model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.steps, pct_start=0.2)
    for step in range(recipe.steps):
        images, masks = crops.batch()
        scores = model(model.preprocessing(images).contiguous(memory_format=torch.channels_last))
        assert isinstance(scores, Tensor)
        value = loss(scores, masks)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        on_step(step + 1, value.item())
    _restore_layout(model)
    model.eval()


def loss(scores: Tensor, masks: Tensor) -> Tensor:
    """Binary cross entropy plus soft Dice over the batch: (N, 1, H, W) each -> scalar."""
    both = SoftBCEWithLogitsLoss() + DiceLoss("binary")
    value: Tensor = both(scores, masks)
    return value


def iou(predicted: Tensor, mask: Tensor) -> float:
    """Intersection over union of two boolean masks of any shape; 1 where both are empty."""
    matrix = ConfusionMatrix(2)
    matrix.update(predicted.reshape(1, -1), mask.reshape(1, -1))
    return float(matrix.score("iou_score", "none", zero_division=1.0)[1])


def _restore_layout(model: nn.Module) -> None:
    """Give every parameter the plain layout that it has when the model is loaded from a file.

    The layout decides which kernels run, and these differ in the last bit.
    """
    for parameter in model.parameters():
        plain = torch.empty(parameter.shape, dtype=parameter.dtype)
        parameter.data = plain.copy_(parameter.data)


class Crops:
    """Random crops of the training quadrants: scaled, turned, mirrored, brighter or darker, and noisy.

    All randomness comes from one generator of its own.
    """

    def __init__(self, sample: Sample, recipe: Recipe) -> None:
        self.images, self.masks = sample.training
        self.recipe = recipe
        self.spread = float(self.images.std())
        self.generator = torch.Generator().manual_seed(recipe.seed)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Images in the units of the sample, and masks: (batch, 1, side, side) each."""
        pairs = [self._crop() for _ in range(self.recipe.batch)]
        return torch.stack([image for image, _ in pairs]), torch.stack([mask for _, mask in pairs])

    def _crop(self) -> tuple[Tensor, Tensor]:
        side = self.recipe.side
        size = min(int(side * self._uniform(0.75, 1.33)), self.images.shape[-1])
        row, column = (self._below(self.images.shape[-1] - size + 1) for _ in range(2))
        quadrant = self._below(len(self.images))
        both = torch.stack([self.images[quadrant, 0], self.masks[quadrant, 0]])
        both = both[None, :, row : row + size, column : column + size]
        both = functional.interpolate(both, size=(side, side), mode="bilinear", align_corners=False)[0]
        both = both.rot90(self._below(4), dims=(1, 2))
        if self._below(2):
            both = both.flip(2)
        image, mask = both[:1], both[1:].round()
        return self._jitter(image), mask

    def _jitter(self, image: Tensor) -> Tensor:
        image = image * self._uniform(0.7, 1.4) + self.spread * self._uniform(-0.1, 0.1)
        noise = torch.randn(image.shape, generator=self.generator)
        return image + noise * (self.spread * self._uniform(0.0, 0.1))

    def _below(self, end: int) -> int:
        return int(torch.randint(end, (), generator=self.generator))

    def _uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))
