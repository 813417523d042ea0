"""The module that `smp_core.optimize` returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from smp_core.errors import CheckpointError, InputError, OptionError
from smp_core.inference.graphs import GraphCache
from smp_core.inputs import Preprocessing
from smp_core.layers.recording import is_eager, is_recording, is_transformed

MEMORY_FORMATS: Mapping[str, torch.memory_format] = {
    "channels_last": torch.channels_last,
    "contiguous": torch.contiguous_format,
}


# A node of its own in graphs of `torch.fx`, which follows no question about a value.
@torch.fx.wrap
def _cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """An input in the precision of the weights; what is no floating-point number is for the model to refuse."""
    return x.to(dtype) if x.is_floating_point() and x.dtype != dtype else x


class OptimizedModel(nn.Module):
    """A model in its inference form, made by `smp_core.optimize`: called as the model is, in evaluation mode for good.

    It compiles, exports, pickles and copies as any module; `save_pretrained` is for the original.

    Args:
        model: the inference form of a `smp_core.SegmentationModel`.
        memory_format: a name of `MEMORY_FORMATS`, in which the model gets its input.
        graphs: what records and replays on CUDA, or None.
    """

    # TorchScript would compile properties, and cannot keep what is no tensor.
    __jit_unused_properties__: ClassVar[list[str]] = ["config", "dtype", "in_channels", "preprocessing"]
    __jit_ignored_attributes__: ClassVar[list[str]] = ["_graphs"]

    if TYPE_CHECKING:  # TorchScript would take it for an attribute's type
        _like: Tensor

    def __init__(self, model: nn.Module, *, memory_format: str, graphs: GraphCache | None) -> None:
        super().__init__()
        self.model = model
        self._memory_format = memory_format
        self._graphs = graphs
        # Of the weights' precision wherever they go, for scripts, which cannot look for a weight.
        self.register_buffer("_like", torch.empty(0, dtype=self.dtype), persistent=False)
        self.eval()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Segment a batch of images of any size, see `smp_core.SegmentationModel.forward`.

        Args:
            x: (N, in_channels, H, W), floating-point of any precision, preprocessed.

        Returns:
            As the original, in the dtype of the weights, without a gradient.

        Raises:
            InputError: an input that wants a gradient, or has a tangent; and as the original.
            OptionError: ``model`` was put into training mode behind this module's back.
        """
        if not torch.jit.is_scripting():
            return self._run(x)
        if x.is_floating_point():
            x = x.to(self._like.dtype)
        masks: Tensor | tuple[Tensor, Tensor] = self.model(x)
        return masks

    @torch.jit.unused
    def _run(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        result: Tensor | tuple[Tensor, Tensor]
        if self.model.training:  # of all parts only the outermost, which costs nothing to ask
            raise OptionError(
                "an optimized model cannot be trained, and its .model is in training mode, in which the norms that "
                "stayed would take the statistics of the batch: call .eval() of the optimized model; train the original"
            )
        if is_recording(x) or not isinstance(x, Tensor):
            result = self.model(_cast(x, self.dtype) if isinstance(x, (Tensor, torch.fx.Proxy)) else x)
            return result
        if x.requires_grad and torch.is_grad_enabled():
            raise InputError(
                "an optimized model gives no gradients, and its input has requires_grad=True: give x.detach(), or use "
                "the original model"
            )
        x = self._prepared(x)
        if torch.compiler.is_compiling():
            with torch.no_grad():
                result = self.model(x)
            return result
        if not is_eager(x):
            result = self.model(x)
            return result
        if forward_ad.unpack_dual(x).tangent is not None:
            raise InputError(
                "an optimized model gives no gradients, and its input has a tangent of forward-mode AD: give "
                "torch.autograd.forward_ad.unpack_dual(x).primal, or use the original model"
            )
        with torch.no_grad():  # which form of a layer runs depends on it, and nobody wants gradients here
            if self._graphs is not None and x.is_cuda and not torch.cuda.is_current_stream_capturing():
                result = self._graphs(self.model, x)
            else:
                result = self.model(x)
        return result

    @torch.inference_mode()
    def predict(self, x: Tensor, *, labels: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """`forward`, as `smp_core.SegmentationModel.predict` is called; labels take no part in graphs."""
        if not labels:
            masks: Tensor | tuple[Tensor, Tensor] = self(x)
            return masks
        given = self._prepared(x) if isinstance(x, Tensor) else x  # which the model refuses in words
        found: Tensor | tuple[Tensor, Tensor] = self.model.predict(given, labels=True)  # type: ignore[operator]
        return found

    def _prepared(self, x: Tensor) -> Tensor:
        """The input in the model's precision and layout."""
        x = _cast(x, self.dtype)
        if x.dim() != 4 or is_transformed():
            return x
        return x.contiguous(memory_format=MEMORY_FORMATS[self._memory_format])

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights and of the result."""
        return next((item.dtype for item in self.model.parameters() if item.is_floating_point()), torch.float32)

    @property
    def in_channels(self) -> int:
        """Of the input; 0 where that cannot be told."""
        return int(self.model.in_channels)  # type: ignore[arg-type]

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How pixel values become this model's input, as of the original."""
        found: Preprocessing | None = self.model.preprocessing  # type: ignore[assignment]
        return found

    @property
    def config(self) -> dict[str, Any]:
        """What rebuilds the original."""
        found: dict[str, Any] = self.model.config  # type: ignore[assignment]
        return found

    def train(self, mode: bool = True) -> OptimizedModel:
        """Evaluation mode is the only one.

        Raises:
            OptionError: training mode.
        """
        if mode:
            raise OptionError(
                "an optimized model cannot be trained: its norms are part of its convolutions; train the original, and "
                "optimize it again"
            )
        super().train(False)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> OptimizedModel:
        """As `torch.nn.Module.requires_grad_`.

        Raises:
            OptionError: True.
        """
        if requires_grad:
            raise OptionError(
                "an optimized model gives no gradients: its norms are part of its convolutions; train the original, "
                "and optimize it again"
            )
        super().requires_grad_(False)
        return self

    def save_pretrained(self, *_: object, **__: object) -> NoReturn:
        """Not of this form.

        Raises:
            CheckpointError: says what to save.
        """
        raise _not_saved("save_pretrained")

    def push_to_hub(self, *_: object, **__: object) -> NoReturn:
        """Not of this form.

        Raises:
            CheckpointError: says what to save.
        """
        raise _not_saved("push_to_hub")


def _not_saved(method: str) -> CheckpointError:
    return CheckpointError(
        f"{method}: an optimized model has no checkpoint of its own, as its layers are no longer those that its "
        f"config names; call {method} of the original, and smp_core.optimize(smp_core.from_pretrained(...)) makes this "
        "form again, in a second or two. torch.save, torch.export and torch.jit.script take it as it is"
    )
