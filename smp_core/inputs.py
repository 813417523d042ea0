"""What a model's input must look like: the value range, mean and standard deviation that it was trained on.

Nothing here imports torch or numpy before it is given a tensor or an array.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from smp_core._specs.checks import shown
from smp_core._specs.kinds import as_number
from smp_core.errors import InputError, OptionError
from smp_core.plugin import WeightsSpec

if TYPE_CHECKING:
    from torch import Tensor

Pixels = TypeVar("Pixels")
"""A torch tensor or a NumPy array."""

Layout = Literal["CHW", "HWC"]

# The largest value of the integer types that pictures come in. The wider ones say nothing about what they hold.
_WHITE = {"uint8": 255.0, "uint16": 65535.0}

# Floats are in [0, 1]; resampling overshoots a little, and reflectances may. Far beyond, they were never scaled.
_OVERSHOOT = 2.0


def preprocessing(encoder: str, weights: str | bool = True) -> Preprocessing:
    """How images are prepared for an encoder with given pretrained weights; looks nothing up on a network.

    Args:
        encoder: name or qualified name.
        weights: True for the encoder's default weights, or the name of a weight set.

    Raises:
        RegistryError: the encoder's name means nothing, or too much.
        OptionError: the encoder has no such weights.

    >>> import numpy as np
    >>> prepare = preprocessing("resnet34")
    >>> prepare.mean, prepare.input_space
    ((0.485, 0.456, 0.406), 'RGB')
    >>> prepare(np.zeros((480, 640, 3), np.uint8)).shape
    (480, 640, 3)
    """
    # Not above: a model imports this module, and need not wait for the discovery of plugins.
    from smp_core.registry import resolve_encoder

    spec = resolve_encoder(encoder).spec
    name = spec.default_weights if weights is True else weights
    if not isinstance(name, str) or name not in spec.weights:
        names = ", ".join(spec.weights) or "none"
        raise OptionError(
            f"weights={weights!r} is no weight set of encoder {spec.name!r} ({names}), so nobody knows how its images "
            "were prepared; expected True or one of these names; for others, build a smp_core.inputs.Preprocessing"
        )
    return Preprocessing.of_weights(spec.weights[name])


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How pixel values become a model's input: scale to ``input_range``, order the colours, subtract, divide.

    Attributes:
        mean, std: per channel, in units of ``input_range`` and in the order of ``input_space``.
        input_space: ``"RGB"`` or ``"BGR"``.
        input_range: the smallest and largest pixel value before ``mean`` is subtracted.

    Raises:
        OptionError: a value that none of them can have.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_space: str = "RGB"
    input_range: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        mean, std, ends = (_floats(name, getattr(self, name)) for name in ("mean", "std", "input_range"))
        if not mean or len(mean) != len(std) or not all(item > 0 for item in std):
            raise OptionError(
                f"mean and std must have one number for each channel, those of std above 0; got {mean} and {std}"
            )
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise OptionError(f"input_range must be (low, high) with low < high, got {ends}")
        if self.input_space not in ("RGB", "BGR"):
            raise OptionError(f"input_space must be 'RGB' or 'BGR', got {self.input_space!r}")
        for name, value in (("mean", mean), ("std", std), ("input_range", ends)):
            object.__setattr__(self, name, value)

    @classmethod
    def of_weights(cls, weights: WeightsSpec) -> Preprocessing:
        """The preprocessing that a set of pretrained weights was trained with."""
        return cls(mean=weights.mean, std=weights.std, input_space=weights.input_space, input_range=weights.input_range)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `to_dict`."""
        names = ("mean", "std", "input_space", "input_range")
        return cls(**{name: values[name] for name in names})

    @classmethod
    def of(cls, value: object) -> Preprocessing | None:
        """One that is given as it is, as a dict of its values, or as None.

        Raises:
            OptionError: none of these.
        """
        if value is None or isinstance(value, Preprocessing):
            return value
        try:
            return cls.from_dict(value)  # type: ignore[arg-type]
        except (LookupError, TypeError, ValueError) as error:
            raise OptionError(
                f"preprocessing={value!r}: expected a smp_core.inputs.Preprocessing, or a dict with mean, std, "
                f"input_space and input_range ({type(error).__name__}: {error})"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """``mean``, ``std``, ``input_space``, ``input_range``: JSON-able; `from_dict` reads it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def __call__(self, x: Pixels, *, layout: Layout | None = None, white: float | None = None) -> Pixels:
        """Turn pixel values into a model's input.

        Args:
            x: a tensor (..., C, H, W) or an array (..., H, W, C): one image or a batch, colours in RGB order. uint8 and
                uint16 are scaled by their largest value; floats are in [0, 1].
            layout: ``"CHW"`` or ``"HWC"``: where the channels of ``x`` are, if not where tensors and arrays have them.
            white: the pixel value that is white, where it is another: 255 for floats in 0..255, 4095 for 12 bits.

        Returns:
            The same kind, shape and layout; floats of the dtype that came, float32 for integers.

        Raises:
            InputError: neither a tensor nor an array, another number of channels than ``mean`` has, an integer dtype
                whose white nobody knows, or floats far beyond 1 without ``white``.

        >>> import torch
        >>> prepare = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
        >>> prepare(torch.full((2, 3, 32, 48), 255, dtype=torch.uint8))[0, :, 0, 0].tolist()
        [2.0, 2.0, 2.0]
        """
        pixels: Any = x
        is_tensor = hasattr(pixels, "new_tensor")
        if not is_tensor and not (hasattr(pixels, "__array__") and hasattr(pixels, "dtype")):
            hint = (
                "; numpy.asarray(image) makes an array of a picture" if hasattr(pixels, "__array_interface__") else ""
            )
            raise InputError(f"expected a torch tensor or a NumPy array, got {type(pixels).__name__}{hint}")
        if layout not in (None, "CHW", "HWC"):
            raise InputError(f"layout must be 'CHW', 'HWC' or None, got {layout!r}")
        channels_last = layout == "HWC" if layout else not is_tensor
        self._check_channels(pixels, channels_last=channels_last)
        white = self._white(pixels) if white is None else float(white)
        low, high = self.input_range
        factor = [(high - low) / (white * std) for std in self.std]
        offset = [(low - mean) / std for mean, std in zip(self.mean, self.std, strict=True)]
        prepare: Any = self._of_tensor if is_tensor else self._of_array
        result: Pixels = prepare(pixels, factor, offset, channels_last=channels_last)
        return result

    def _check_channels(self, pixels: Any, *, channels_last: bool) -> None:
        shape, count = tuple(pixels.shape), len(self.mean)
        there, elsewhere = (-1, -3) if channels_last else (-3, -1)
        if len(shape) >= 3 and shape[there] == count:
            return
        hint = ""
        if len(shape) >= 3 and shape[elsewhere] == count:
            hint = f"; the channels are in dimension {elsewhere}: pass layout={'CHW' if channels_last else 'HWC'!r}"
        form = "(..., H, W, C)" if channels_last else "(..., C, H, W)"
        raise InputError(f"expected {count} channels in dimension {there} of {form}, got shape {shape}{hint}")

    @staticmethod
    def _white(pixels: Any) -> float:
        name = str(pixels.dtype).removeprefix("torch.")
        if name in _WHITE:
            return _WHITE[name]
        if "float" not in name:
            raise InputError(
                f"pixels of dtype {name} do not say which value is white; expected uint8, uint16 or floats in [0, 1], "
                "or pass white=255 for pixels in 0..255"
            )
        largest = 0.0 if 0 in pixels.shape or _is_recorded() else float(pixels.max())
        if largest > _OVERSHOOT:
            raise InputError(
                f"floats of up to {largest:g}, where pixels in [0, 1] are expected; pass white=255 if they are in "
                "0..255, or white=1 if they are right"
            )
        return 1.0

    def _of_tensor(self, x: Tensor, factor: list[float], offset: list[float], *, channels_last: bool) -> Tensor:
        import torch

        if not x.is_floating_point():
            x = x.to(torch.float32)
        if self.input_space == "BGR":
            x = x.flip(-1 if channels_last else -3)
        shape = (-1,) if channels_last else (-1, 1, 1)
        return x * x.new_tensor(factor).view(shape) + x.new_tensor(offset).view(shape)

    def _of_array(self, x: Any, factor: list[float], offset: list[float], *, channels_last: bool) -> Any:
        numpy: Any = sys.modules["numpy"]  # no dependency of ours; whoever has an array has imported it
        dtype = x.dtype if x.dtype.kind == "f" else numpy.float32
        if self.input_space == "BGR":
            x = x[..., ::-1] if channels_last else x[..., ::-1, :, :]
        shape = (-1,) if channels_last else (-1, 1, 1)
        x = numpy.ascontiguousarray(x, dtype)
        return x * numpy.asarray(factor, dtype).reshape(shape) + numpy.asarray(offset, dtype).reshape(shape)


def _floats(name: str, values: object) -> tuple[float, ...]:
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise OptionError(f"{name} must be numbers, got {shown(values)}")
    items = [*values]
    numbers = [as_number(item) for item in items]
    if None in numbers:
        raise OptionError(f"{name} must be finite numbers, got {shown(items[numbers.index(None)])} among them")
    return tuple(number for number in numbers if number is not None)


def _is_recorded() -> bool:
    """Whether torch records a graph, in which a look at the values has no place."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.compiler.is_compiling() or torch.jit.is_tracing())
