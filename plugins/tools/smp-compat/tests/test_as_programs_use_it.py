"""What programs do with a model's parts, its config, and the entries of encoders."""

from __future__ import annotations

import copy
import functools
import json
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import smp_compat as smp
import smp_core
from smp_compat.base import modules

IMAGE = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def unet(**options: Any) -> Any:
    torch.manual_seed(0)
    return smp.Unet("resnet18", encoder_weights=None, **options).eval()


def test_the_activation_of_a_head_is_exchanged(tmp_path: Path) -> None:
    model = unet(aux_params={"classes": 2})
    with torch.no_grad():
        scores, labels = model(IMAGE)
        model.segmentation_head[-1].activation = nn.Sigmoid()
        model.classification_head[-1].activation = nn.Softmax(dim=1)
        masks, shares = model(IMAGE)
    torch.testing.assert_close(masks, scores.sigmoid())
    torch.testing.assert_close(shares, labels.softmax(1))
    assert torch.equal(unet().predict(IMAGE, labels=True), (unet().predict(IMAGE)[:, 0] > 0).long())
    model = unet()
    model.segmentation_head[-1].activation = nn.Sigmoid()
    assert torch.equal(model.predict(IMAGE, labels=True), (model.predict(IMAGE)[:, 0] > 0.5).long())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["activation"] == "sigmoid"
    assert torch.equal(smp.from_pretrained(tmp_path)(IMAGE), model(IMAGE))
    assert type(smp_core.from_pretrained(tmp_path).segmentation_head[-1]) is nn.Sigmoid


def test_labels_of_an_enlarged_head() -> None:
    torch.manual_seed(0)
    model = smp.FPN("resnet18", encoder_weights=None, classes=3).eval()
    assert torch.equal(model.predict(IMAGE, labels=True), model.predict(IMAGE).argmax(1))
    seen: list[Tensor] = []
    model.segmentation_head[-1].register_forward_hook(lambda *call: seen.append(call[2]))
    assert torch.equal(model.predict(IMAGE, labels=True), model.predict(IMAGE).argmax(1))
    assert len(seen) == 2


def test_parts_of_a_model_are_found_by_their_classes() -> None:
    kinds = (modules.Conv2dReLU, modules.Attention, modules.SCSEModule, modules.Activation)
    model = unet(decoder_attention_type="scse")
    found = Counter(kind.__name__ for layer in model.modules() for kind in kinds if isinstance(layer, kind))
    assert found == {"Conv2dReLU": 10, "Attention": 10, "SCSEModule": 10, "Activation": 1}


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (functools.partial(nn.Softmax, dim=1), nn.Softmax),
        (lambda: nn.Tanh(), nn.Tanh),
        (nn.Sigmoid, nn.Sigmoid),
        (nn.Softmax(dim=1), nn.Softmax),
        ("sigmoid", nn.Sigmoid),
        (None, nn.Identity),
    ],
)
def test_what_makes_an_activation(activation: Any, expected: type[nn.Module]) -> None:
    model = unet(classes=2, activation=activation, aux_params={"classes": 2, "activation": activation})
    assert type(model.segmentation_head[-1].activation) is expected
    assert type(model.classification_head[-1].activation) is expected
    assert type(smp.base.SegmentationHead(4, 2, activation=activation)[-1].activation) is expected


def test_a_function_of_a_tensor_is_an_activation() -> None:
    assert torch.equal(unet(activation=torch.sigmoid)(IMAGE), unet()(IMAGE).sigmoid())


def test_a_model_of_a_config(tmp_path: Path) -> None:
    model = unet(classes=3, decoder_channels=(64, 32, 16, 8, 8))
    again = smp.Unet(**model.config)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval()(IMAGE), model(IMAGE))
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert smp.create_model("unet", **config).config["classes"] == 3
    config.pop("_model_class")
    assert smp.Unet(**config).config["classes"] == 3


class TestEntries:
    def test_its_class_takes_its_params(self) -> None:
        entry = smp.encoders.encoders["resnet18"]
        assert type(entry["encoder"](**entry["params"], depth=3)) is type(smp.encoders.get_encoder("resnet18"))
        with pytest.raises(smp.NotProvidedError, match=r"^encoder 'resnet18' is built as it is: groups=2 would be"):
            entry["encoder"](**{**entry["params"], "groups": 2})

    def test_a_copy_is_the_programs_own(self) -> None:
        entry = copy.deepcopy(smp.encoders.encoders["resnet18"])
        entry["pretrained_settings"]["mine"] = {"mean": [0.5] * 3, "std": [0.5] * 3}
        smp.encoders.encoders["copied-resnet"] = entry
        try:
            model = smp.Unet("copied-resnet", encoder_weights=None).eval()
            assert smp.encoders.get_preprocessing_params("copied-resnet", "mine")["mean"] == [0.5] * 3
        finally:
            del smp.encoders.encoders["copied-resnet"]
        assert model(IMAGE).shape == (2, 1, 64, 64)

    def test_the_weight_sets_of_a_plugin_are_its_own(self) -> None:
        with pytest.raises(
            smp.NotProvidedError, match=r"^pretrained_settings\['mine'\]: the weight sets of an installed"
        ):
            smp.encoders.encoders["resnet18"]["pretrained_settings"]["mine"] = {}

    def test_their_order_is_that_of_the_peer(self) -> None:
        names = smp.encoders.get_encoder_names()
        assert names[:3] == ["resnet18", "resnet34", "resnet50"]
        assert names.index("dpn68b") < names.index("vgg11") < names.index("mobileone_s4")


@pytest.mark.parametrize("kind", ["TimmUniversalEncoder", "TimmViTEncoder"])
def test_encoders_of_timm_are_not_derived_from(kind: str) -> None:
    expected = rf"^class Mine\({kind}\): encoders of timm are made by smp-timm, and nothing of a subclass would be in"
    with pytest.raises(smp.NotProvidedError, match=expected):
        type("Mine", (getattr(smp.encoders, kind),), {})


def test_a_star_overwrites_nothing_else() -> None:
    names: dict[str, Any] = {"utils": "mine", "base": "mine", "strict_sizes": "mine"}
    exec("from smp_compat import *", names)
    assert (names["utils"], names["base"], names["strict_sizes"]) == ("mine", "mine", "mine")
    assert names["Unet"] is smp.Unet
    assert names["losses"] is smp.losses


class TestTargets:
    SCORES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    LABELS = torch.randint(0, 3, (2, 8, 8), generator=torch.Generator().manual_seed(2))

    @pytest.mark.parametrize("loss", [smp.losses.FocalLoss, smp.losses.LovaszLoss])
    def test_indices_as_floats(self, loss: Callable[[str], nn.Module]) -> None:
        of_floats = loss("multiclass")(self.SCORES, self.LABELS.float())
        assert torch.equal(of_floats, loss("multiclass")(self.SCORES, self.LABELS))
        with pytest.raises(TypeError, match=r"y_true must hold class indices in an integer dtype, got torch\.float32"):
            loss("multiclass")(self.SCORES, self.LABELS + 0.5)

    @pytest.mark.parametrize("mode", ["binary", "multilabel"])
    def test_masks_that_resizing_brought_beyond_0_and_1(self, mode: str) -> None:
        scores, soft = (
            self.SCORES[:, :1],
            torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(3)) * 1.1 - 0.05,
        )
        shares = scores.sigmoid()
        shared = (shares + soft - (shares - soft).abs()).sum() / 2
        dice = 2 * shared / (shares + soft).sum()
        torch.testing.assert_close(smp.losses.DiceLoss(mode)(scores, soft), 1 - dice)
        expected = nn.functional.binary_cross_entropy_with_logits(scores, soft)
        torch.testing.assert_close(smp.losses.SoftBCEWithLogitsLoss()(scores, soft), expected)
        assert smp.losses.FocalLoss(mode)(scores, soft).isfinite()
        with pytest.raises(ValueError, match="y_true must lie within 0 and 1; got values from"):
            smp.losses.LovaszLoss(mode)(scores, soft)

    def test_labels_that_are_no_class(self) -> None:
        labels, predicted = self.LABELS.clone(), self.LABELS.roll(1, 2)
        labels[:, 0], predicted[:, 1] = 255, 7
        counts = smp.metrics.get_stats(predicted, labels, mode="multiclass", num_classes=3)
        assert torch.stack(counts).sum(0).eq(64).all()
        for index in range(3):
            assert counts[0][:, index].tolist() == ((predicted == index) & (labels == index)).flatten(1).sum(1).tolist()
            assert counts[1][:, index].tolist() == ((predicted == index) & (labels != index)).flatten(1).sum(1).tolist()
        with pytest.raises(ValueError, match="target"):
            smp.metrics.get_stats(predicted, labels, mode="multiclass", num_classes=3, ignore_index=200)
