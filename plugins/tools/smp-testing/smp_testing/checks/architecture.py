"""Checks of an architecture over a tiny encoder: masks, depths, output strides, heads, saving."""

from __future__ import annotations

import json
import tempfile

import torch
from torch import Tensor, nn

import smp_core
from smp_testing.cases import ArchitectureCase, perturb, tensors_of
from smp_testing.expectations import expect, expect_close, expect_equal, expect_finite


def any_image_size(case: ArchitectureCase) -> None:
    """Masks have the height and width of the image, whatever these are."""
    model, unit = case.settled(), case.largest_reduction
    for height, width in ((2 * unit, unit), (unit + 1, 2 * unit - 1), (3 * unit - 5, unit // 2), (3, unit + 3), (1, 1)):
        _expect_masks(case, model, case.image(1, height, width), "")


def _expect_masks(case: ArchitectureCase, model: nn.Module, x: Tensor, where: str) -> None:
    with torch.no_grad():
        masks = model(x)
    title = f"{case.name}{where}"
    expect(isinstance(masks, Tensor), f"{title}: expected masks as one tensor, got a {type(masks).__name__}")
    # How many channels they have is a check of its own.
    found, expected = (len(masks), *masks.shape[2:]), (len(x), *x.shape[2:])
    expect_equal(found, expected, f"{title}: number, height and width of the masks for an image {tuple(x.shape)}")
    expect_finite([masks], title)


def every_depth_builds(case: ArchitectureCase) -> None:
    """The architecture takes an encoder of each depth that its spec allows."""
    for depth in case.depths:
        size = 2 * case.kind.largest_reduction(depth)
        _expect_masks(case, case.build(depth=depth).eval(), case.image(1, size, size), f" at depth {depth}")


def every_output_stride_builds(case: ArchitectureCase) -> None:
    """The architecture takes an encoder of each output stride that its spec names."""
    for stride in case.spec.dilation:
        _expect_masks(case, case.build(output_stride=stride).eval(), case.image(1), f" at output stride {stride}")


def every_number_of_input_channels_builds(case: ArchitectureCase) -> None:
    """A model over an encoder for 1, 2, 3 or 4 input channels takes such images."""
    for channels in (1, 2, 3, 4):
        model = case.build(in_channels=channels).eval()
        _expect_masks(case, model, case.image(1, channels=channels), f" with in_channels={channels}")


def classes_and_heads(case: ArchitectureCase) -> None:
    """``classes`` is the masks' channels, ``activation`` the last layer, ``aux_params`` a second result."""
    x = case.image()
    plain = case.over(case.encoder(), classes=1).eval()
    activated = case.over(case.encoder(), classes=1, activation="sigmoid").eval()
    activated.load_state_dict(plain.state_dict())
    with torch.no_grad():
        scores, masks = plain(x), activated(x)
    expect_equal(tuple(scores.shape), (2, 1, *x.shape[2:]), f"{case.name}: shape of the masks with classes=1")
    expect_close([masks], [scores.sigmoid()], f"{case.name}: masks with activation='sigmoid'")
    auxiliary = case.over(case.encoder(), aux_params={"classes": 5}).eval()
    with torch.no_grad():
        output = auxiliary(x)
    is_pair = isinstance(output, tuple) and len(output) == 2
    expect(is_pair, f"{case.name}: with aux_params expected the pair (masks, labels), got a {type(output).__name__}")
    expected = [(2, case.classes, *x.shape[2:]), (2, 5)]
    expect_equal([tuple(item.shape) for item in output], expected, f"{case.name}: shapes of masks and labels")


def predict_restores_training_mode(case: ArchitectureCase) -> None:
    """`predict` gives what `forward` gives in evaluation mode, and leaves the model in training mode."""
    model, x = case.over(case.encoder()), case.image()
    predicted = model.predict(x)
    training = {name for name, module in model.named_modules() if not module.training}
    expect(not training, f"{case.name}: predict left modules in evaluation mode: {sorted(training)[:4]}; expected none")
    with torch.no_grad():
        expected = case.run(model.eval(), x)
    expect_close(tensors_of(predicted), expected, f"{case.name}: predict against forward")


def save_and_load(case: ArchitectureCase) -> None:
    """A model that is saved and loaded has the same config, the same tensors, and predicts the same."""
    model, x = case.over(case.encoder()), case.image()
    perturb(model)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        torch.default_generator.manual_seed(1)
        loaded = smp_core.from_pretrained(folder, encoder=case.encoder())
        written = json.loads(json.dumps(model.config))  # JSON has lists for tuples
        got_config = json.loads(json.dumps(loaded.config))
        expect_equal(got_config, written, f"{case.name}: config after saving and loading")
        state_dict = loaded.state_dict()
        differing = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, state_dict[name])]
        expect(not differing, f"{case.name}: saving and loading changed {', '.join(differing[:4])}; expected none to")
        got, expected = loaded.predict(x), model.predict(x)
        expect_close(tensors_of(got), tensors_of(expected), f"{case.name}: predictions after loading")
        # Windows cannot remove a file that a model's tensors are still mapped from.
        del loaded, state_dict
