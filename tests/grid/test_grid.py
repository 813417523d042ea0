"""Every architecture with every kind of encoder: it builds and runs, or is refused with the reason that the specs give.

The architectures and encoders are those that are installed, discovered as users' are, and fakes of every kind.
"""

from __future__ import annotations

import fake_encoders
import pytest
import torch

import smp_core
from smp_core.blueprints.compatibility import compare
from smp_core.errors import IncompatibleError
from smp_core.plugin import EncoderSpec

ARCHITECTURES = smp_core.list_architectures()
DEPTHS = (None, 1, 2, 3, 4, 5, 6, 7)
STRIDES = (None, 8, 16, 32)


def _kinds() -> list[str]:
    """The smallest installed encoder of each set of capabilities; of one set, all meet the same decoder code."""
    smallest: dict[object, EncoderSpec] = {}
    for name in smp_core.list_encoders():
        spec = smp_core.describe(name).spec
        kind = (spec.reductions, spec.dilation, spec.tokens, spec.min_depth, spec.max_depth)
        known = smallest.get(kind)
        if known is None or (spec.num_parameters or 0) < (known.num_parameters or 0):
            smallest[kind] = spec
    return [spec.name for spec in smallest.values()]


ENCODERS = [*_kinds(), *(spec.name for spec in fake_encoders.SPECS)]


@pytest.fixture
def _only_shapes(monkeypatch):
    """Norms that give what has their shape: on the meta device torch's own take more than all else, in Python."""

    def batch_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
        assert x.is_meta
        for of_channels in (mean, var, weight, bias):
            assert of_channels is None or of_channels.shape == (x.shape[1],)
        return torch.empty_like(x)

    def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        assert x.is_meta
        for shape in (normalized_shape, *(part.shape for part in (weight, bias) if part is not None)):
            assert x.shape[-len(shape) :] == tuple(shape)
        return torch.empty_like(x)

    monkeypatch.setattr(torch.nn.functional, "batch_norm", batch_norm)
    monkeypatch.setattr(torch.nn.functional, "layer_norm", layer_norm)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.usefixtures("_only_shapes")
def test_builds_and_runs_or_is_refused(architecture, encoder):
    """On the meta device: shapes only, nothing is initialised."""
    built = []
    for depth in DEPTHS:
        check(architecture, encoder, depth, None, built)
    for stride in STRIDES[1:]:
        check(architecture, encoder, None, stride, built)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", smp_core.list_encoders())
def test_every_encoder_in_every_architecture(encoder):
    """Every installed name at the default depth and stride: the sweep over what the kinds stand for."""
    for architecture in ARCHITECTURES:
        check(architecture, encoder, None, None)


def check(architecture, encoder, depth, stride, built=()):
    """One choice; of two that mean the same blueprint, which says everything of a model, the first is built.

    Args:
        built: the blueprints that were built, to which this one is added.
    """
    asked = {"encoder_depth": depth, "encoder_output_stride": stride}
    answer = smp_core.compatible(architecture, encoder, **asked)
    where = f"{architecture} over {encoder} at depth {depth}, output stride {stride}"
    if not answer:
        with pytest.raises(IncompatibleError) as refusal:
            smp_core.create(architecture, encoder, encoder_weights=None, **asked)
        assert str(refusal.value) == "; ".join(answer.reasons), where
        return
    wanted = smp_core.blueprint(architecture, encoder, encoder_weights=None, classes=2, **asked)
    if wanted in built:
        return
    built += (wanted,)
    with torch.device("meta"):
        model = smp_core.create(architecture, encoder, encoder_weights=None, classes=2, **asked).eval()
    masks = model(torch.empty(3, 3, 96, 160, device="meta"))
    assert masks.shape[:2] == (3, 2), where
    if model.config["encoder_depth"] == smp_core.describe(architecture).spec.default_depth:
        assert masks.shape[2:] == (96, 160), where
    else:  # a fixed upsampling gives masks of another size
        assert masks.shape[2] * 160 == masks.shape[3] * 96, where


def compatible_fakes():
    """Architectures with the fakes that they take by default."""
    specs = {spec.name: spec for spec in fake_encoders.SPECS}
    for architecture in ARCHITECTURES:
        for encoder, spec in specs.items():
            taken_by = smp_core.describe(architecture).spec
            if compare(taken_by, spec, taken_by.default_depth):
                yield architecture, encoder


@pytest.mark.parametrize(("architecture", "encoder"), list(compatible_fakes()))
def test_learns_from_images_of_any_size(architecture, encoder):
    torch.manual_seed(0)
    model = smp_core.create(
        architecture, encoder, encoder_weights=None, in_channels=2, classes=3, aux_params={"classes": 5}
    )
    masks, labels = model(torch.randn(2, 2, 67, 93))
    assert masks.shape == (2, 3, 67, 93)
    assert labels.shape == (2, 5)
    (masks.square().mean() + labels.square().mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} has no part in the result"
        assert parameter.grad.isfinite().all(), name
    for size in ((1, 1), (5, 64), (33, 20)):
        assert model.predict(torch.randn(1, 2, *size))[0].shape == (1, 3, *size)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_refusal_has_a_reason(architecture):
    """Somebody takes it, and whoever does not is told why."""
    answers = {encoder: smp_core.compatible(architecture, encoder) for encoder in ENCODERS}
    assert any(answers.values())
    assert all(answer.reasons for answer in answers.values() if not answer)
