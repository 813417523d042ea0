"""Checks of an encoder's shapes: features, depths, output strides, channels, sizes, weights.

While an encoder is built, the core compares the module's ``out_channels`` and ``reductions`` with the spec; what is
left to check is that the features are what the module says.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smp_core.encoder import patch_first_convolution
from smp_testing.cases import EncoderCase, tensors_of
from smp_testing.expectations import ConformanceError, beginning, expect, expect_close, expect_equal, expect_finite


def features_match_spec(case: EncoderCase) -> None:
    """One finite feature for each entry of the spec, with its channels and its reduction; the first is the input."""
    module, x = case.settled(), case.image()
    with torch.no_grad():
        output = module(x)
    kind = "a pair (features, prefix tokens)" if case.spec.tokens else "a list of tensors"
    is_kind = isinstance(output, tuple) and len(output) == 2 if case.spec.tokens else isinstance(output, list)
    expect(is_kind, f"{case.name}: forward must return {kind}, got a {type(output).__name__}")
    features = output[0] if case.spec.tokens else output
    _expect_shapes(case, module, features, x, "at full depth")
    expect_equal({feature.dtype for feature in features}, {x.dtype}, f"{case.name}: dtypes of the features")
    if case.has_numbers:
        expect_finite(features, case.name)
    if case.spec.reductions[0] == 1 and not getattr(module, "full_resolution", False):
        same = torch.equal(features[0], x) if case.has_numbers else features[0].shape == x.shape
        expect(same, f"{case.name}: features[0] must be the input itself, or the module says full_resolution = True")
    if case.spec.tokens:
        _expect_prefix_tokens(case, features, output[1])


def _expect_shapes(case: EncoderCase, module: nn.Module, features: list[Tensor], x: Tensor, where: str) -> None:
    """For an image whose size every reduction divides."""
    height, width = x.shape[2:]
    expected = [
        (x.shape[0], channels, height // reduction, width // reduction)
        for channels, reduction in zip(module.out_channels, module.reductions, strict=True)  # type: ignore[arg-type]
    ]
    got = [tuple(feature.shape) for feature in features]
    expect_equal(got, expected, f"{case.name} {where}: shapes of the features of an image {tuple(x.shape)}")


def _expect_prefix_tokens(case: EncoderCase, features: list[Tensor], prefix_tokens: list[Tensor]) -> None:
    expect_equal(len(prefix_tokens), len(features), f"{case.name}: number of prefix token tensors, one a feature")
    got = [(tokens.dim(), tokens.shape[0], tokens.shape[-1]) for tokens in prefix_tokens]
    expected = [(3, feature.shape[0], feature.shape[1]) for feature in features]
    expect_equal(got, expected, f"{case.name}: dimensions, batch and channels of the prefix tokens (N, tokens, C)")


def num_parameters_matches_spec(case: EncoderCase) -> None:
    """The spec's ``num_parameters`` counts the trainable parameters at full depth, for ``in_channels`` of its own."""
    native = case.spec.in_channels
    whole = case.shared_outline() if native == 3 else case.outline(in_channels=native)
    count = sum(parameter.numel() for parameter in whole.parameters() if parameter.requires_grad)
    expect_equal(count, case.spec.num_parameters, f"{case.name}: trainable parameters (the spec's num_parameters)")


def every_depth_builds(case: EncoderCase) -> None:
    """At each depth the features are those that the spec declares, and no parameter is there that none of them uses."""
    for depth in range(case.spec.min_depth, case.spec.max_depth + 1):
        module, x = case.outline(depth=depth), case.image(1)
        output = module(x)
        _expect_shapes(case, module, case.features_of(output), x, f"at depth {depth}")
        outputs = tensors_of(output)
        # Where there is no gradient at all, as under no_grad, that is what is to be said: see gradients_reach.
        unused = _unused_parameters(module, outputs) if any(item.requires_grad for item in outputs) else []
        expect(
            not unused,
            f"{case.name} at depth {depth} has parameters that no feature uses: {', '.join(unused[:4])}"
            f"{', ...' if len(unused) > 4 else ''}; expected none: build only the stages that the depth needs",
        )


def _unused_parameters(module: nn.Module, outputs: list[Tensor]) -> list[str]:
    """Names of trainable parameters that no output is made with."""
    used = parameters_behind(outputs)
    return [name for name, item in module.named_parameters() if item.requires_grad and id(item) not in used]


def parameters_behind(outputs: list[Tensor]) -> set[int]:
    """Ids of the parameters in the autograd graph of the outputs. Needs no backward pass."""
    used, seen = set(), set()
    pending = [item.grad_fn for item in outputs if item.grad_fn is not None]
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            used.add(id(node.variable))
        pending.extend(parent for parent, _ in node.next_functions if parent is not None)
    return used


def every_output_stride_builds(case: EncoderCase) -> None:
    """At each declared output stride no reduction is larger, and the weights of the undilated encoder fit."""
    plain = {name: tensor.shape for name, tensor in case.shared_outline().state_dict().items()}
    for stride in case.spec.dilation:
        module, x = case.outline(output_stride=stride), case.image(1)
        where = f"at output stride {stride}"
        with torch.no_grad():
            features = case.features(module, x)
        expect_equal(
            tuple(module.reductions),  # type: ignore[arg-type]
            tuple(min(item, stride) for item in case.spec.reductions),
            f"{case.name} {where}: reductions",
        )
        _expect_shapes(case, module, features, x, where)
        dilated = {name: tensor.shape for name, tensor in module.state_dict().items()}
        expect(
            dilated == plain,
            f"{case.name} {where}: the state dict must have the keys and shapes that it has without dilation",
        )


def every_number_of_input_channels_builds(case: EncoderCase) -> None:
    """An encoder for 1, 2, 3 or 4 input channels takes such images."""
    for channels in (1, 2, 3, 4):
        # The input channels concern the first layers; the whole encoder is run once, to be sure.
        depth = case.default_depth if channels == 4 else case.shallow_depth
        module, x = case.outline(in_channels=channels, depth=depth), case.image(1, channels=channels)
        expect_equal(
            getattr(module, "in_channels", channels), channels, f"{case.name}: attribute in_channels of the module"
        )
        with torch.no_grad():
            features = case.features(module, x)
        _expect_shapes(case, module, features, x, f"with in_channels={channels}")


def any_input_size(case: EncoderCase) -> None:
    """Each feature's height and width is the image's divided by its reduction, rounded up or down, and at least 1.

    Architectures promise to take every image; those that need no padding hand it to the encoder as it is.
    """
    module, unit = case.shared_outline(), case.largest_reduction
    for height, width in ((2 * unit - 1, unit + unit // 2), (max(unit - 3, 1), 5), (1, 1)):
        x = case.image(1, height, width)
        with torch.no_grad():
            features = case.features(module, x)
        for feature, reduction in zip(features, module.reductions, strict=True):  # type: ignore[arg-type]
            for size, got in zip((height, width), feature.shape[2:], strict=True):
                low, high = max(size // reduction, 1), -(-size // reduction)
                expect(
                    low <= got <= high,
                    f"{case.name}: an image of {height} x {width} gives a feature of {tuple(feature.shape[2:])} at "
                    f"reduction {reduction}; expected {low if low == high else f'{low} or {high}'} for {size}",
                )


def any_memory_layout(case: EncoderCase) -> None:
    """An image with its channels innermost in memory, as users and models arrange them for speed, gives the same."""
    module, x = case.settled(), case.image()
    with torch.no_grad():
        expected = case.features(module, x)
        try:
            got = case.features(module, x.contiguous(memory_format=torch.channels_last))
        except Exception as error:  # whatever the module's own code raises
            raise ConformanceError(
                f"{case.name} fails for an image with the channels innermost in memory; reshape in place of view: "
                f"{beginning(error)}"
            ) from error
    expect_close(got, expected, f"{case.name}: an image with the channels innermost in memory")


def weights_fit_every_depth(case: EncoderCase) -> None:
    """The full encoder's state dict loads at every depth, and the features are the first of the full encoder's.

    Those of a plain transformer need not be: fewer features may be those of other blocks.
    """
    full = case.settled()
    x = case.image()
    with torch.no_grad():
        expected = case.features(full, x)
    for depth in range(case.spec.min_depth, case.spec.max_depth):
        module = case.outline(depth=depth)
        if case.has_numbers and _has_unsaved_buffers(module):
            module = case.build(depth=depth).eval()
        try:
            module.load_state_dict(full.state_dict())
        except RuntimeError as error:
            raise ConformanceError(
                f"{case.name}: the state dict at depth {case.spec.max_depth} does not load at depth {depth}, as "
                f"pretrained weights must; expected the keys of missing stages to be dropped. {error}"
            ) from error
        if case.has_numbers and not case.spec.tokens:
            with torch.no_grad():
                features = case.features(module, x)
            what = f"{case.name}: features at depth {depth} against those at full depth"
            expect_close(features, expected[: len(features)], what)


def _has_unsaved_buffers(module: nn.Module) -> bool:
    """Whether it has tensors that only its own initialisation makes, so that an outline has them wrong for good."""
    saved = module.state_dict()
    return any(name not in saved for name, _ in module.named_buffers())


def weights_fit_every_number_of_input_channels(case: EncoderCase) -> None:
    """``first_convolution`` names the convolution to which weights for 3 channels can be fitted, and all else fits."""
    # Which of its keys a depth ignores is another check; here the first layers are enough.
    trained = case.outline(depth=case.shallow_depth)
    name = getattr(trained, "first_convolution", "")
    state_dict = trained.state_dict()
    shape = tuple(state_dict[f"{name}.weight"].shape) if f"{name}.weight" in state_dict else ()
    expect(
        len(shape) == 4,
        f"{case.name}: first_convolution is {name!r}{f', whose weight is {shape}' if shape else ''}; expected the name "
        "of the convolution that sees the input, so that pretrained weights can be fitted to other numbers of channels",
        hint='a path as in named_modules(), of the class or the instance: first_convolution = "stem.conv"',
    )
    for channels in (1, 2, 4):
        module = case.outline(in_channels=channels, depth=case.shallow_depth)
        fitted = state_dict
        for convolution in (name, *getattr(trained, "further_first_convolutions", ())):
            fitted = patch_first_convolution(fitted, convolution, channels)
        try:
            module.load_state_dict(fitted)
        except RuntimeError as error:
            raise ConformanceError(
                f"{case.name}: weights for 3 channels, fitted through {name!r}, do not load into an encoder for "
                f"in_channels={channels}: {error}"
            ) from error
