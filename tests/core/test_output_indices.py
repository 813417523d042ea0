"""The blocks of a token encoder: asked for by name, compared before anything is built, written down in the config."""

from __future__ import annotations

from typing import Any

import fake_encoders
import pytest
from fake_encoders import FakeTransformer
from toy_models import architecture_spec, encoder_spec

import smp_core
from smp_core.errors import IncompatibleError, OptionError
from smp_core.plugin import ArchitectureSpec

TOKENS = ArchitectureSpec(
    name="tokens",
    class_name="TokenModel",
    target="toy_models:ToyModel",
    default_depth=4,
    min_depth=1,
    max_depth=6,
    tokens=True,
    pyramid=False,
)


@pytest.fixture(autouse=True)
def _installed(install) -> None:
    install(encoder_spec(), architecture_spec(), TOKENS, *fake_encoders.SPECS)


def create(**arguments: Any) -> smp_core.SegmentationModel:
    return smp_core.create("tokens", "fake-tokens", encoder_weights=None, **arguments)


def indices_of(model: smp_core.SegmentationModel) -> list[int]:
    assert isinstance(model.encoder, FakeTransformer)
    return model.encoder.indices


def test_the_encoder_chooses_by_default() -> None:
    model = create()
    assert indices_of(model) == [2, 3, 4, 5]
    assert model.config["encoder_output_indices"] is None


def test_the_user_chooses() -> None:
    model = create(encoder_output_indices=[0, 2, -2, -1])
    assert indices_of(model) == [0, 2, 4, 5]
    assert model.config["encoder_output_indices"] == [0, 2, -2, -1]


def test_their_number_is_the_depth() -> None:
    model = create(encoder_output_indices=(1, 3))
    assert indices_of(model) == [1, 3]
    assert model.config["encoder_depth"] == 2
    with pytest.raises(IncompatibleError, match="are 2, but the encoder depth is 3: give one index for each feature"):
        create(encoder_output_indices=(1, 3), encoder_depth=3)


def test_a_block_that_does_not_exist() -> None:
    with pytest.raises(OptionError, match="output index 6: there are 6 blocks"):
        create(encoder_output_indices=(1, 2, 3, 6))


@pytest.mark.parametrize("value", [3, [], [1.0], ["1"], "12", [True]])
def test_no_indices(value: Any) -> None:
    with pytest.raises(OptionError, match="must be a sequence of ints or None"):
        create(encoder_output_indices=value)


def test_an_architecture_over_pyramids_takes_none() -> None:
    with pytest.raises(IncompatibleError, match=r"takes no encoder_output_indices, got \[1, 2\]"):
        smp_core.create(
            architecture_spec().name, encoder_spec().name, encoder_weights=None, encoder_output_indices=[1, 2]
        )


def test_a_module_is_built_already() -> None:
    with pytest.raises(OptionError, match="encoder_output_indices go with an encoder's name"):
        smp_core.create("tokens", FakeTransformer(), encoder_output_indices=[1, 2, 3, 4])


def test_an_encoder_alone() -> None:
    encoder = smp_core.create_encoder("fake-tokens", weights=None, output_indices=[1, 4])
    assert isinstance(encoder, FakeTransformer)
    assert encoder.indices == [1, 4]
    with pytest.raises(IncompatibleError, match="takes no output_indices"):
        smp_core.create_encoder(encoder_spec().name, weights=None, output_indices=[1, 4])
    with pytest.raises(IncompatibleError, match="give one index for each feature"):
        smp_core.create_encoder("fake-tokens", weights=None, depth=3, output_indices=[1, 4])


def test_the_config_rebuilds_the_model(tmp_path) -> None:
    create(encoder_output_indices=[0, 2, 3, 5]).save_pretrained(tmp_path)
    assert indices_of(smp_core.from_pretrained(tmp_path)) == [0, 2, 3, 5]
