"""What images an encoder's pretrained weights expect: said from its spec, without torch, numpy or a network."""

from __future__ import annotations

from types import MappingProxyType

import pytest

import smp_core
from smp_core import registry
from smp_core.errors import InputError, OptionError, UnknownEncoderError
from smp_core.inputs import Preprocessing
from smp_core.plugin import EncoderSpec, WeightsSpec
from smp_core.registry import Registry
from smp_core.registry.discovery import LoadedPlugin, PluginRecord

_CAFFE = WeightsSpec(repo_id="acme/caffe", mean=(104, 117, 123), std=(1, 1, 1), input_space="BGR", input_range=(0, 255))


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = {"target": "a:b", "out_channels": (3, 8), "reductions": (1, 2)}
    weights = {"imagenet": WeightsSpec(repo_id="acme/imagenet"), "caffe": _CAFFE}
    specs = [
        EncoderSpec(name="tiny", weights=weights, default_weights="imagenet", **shape),
        EncoderSpec(name="bare", **shape),
    ]
    loaded = LoadedPlugin(
        record=PluginRecord(distribution="acme-smp-tiny", version="1", module="m"),
        encoders=MappingProxyType({spec.name: spec for spec in specs}),
    )
    monkeypatch.setattr(registry, "_registry", Registry([loaded]))


@pytest.mark.parametrize("weights", [True, "imagenet"])
@pytest.mark.parametrize("name", ["tiny", "acme-smp-tiny/tiny"])
def test_the_default_weights(name: str, weights: str | bool) -> None:
    found = smp_core.preprocessing(name, weights)
    assert found == smp_core.preprocessing(name)
    assert found.to_dict() == {
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "input_space": "RGB",
        "input_range": [0.0, 1.0],
    }


def test_a_named_set() -> None:
    found = smp_core.preprocessing("tiny", weights="caffe")
    assert found == Preprocessing(mean=(104, 117, 123), std=(1, 1, 1), input_space="BGR", input_range=(0, 255))
    assert Preprocessing.from_dict(found.to_dict()) == found


@pytest.mark.parametrize("weights", [None, False, "imagnet", "weights.pth", 3, ["imagenet"]])
def test_weights_of_which_nothing_is_known(weights: object) -> None:
    with pytest.raises(OptionError) as caught:
        smp_core.preprocessing("tiny", weights)  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"weights={weights!r} is no weight set of encoder 'tiny' (imagenet, caffe), so nobody knows how its images "
        "were prepared; expected True or one of these names; for others, build a smp_core.inputs.Preprocessing"
    )


def test_an_encoder_without_weights() -> None:
    with pytest.raises(OptionError, match=r"^weights=True is no weight set of encoder 'bare' \(none\), so nobody"):
        smp_core.preprocessing("bare")


def test_an_unknown_encoder() -> None:
    with pytest.raises(UnknownEncoderError, match=r"^unknown encoder 'tinny'; did you mean 'tiny'"):
        smp_core.preprocessing("tinny")


@pytest.mark.parametrize("picture", [[[1, 2]], 3, "image.png", None])
def test_what_is_neither_tensor_nor_array(picture: object) -> None:
    with pytest.raises(InputError, match=f"^expected a torch tensor or a NumPy array, got {type(picture).__name__}$"):
        smp_core.preprocessing("tiny")(picture)
