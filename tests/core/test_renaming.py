"""Encoders whose module names differ from those of their published weights."""

import pytest
import torch
from safetensors.torch import load_file
from toy_models import ToyEncoder

import smp_core
from smp_core.tensors.renaming import published_key, to_own, to_published

RENAMES = (
    (r"^stage(\d)\.0\.", r"conv\1."),
    (r"^stage(\d)\.1\.", r"norm\1."),
)


class Renamed(ToyEncoder):
    """Published under ``conv1.weight``, ``norm1.bias`` and so on."""

    def __init__(self, **options):
        super().__init__(**options)
        self._renames = RENAMES
        self._ignored_keys = ["classifier.", *(f"conv{n}." for n in range(self.depth + 1, 5))]
        self._ignored_keys += [f"norm{n}." for n in range(self.depth + 1, 5)]


def assert_equal_states(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_both_directions_give_back_what_came():
    own = Renamed().state_dict()
    published = to_published(own, RENAMES)
    assert published["conv1.weight"] is own["stage1.0.weight"]
    assert not published.keys() & own.keys()
    assert_equal_states(to_own(published, own, RENAMES), dict(own))
    assert_equal_states(to_own(own, own, RENAMES), dict(own))


def test_a_key_that_no_pattern_fits_stays():
    assert published_key("head.weight", RENAMES) == "head.weight"


@pytest.mark.parametrize("published", [False, True])
def test_either_spelling_loads_strictly_and_the_callers_dict_stays(published):
    source = Renamed()
    state = source.to_published_keys(source.state_dict()) if published else dict(source.state_dict())
    before = list(state)
    target = Renamed()
    target.load_state_dict(state)
    assert list(state) == before
    assert_equal_states(target.state_dict(), source.state_dict())


def test_inside_a_model_and_without_the_stages_that_are_not_built():
    source = Renamed()
    published = source.to_published_keys(source.state_dict())
    model = torch.nn.ModuleDict({"encoder": Renamed(depth=2)})
    model.load_state_dict({f"encoder.{key}": value for key, value in published.items()})
    assert torch.equal(model["encoder"].stage2[0].weight, source.stage2[0].weight)


def test_a_key_that_means_nothing_is_named():
    source = Renamed()
    published = source.to_published_keys(source.state_dict())
    published["conv9.weight"] = published.pop("conv4.weight")
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "stage4.0.weight"') as error:
        Renamed().load_state_dict(published)
    assert 'Unexpected key(s) in state_dict: "conv9.weight"' in str(error.value)


@pytest.mark.usefixtures("toys")
def test_a_saved_model_has_the_published_keys(tmp_path):
    model = smp_core.create("toy", Renamed(), encoder_weights=None)
    model.save_pretrained(tmp_path)
    assert "encoder.conv1.weight" in load_file(tmp_path / "model.safetensors")
    loaded = smp_core.from_pretrained(tmp_path, encoder=Renamed())
    assert_equal_states(loaded.state_dict(), model.state_dict())
