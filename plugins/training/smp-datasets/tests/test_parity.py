"""Oxford-IIIT Pet beside segmentation_models_pytorch: signatures, attributes, and every item."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from PIL import Image

import smp_datasets

pytestmark = pytest.mark.parity

NAMES = ("OxfordPetDataset", "SimpleOxfordPetDataset")


@pytest.fixture(scope="module")
def peer():
    return pytest.importorskip("segmentation_models_pytorch.datasets")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Thirty small animals in the form of the dataset; as strings, which the peer wants."""
    root = tmp_path_factory.mktemp("pets")
    (root / "images").mkdir()
    (root / "annotations" / "trimaps").mkdir(parents=True)
    generator = np.random.default_rng(0)
    names = [f"Abyssinian_{number}" for number in range(30)]
    for number, name in enumerate(names):
        shape = (20 + 31 * number % 400, 300 - 7 * number)
        Image.fromarray(generator.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(root / "images" / f"{name}.jpg")
        trimap = generator.integers(1, 4, shape, dtype=np.uint8)
        Image.fromarray(trimap).save(root / "annotations" / "trimaps" / f"{name}.png")
    for part, listed in (("trainval", names[:25]), ("test", names[25:])):
        (root / "annotations" / f"{part}.txt").write_text("".join(f"{name} 1 1 1\n" for name in listed))
    return str(root)


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name, peer):
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (smp_datasets, peer))
    for number, (key, parameter) in enumerate(theirs.items()):
        assert list(ours)[number] == key
        assert ours[key].default == parameter.default
        assert ours[key].kind == parameter.kind
    assert next(iter(inspect.signature(getattr(smp_datasets, name).download).parameters)) == "root"
    assert next(iter(inspect.signature(getattr(peer, name).download).parameters)) == "root"


@pytest.mark.parametrize("mode", ["train", "valid", "test"])
@pytest.mark.parametrize("name", NAMES)
def test_items(name, mode, peer, root):
    ours, theirs = (getattr(module, name)(root, mode) for module in (smp_datasets, peer))
    for key, value in vars(theirs).items():
        assert getattr(ours, key) == value, key
    assert len(ours) == len(theirs)
    for number in range(len(ours)):
        mine, other = ours[number], theirs[number]
        assert list(mine) == list(other)
        for key, values in other.items():
            assert mine[key].dtype == values.dtype
            np.testing.assert_array_equal(mine[key], values)


@pytest.mark.parametrize("name", NAMES)
def test_transforms(name, peer, root):
    seen = []

    def transform(*arguments, **item):
        seen.append((arguments, {key: (values.shape, values.dtype) for key, values in item.items()}))
        return {key: values[::-1].copy() for key, values in item.items()}

    items = [getattr(module, name)(root, transform=transform)[3] for module in (smp_datasets, peer)]
    assert seen[0] == seen[1]
    for key in items[1]:
        np.testing.assert_array_equal(items[0][key], items[1][key])
