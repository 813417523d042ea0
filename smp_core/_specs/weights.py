"""A set of pretrained weights, as data."""

from __future__ import annotations

import re
from dataclasses import dataclass

from smp_core._specs.checks import (
    TARGET_FORM,
    Frozen,
    Violations,
    are_bands,
    is_floats,
    is_line,
    is_optional_text,
    is_target,
    is_text,
)

_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class WeightsSpec(Frozen):
    """A named set of pretrained parameters of an encoder: where it is, and the input that it was trained on.

    Give either ``repo_id`` (a Hugging Face Hub repository) or ``file``.

    Attributes:
        repo_id: Hub repository, ``"organisation/name"``.
        revision: commit, tag or branch; a commit makes the weights reproducible.
        filename: file in the repository.
        file: a local path, or ``"package:path/inside/it"`` for a file that ships with the plugin.
        sha256: hexadecimal digest of the file, where known; a file that differs is refused.
        mean, std: per channel, in units of ``input_range``: what it was trained on has its mean within that range, and
            its ``std`` is at most the range's width. By default ImageNet's.
        bands: names of the channels that they were trained on, in order, where these are not the encoder's
            (`EncoderSpec.bands`), which hold for sets of as many channels.
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
    bands: tuple[str, ...] = ()
    input_space: str = "RGB"
    input_range: tuple[float, float] = (0.0, 1.0)
    license: str | None = None
    convert: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check = Violations(self, "WeightsSpec")
        one_place = (self.repo_id is None) != (self.file is None)
        check.require(one_place, "repo_id", "exactly one of 'repo_id' and 'file'")
        is_repository = isinstance(self.repo_id, str) and _REPOSITORY.fullmatch(self.repo_id)
        check.require(self.repo_id is None or is_repository, "repo_id", "a repository of the Hub, 'owner/name'")
        check.require(is_optional_text(self.revision), "revision", "a commit, tag or branch, or None")
        check.require(is_text(self.filename), "filename", "the name of a file in the repository")
        check.require(is_optional_text(self.file), "file", 'a path, "package:path", or None')
        is_digest = self.sha256 is None or (isinstance(self.sha256, str) and _SHA256.fullmatch(self.sha256))
        check.require(is_digest, "sha256", "64 lower-case hex digits or None")
        check.require(is_floats(self.mean), "mean", "a tuple with one finite number per channel")
        positive = is_floats(self.std) and all(item > 0 for item in self.std)
        check.require(positive, "std", "a tuple of positive, finite numbers")
        if is_floats(self.mean) and is_floats(self.std):
            check.require(len(self.std) == len(self.mean), "std", f"as many numbers as mean has ({len(self.mean)})")
        check.require(are_bands(self.bands), "bands", "names of channels, each once")
        if are_bands(self.bands) and self.bands and is_floats(self.mean):
            check.require(len(self.mean) == len(self.bands), "mean", f"{len(self.bands)} numbers, one for each band")
            check.require(self.input_space != "BGR", "input_space", "'RGB', as bands say the order of the channels")
        check.require(self.input_space in ("RGB", "BGR"), "input_space", "'RGB' or 'BGR'")
        in_order = (
            is_floats(self.input_range) and len(self.input_range) == 2 and self.input_range[0] < self.input_range[1]
        )
        check.require(in_order, "input_range", "(low, high) with low < high")
        if in_order and is_floats(self.mean) and positive:
            self._check_units(check)
        check.require(is_optional_text(self.license) and is_line(self.license), "license", "an SPDX identifier or None")
        check.require(self.convert is None or is_target(self.convert), "convert", f"{TARGET_FORM}, or None")
        check.raise_if_any()

    def _check_units(self, check: Violations) -> None:
        """Values in other units than ``input_range`` would prepare images wrongly, and nothing would say so."""
        low, high = self.input_range
        units = f"in units of input_range ({low:g} to {high:g})"
        check.require(low <= min(self.mean) and max(self.mean) <= high, "mean", f"numbers {units}")
        check.require(max(self.std) <= high - low, "std", f"numbers of at most {high - low:g}, {units}")
