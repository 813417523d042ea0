"""What the linear probe is for: training over a frozen encoder; saving, loading, another number of classes."""

import pytest
import torch
from torch import nn

import smp_core
from smp_linear.model import Linear
from smp_testing.encoders import PYRAMID, TOKENS


@pytest.mark.parametrize(
    "model",
    [
        Linear(TOKENS.build(depth=4), decoder_features=4, decoder_dropout=0.1, classes=3),
        Linear(PYRAMID.build(depth=5), decoder_features=2, classes=3),
        smp_core.create("linear", "resnet18", encoder_weights=None, classes=3),
    ],
    ids=["tokens", "pyramid", "resnet18"],
)
def test_a_step_over_a_frozen_encoder_leaves_it_as_it_was(model):
    torch.manual_seed(0)
    model.freeze_encoder()
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert len(trained) == 4  # a norm and a convolution
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    target = torch.randint(3, (2, 65, 80))
    nn.functional.cross_entropy(model(torch.randn(2, 3, 65, 80)), target).backward()
    optimizer.step()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {
        *(f"decoder.norm.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
        *(f"segmentation_head.0.{name}" for name in ("weight", "bias")),
    }


def test_a_linear_probe_learns_what_is_linear():
    """Which of two brightnesses a patch has: a frozen, random encoder suffices."""
    torch.manual_seed(0)
    model = Linear(PYRAMID.build(depth=3), decoder_features=3)
    model.freeze_encoder()
    target = (torch.rand(4, 1, 8, 8) > 0.5).float().repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    image = target.expand(-1, 3, -1, -1) + 0.1 * torch.randn(4, 3, 64, 64)
    optimizer = torch.optim.AdamW([item for item in model.parameters() if item.requires_grad], lr=0.1)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model(image), target).backward()
        optimizer.step()
    assert ((model.predict(image) > 0) == (target > 0)).float().mean() > 0.95


@pytest.mark.parametrize("encoder", ["resnet18", "mit_b0"])
def test_a_saved_model_is_loaded_with_its_options(encoder, tmp_path):
    options = {"decoder_features": 2, "decoder_dropout": 0.1, "aux_params": {"classes": 2}}
    model = smp_core.create("linear", encoder, encoder_weights=None, in_channels=2, classes=3, **options)
    model.save_pretrained(tmp_path)
    assert model.config["_model_class"] == "Linear"
    loaded = smp_core.from_pretrained(tmp_path)
    assert isinstance(loaded, Linear)
    assert loaded.decoder.num_features == 2
    assert loaded.decoder.dropout.p == 0.1
    x = torch.randn(1, 2, 70, 45)
    for got, expected in zip(loaded.predict(x), model.predict(x), strict=True):
        assert torch.equal(got, expected)


def test_a_model_over_a_module_is_loaded_over_it(tmp_path):
    model = smp_core.create("linear", TOKENS.build(depth=4), classes=3, decoder_features=4)
    model.save_pretrained(tmp_path)
    loaded = smp_core.from_pretrained(tmp_path, encoder=TOKENS.build(depth=4))
    x = torch.randn(1, 3, 70, 45)
    assert torch.equal(loaded.predict(x), model.predict(x))


def test_another_number_of_classes(tmp_path):
    model = smp_core.create("linear", "resnet18", encoder_weights=None, classes=3)
    model.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"left at their initialisation: segmentation_head\.0\.weight"):
        loaded = smp_core.from_pretrained(tmp_path, classes=7)
    assert loaded.predict(torch.zeros(1, 3, 64, 64)).shape == (1, 7, 64, 64)
    assert torch.equal(loaded.decoder.norm.weight, model.decoder.norm.weight)


def test_a_replaced_norm_is_used():
    """Nothing goes past a layer that somebody put in the place of another."""
    model = Linear(TOKENS.build(depth=2), decoder_features=2).eval()
    with torch.no_grad():
        nn.init.normal_(model.decoder.norm.running_mean)
        x = torch.randn(1, 3, 32, 32)
        before = model(x)
        model.decoder.norm = nn.Identity()
        assert not torch.allclose(model(x), before)
        features, _ = model.encoder(x)
        head = model.segmentation_head[0]
        scores = nn.functional.conv2d(torch.cat(features, dim=1), head.weight, head.bias)
        expected = nn.functional.interpolate(scores, scale_factor=16, mode="bilinear", align_corners=False)
        torch.testing.assert_close(model(x), expected)
