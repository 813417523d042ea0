"""What segmentation_models_pytorch 0.6.0 saved is read here, and what format="smp" saves is read there, strictly.

DPT is not among the architectures: the peer builds it over timm's transformers alone, for which there is no plugin.
"""

import json
import warnings

import pytest
import torch
from peer_models import PEERS, assert_same, parity, peer_model, read_by_peer

import smp_core
from smp_core.errors import IncompatibleError

peer = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")

pytestmark = pytest.mark.parity

ENCODERS = ("resnet18", "densenet121", "mit_b0", "mobileone_s0")

SMALLEST_DEPTH = {
    "unet": 1,
    "unetplusplus": 2,
    "manet": 1,
    "linknet": 1,
    "fpn": 3,
    "pspnet": 1,
    "pan": 3,
    "deeplabv3": 1,
    "deeplabv3plus": 3,
    "upernet": 3,
    "segformer": 3,
}

# DenseNet cannot be dilated.
REFUSED_BY_BOTH = {("pan", "densenet121"), ("deeplabv3", "densenet121"), ("deeplabv3plus", "densenet121")}

# MiT has no feature at half the resolution; the peer's decoders need one.
REFUSED_BY_THE_PEER = {("unetplusplus", "mit_b0"), ("linknet", "mit_b0")}

# A sample of every kind; the sweep has the others.
FAST = {
    *((name, "resnet18", SMALLEST_DEPTH[name]) for name in PEERS),
    *((name, "resnet18", 5) for name in ("unet", "fpn", "deeplabv3plus", "pan")),
    *{("unet", "densenet121", 3), ("upernet", "densenet121", 5), ("manet", "mit_b0", 2), ("segformer", "mit_b0", 5)},
    *{("unet", "mobileone_s0", 1), ("deeplabv3", "mobileone_s0", 5)},
}


def depths(architecture, encoder):
    smallest = max(SMALLEST_DEPTH[architecture], smp_core.describe(encoder).spec.min_depth)
    if (architecture, encoder) == ("fpn", "mit_b0"):  # the peer's needs four features, the one at 1/2 not among them
        smallest = 5
    return {5, 3, smallest} if (architecture, encoder) == ("unet", "densenet121") else {5, smallest}


def cases():
    for architecture in PEERS:
        for encoder in ENCODERS:
            if (architecture, encoder) not in REFUSED_BY_BOTH | REFUSED_BY_THE_PEER:
                for depth in sorted(depths(architecture, encoder)):
                    case = (architecture, encoder, depth)
                    yield pytest.param(*case, marks=() if case in FAST else pytest.mark.slow)


def options_of(architecture, depth):
    """Also widths, as many as the peer asks for."""
    options = {"encoder_depth": depth, "classes": 2, "aux_params": {"classes": 3}}
    if architecture in ("unet", "unetplusplus", "manet"):
        options["decoder_channels"] = (40, 32, 24, 20, 16)[:depth]
    return options


@pytest.mark.parametrize(("architecture", "encoder", "depth"), list(cases()))
def test_each_reads_what_the_other_wrote(architecture, encoder, depth, tmp_path):
    options = options_of(architecture, depth)
    size = (128, 128) if architecture == "pan" and depth > 3 else (64, 64)  # it pools the deepest feature three times
    theirs = peer_model(architecture, encoder, **options)
    theirs.save_pretrained(tmp_path / "theirs")
    assert_same(smp_core.from_pretrained(tmp_path / "theirs"), theirs, size=size)

    torch.manual_seed(1)
    ours = smp_core.create(architecture, encoder, encoder_weights=None, **options)
    parity.randomise_norms(ours, 1)
    ours.eval().save_pretrained(tmp_path / "ours", format="smp")
    again = read_by_peer(tmp_path / "ours")
    assert type(again) is PEERS[architecture]
    assert_same(ours, again, size=size)
    # What the peer needs besides does not keep us from reading it.
    assert_same(smp_core.from_pretrained(tmp_path / "ours"), again, size=size)


@pytest.mark.parametrize(("architecture", "encoder"), sorted(REFUSED_BY_BOTH))
def test_both_refuse(architecture, encoder):
    with pytest.raises(ValueError):
        peer_model(architecture, encoder)
    with pytest.raises(IncompatibleError):
        smp_core.create(architecture, encoder, encoder_weights=None)


@pytest.mark.parametrize(("architecture", "encoder"), sorted(REFUSED_BY_THE_PEER))
def test_the_peer_alone_refuses(architecture, encoder):
    with pytest.raises(ValueError):
        peer_model(architecture, encoder)
    assert smp_core.compatible(architecture, encoder)


@pytest.mark.parametrize(
    "encoder", ["efficientnet-b0", "timm-efficientnet-b0", "timm-tf_efficientnet_lite2", "vgg11_bn"]
)
@pytest.mark.parametrize("depth", [2, 5])
def test_encoders_with_layers_that_never_run(encoder, depth, tmp_path):
    """And VGG, whose first feature is a stage."""
    options = options_of("unet", depth) | {"in_channels": 4}
    torch.manual_seed(0)
    ours = smp_core.create("unet", encoder, encoder_weights=None, **options)
    parity.randomise_norms(ours)
    ours.eval().save_pretrained(tmp_path / "ours", format="smp")
    assert_same(ours, read_by_peer(tmp_path / "ours"), in_channels=4)


def test_saving_draws_no_numbers_and_leaves_the_model_alone(tmp_path):
    model = smp_core.create("unet", "resnet18", encoder_weights=None, encoder_depth=2)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(5)
    model.save_pretrained(tmp_path, format="smp")
    drawn = torch.rand(())
    torch.manual_seed(5)
    assert drawn == torch.rand(())
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_half_precision(tmp_path):
    model = smp_core.create("unet", "resnet18", encoder_weights=None, encoder_depth=5).half().eval()
    model.save_pretrained(tmp_path, format="smp")
    again = read_by_peer(tmp_path)
    assert all(torch.equal(again.state_dict()[key], value.float()) for key, value in model.state_dict().items())


@pytest.mark.parametrize("architecture", ["unet", "unetplusplus", "manet"])
def test_the_default_widths_at_a_smaller_depth(architecture, tmp_path):
    ours = smp_core.create(architecture, "resnet18", encoder_weights=None, encoder_depth=3).eval()
    ours.save_pretrained(tmp_path, format="smp")
    assert_same(ours, read_by_peer(tmp_path))


@pytest.mark.parametrize("encoder", ["resnet18", "densenet121", "mit_b0", "mobileone_s0"])
def test_both_refuse_dpt_over_a_pyramid(encoder):
    with pytest.raises(ValueError, match="Only Timm encoders are supported"):
        peer.DPT(encoder, encoder_weights=None)
    with pytest.raises(IncompatibleError, match="needs prefix tokens of a plain transformer"):
        smp_core.create("dpt", encoder, encoder_weights=None)


BATCHNORMS = [
    (architecture, {"decoder_use_batchnorm": value, **norm})
    for architecture in ("unet", "unetplusplus", "manet", "linknet")
    for value in (True, False, None)
    for norm in ({}, {"decoder_use_norm": "identity"}, {"decoder_use_norm": "batchnorm"})
]

SWALLOWED = [("unet", {"encoder_output_stride": 16}), ("fpn", {"encoder_output_indices": [1, 2]})]


@pytest.mark.parametrize(("architecture", "options"), SWALLOWED, ids=str)
def test_what_the_peer_swallowed_of_the_encoder(architecture, options, tmp_path):
    theirs = peer_model(architecture, "resnet18", **options)
    theirs.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=f"config has {next(iter(options))}=.*; it is ignored$"):
        ours = smp_core.from_pretrained(tmp_path)
    assert_same(ours, theirs)


def test_what_the_peer_hands_on_to_the_encoder(tmp_path):
    """An option that changes parameters and numbers, there and back: each library has the encoder of the other."""
    pytest.importorskip("smp_timm")
    theirs = peer_model("unet", "tu-resnet18", avg_down=True)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = read_quietly(tmp_path / "theirs")
    assert ours.blueprint.encoder_options == {"avg_down": True}
    assert_same(ours, theirs)
    ours.save_pretrained(tmp_path / "ours", format="smp")
    assert_same(ours, read_by_peer(tmp_path / "ours"))


FORMER = [
    *BATCHNORMS,
    *(("pspnet", {"psp_use_batchnorm": value}) for value in (True, False, None)),
    *(("pspnet", {"psp_use_batchnorm": value, "decoder_use_norm": "identity"}) for value in (True, False, None)),
    *(("pan", {"upscale_mode": value}) for value in ("nearest", "bilinear", None)),
    ("pan", {"upscale_mode": "nearest", "decoder_interpolation": "bicubic"}),
    # Ignored by the peer, whatever it is.
    *(("pan", {"encoder_dilation": value}) for value in (True, False, None)),
    *(("pan", {"encoder_dilation": value, "encoder_output_stride": 32}) for value in (True, False, None)),
]


def read_quietly(folder):
    """Warnings are errors here: none of a former spelling, for which whoever loads the file is not to blame."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return smp_core.from_pretrained(folder)


@pytest.mark.parametrize(("architecture", "options"), FORMER, ids=str)
def test_former_spellings(architecture, options, tmp_path):
    theirs = peer_model(architecture, **options)
    theirs.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert {key: config[key] for key in options} == options, "the peer does not write what it was given"
    ours = read_quietly(tmp_path)
    assert not set(ours.config) & {"decoder_use_batchnorm", "psp_use_batchnorm", "upscale_mode", "encoder_dilation"}
    size = (64, 64)
    if architecture == "pan":
        size = (256, 256) if "encoder_output_stride" in options else (128, 128)
    assert_same(ours, theirs, size=size)
    # Saved again in today's spelling, it still is that model, to both.
    ours.save_pretrained(tmp_path / "again", format="smp")
    assert read_quietly(tmp_path / "again").config == ours.config
    assert_same(ours, read_by_peer(tmp_path / "again"), size=size)


@pytest.mark.parametrize("architecture", PEERS)
def test_unknown_keywords(architecture, tmp_path):
    theirs = peer_model(architecture, foo=1, bar=None)
    theirs.save_pretrained(tmp_path)
    assert {"foo": 1, "bar": None}.items() <= json.loads((tmp_path / "config.json").read_text()).items()
    with pytest.warns(UserWarning, match="foo=1.*it is ignored") as caught:
        ours = smp_core.from_pretrained(tmp_path)
    assert len(caught) == 1
    assert_same(ours, theirs, size=(128, 128))


@pytest.mark.parametrize("architecture", PEERS)
def test_an_unknown_keyword_without_a_value_is_dropped_silently(architecture, tmp_path):
    theirs = peer_model(architecture, foo=None)
    theirs.save_pretrained(tmp_path)
    assert "foo" not in read_quietly(tmp_path).config
