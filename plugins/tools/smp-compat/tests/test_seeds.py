"""From one seed the same random weights as SMP's, and the same random numbers after them."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pytest
import torch
from torch import nn

import smp_compat as smp
import smp_core
from smp_core.tensors.spelling import to_published

PEER = "segmentation_models_pytorch"
parity = [
    pytest.mark.parity,
    pytest.mark.skipif(
        importlib.util.find_spec(PEER) is None, reason="the peer is installed in the parity session only"
    ),
    pytest.mark.filterwarnings("ignore"),  # what the peer and its dependencies warn of is not ours to mend
]

# The first random number after building one of each family from seed 0, as SMP 0.6.0 leaves the generator.
NEXT_NUMBERS = {
    "resnet18": 0.8865256,
    "timm-skresnet18": 0.2495967,
    "densenet121": 0.8329771,
    "mobilenet_v2": 0.1144972,
    "timm-efficientnet-b0": 0.7732946,
    "efficientnet-b0": 0.9914792,
    "dpn68": 0.4215518,
    "se_resnet50": 0.6661177,
    "inceptionv4": 0.8766122,
    "inceptionresnetv2": 0.7780064,
    "xception": 0.9453241,
    "mobileone_s0": 0.9647515,
    "mit_b0": 0.6034459,
}

# One of each way to draw.
OF_A_FAMILY = (
    "resnet18",
    "timm-skresnet18",
    "densenet121",
    "mobilenet_v2",
    "timm-efficientnet-b0",
    "timm-tf_efficientnet_lite0",
    "efficientnet-b0",
    "dpn68",
    "se_resnet50",
    "inceptionv4",
    "inceptionresnetv2",
    "xception",
    "mobileone_s0",
    "mit_b0",
    "vgg11",
    "tu-resnet10t",
)
OTHERS = sorted(set(smp.encoders.get_encoder_names()) - set(OF_A_FAMILY))

MODELS: list[tuple[str, str, dict[str, Any]]] = [
    *((name, "tu-resnet10t", {"aux_params": {"classes": 2, "dropout": 0.1}}) for name in (
        "Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "PAN", "UPerNet",
        "Segformer",
    )),
    ("DPT", "tu-vit_small_patch16_dinov3", {}),
    ("Unet", "resnet18", {"decoder_attention_type": "scse", "decoder_use_norm": False, "encoder_depth": 4,
                          "decoder_channels": (64, 32, 16, 8)}),
    ("Unet", "mit_b0", {"decoder_use_norm": "layernorm", "in_channels": 4}),
    ("UnetPlusPlus", "efficientnet-b0", {"encoder_depth": 3, "decoder_channels": (64, 32, 16), "in_channels": 1}),
    ("FPN", "vgg11_bn", {"decoder_merge_policy": "cat"}),
    ("DeepLabV3", "mobilenet_v2", {"decoder_aspp_separable": True, "upsampling": 4}),
    ("PSPNet", "densenet121", {"encoder_depth": 2, "psp_out_channels": 64}),
]  # fmt: skip


def after(seed: int, build: Any, *args: Any, **options: Any) -> tuple[nn.Module, float]:
    """What is built from a seed, and the next random number."""
    torch.manual_seed(seed)
    return build(*args, **options), torch.rand(1).item()


def assert_same(ours: tuple[nn.Module, float], theirs: tuple[nn.Module, float]) -> None:
    mine, expected = to_published(ours[0], ours[0].state_dict()), theirs[0].state_dict()
    shared = mine.keys() & expected.keys()
    assert len(shared) >= 0.9 * len(mine)
    assert [key for key in mine if key in shared and not torch.equal(mine[key], expected[key])] == []
    assert ours[1] == theirs[1]


class TestEncoders:
    pytestmark = parity

    @pytest.mark.parametrize("options", [{}, {"in_channels": 4, "depth": 3}], ids=["whole", "other"])
    @pytest.mark.parametrize("name", OF_A_FAMILY)
    def test_one_of_each_family(self, name: str, options: dict[str, Any]) -> None:
        theirs = importlib.import_module(PEER).encoders.get_encoder
        assert_same(
            after(1, smp.encoders.get_encoder, name, weights=None, **options),
            after(1, theirs, name, weights=None, **options),
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("name", OTHERS)
    def test_all_others(self, name: str) -> None:
        theirs = importlib.import_module(PEER).encoders.get_encoder
        assert_same(after(1, smp.encoders.get_encoder, name, weights=None), after(1, theirs, name, weights=None))


class TestModels:
    pytestmark = parity

    @pytest.mark.parametrize(("kind", "encoder", "options"), MODELS, ids=[f"{a}-{b}" for a, b, _ in MODELS])
    def test_all_architectures(self, kind: str, encoder: str, options: dict[str, Any]) -> None:
        theirs = getattr(importlib.import_module(PEER), kind)
        ours = getattr(smp, kind)
        assert_same(
            after(2, ours, encoder, encoder_weights=None, **options),
            after(2, theirs, encoder, encoder_weights=None, **options),
        )

    def test_parts_alone(self) -> None:
        peer = importlib.import_module(PEER)
        channels = (3, 8, 16, 32)

        def build(library: Any) -> nn.Module:
            unet = importlib.import_module(f"{library.__name__}.decoders.unet.decoder")
            linknet = importlib.import_module(f"{library.__name__}.decoders.linknet.decoder")
            return nn.ModuleList(
                [
                    unet.UnetDecoder(channels, (16, 8, 4), n_blocks=3),
                    linknet.LinknetDecoder(channels, n_blocks=3),
                    library.base.SegmentationHead(8, 3, upsampling=2),
                    library.base.ClassificationHead(8, 3),
                ]
            )

        assert_same(after(3, build, smp), after(3, build, peer))


@pytest.mark.parametrize("name", NEXT_NUMBERS)
def test_the_generator_after_an_encoder(name: str) -> None:
    assert after(0, smp.encoders.get_encoder, name, weights=None)[1] == pytest.approx(NEXT_NUMBERS[name], abs=1e-6)


def test_pretrained_weights_stay(tmp_path: Any) -> None:
    torch.manual_seed(0)
    saved = smp_core.create_encoder("resnet18", weights=None)
    torch.save(saved.state_dict(), tmp_path / "weights.pth")
    model, number = after(4, smp.Unet, "resnet18", encoder_weights=str(tmp_path / "weights.pth"))
    for key, value in saved.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[key], value), key
    drawn, other = after(4, smp.Unet, "resnet18", encoder_weights=None)
    assert number == other
    assert torch.equal(model.decoder.blocks[0].conv1[0].weight, drawn.decoder.blocks[0].conv1[0].weight)
    alone, _ = after(4, smp.encoders.get_encoder, "resnet18", weights=str(tmp_path / "weights.pth"))
    assert torch.equal(alone.layer1[0].conv1.weight, saved.layer1[0].conv1.weight)


def test_an_overridden_initialisation_is_called() -> None:
    class Constant(smp.Unet):
        def initialize(self) -> None:
            super().initialize()
            nn.init.constant_(self.segmentation_head[0].bias, -4.0)

    assert Constant("resnet18", encoder_weights=None).segmentation_head[0].bias.item() == -4.0


def test_a_registered_encoder_draws_as_if_nobody_had_looked() -> None:
    class Plain(nn.Module, smp.encoders._base.EncoderMixin):
        def __init__(self, depth: int = 2) -> None:
            super().__init__()
            self._depth, self._out_channels, self._in_channels = depth, [3, 4, 8], 3
            self.first, self.second = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 8, 3, 2, 1)

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            first = self.first(x)
            return [x, first, self.second(first)]

    smp.encoders.encoders["plain-seed"] = {"encoder": Plain, "pretrained_settings": {}, "params": {}}
    try:
        options = {"encoder_weights": None, "encoder_depth": 2, "decoder_channels": (8, 4)}
        first, number = after(5, smp.Unet, "plain-seed", **options)
        again, other = after(5, smp.Unet, "plain-seed", **options)
    finally:
        del smp.encoders.encoders["plain-seed"]
    torch.manual_seed(5)
    alone = Plain()
    assert torch.equal(first.encoder.first.weight, alone.first.weight)
    assert torch.equal(first.encoder.first.weight, again.encoder.first.weight)
    assert number == other


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_parts_of_models_are_of_the_classes_that_people_ask_for(device: str) -> None:
    from smp_compat.decoders.fpn.decoder import FPNDecoder
    from smp_compat.decoders.unet.decoder import UnetDecoder

    class Own(UnetDecoder):
        pass

    with torch.device(device):
        model = smp.Unet("resnet18", encoder_weights=None, aux_params={"classes": 2})
    assert isinstance(model.decoder, UnetDecoder)
    assert not isinstance(model.decoder, (Own, FPNDecoder))
    assert isinstance(model.segmentation_head, smp.base.SegmentationHead)
    assert isinstance(model.classification_head, smp.base.ClassificationHead)
    assert not isinstance(model.segmentation_head, smp.base.ClassificationHead)
