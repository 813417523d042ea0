"""The frozen, torch-free descriptions of encoders, weights and architectures (public as `smp_core.plugin`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from smp_core.errors import InvalidSpecError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:-]*")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class _Violations:
    """Collects what is wrong with a spec, so that its author sees everything at once."""

    def __init__(self, spec: object, title: str) -> None:
        self._spec = spec
        self._title = title
        self._found: list[str] = []

    def require(self, ok: object, field_name: str, expected: str) -> None:
        if not ok:
            self._found.append(f"field {field_name!r}: expected {expected}, got {getattr(self._spec, field_name)!r}")

    def raise_if_any(self) -> None:
        if self._found:
            raise InvalidSpecError(f"{self._title} is invalid:\n  " + "\n  ".join(self._found))


def _is_int(value: object, at_least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least


def _is_ints(value: object) -> bool:
    return isinstance(value, tuple) and all(_is_int(item) for item in value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_optional_text(value: object) -> bool:
    return value is None or _is_text(value)


def _is_target(value: object) -> bool:
    return isinstance(value, str) and _TARGET.fullmatch(value) is not None


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_floats(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(item, (int, float)) for item in value)


def _freeze(spec: object) -> None:
    """Turn lists into tuples and dicts into read-only views, so that a frozen spec really is."""
    for name, value in list(vars(spec).items()):
        if isinstance(value, list):
            object.__setattr__(spec, name, tuple(value))
        elif isinstance(value, Mapping):
            object.__setattr__(spec, name, MappingProxyType(dict(value)))


# What the factory gives to every encoder's target by itself.
_GIVEN = ("in_channels", "depth", "output_stride", "output_indices")


def _is_option(key: object) -> bool:
    return isinstance(key, str) and key.isidentifier() and key not in _GIVEN


_TARGET_FORM = 'a string of the form "package.module:attribute"'
_NAME_FORM = "a name of letters, digits and . _ + : - (no slash, no space)"
_STRIDE_FORM = "a tuple of output strides out of 8, 16 and 32, each at most once"


def _is_strides(value: object) -> bool:
    return _is_ints(value) and isinstance(value, tuple) and {*value} <= {8, 16, 32} and len({*value}) == len(value)


@dataclass(frozen=True, kw_only=True)
class WeightsSpec:
    """A named set of pretrained parameters of an encoder: where it is, and the input that it was trained on.

    Give either ``repo_id`` (a Hugging Face Hub repository) or ``file``.

    Attributes:
        repo_id: Hub repository, ``"organisation/name"``.
        revision: commit, tag or branch; a commit makes the weights reproducible.
        filename: file in the repository.
        file: a local path, or ``"package:path/inside/it"`` for a file that ships with the plugin.
        sha256: hexadecimal digest of the file, where known; a file that differs is refused.
        mean, std: per channel, in units of ``input_range``.
        input_space: order of the colour channels, ``"RGB"`` or ``"BGR"``.
        input_range: smallest and largest input value before ``mean`` is subtracted.
        license: SPDX identifier of the weights, which may differ from the code's.
        convert: ``"module:function"`` that turns the file's state dict into the encoder's; it returns a new dict.

    Raises:
        InvalidSpecError: a field is wrong; lists every such field.
    """

    repo_id: str | None = None
    revision: str | None = None
    filename: str = "model.safetensors"
    file: str | None = None
    sha256: str | None = None
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    input_space: str = "RGB"
    input_range: tuple[float, float] = (0.0, 1.0)
    license: str | None = None
    convert: str | None = None

    def __post_init__(self) -> None:
        _freeze(self)
        check = _Violations(self, "WeightsSpec")
        one_place = (self.repo_id is None) != (self.file is None)
        check.require(one_place, "repo_id", "exactly one of 'repo_id' and 'file'")
        check.require(self.repo_id is None or (_is_text(self.repo_id) and "/" in self.repo_id), "repo_id", "owner/name")
        check.require(_is_optional_text(self.revision), "revision", "a commit, tag or branch, or None")
        check.require(_is_text(self.filename), "filename", "the name of a file in the repository")
        check.require(_is_optional_text(self.file), "file", 'a path, "package:path", or None')
        is_digest = self.sha256 is None or (isinstance(self.sha256, str) and _SHA256.fullmatch(self.sha256))
        check.require(is_digest, "sha256", "64 lower-case hex digits or None")
        check.require(_is_floats(self.mean), "mean", "a tuple with one number per channel")
        check.require(_is_floats(self.std) and all(item > 0 for item in self.std), "std", "a tuple of positive numbers")
        if _is_floats(self.mean) and _is_floats(self.std):
            check.require(len(self.std) == len(self.mean), "std", f"as many numbers as mean has ({len(self.mean)})")
        check.require(self.input_space in ("RGB", "BGR"), "input_space", "'RGB' or 'BGR'")
        in_order = (
            _is_floats(self.input_range) and len(self.input_range) == 2 and self.input_range[0] < self.input_range[1]
        )
        check.require(in_order, "input_range", "(low, high) with low < high")
        check.require(_is_optional_text(self.license), "license", "an SPDX identifier or None")
        check.require(self.convert is None or _is_target(self.convert), "convert", f"{_TARGET_FORM}, or None")
        check.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """What an encoder is called, what builds it, and what it can do.

    Attributes:
        name: what users write.
        target: ``"package.module:Class"``; called as
            ``Class(**options, in_channels=..., depth=..., output_stride=...)`` when a model is built, and returns an
            `smp_core.Encoder`. That of a ``tokens`` encoder takes ``output_indices=...`` besides: as many ints as
            ``depth``, the transformer blocks whose outputs are the features, negative ones counted from the end; it is
            passed where a user chooses them, and an index beyond the blocks is an `OptionError`.
        options: further keyword arguments of the target.
        out_channels: channels of each feature at full depth for a 3-channel input, highest resolution first.
        reductions: input size / feature size of each feature, same length; strictly increasing unless ``tokens``.
        weights: name to `WeightsSpec`.
        default_weights: the name that ``encoder_weights=True`` stands for.
        dilation: output strides (8, 16) that its stages can be dilated to.
        tokens: a plain transformer that returns ``(features, prefix_tokens)``.
        min_depth, max_depth: a depth d keeps the features with a reduction of at most 2**d
            (for ``tokens``: d features).
        scriptable: whether ``torch.jit.script`` takes it.
        license: SPDX identifier of the code.
        paper: where it was published.
        summary: one line for people.
        num_parameters: trainable parameters at full depth for a 3-channel input.

    Raises:
        InvalidSpecError: a field is wrong; lists every such field.
    """

    name: str
    target: str
    out_channels: tuple[int, ...]
    reductions: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    weights: Mapping[str, WeightsSpec] = field(default_factory=lambda: _EMPTY)
    default_weights: str | None = None
    dilation: tuple[int, ...] = ()
    tokens: bool = False
    min_depth: int = 1
    max_depth: int = 5
    scriptable: bool = True
    license: str | None = None
    paper: str | None = None
    summary: str = ""
    num_parameters: int | None = None

    def __post_init__(self) -> None:
        _freeze(self)
        check = _Violations(self, f"EncoderSpec {self.name!r}")
        check.require(_is_name(self.name), "name", _NAME_FORM)
        check.require(_is_target(self.target), "target", _TARGET_FORM)
        is_options = isinstance(self.options, Mapping) and all(map(_is_option, self.options))
        check.require(is_options, "options", f"a mapping of keyword names, {', '.join(_GIVEN)} excepted, to values")
        self._check_pyramid(check)
        is_weights = isinstance(self.weights, Mapping) and all(
            _is_name(key) and isinstance(value, WeightsSpec) for key, value in self.weights.items()
        )
        check.require(is_weights, "weights", "a mapping of names to WeightsSpec")
        if is_weights:
            known = "one of " + ", ".join(self.weights) if self.weights else "None, as there are no weights"
            ok = self.default_weights in [*self.weights] if self.weights else self.default_weights is None
            check.require(ok, "default_weights", known)
        check.require(_is_strides(self.dilation), "dilation", _STRIDE_FORM)
        for flag in ("tokens", "scriptable"):
            check.require(isinstance(getattr(self, flag), bool), flag, "True or False")
        check.require(_is_int(self.min_depth), "min_depth", "a positive int")
        check.require(_is_int(self.max_depth), "max_depth", "a positive int")
        if _is_int(self.min_depth) and _is_int(self.max_depth):
            check.require(self.min_depth <= self.max_depth, "min_depth", f"at most max_depth ({self.max_depth})")
            self._check_depths(check)
        check.require(_is_optional_text(self.license), "license", "an SPDX identifier or None")
        check.require(_is_optional_text(self.paper), "paper", "a reference or None")
        check.require(isinstance(self.summary, str) and "\n" not in self.summary, "summary", "one line of text")
        check.require(self.num_parameters is None or _is_int(self.num_parameters), "num_parameters", "an int or None")
        check.raise_if_any()

    def _check_pyramid(self, check: _Violations) -> None:
        check.require(_is_ints(self.out_channels) and self.out_channels, "out_channels", "a tuple of positive ints")
        check.require(_is_ints(self.reductions) and self.reductions, "reductions", "a tuple of positive ints")
        if not (_is_ints(self.out_channels) and _is_ints(self.reductions)):
            return
        count = len(self.out_channels)
        check.require(len(self.reductions) == count, "reductions", f"as many ints as out_channels has ({count})")
        pairs = list(zip(self.reductions, self.reductions[1:], strict=False))
        if self.tokens is True:
            check.require(all(a <= b for a, b in pairs), "reductions", "ints that never decrease")
        elif self.tokens is False:
            check.require(all(a < b for a, b in pairs), "reductions", "strictly increasing ints")

    def _check_depths(self, check: _Violations) -> None:
        if not (_is_ints(self.reductions) and self.reductions):
            return
        if self.tokens is True:
            count = len(self.reductions)
            check.require(self.max_depth <= count, "max_depth", f"at most the number of features ({count})")
        elif self.tokens is False:
            least = (self.reductions[0] - 1).bit_length()
            keeps = f"a depth that keeps the first feature, of reduction {self.reductions[0]}: at least {least}"
            check.require(self.min_depth >= least, "min_depth", keeps)


@dataclass(frozen=True, kw_only=True)
class ArchitectureSpec:
    """What an architecture is called, what builds it, and what it needs of an encoder.

    Attributes:
        name: what users write.
        class_name: the class name that checkpoints carry (``"Unet"``).
        target: ``"package.module:Class"``; called as
            ``Class(encoder, classes=..., activation=..., aux_params=..., **options)`` with a built encoder, and returns
            an `smp_core.SegmentationModel`. Its keyword-only parameters are the architecture's options.
        default_depth, min_depth, max_depth: encoder depth.
        dilation: output strides that it may ask of the encoder, its default first; empty where it never asks.
        tokens: needs an encoder that returns prefix tokens.
        pyramid: needs features of strictly increasing reduction.
        scriptable: whether ``torch.jit.script`` takes the model (with a scriptable encoder).
        license: SPDX identifier of the code.
        paper: where it was published.
        summary: one line for people.

    Raises:
        InvalidSpecError: a field is wrong; lists every such field.
    """

    name: str
    class_name: str
    target: str
    default_depth: int = 5
    min_depth: int = 3
    max_depth: int = 5
    dilation: tuple[int, ...] = ()
    tokens: bool = False
    pyramid: bool = True
    scriptable: bool = True
    license: str | None = None
    paper: str | None = None
    summary: str = ""

    def __post_init__(self) -> None:
        _freeze(self)
        check = _Violations(self, f"ArchitectureSpec {self.name!r}")
        check.require(_is_name(self.name), "name", _NAME_FORM)
        is_class = isinstance(self.class_name, str) and self.class_name.isidentifier()
        check.require(is_class, "class_name", "the name of a class")
        check.require(_is_target(self.target), "target", _TARGET_FORM)
        depths = ("min_depth", "default_depth", "max_depth")
        for name in depths:
            check.require(_is_int(getattr(self, name)), name, "a positive int")
        if all(_is_int(getattr(self, name)) for name in depths):
            in_order = self.min_depth <= self.default_depth <= self.max_depth
            check.require(
                in_order, "default_depth", f"between min_depth and max_depth ({self.min_depth}..{self.max_depth})"
            )
        check.require(_is_strides(self.dilation), "dilation", _STRIDE_FORM)
        for flag in ("tokens", "pyramid", "scriptable"):
            check.require(isinstance(getattr(self, flag), bool), flag, "True or False")
        check.require(not (self.tokens is True and self.pyramid is True), "pyramid", "False where tokens is True")
        check.require(_is_optional_text(self.license), "license", "an SPDX identifier or None")
        check.require(_is_optional_text(self.paper), "paper", "a reference or None")
        check.require(isinstance(self.summary, str) and "\n" not in self.summary, "summary", "one line of text")
        check.raise_if_any()
