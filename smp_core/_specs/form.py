"""Which form of a fused layer runs where, as data."""

from __future__ import annotations

from dataclasses import dataclass

from smp_core._specs.checks import TARGET_FORM, Frozen, Violations, is_int, is_target, is_text

KERNEL = "kernel"
"""The form that a plugin computes: its rule names the function."""

LAYERS: dict[str, tuple[str, ...]] = {
    "upsample_conv3x3": ("plain", "transposed", KERNEL),
    "known_upsample_conv3x3": ("plain", "transposed", "packed", KERNEL),
    "conv3x3": ("plain", KERNEL),
    "known_conv3x3": ("plain", "winograd_2x2", "winograd_4x4", "taps"),
    "known_dilated_conv3x3": ("plain", "winograd_2x2", "winograd_4x4", "taps"),
    "known_depthwise_conv3x3": ("plain", "shifted"),
    "known_conv1x1": ("plain", "onednn"),
    "resized_conv3x3": ("plain", "matrices"),
    "enlarge": ("plain", "matrix"),
    "dense_block": ("plain", "buffer"),
    "layout": ("plain", "channels_last"),
}
"""The fused layers and their forms.

``upsample_conv3x3``: a 3x3 convolution of an upsampled map and skips (`smp_core.layers.upsample`);
``known_upsample_conv3x3``: the same, the kernel of whose transposed form has been computed already, and may be laid
out (``packed``) as oneDNN reads it; ``conv3x3``: that
of a `smp_core.layers.ConvNormAct`, with its ReLU where its norm is folded; ``known_conv3x3``: any 3x3 convolution of an
inference form (`smp_core.layers.known_conv`), ``known_dilated_conv3x3`` those that are dilated, whose maps are large
for their channels, and ``known_depthwise_conv3x3`` those of each channel by itself; ``known_conv1x1``;
``resized_conv3x3``: of maps resized to one size (`smp_core.layers.resized_concat3x3`); ``enlarge``: small maps
enlarged bilinearly (`smp_core.layers.enlarging`);
``dense_block``: that of `smp_densenet`; ``layout``: of a model's input.
"""

# How torch's dtypes are written here, where there is no torch.
_DTYPES = ("float16", "bfloat16", "float32", "float64")
_MEMORY_FORMATS = (None, "contiguous", "channels_last")


@dataclass(frozen=True, kw_only=True)
class FormRule(Frozen):
    """Where a form of a fused layer runs. Of the rules that hold for a call the first counts; without any, ``plain``.

    Attributes:
        layer: one of `LAYERS`.
        form: one of its forms.
        device: type of the device, ``"cpu"``, ``"cuda"``, as `torch.device.type` has it, without a number.
        measured: where, with what result.
        target: of the form ``kernel``, and of that alone: ``"package.module:function"``, imported when it is first
            wanted; see `smp_core.layers.kernels.StepKernel`.
        dtypes: ``"float32"``, ...; empty for all. Name them where a form rounds more than the plain one in half
            precision, as Winograd's does of ``known_conv3x3``.
        memory_format: ``"contiguous"`` or ``"channels_last"``, of the input; None for both.
        gradient: whether gradients are wanted (`torch.is_grad_enabled`); None for both.
        compiled: whether torch compiles the call; None for both. A compiled call knows no sizes and no memory format:
            rules that ask for these do not hold for it, and cannot be for it alone.
        least_pixels: of the result, all images together.
        least_channels: of the input, of ``known_conv3x3`` and ``known_dilated_conv3x3`` the fewer of input and
            result.
        most_channels: of the input, of a 3x3 convolution all that it takes; None for any number. A compiled call knows
            them of these convolutions alone.

    Raises:
        InvalidSpecError: a field is wrong; lists every such field.
    """

    layer: str
    form: str
    device: str
    measured: str
    target: str | None = None
    dtypes: tuple[str, ...] = ()
    memory_format: str | None = None
    gradient: bool | None = None
    compiled: bool | None = None
    least_pixels: int = 0
    least_channels: int = 0
    most_channels: int | None = None

    @property
    def name(self) -> str:
        """By which a plugin's record lists it."""
        asked = (*self.dtypes, self.memory_format, {None: None, True: "training", False: "inference"}[self.gradient])
        rest = [str(item) for item in asked if item is not None]
        rest += [f">={self.least_pixels}"] if self.least_pixels else []
        rest += [f">={self.least_channels} channels"] if self.least_channels else []
        rest += [f"<={self.most_channels}"] if self.most_channels else []
        rest += ["compiled" if self.compiled else "eager"] if self.compiled is not None else []
        return " ".join([f"{self.layer}={self.form}", self.device, *rest])

    def __post_init__(self) -> None:
        super().__post_init__()
        found = Violations(self, f"FormRule of {self.layer!r}")
        known = isinstance(self.layer, str) and self.layer in LAYERS
        found.require(known, "layer", f"one of {', '.join(LAYERS)}")
        forms = LAYERS[self.layer] if known else ()
        found.require(not forms or self.form in forms, "form", f"one of {', '.join(forms)}")
        found.require(_is_device(self.device), "device", "the type of a device, such as 'cuda', without a number")
        found.require(is_text(self.measured), "measured", "where it was measured, and with what result")
        if self.form == KERNEL:
            found.require(is_target(self.target), "target", TARGET_FORM)
        else:
            found.require(self.target is None, "target", f"None, as the form is not {KERNEL!r}")
        known = isinstance(self.dtypes, tuple) and all(item in _DTYPES for item in self.dtypes)
        found.require(known, "dtypes", f"a tuple of {', '.join(_DTYPES)}")
        found.require(self.memory_format in _MEMORY_FORMATS, "memory_format", "None, 'contiguous' or 'channels_last'")
        for name in ("gradient", "compiled"):
            found.require(_is_optional_bool(getattr(self, name)), name, "None, True or False")
        self._check_numbers(found)
        found.raise_if_any()

    def _check_numbers(self, found: Violations) -> None:
        found.require(is_int(self.least_pixels, at_least=0), "least_pixels", "an int of at least 0")
        found.require(is_int(self.least_channels, at_least=0), "least_channels", "an int of at least 0")
        most = self.most_channels
        found.require(most is None or is_int(most), "most_channels", "None or a positive int")
        if most is not None and is_int(most) and is_int(self.least_channels) and most < self.least_channels:
            found.require(False, "most_channels", f"at least least_channels, {self.least_channels}")
        if self.compiled is True:
            found.require(self.memory_format is None, "memory_format", "None, which a compiled call does not know")
            found.require(self.least_pixels == 0, "least_pixels", "0, as a compiled call knows no sizes")


def _is_device(value: object) -> bool:
    # Any name: backends register theirs.
    return isinstance(value, str) and value.isidentifier() and value.islower()


def _is_optional_bool(value: object) -> bool:
    return value is None or isinstance(value, bool)
