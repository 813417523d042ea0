"""smp predict, from files to files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import smp_core
from smp_cli.images import read_picture, to_channels
from smp_cli.legend import PALETTE, colour_of
from smp_cli.overlay import draw_overlay
from smp_core.inputs import Preprocessing
from smp_predict import predict


def _read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_masks_and_overlays(run, save_model, picture, tmp_path):
    folder, out = save_model(), tmp_path / "new" / "out"
    result = run("predict", picture, "--model", folder, "--out", out)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == ["cells_mask.png", "cells_overlay.png"]
    mask = _read(out / "cells_mask.png")
    assert (mask.dtype, mask.shape) == (np.uint8, (37, 53))

    model = smp_core.from_pretrained(folder)
    pixels = torch.from_numpy(to_channels(read_picture(picture), 1))[None]
    mirrored = torch.nn.functional.pad(pixels, (0, 64 - 53, 0, 64 - 37), mode="reflect")
    expected = model.predict((mirrored - 0.5) / 0.25)[0, 0, :37, :53] > 0
    assert 0.02 < expected.float().mean() < 0.98  # otherwise the comparison says nothing
    np.testing.assert_array_equal(mask, expected.numpy() * np.uint8(255))
    assert _read(out / "cells_overlay.png").shape == (37, 53, 3)
    assert f"{picture} -> {out / 'cells_mask.png'}, cells_overlay.png: " in result.stdout
    assert "% of the pixels" in result.stdout


@pytest.mark.parametrize("in_channels", [1, 3])
def test_every_kind_of_picture(run, save_model, pixels, tmp_path, in_channels):
    images = {
        "grey.png": pixels[..., 0],
        "rgb.jpg": pixels[..., :3],
        "rgba.png": pixels,
        "deep.png": pixels[..., 0].astype(np.uint16) * 257,
        "deep.tif": pixels[..., 0].astype(np.uint16) * 257,
        "dot.png": pixels[:1, :1, 0],
    }
    for name, values in images.items():
        Image.fromarray(values).save(tmp_path / name)
    Image.fromarray(pixels[..., :3]).quantize(64).save(tmp_path / "palette.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "shallow.png")
    for stem in ("deep", "rgba"):
        (tmp_path / stem).mkdir()
    folder, out = save_model(in_channels=in_channels), tmp_path / "out"
    paths = [tmp_path / name for name in (*images, "palette.png", "shallow.png") if name != "deep.png"]
    result = run("predict", *paths, "--model", folder, "--out", out)
    assert result.exit_code == 0, result.output
    assert len(list(out.iterdir())) == 2 * len(paths)
    result = run("predict", tmp_path / "deep.png", "--model", folder, "--out", tmp_path / "deep")
    assert result.exit_code == 0, result.output
    deep = _read(tmp_path / "deep" / "deep_mask.png")
    np.testing.assert_array_equal(deep, _read(out / "deep_mask.png"))
    # 257 times the 8-bit values out of 65535 are the same numbers as the 8-bit values out of 255.
    assert (deep == _read(out / "shallow_mask.png")).mean() > 0.99


def test_several_classes(run, save_model, picture, tmp_path):
    folder = save_model(classes=5)
    result = run("predict", picture, "--model", folder, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    mask = _read(tmp_path / "cells_mask.png")
    model = smp_core.from_pretrained(folder)
    pixels = torch.from_numpy(to_channels(read_picture(picture), 1))[None]
    mirrored = torch.nn.functional.pad(pixels, (0, 64 - 53, 0, 64 - 37), mode="reflect")
    expected = model.predict((mirrored - 0.5) / 0.25)[0, :, :37, :53].argmax(dim=0).numpy()
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(mask, expected)
    assert "class 0 " in result.stdout or "class 1 " in result.stdout


@pytest.mark.parametrize("classes", [1, 3])
def test_the_models_activation_is_taken_into_account(save_model, pixels, classes):
    grey = np.ascontiguousarray(pixels[..., :1])
    expected = predict(smp_core.from_pretrained(save_model(classes=classes)), grey)
    assert len(np.unique(expected)) > 1
    activations = ("identity", "sigmoid", "tanh")
    for activation in activations if classes == 1 else (*activations, "softmax", "logsoftmax", "argmax"):
        model = smp_core.from_pretrained(save_model(classes=classes, activation=activation))
        assert (predict(model, grey) == expected).mean() > 0.99, activation


def test_a_classification_head_is_no_obstacle(run, save_model, picture, tmp_path):
    result = run("predict", picture, "--model", save_model(aux_params={"classes": 2}), "--out", tmp_path)
    assert result.exit_code == 0, result.output


def test_a_score_that_says_nothing(run, save_model, picture, tmp_path):
    result = run("predict", picture, "--model", save_model(activation="softmax"), "--out", tmp_path)
    assert result.exit_code == 1
    assert result.output == (
        "error: this model has one class and the activation 'softmax': it gives every pixel the same score\n"
    )


def test_no_preprocessing_is_noted(run, save_model, picture, tmp_path):
    result = run("predict", picture, "--model", save_model(preprocessed=False), "--out", tmp_path)
    assert result.exit_code == 0
    assert "note: the model does not say how its input is normalised; pixels are only scaled to 0..1\n" in result.output


def test_preprocessing_for_another_number_of_channels_is_noted(run, small_model, picture, tmp_path):
    small_model.preprocessing = Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3)  # as of ImageNet weights
    folder = small_model.save_pretrained(tmp_path / "model")
    result = run("predict", picture, "--model", folder, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "note: the model does not say how its input is normalised" in result.output


def test_progress_goes_to_stderr(run, save_model, picture, tmp_path):
    result = run("predict", picture, "--model", save_model(), "--out", tmp_path)
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    assert "1/1" in result.stderr


def test_wrong_channels(run, save_model, picture, tmp_path):
    result = run("predict", picture, "--model", save_model(in_channels=5), "--out", tmp_path)
    assert result.exit_code == 1
    message = (
        f"error: {str(picture)!r}: the image has 1 channel, the model takes 5; expected as many, or grey or colour"
    )
    assert message in result.output


def test_one_unreadable_picture(run, save_model, picture, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    out = tmp_path / "out"
    result = run("predict", picture, bad, "--model", save_model(), "--out", out)
    assert result.exit_code == 1
    assert f"error: cannot read {str(bad)!r}: it is not a picture in a format that Pillow knows\n" in result.output
    assert result.output.endswith("error: 1 of 2 images failed; the others are done\n")
    assert f"{picture} -> " in result.stdout  # what was done is said
    assert "Traceback" not in result.output


def test_missing_picture_is_refused_first(run, picture, tmp_path):
    result = run("predict", picture, tmp_path / "gone.png", "--model", tmp_path, "--out", tmp_path / "out")
    assert (result.exit_code, result.output) == (1, f"error: image {str(tmp_path / 'gone.png')!r} does not exist\n")
    assert not (tmp_path / "out").exists()


def test_a_folder_is_no_picture(run, save_model, tmp_path):
    result = run("predict", tmp_path, "--model", save_model(), "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.output.startswith(f"error: {str(tmp_path)!r} is a folder; pass image files, for example")


def test_missing_model_folder_is_not_looked_up_on_the_hub(run, picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("predict", picture, "--model", "demo/model", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.output == (
        "error: model folder 'demo/model' does not exist; expected one that save_pretrained or smp demo wrote\n"
    )


def test_a_folder_without_a_model(run, picture, tmp_path):
    result = run("predict", picture, "--model", tmp_path, "--out", tmp_path / "out")
    assert (result.exit_code, result.output) == (1, f"error: no config.json in {str(tmp_path)!r}: not a saved model\n")


def test_a_model_of_a_plugin_that_is_missing(run, save_model, picture, tmp_path):
    config = json.loads((save_model() / "config.json").read_text())
    config["_smp_core"]["encoder"] = {"distribution": "acme-smp-hiera", "version": "2", "name": "acme-smp-hiera/hiera"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes((save_model() / "model.safetensors").read_bytes())
    result = run("predict", picture, "--model", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "pip install acme-smp-hiera" in result.output


def test_two_inputs_of_one_name(run, picture, tmp_path):
    other = picture.with_suffix(".jpg")
    Image.new("L", (9, 9)).save(other)
    result = run("predict", picture, other, "--model", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.output == (
        f"error: {str(picture)!r} and {str(other)!r} would both write {str(tmp_path / 'out' / 'cells_mask.png')!r}; "
        "rename one, or predict them into two folders\n"
    )


def test_an_input_is_never_overwritten(run, picture, tmp_path):
    other = tmp_path / "cells_mask.png"
    Image.new("L", (9, 9)).save(other)
    result = run("predict", picture, other, "--model", tmp_path, "--out", tmp_path)
    assert result.exit_code == 1
    assert result.output == (
        f"error: predicting {str(picture)!r} would overwrite the image {str(other)!r}; choose another --out\n"
    )


def test_out_is_a_file(run, save_model, picture):
    result = run("predict", picture, "--model", save_model(), "--out", picture)
    assert result.exit_code == 1
    expected = "is a file; expected a folder, in which each result has a name of its own"
    assert result.output == f"error: --out {str(picture)!r} {expected}\n"


def test_overlay_leaves_class_0_as_it_is():
    background = np.full((8, 8, 3), 100, dtype=np.uint8)
    classes = np.zeros((8, 8), dtype=np.uint8)
    classes[:, 4:] = 2
    result = draw_overlay(background, classes)
    np.testing.assert_array_equal(result[:, :4], background[:, :4])
    assert tuple(result[0, 4]) == colour_of(2) == PALETTE[1]  # the outline
    tint = np.rint(0.6 * 100 + 0.4 * np.array(PALETTE[1]))
    np.testing.assert_array_equal(result[0, 7], tint)
    np.testing.assert_array_equal(draw_overlay(background, np.zeros((8, 8), dtype=np.uint8)), background)


def test_colours_repeat_after_the_last():
    assert colour_of(len(PALETTE) + 1) == colour_of(1)
    assert len(set(PALETTE)) == len(PALETTE)
