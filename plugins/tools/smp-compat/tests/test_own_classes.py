"""Classes of a user's own that build themselves, saved and loaded as segmentation_models_pytorch does."""

from __future__ import annotations

import copy
import importlib.util
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import smp_compat as smp
import smp_core
from smp_core.errors import CheckpointError

PEER = "segmentation_models_pytorch"
IMAGE = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def classes_over(library: Any) -> tuple[type[Any], type[Any]]:
    """A model with parameters beside those of its base, and one that is put together by hand."""

    class Extra(library.Unet):  # type: ignore[misc]
        def __init__(self, width: int = 7, sizes: Any = (1, 2), scale: float = 1.0, **options: Any) -> None:
            super().__init__("resnet18", encoder_weights=None, **options)
            self.extra = nn.Linear(width, 2)
            self.sizes, self.scale = sizes, scale

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = super().forward(x) * self.scale + self.extra.weight.mean()
            return result

    class Own(library.base.SegmentationModel):  # type: ignore[misc]
        def __init__(self, encoder_name: str, classes: int = 1, encoder_weights: str | None = "imagenet") -> None:
            super().__init__()
            self.encoder = library.encoders.get_encoder(encoder_name, weights=encoder_weights)
            decoder = library.decoders.unet.decoder.UnetDecoder
            self.decoder = decoder(self.encoder.out_channels, (64, 32, 16, 16, 8))
            self.segmentation_head = library.base.SegmentationHead(8, classes)
            self.classification_head = None
            self.initialize()

    return Extra, Own


Extra, Own = classes_over(smp)


class Needing(smp.Unet):
    """Takes what JSON cannot hold."""

    def __init__(self, layer: nn.Module, *, classes: int = 1) -> None:
        super().__init__("resnet18", encoder_weights=None, classes=classes)
        self.layer = layer


def same(first: nn.Module, second: nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_further_parameters_and_arguments(tmp_path: Path) -> None:
    model = Extra(5, scale=2.0, classes=3).eval()
    model.save_pretrained(tmp_path, model_card_kwargs={"dataset": "tiles", "metrics": {"iou": 0.5}})
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.pop("_smp_core")["identity"]
    assert config == {"_model_class": "Extra", "width": 5, "sizes": [1, 2], "scale": 2.0, "classes": 3}
    card = (tmp_path / "README.md").read_text()
    assert "# Extra\n" in card
    assert "tiles" in card
    assert "- iou: 0.5" in card
    loaded = Extra.from_pretrained(tmp_path)
    assert type(loaded) is Extra
    assert (loaded.scale, loaded.sizes, loaded.training) == (2.0, [1, 2], False)
    assert torch.equal(loaded(IMAGE), model(IMAGE))
    assert Extra.from_pretrained(tmp_path, scale=3.0).scale == 3.0


def test_put_together_by_hand(tmp_path: Path) -> None:
    model = Own("resnet18", classes=2, encoder_weights=None)
    model.save_pretrained(tmp_path)
    loaded = Own.from_pretrained(str(tmp_path))  # which does not fetch encoder weights
    assert type(loaded) is Own
    assert same(loaded, model)


def test_saving_and_loading_draw_nothing(tmp_path: Path) -> None:
    model = Own("resnet18", encoder_weights=None)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    model.save_pretrained(tmp_path)
    Own.from_pretrained(tmp_path)
    assert torch.equal(torch.rand(1), expected)


def test_copies_are_saved_alike(tmp_path: Path) -> None:
    model = Own("resnet18", 2, encoder_weights=None)
    copy.deepcopy(model).save_pretrained(tmp_path)
    assert same(Own.from_pretrained(tmp_path), model)


class Picklable(smp.Unet):
    def __init__(self, classes: int) -> None:
        super().__init__("resnet18", encoder_weights=None, classes=classes)


def test_a_pickled_one_is_saved_alike(tmp_path: Path) -> None:
    model = Picklable(3)
    pickle.loads(pickle.dumps(model)).save_pretrained(tmp_path)
    assert same(Picklable.from_pretrained(tmp_path), model)


def test_arguments_that_json_cannot_hold(tmp_path: Path) -> None:
    model = Needing(nn.Linear(2, 2))
    with pytest.raises(
        CheckpointError, match=r"^Needing cannot be saved: from_pretrained would call Needing\(classes=1"
    ):
        model.save_pretrained(tmp_path)
    assert not [*tmp_path.iterdir()]


def test_what_was_changed_after_it_was_built(tmp_path: Path) -> None:
    model = Extra(classes=2)
    model.segmentation_head[0] = nn.Conv2d(16, 5, 3, padding=1)
    message = (
        r"^Extra cannot be saved: its arguments build another model .*: segmentation_head\.0\.weight is \(5, 16, 3"
    )
    with pytest.raises(CheckpointError, match=message):
        model.save_pretrained(tmp_path)


def test_others_are_told_which_class_loads_it(tmp_path: Path) -> None:
    Extra().save_pretrained(tmp_path)
    message = r"config.json' names no encoder: where 'Extra' is a class of your own, its from_pretrained loads it; "
    for load in (smp.from_pretrained, smp.Unet.from_pretrained, smp_core.from_pretrained):
        with pytest.raises(CheckpointError, match=message):
            load(tmp_path)
    Own("resnet18", encoder_weights=None).save_pretrained(tmp_path)
    message = (
        r"^unknown architecture 'own'.*; a model of a class of your own is loaded by that class's from_pretrained$"
    )
    with pytest.raises(CheckpointError, match=message):
        smp.from_pretrained(tmp_path)


class Wider(smp.Unet):
    def __init__(self, classes: int = 1) -> None:
        super().__init__("resnet18", encoder_weights=None, classes=classes)
        self.extra = nn.Linear(2, 2)


def test_a_folder_of_the_base_class(tmp_path: Path) -> None:
    smp.Unet("resnet18", encoder_weights=None, classes=3).save_pretrained(tmp_path)
    loaded = Picklable.from_pretrained(tmp_path)
    assert loaded.predict(IMAGE).shape == (2, 3, 64, 64)
    with pytest.raises(
        CheckpointError, match=r"does not fit Wider, which its config\.json builds: Missing key\(s\).*extr"
    ):
        Wider.from_pretrained(tmp_path)
    loaded = Wider.from_pretrained(tmp_path, strict=False)
    assert torch.equal(loaded.encoder.conv1.weight, smp.from_pretrained(tmp_path).encoder.conv1.weight)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json in"):
        Extra.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"config\.json' is no config of a model$"):
        Extra.from_pretrained(tmp_path)
    with pytest.raises(smp.NotProvidedError, match=r"^force_download is not provided: "):
        Extra.from_pretrained(tmp_path, force_download=True)


@pytest.mark.parity
@pytest.mark.skipif(importlib.util.find_spec(PEER) is None, reason="the peer is installed in the parity session only")
@pytest.mark.parametrize("index", [0, 1])
def test_each_library_reads_what_the_other_wrote(tmp_path: Path, index: int) -> None:
    import segmentation_models_pytorch as peer

    arguments: dict[str, Any] = [{"width": 5, "classes": 2}, {"encoder_name": "resnet18", "encoder_weights": None}][
        index
    ]
    theirs, ours = classes_over(peer)[index](**arguments), (Extra, Own)[index](**arguments)
    theirs.save_pretrained(tmp_path / "theirs")
    assert same(type(ours).from_pretrained(tmp_path / "theirs"), theirs)
    ours.save_pretrained(tmp_path / "ours")
    assert same(type(theirs).from_pretrained(tmp_path / "ours"), ours)
