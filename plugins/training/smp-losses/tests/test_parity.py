"""Values and gradients are those of segmentation_models_pytorch 0.6.0, over random cases in every mode and option."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import smp_losses

pytestmark = pytest.mark.parity

IGNORED = 255
NAMES = [
    "DiceLoss",
    "JaccardLoss",
    "TverskyLoss",
    "FocalLoss",
    "LovaszLoss",
    "MCCLoss",
    "SoftBCEWithLogitsLoss",
    "SoftCrossEntropyLoss",
]


@pytest.fixture(scope="module")
def peer():
    return pytest.importorskip("segmentation_models_pytorch").losses


@st.composite
def region_options(draw, name, mode, classes):
    options = {
        "mode": mode,
        "log_loss": draw(st.booleans()),
        "from_logits": draw(st.booleans()),
        "smooth": draw(st.sampled_from([0.0, 0.7, 10.0])),
        "eps": draw(st.sampled_from([1e-7, 1e-3, 1.0])),
        "ignore_index": draw(st.sampled_from([None, IGNORED, -1])),
    }
    if mode != "binary":
        chosen = st.lists(st.integers(0, classes - 1), min_size=1, max_size=classes, unique=True)
        options["classes"] = draw(st.none() | chosen)
        options["class_weights"] = draw(weights(classes))
    if name == "TverskyLoss":
        options |= {key: draw(st.sampled_from([0.2, 0.5, 1.3])) for key in ("alpha", "beta")}
        options["gamma"] = draw(st.sampled_from([1.0, 2.0, 1.33]))
    return options


def weights(classes):
    # Eighths, whose sums are exact: the peer adds them up in float32.
    return st.none() | st.lists(st.integers(1, 32).map(lambda n: n / 8), min_size=classes, max_size=classes)


@st.composite
def focal_options(draw, mode, classes):
    options = {
        "mode": mode,
        "alpha": draw(st.sampled_from([None, 0.25, 0.9])),
        "gamma": draw(st.sampled_from([2.0, 0.0, 1.0, 0.5, 3.3])),
        "from_logits": draw(st.booleans()),
        "eps": draw(st.sampled_from([1e-7, 1e-2])),
        "reduction": draw(st.sampled_from(["mean", "sum", "none", "batchwise_mean"])),
        "normalized": draw(st.booleans()),
        "reduced_threshold": draw(st.sampled_from([None, 0.3, 0.5])),
    }
    # The peer has no ignored labels in multilabel mode: it stops with an error.
    options["ignore_index"] = draw(st.sampled_from([None, IGNORED])) if mode != "multilabel" else None
    if mode != "binary":
        options["class_weights"] = draw(weights(classes))
    return options


@st.composite
def other_options(draw, name, mode):
    if name == "LovaszLoss":
        ignore_index = draw(st.sampled_from([None, IGNORED]))
        return {
            "mode": mode,
            "per_image": draw(st.booleans()),
            "from_logits": draw(st.booleans()),
            "ignore_index": ignore_index,
        }
    if name == "MCCLoss":
        return {"eps": draw(st.sampled_from([1e-5, 1e-2, 1.0]))}
    options = {
        "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
        "ignore_index": draw(st.sampled_from([None, IGNORED, -100])),
    }
    # The peer's SoftCrossEntropyLoss stops without a smooth_factor.
    factors = [0.0, 0.1, 0.5] + ([None] if name == "SoftBCEWithLogitsLoss" else [])
    return options | {"smooth_factor": draw(st.sampled_from(factors))}


@st.composite
def cases(draw, name):
    """Options, the mode, and the size and the seed of the tensors."""
    mode = draw(st.sampled_from(["binary", "multiclass", "multilabel"]))
    if name == "MCCLoss":
        mode = "binary"
    if name.startswith("Soft"):
        mode = "multiclass" if name == "SoftCrossEntropyLoss" else "multilabel"
    # With a single class softmax is 1 everywhere: a corner, where the peer's losses have an error or half a gradient.
    least = 2 if mode == "multiclass" else 1
    classes = 1 if mode == "binary" else draw(st.integers(least, 5))
    if name in NAMES[:3]:
        options = draw(region_options(name, mode, classes))
    elif name == "FocalLoss":
        options = draw(focal_options(mode, classes))
    else:
        options = draw(other_options(name, mode))
    shape = (draw(st.integers(1, 3)), classes, draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    return options, mode, shape, draw(st.integers(0, 2**31)), draw(st.booleans())


def tensors(name, options, mode, shape, seed, absent):
    """A prediction and a target; some labels ignored, the last class absent if asked for."""
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.float32 if name == "LovaszLoss" else torch.float64
    x = torch.randn(shape, generator=generator, dtype=dtype) * 2
    n, classes, *size = shape
    if mode == "multiclass":
        y = torch.randint(0, max(1, classes - absent), (n, *size), generator=generator)
    else:
        y = torch.randint(0, 2, shape, generator=generator)
        if absent:
            y[:, -1] = 0
        # Soft labels now and then, where the loss takes them.
        if seed % 3 == 0 and name not in ("LovaszLoss",):
            y = (y * 0.75).to(dtype)
    if options.get("ignore_index") is not None:
        y[torch.rand(y.shape, generator=generator) < 0.2] = options["ignore_index"]
    if name == "MCCLoss" or not options.get("from_logits", True):
        x = x.softmax(1) if mode == "multiclass" else x.sigmoid()
    if name in ("SoftBCEWithLogitsLoss", "MCCLoss"):
        y = y.to(dtype)
    return x, y


def classes_of(mode, y, valid, classes):
    """Per class, its labels where valid."""
    for index in range(classes):
        if mode == "multiclass":
            yield (y == index)[valid]
        else:
            yield y[:, index][valid[:, index]]


def corrected(name, options, mode, x, y):
    """Whether a documented correction touches this case."""
    ignore = options.get("ignore_index")
    valid = torch.ones_like(y, dtype=torch.bool) if ignore is None else y != ignore
    per_class = list(classes_of(mode, y, valid, x.shape[1]))
    if name in NAMES[:3]:
        chosen = options.get("classes") or range(len(per_class))
        return any(not per_class[index].sum() for index in chosen)
    if name == "FocalLoss":
        reduction = options["reduction"]
        odd = reduction == "batchwise_mean" and (mode == "binary" or ignore is not None)
        return reduction == "none" or odd or (mode == "multiclass" and not options["from_logits"])
    if name == "LovaszLoss":
        if not options["from_logits"]:
            return True
        images = range(len(y)) if options["per_image"] else [slice(None)]
        if mode == "multiclass":
            return any(not valid[image].any() for image in images)
        return any(not y[image][valid[image]].sum() for image in images)
    if name == "MCCLoss":
        return not 0 < per_class[0].sum() < per_class[0].numel()
    return (options["reduction"] == "none" and name == "SoftCrossEntropyLoss") or not valid.all()


def peer_fails(name, options, mode, y):
    """Cases for which the peer has no value: an error, NaN, or a tensor without elements."""
    ignore = options.get("ignore_index")
    # The peer's class weights meet the last axis of the image, not the classes, unless each class has a single number.
    if options.get("class_weights") is not None and options.get("reduction") in ("none", "batchwise_mean"):
        return True
    if ignore is None or name not in ("FocalLoss", "LovaszLoss"):
        return False
    valid = y != ignore
    if name == "LovaszLoss" and options["per_image"] and mode == "multiclass":
        return not all(image.any() for image in valid)
    return not valid.any()


def compare(peer, name, case):
    options, mode, shape, seed, absent = case
    x, y = tensors(name, options, mode, shape, seed, absent)
    if peer_fails(name, options, mode, y):
        return
    results = []
    forms = [{"smp_values": True}] + ([] if corrected(name, options, mode, x, y) else [{}])
    for loss in (getattr(peer, name)(**options), *(getattr(smp_losses, name)(**options, **form) for form in forms)):
        leaf = x.clone().requires_grad_()
        value = loss(leaf, y.clone())
        if value.requires_grad:
            (value * torch.arange(1, value.numel() + 1, dtype=x.dtype).view(value.shape)).sum().backward()
        gradient = torch.zeros_like(x) if leaf.grad is None else leaf.grad
        results.append((value.detach(), gradient))
    (value, gradient), *ours = results
    tolerance = 1e-5 if x.dtype == torch.float32 else 1e-10
    for our_value, our_gradient in ours:
        torch.testing.assert_close(our_value, value, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(our_gradient, gradient, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_values_and_gradients(peer, name, data):
    compare(peer, name, data.draw(cases(name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@settings(derandomize=True, max_examples=500)
@given(data=st.data())
def test_values_and_gradients_of_many(peer, name, data):
    compare(peer, name, data.draw(cases(name)))


def test_names_arguments_and_defaults(peer):
    import inspect

    for name in NAMES:
        theirs = inspect.signature(getattr(peer, name)).parameters
        ours = inspect.signature(getattr(smp_losses, name)).parameters
        assert list(ours)[: len(theirs)] == list(theirs), name
        for key, parameter in theirs.items():
            assert ours[key].default == parameter.default, (name, key)
            assert ours[key].kind == parameter.kind
        more = list(ours.values())[len(theirs) :]
        assert all(item.kind == item.KEYWORD_ONLY for item in more), name


def test_modes(peer):
    for name in ("BINARY_MODE", "MULTICLASS_MODE", "MULTILABEL_MODE"):
        assert getattr(smp_losses, name) == getattr(peer, name)


def test_state_dicts(peer):
    weight = torch.ones(3, 1, 1)
    theirs = peer.SoftBCEWithLogitsLoss(weight=weight, pos_weight=weight)
    ours = smp_losses.SoftBCEWithLogitsLoss(weight=weight, pos_weight=weight)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert not smp_losses.DiceLoss("multiclass", class_weights=[1, 2]).state_dict()


def test_options_of_soft_bce_that_broadcast(peer):
    x, weight = torch.randn(2, 3, 4, 5), torch.rand(3, 1, 1)
    y = torch.randint(0, 2, x.shape).float()
    for options in ({"weight": weight}, {"pos_weight": weight}, {"weight": weight, "pos_weight": weight * 2}):
        theirs, ours = peer.SoftBCEWithLogitsLoss(**options), smp_losses.SoftBCEWithLogitsLoss(**options)
        torch.testing.assert_close(ours(x, y), theirs(x, y))


def test_other_shapes(peer):
    x, y = torch.randn(2, 4, 3, 5, 6), torch.randint(0, 4, (2, 3, 5, 6))
    for name in ("DiceLoss", "JaccardLoss", "TverskyLoss", "FocalLoss"):
        theirs, ours = getattr(peer, name)("multiclass"), getattr(smp_losses, name)("multiclass")
        torch.testing.assert_close(ours(x, y), theirs(x, y))
    x, y = torch.randn(2, 4, 5, 3), torch.randint(0, 3, (2, 4, 5))
    theirs = peer.SoftCrossEntropyLoss(smooth_factor=0.1, dim=-1)
    torch.testing.assert_close(smp_losses.SoftCrossEntropyLoss(smooth_factor=0.1, dim=-1)(x, y), theirs(x, y))
