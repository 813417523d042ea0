"""Epochs of the old trainer."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm  # type: ignore[import-untyped]

from smp_compat.utils.meter import AverageValueMeter


class Epoch:
    """One pass over the data.

    Args:
        model: images in, scores out.
        loss: with a ``__name__``.
        metrics: with names.
        stage_name: shown beside the progress.
        device: where all is put.
        verbose: whether progress is shown.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Any,
        metrics: Sequence[Any],
        stage_name: str,
        device: str | torch.device = "cpu",
        verbose: bool = True,
    ) -> None:
        self.model, self.loss, self.metrics = model, loss, metrics
        self.stage_name, self.verbose, self.device = stage_name, verbose, device
        self._to_device()

    def _to_device(self) -> None:
        for item in (self.model, self.loss, *self.metrics):
            item.to(self.device)

    def _format_logs(self, logs: Mapping[str, float]) -> str:
        return ", ".join(f"{key} - {value:.4}" for key, value in logs.items())

    def batch_update(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """One batch: the loss and the scores."""
        raise NotImplementedError

    def on_epoch_start(self) -> None:
        """What is done before the first batch."""

    def run(self, dataloader: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """The means over all batches of the loss and the metrics, by name."""
        self.on_epoch_start()
        logs: dict[str, float] = {}
        loss_meter = AverageValueMeter()
        meters = {metric.__name__: AverageValueMeter() for metric in self.metrics}
        shown = tqdm(dataloader, desc=self.stage_name, file=sys.stdout, disable=not self.verbose)
        with shown as batches:
            for x, y in batches:
                x, y = x.to(self.device), y.to(self.device)
                loss, scores = self.batch_update(x, y)
                loss_meter.add(float(loss.detach()))
                logs[self.loss.__name__] = loss_meter.mean
                for metric in self.metrics:
                    meters[metric.__name__].add(float(metric(scores, y).detach()))
                logs |= {name: item.mean for name, item in meters.items()}
                if self.verbose:
                    batches.set_postfix_str(self._format_logs(logs))
        return logs


class TrainEpoch(Epoch):
    """An epoch of training; see `Epoch`."""

    def __init__(
        self,
        model: nn.Module,
        loss: Any,
        metrics: Sequence[Any],
        optimizer: torch.optim.Optimizer,
        device: str | torch.device = "cpu",
        verbose: bool = True,
    ) -> None:
        super().__init__(model, loss, metrics, "train", device, verbose)
        self.optimizer = optimizer

    def on_epoch_start(self) -> None:
        """Training mode."""
        self.model.train()

    def batch_update(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the optimizer."""
        self.optimizer.zero_grad()
        scores = self.model(x)
        loss = self.loss(scores, y)
        loss.backward()
        self.optimizer.step()
        return loss, scores


class ValidEpoch(Epoch):
    """An epoch of validation; see `Epoch`."""

    def __init__(
        self,
        model: nn.Module,
        loss: Any,
        metrics: Sequence[Any],
        device: str | torch.device = "cpu",
        verbose: bool = True,
    ) -> None:
        super().__init__(model, loss, metrics, "valid", device, verbose)

    def on_epoch_start(self) -> None:
        """Evaluation mode."""
        self.model.eval()

    def batch_update(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The loss and the scores, without gradients."""
        with torch.no_grad():
            scores = self.model(x)
            return self.loss(scores, y), scores
