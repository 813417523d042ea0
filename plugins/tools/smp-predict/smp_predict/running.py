"""Running a model on batches of tiles: any callable, its preprocessing, test-time augmentation, too large batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from smp_predict.errors import ModelOutputError, OptionError
from smp_predict.protocols import Array

Model = Callable[[Tensor], Any]
"""(N, C, h, w) float32 -> (N, K, h', w'), a tensor or an array; of a tuple or list the first item is taken."""

TestTimeAugmentation = Literal["flips", "d4"]
AUGMENTATIONS: dict[str | None, tuple[tuple[bool, int], ...]] = {
    None: ((False, 0),),
    "flips": ((False, 0), (True, 0), (False, 2), (True, 2)),
    "d4": tuple((mirrored, turns) for turns in range(4) for mirrored in (False, True)),
}
"""Whether a tile is mirrored, and by how many quarters it is turned then."""

# How many pixels a batch holds where nobody says: enough to keep a device busy.
_PIXELS = {"cpu": 1 << 20}
_PIXELS_OF_ACCELERATORS = 1 << 22

# The largest value of the integer dtypes is white; wider ones say nothing about what they hold.
_WHITE = {"uint8": 255, "uint16": 65535, "bool": 1}


class BatchHalvedWarning(UserWarning):
    """The memory did not suffice for a batch, and smaller ones are tried."""


class Runner:
    """A model, ready to be given tiles.

    Args:
        model: see `Model`; an ONNX Runtime session is called through its first input and output.
        preprocessing: called with (N, C, h, w) float32 in the file's own range; None: integers of 8 and 16 bits are
            scaled to [0, 1], and the model's own ``preprocessing`` follows, where it has one for as many channels.
        tta: test-time augmentation: None, ``"flips"`` or ``"d4"``; the mean of all outputs, turned back.
        device: where the model runs.
        dtype: of autocast; float32: none.
        scale: what pixels are divided by in place of the largest value of their type.
        classes: how many a model has that gives the indices of classes.
    """

    def __init__(
        self,
        model: Model,
        *,
        preprocessing: Callable[[Tensor], Tensor] | None,
        tta: str | None,
        device: torch.device,
        dtype: torch.dtype,
        scale: float | None = None,
        classes: int | None = None,
    ) -> None:
        self._model = _callable(model)
        self._given, self._scale, self._classes = preprocessing, scale, classes
        self._own = getattr(model, "preprocessing", None)
        self._augmentations = AUGMENTATIONS[tta]
        self.device, self._dtype = device, dtype

    def __call__(self, tiles: Sequence[Array], batch_size: int) -> tuple[list[Tensor], int]:
        """Scores of tiles.

        Args:
            tiles: (h, w, C) each, of one shape and dtype.
            batch_size: how many at once.

        Returns:
            (K, h', w') float32 of each, and the batch size that the memory sufficed for.

        Raises:
            ModelOutputError: see `scores`.
            RuntimeError: the memory does not suffice for one tile.
        """
        found: list[Tensor] = []
        while len(found) < len(tiles):
            batch = tiles[len(found) : len(found) + batch_size]
            try:
                result = self.scores(batch)
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise RuntimeError(
                        f"the memory of {self.device} does not suffice for one tile of {batch[0].shape[:2]}: choose a "
                        f"smaller tile, dtype='float16' or another device ({error})"
                    ) from error
                batch_size = len(batch) // 2
                text = f"out of memory on {self.device} with {len(batch)} tiles: going on with batches of {batch_size}"
                warnings.warn(text, BatchHalvedWarning, stacklevel=2)
            else:
                found.extend(result)
                continue
            # Outside of the handler, whose traceback keeps what the failed run had allocated.
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        return found, batch_size

    def scores(self, tiles: Sequence[Array]) -> Tensor:
        """One batch: (N, K, h', w') float32.

        Raises:
            ModelOutputError: the model returns something else than maps.
        """
        x = self._prepared(torch.from_numpy(np.stack(tiles)).to(self.device, non_blocking=True), str(tiles[0].dtype))
        if self._augmentations == AUGMENTATIONS[None]:
            return self._maps(x)  # turning by nothing and the mean of one would copy them
        total: Tensor | None = None
        for mirrored, turns in self._augmentations:
            seen = torch.rot90(x.flip(3) if mirrored else x, turns, (2, 3))
            maps = self._maps(seen.contiguous())
            maps = torch.rot90(maps, -turns, (2, 3))
            maps = maps.flip(3) if mirrored else maps
            total = maps if total is None else total + maps
        assert total is not None
        return total / len(self._augmentations)

    def _prepared(self, pixels: Tensor, dtype: str) -> Tensor:
        x = pixels.permute(0, 3, 1, 2).to(torch.float32).contiguous()
        if self._given is not None:
            given = self._given(x)
            if not isinstance(given, Tensor) or given.ndim != 4 or len(given) != len(x):
                what = f"shape {tuple(given.shape)}" if isinstance(given, Tensor) else type(given).__name__
                raise OptionError(f"preprocessing must return a tensor (N, C, h, w) for {tuple(x.shape)}, got {what}")
            return given
        scale = _WHITE.get(dtype) if self._scale is None else self._scale
        if scale is not None:
            x = x / float(scale)
        mean = getattr(self._own, "mean", None)
        if callable(self._own) and mean is not None and len(mean) == x.shape[1]:
            prepared: Tensor = self._own(x)
            return prepared
        return x

    def _maps(self, x: Tensor) -> Tensor:
        with ExitStack() as stack:
            if self._dtype != torch.float32:
                stack.enter_context(torch.autocast(self.device.type, self._dtype))
            result = self._model(x)
        result = result[0] if isinstance(result, (tuple, list)) else result
        maps = torch.from_numpy(result) if isinstance(result, np.ndarray) else result
        if isinstance(maps, Tensor) and maps.ndim == 3 and self._classes and not maps.is_floating_point():
            # Indices of classes: each is a vote, and votes can be averaged.
            maps = torch.nn.functional.one_hot(maps.long(), self._classes).permute(0, 3, 1, 2)
        if not isinstance(maps, Tensor) or maps.ndim != 4 or len(maps) != len(x) or not maps.shape[1]:
            what = f"shape {tuple(maps.shape)}" if isinstance(maps, Tensor) else type(maps).__name__
            raise ModelOutputError(f"the model must give (N, K, h, w) for {tuple(x.shape)}, got {what}")
        return maps.to(self.device, torch.float32)


def probe(runner: Runner, channels: int, dtype: np.dtype[Any], height: int, width: int) -> tuple[int, Fraction]:
    """The number of maps of a model, and how many times as long as a tile's their sides are.

    Raises:
        ModelOutputError: the two sides differ in their ratio, or the ratio depends on the size.
    """
    classes, rows, columns = _probed(runner, channels, dtype, height, width)
    ratio = Fraction(rows, height)
    if ratio != Fraction(columns, width):
        raise ModelOutputError(
            f"the model gives {rows}x{columns} for {height}x{width}; expected one ratio for both sides"
        )
    if ratio.numerator != 1 and ratio.denominator != 1:
        # A border that is cut off looks like a ratio of an odd kind, at one size.
        _, more_rows, more_columns = _probed(runner, channels, dtype, 2 * height, 2 * width)
        if (more_rows, more_columns) != (2 * rows, 2 * columns):
            raise ModelOutputError(
                f"the model gives {rows}x{columns} for {height}x{width}, but {more_rows}x{more_columns} for "
                f"{2 * height}x{2 * width}; expected one ratio: let it pad its convolutions, or enlarge its result to "
                "the size of its input"
            )
    return classes, ratio


def _probed(runner: Runner, channels: int, dtype: np.dtype[Any], height: int, width: int) -> tuple[int, int, int]:
    """(K, h', w') of a black tile."""
    try:
        maps = runner.scores([np.zeros((height, width, channels), dtype)])
    except Exception as error:
        if hasattr(error, "add_note"):  # Python 3.11
            shape = (1, channels, height, width)
            error.add_note(
                f"for an input of shape {shape}, a tile of the image, whose axes are (height, width, channels)"
            )
        raise
    classes, rows, columns = maps.shape[1:]
    return classes, rows, columns


def automatic_batch_size(device: torch.device, height: int, width: int) -> int:
    """How many tiles make about a million pixels on the CPU, and four million on other devices."""
    return max(1, _PIXELS.get(device.type, _PIXELS_OF_ACCELERATORS) // (height * width))


@contextmanager
def evaluated(model: Model, device: torch.device | None) -> Iterator[torch.device]:
    """A torch module in evaluation mode and without gradients, on a device; flags and device are put back.

    Yields:
        The device: the one that is given, else that of the module's first parameter, else the CPU.
    """
    with torch.inference_mode():
        if not isinstance(model, torch.nn.Module):
            yield device or torch.device("cpu")
            return
        home = next((item.device for item in model.parameters()), torch.device("cpu"))
        flags = [(module, module.training) for module in model.modules()]
        try:
            model.eval()
            if device is not None and device != home:
                model.to(device)
            yield device or home
        finally:
            if device is not None and device != home:
                model.to(home)
            for module, training in flags:
                module.training = training


def _callable(model: Model) -> Model:
    session: Any = model
    if hasattr(session, "run") and hasattr(session, "get_inputs"):
        name = session.get_inputs()[0].name
        return lambda x: session.run(None, {name: x.cpu().numpy()})[0]
    if not callable(model):
        raise OptionError(f"model must be callable with (N, C, h, w), got {type(model).__name__}")
    return model


def _is_out_of_memory(error: RuntimeError) -> bool:
    # torch.cuda.OutOfMemoryError says so itself; the CPU's and other devices' are plain RuntimeErrors.
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
