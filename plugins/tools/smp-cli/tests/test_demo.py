"""The demo end to end, with few steps; its full claim is made by ``smp demo`` itself, which fails below the IoU."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import smp_core
from smp_cli.app import app
from smp_cli.quickstart import run as demo
from smp_cli.quickstart.picture import Result, draw
from smp_cli.quickstart.recipe import Crops, Recipe, iou, loss, train
from smp_cli.quickstart.sample import load_sample, write_held_out


def small_model():
    return smp_core.create(
        "unet", "resnet18", encoder_weights=None, in_channels=1, encoder_depth=2, decoder_channels=(16, 8)
    )


@pytest.fixture(scope="module")
def sample():
    return load_sample()


def test_quadrants_do_not_overlap(sample):
    images, masks = sample.training
    assert images.shape == masks.shape == (3, 1, 256, 256)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    whole = torch.cat([torch.cat([images[0], images[1]], 2), torch.cat([images[2], sample.held_out[0][0]], 2)], 1)
    assert torch.equal(whole, sample.image)


def test_the_held_out_quadrant_does_not_set_the_normalisation(sample):
    images = sample.training[0]
    assert sample.preprocessing().mean == (pytest.approx(images.mean().item()),)
    assert sample.preprocessing().std == (pytest.approx(images.std().item()),)


def test_iou_against_numpy():
    generator = np.random.default_rng(0)
    first, second = generator.random((2, 20, 30)) > 0.5
    expected = np.logical_and(first, second).sum() / np.logical_or(first, second).sum()
    assert iou(torch.from_numpy(first), torch.from_numpy(second)) == pytest.approx(expected)
    nothing = torch.zeros(3, 3, dtype=torch.bool)
    assert iou(nothing, nothing) == 1.0


def test_loss_against_numpy():
    generator = np.random.default_rng(0)
    z, y = generator.normal(size=(2, 1, 5, 5)), (generator.random((2, 1, 5, 5)) > 0.5).astype(float)
    p = 1 / (1 + np.exp(-z))
    entropy = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    dice = 2 * (p * y).sum() / (p.sum() + y.sum())
    assert loss(torch.from_numpy(z), torch.from_numpy(y)).item() == pytest.approx(entropy + 1 - dice)


def test_crops_depend_on_the_seed_alone(sample):
    first, again, other = (Crops(sample, Recipe(seed=seed, batch=2)) for seed in (1, 1, 2))
    images, masks = first.batch()
    assert images.shape == masks.shape == (2, 1, 128, 128)
    assert set(masks.unique().tolist()) <= {0.0, 1.0}
    torch.manual_seed(99)
    assert torch.equal(again.batch()[0], images)
    assert not torch.equal(other.batch()[0], images)


def test_training_lowers_the_loss_and_leaves_plain_tensors(sample):
    torch.manual_seed(0)
    model = small_model()
    model.preprocessing = sample.preprocessing()
    losses: list[float] = []
    train(model, sample, Recipe(steps=8, batch=2, side=64), lambda step, value: losses.append(value))
    assert len(losses) == 8
    assert losses[-1] < losses[0]
    assert not model.training
    for parameter in model.parameters():
        assert parameter.stride() == torch.empty(parameter.shape).stride()


def create_small(seed):
    torch.manual_seed(seed)
    return small_model()


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A demo of two steps over a small model: all but the model is as in the real one."""
    out = tmp_path_factory.mktemp("demo") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "_create", create_small)
        result = CliRunner().invoke(app, ["demo", "--steps", "2", "--seed", "7", "--out", str(out)])
    return out, result


def test_the_model_of_the_demo():
    first, again, other = (demo._create(seed) for seed in (0, 0, 1))
    assert first.config["_model_class"] == "Unet"
    assert (first.config["encoder_name"], first.config["in_channels"], first.config["classes"]) == ("resnet34", 1, 1)
    weight, same, different = (next(model.parameters()) for model in (first, again, other))
    assert torch.equal(weight, same)
    assert not torch.equal(weight, different)


def test_demo_writes_everything(quick):
    out, result = quick
    assert result.exit_code == 0, result.output
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert written == {
        "held_out.tif",
        "model/README.md",
        "model/config.json",
        "model/model.safetensors",
        "overlay.png",
    }
    score = re.search(r"held-out IoU: (\d\.\d{4})$", result.stdout, re.MULTILINE)
    assert score is not None
    for line in ("loaded back: predicts the same, bit for bit", f"picture: {out / 'overlay.png'}"):
        assert line in result.stdout
    assert "training: step 2 of 2, loss " in result.output


def test_predict_agrees_with_the_demo(quick, run, sample):
    out, result = quick
    command = re.search(r"try next: smp (.*)$", result.stdout, re.MULTILINE)
    assert command is not None
    assert run(*command[1].split()).exit_code == 0
    with Image.open(out / "masks" / "held_out_mask.png") as file:
        mask = torch.from_numpy(np.asarray(file) > 0)
    score = iou(mask, sample.held_out[1][0, 0] > 0)
    assert f"held-out IoU: {score:.4f}" in result.stdout


def test_the_picture(sample):
    truth = sample.held_out[1][0, 0]
    picture = draw(Result(sample, truth.roll(2, dims=0), 0.8, "unet / resnet34", 50.0, 64))
    assert picture.mode == "RGB"
    assert picture.size[0] > 2 * picture.size[1]
    colours = {colour for _, colour in picture.getcolors(1 << 24)}
    for legend in ((230, 159, 0), (238, 240, 244), (0, 158, 115), (240, 228, 66), (213, 94, 0)):
        assert legend in colours


def test_the_held_out_file_keeps_the_pixel_values(sample, tmp_path):
    write_held_out(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as file:
        values = np.asarray(file).astype(np.float32) / np.float32(65535)
    assert torch.equal(torch.from_numpy(values), sample.held_out[0][0, 0])


@pytest.fixture
def untrained(monkeypatch):
    """The demo with a small model that is not trained, and without its picture."""

    monkeypatch.setattr(demo, "_create", create_small)
    monkeypatch.setattr(demo, "train", lambda model, *_: model.eval())
    monkeypatch.setattr(demo, "draw", lambda _: Image.new("L", (1, 1)))


@pytest.mark.usefixtures("untrained")
def test_too_low_an_iou_is_an_error_by_default(run, tmp_path):
    result = run("demo", "--out", tmp_path)
    assert result.exit_code == 1
    assert re.search(r"error: the held-out IoU is 0\.\d{4}, below the required 0\.80$", result.output, re.MULTILINE)
    assert (tmp_path / "overlay.png").exists()  # to see why


@pytest.mark.usefixtures("untrained")
def test_required_iou_is_an_option(run, tmp_path):
    assert run("demo", "--out", tmp_path, "--require-iou", "0").exit_code == 0
    assert run("demo", "--out", tmp_path, "--steps", "1").exit_code == 0
    result = run("demo", "--out", tmp_path, "--steps", "1", "--require-iou", "0.9")
    assert result.exit_code == 1
    assert "below the required 0.90" in result.output


@pytest.mark.usefixtures("untrained")
def test_a_model_that_predicts_otherwise_is_an_error(run, tmp_path, monkeypatch):
    original = smp_core.from_pretrained

    def tampered(folder):
        model = original(folder)
        with torch.no_grad():
            next(model.parameters()).mul_(1.01)
        return model

    monkeypatch.setattr(smp_core, "from_pretrained", tampered)
    result = run("demo", "--out", tmp_path)
    assert result.exit_code == 1
    assert re.search(r"error: the model loaded from .* predicts otherwise than the saved one, by \d", result.output)


@pytest.fixture
def without_resnet():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMP_DISABLE_PLUGINS", "smp-resnet")
        smp_core.refresh()
        yield
    smp_core.refresh()


@pytest.mark.usefixtures("without_resnet")
def test_missing_plugins_say_what_to_install(run, tmp_path):
    result = run("demo", "--out", tmp_path / "demo")
    assert result.exit_code == 1
    assert result.output.startswith("error: encoder 'resnet34': ")
    assert "(the demo needs both: pip install smp-unet smp-resnet)" in result.output


def test_out_is_a_file(run, tmp_path):
    (tmp_path / "demo").touch()
    result = run("demo", "--out", tmp_path / "demo")
    assert (result.exit_code, result.output) == (1, f"error: {str(tmp_path / 'demo')!r}: File exists\n")


def test_wrong_options_are_usage_errors(run):
    for arguments in (("--steps", "0"), ("--seed", "-1"), ("--require-iou", "2")):
        assert run("demo", *arguments).exit_code == 2


def test_the_recipe_is_fixed():
    assert inspect.signature(Recipe).parameters["seed"].default == 0
    assert Recipe().steps * Recipe().batch * Recipe().side ** 2 < 12_000_000  # about a minute on two cores
