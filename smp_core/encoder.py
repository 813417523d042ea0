"""What an encoder is, and an optional base class that makes one easier to write."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from smp_core.errors import EncoderProtocolError, OptionError
from smp_core.layers.cutting import cut_features, whole_patches
from smp_core.tensors.channels import patch_first_convolution
from smp_core.tensors.renaming import Renames, change_keys_under, to_own, to_published

__all__ = [
    "Encoder",
    "EncoderBase",
    "EncoderWithNeck",
    "check_encoder",
    "cut_features",
    "patch_first_convolution",
    "whole_patches",
]


@runtime_checkable
class Encoder(Protocol):
    """A backbone that turns an image into a feature pyramid. Any `torch.nn.Module` with these members is one.

    Attributes:
        out_channels: channels of each feature, highest resolution first.
        reductions: input size / feature size of each feature, same length; strictly increasing, except that
            features of a dilated or token encoder may repeat a reduction.

    Optional attributes:
        in_channels: channels of the input; then a model over the encoder checks its input.
        tokens: True where ``forward`` returns ``(features, prefix_tokens)``: two lists of the same length, the second
            one of tensors (N, number of prefix tokens, C).
        num_prefix_tokens: that number, for a ``tokens`` encoder where it is not 1; it may be 0.
        channels_last: True where the encoder is faster with the channels of the input innermost in memory, as most
            convolutions are on the CPU; then a model over the encoder gives it such an input. It must take either.
        full_resolution: True where ``features[0]`` is a stage of the encoder (VGG) and not the input itself.
        wants_center: whether a Unet refines the deepest feature before it is upsampled, as over VGG; by default where
            ``full_resolution`` is True.

    Optional methods, for fine-tuning (`smp_core.finetuning`):
        ``stage_modules() -> list[list[str]]``: the names of its submodules, and of parameters in none of these, stage
            by stage, stem first; every parameter lies under exactly one name. A stage is what a feature takes beyond
            the features before it: there are as many as features, the input not counted. In a plain transformer the
            stem is followed by one stage a block, the last of which has the final norm.
        ``no_weight_decay() -> set[str]``: names of parameters of two dimensions and more that weight decay leaves
            alone, such as position embeddings. Names that are not there are ignored.
        ``set_gradient_checkpointing(enabled: bool) -> None``: where wrapping the blocks of the stages will not do, as
            they are single layers or ``forward`` does not call them; see `smp_core.layers.recomputing.recompute`.
    """

    out_channels: tuple[int, ...]
    reductions: tuple[int, ...]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, in_channels, H, W) -> one (N, out_channels[i], H / reductions[i], W / reductions[i]) per feature."""
        ...


def check_encoder(module: object) -> None:
    """Check that a module satisfies the `Encoder` protocol, as far as that shows without running it.

    Raises:
        EncoderProtocolError: lists everything that is missing or wrong.
    """
    if not isinstance(module, nn.Module):
        raise EncoderProtocolError(
            "expected an encoder's name or an nn.Module that satisfies the Encoder protocol, "
            f"got {type(module).__name__}"
        )
    found = []
    values: dict[str, tuple[int, ...]] = {}
    for name in ("out_channels", "reductions"):
        value = getattr(module, name, None)
        if value is None:
            found.append(f"no attribute {name!r}: expected a tuple of ints, highest resolution first")
        elif not isinstance(value, Sequence) or not value or not all(isinstance(i, int) and i > 0 for i in value):
            found.append(f"{name} is {value!r}: expected a tuple of positive ints")
        else:
            values[name] = tuple(value)
    if len(values) == 2:
        if len(values["out_channels"]) != len(values["reductions"]):
            found.append(
                f"out_channels has {len(values['out_channels'])} entries and reductions {len(values['reductions'])}: "
                "expected one of each per feature"
            )
        if list(values["reductions"]) != sorted(values["reductions"]):
            found.append(f"reductions is {values['reductions']}: expected increasing values")
    if found:
        raise EncoderProtocolError(
            f"{type(module).__name__} does not satisfy the Encoder protocol:\n  " + "\n  ".join(found)
        )


class EncoderBase(nn.Module):
    """Optional base of encoders: depth truncation, the keys of stages that are not built, dilation.

    A subclass passes what it would have at full depth; the base keeps the features that ``depth`` asks for. Stages
    beyond are not built (they would be parameters without a gradient), and `load_state_dict` drops exactly the keys
    of such stages, given in ``ignored_keys``, so that a state dict of the full encoder loads strictly.

    Args:
        out_channels, reductions: of all features, highest resolution first.
        in_channels: channels of the input.
        depth: keep the features with a reduction of at most 2**depth.
        output_stride: the largest reduction; smaller than that of the deepest stage means dilation.
        ignored_keys: prefixes of state-dict keys that are dropped when loading.
        renames: where our module names differ from those of published weights, the table from our keys to the
            published ones, see `smp_core.renaming`; `load_state_dict` takes either spelling, and saved models have
            the published one.

    Raises:
        OptionError: a depth below 1, an output stride other than 8, 16, 32, or in_channels below 1.
    """

    first_convolution: ClassVar[str] = ""
    """Name of the convolution that sees the input, whose pretrained weight is patched; empty where there is none."""

    further_first_convolutions: ClassVar[tuple[str, ...]] = ()
    """Names of other convolutions that see the input, beside the first one; patched alike."""

    channels_last: ClassVar[bool] = False
    """See `Encoder`; a family that has measured it says True."""

    truncated_elsewhere: ClassVar[bool] = False
    """Whether segmentation_models_pytorch, too, builds no more of it than a depth asks for; see `unused_shapes`."""

    def __init__(
        self,
        *,
        out_channels: Sequence[int],
        reductions: Sequence[int],
        in_channels: int = 3,
        depth: int = 5,
        output_stride: int = 32,
        ignored_keys: Sequence[str] = (),
        renames: Renames = (),
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if in_channels < 1:
            raise OptionError(f"{name}: in_channels must be at least 1, got {in_channels}")
        if depth < 1 or 2**depth > max(reductions):
            raise OptionError(f"{name}: depth must be in 1..{max(reductions).bit_length() - 1}, got {depth}")
        if output_stride not in (8, 16, 32):
            raise OptionError(f"{name}: output_stride must be 8, 16 or 32, got {output_stride}")
        kept = [index for index, reduction in enumerate(reductions) if reduction <= 2**depth]
        self.in_channels = in_channels
        self.depth = depth
        self.output_stride = output_stride
        self.out_channels: tuple[int, ...] = tuple(out_channels[index] for index in kept)
        self.reductions: tuple[int, ...] = tuple(min(reductions[index], output_stride) for index in kept)
        self._ignored_keys = list(ignored_keys)
        self._renames = tuple(renames)

    def dilate(self, stage: nn.Module, reduction: int) -> None:
        """Keep a stage at the output stride by dilation, where its own reduction is larger.

        Every convolution of the stage gets stride 1, dilation reduction / output_stride, and padding
        (kernel // 2) * dilation (Yu & Koltun, arXiv:1511.07122; Chen et al., arXiv:1706.05587).
        """
        rate = reduction // self.output_stride
        if rate <= 1:
            return
        for layer in stage.modules():
            if isinstance(layer, nn.Conv2d):
                rows, columns = layer.kernel_size
                layer.stride = (1, 1)
                layer.dilation = (rate, rate)
                layer.padding = ((rows // 2) * rate, (columns // 2) * rate)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `Encoder.forward`."""
        raise NotImplementedError(f"{type(self).__name__} must implement forward")

    def stage_modules(self) -> list[list[str]]:
        """See `Encoder`."""
        raise NotImplementedError(f"{type(self).__name__} must implement stage_modules")

    def stages_of_list(self, name: str, ends: Sequence[int]) -> list[list[str]]:
        """The stages of a flat list of modules: up to and with the one at ``ends[0]``, then up to ``ends[1]``, ...

        Args:
            name: of a `torch.nn.Sequential` or `torch.nn.ModuleList` in this encoder.
            ends: places in it, increasing; those beyond its end are left out.
        """
        names = [f"{name}.{part}" for part, _ in self.get_submodule(name).named_children()]
        bounds = [0, *(end + 1 for end in ends if end < len(names))]
        return [names[start:stop] for start, stop in itertools.pairwise(bounds)]

    def no_weight_decay(self) -> set[str]:
        """See `Encoder`: none."""
        return set()

    def to_own_keys(self, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of this encoder with our keys, from either spelling, without those of stages that are not built.

        Args:
            state_dict: of published weights, or of ours; not changed.
        """
        ignored, own = tuple(self._ignored_keys), self.state_dict()
        # What somebody has added under an ignored name since is this encoder's own.
        kept = {key: value for key, value in state_dict.items() if key in own or not key.startswith(ignored)}
        return to_own(kept, own, self._renames) if self._renames else kept

    def to_published_keys(self, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of this encoder with the keys under which its weights are published."""
        return to_published(state_dict, self._renames)

    def other_keys(self) -> set[str]:
        """Keys that `to_own_keys` takes besides our own and the published ones.

        By these the encoder is found in what a training program wrapped around it.
        """
        return set()

    def unused_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of what published state dicts hold besides at any depth, and nothing ever runs, by published key.

        Without these, other libraries do not load what is saved here.
        """
        return {}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # torch hands every module a dict of its own, so nothing is taken from the caller's.
        changed = change_keys_under(prefix, state_dict, self.to_own_keys)
        state_dict.clear()
        state_dict.update(changed)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def first_convolution_of(encoder: nn.Module) -> nn.Module | None:
    """The layer that an encoder names as the one that sees the input, as it is now; None where there is none."""
    name = getattr(encoder, "first_convolution", "")
    try:
        return encoder.get_submodule(str(name)) if name else None
    except AttributeError:
        return None


def channels_of(encoder: object) -> int:
    """How many input channels an encoder takes as it is now; 0 where that cannot be told.

    Where it names the convolution that sees the input, that one is asked, as it may have been replaced.
    """
    if not isinstance(encoder, nn.Module):
        return 0
    if not getattr(encoder, "first_convolution", ""):
        return int(getattr(encoder, "in_channels", 0))
    first = first_convolution_of(encoder)
    if not isinstance(first, nn.Conv2d):
        return 0
    weight = first.weight
    # Its weight may have been exchanged alone; sharded or packed it has no such shape.
    return weight.shape[1] * first.groups if type(weight) is nn.Parameter and weight.dim() == 4 else first.in_channels


class EncoderWithNeck(nn.Module):
    """An encoder whose features a neck turns into another pyramid: together they are an encoder.

    Args:
        encoder: an `Encoder`.
        neck: takes its features, without prefix tokens; has ``out_channels`` and ``reductions`` of its own.
    """

    # TorchScript compiles only the branch that a constant chooses: the other one has the types of another encoder.
    __constants__: ClassVar[list[str]] = ["_tokens"]

    def __init__(self, encoder: nn.Module, neck: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.neck = neck
        self.out_channels: tuple[int, ...] = tuple(neck.out_channels)  # type: ignore[arg-type]
        self.reductions: tuple[int, ...] = tuple(neck.reductions)  # type: ignore[arg-type]
        self.channels_last = bool(getattr(encoder, "channels_last", False))
        self.full_resolution = bool(getattr(neck, "full_resolution", self.reductions[0] == 1))
        self._reductions = list(self.reductions)  # TorchScript indexes lists, not tuples of any length
        self._step = int(max(encoder.reductions))  # type: ignore[arg-type]
        self._tokens = bool(getattr(encoder, "tokens", False))

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `Encoder.forward`."""
        whole = whole_patches(x, self._step)
        if self._tokens:
            levels: list[Tensor] = self.neck(self.encoder(whole)[0])
        else:
            levels = self.neck(self.encoder(whole))
        return cut_features(levels, x, self._reductions)
