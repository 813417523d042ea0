"""Every common kind of picture becomes numbers in [0, 1], with the channels that the model takes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from smp_cli.errors import CliError
from smp_cli.images import read_picture, stretch, to_channels


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_grey_8_bit(tmp_path, pixels, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(pixels[..., 0]).save(path)
    picture = read_picture(path)
    assert picture.kind == "8-bit grey"
    np.testing.assert_array_equal(picture.pixels[..., 0], pixels[..., 0].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(to_channels(picture, 1)[0], picture.pixels[..., 0])
    repeated = to_channels(picture, 3)
    assert repeated.shape == (3, 37, 53)
    assert repeated.flags.c_contiguous
    np.testing.assert_array_equal(repeated[0], repeated[2])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_16_bit(tmp_path, pixels, suffix):
    wide = pixels[..., 0].astype(np.uint16) * 257
    wide[0, 0] = 3
    path = tmp_path / f"a{suffix}"
    Image.fromarray(wide).save(path)
    picture = read_picture(path)
    assert picture.kind == "16-bit grey"
    np.testing.assert_array_equal(picture.pixels[..., 0], wide.astype(np.float32) / np.float32(65535))


def test_big_endian_16_bit(tmp_path):
    wide = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    path = tmp_path / "a.tif"
    # As a microscope writes it: Pillow itself writes little-endian files only.
    header = b"MM\x00*" + (8).to_bytes(4, "big")
    entries = [
        (256, 4),
        (257, 3),
        (258, 16),
        (259, 1),
        (262, 1),
        (273, 8 + 2 + 9 * 12 + 4),
        (277, 1),
        (278, 3),
        (279, 24),
    ]
    directory = len(entries).to_bytes(2, "big")
    for tag, value in entries:
        directory += tag.to_bytes(2, "big") + (4).to_bytes(2, "big") + (1).to_bytes(4, "big") + value.to_bytes(4, "big")
    path.write_bytes(header + directory + bytes(4) + wide.astype(">u2").tobytes())
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.pixels[..., 0], wide.astype(np.float32) / np.float32(65535))


def test_colour_alpha_and_palette(tmp_path, pixels):
    colour = pixels[..., :3]
    Image.fromarray(colour).save(tmp_path / "rgb.png")
    Image.fromarray(pixels).save(tmp_path / "rgba.png")
    expected = colour.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    for name in ("rgb.png", "rgba.png"):
        np.testing.assert_array_equal(to_channels(read_picture(tmp_path / name), 3), expected)
    np.testing.assert_allclose(
        to_channels(read_picture(tmp_path / "rgba.png"), 1)[0],
        0.299 * expected[0] + 0.587 * expected[1] + 0.114 * expected[2],
        atol=1e-6,
    )
    Image.fromarray(colour).quantize(200).save(tmp_path / "palette.png")
    palette = read_picture(tmp_path / "palette.png")
    assert palette.kind == "8-bit RGB"
    assert np.abs(to_channels(palette, 3) - expected).mean() < 0.05


@pytest.mark.parametrize(("mode", "kind", "bands"), [("1", "8-bit grey", 1), ("LA", "8-bit grey", 2)])
def test_other_grey_modes(tmp_path, pixels, mode, kind, bands):
    Image.fromarray(pixels[..., 0]).convert(mode).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert (picture.kind, picture.num_bands) == (kind, bands)
    assert to_channels(picture, 1).shape == (1, 37, 53)
    assert to_channels(picture, 3).shape == (3, 37, 53)


def test_jpeg_and_cmyk(tmp_path, pixels):
    image = Image.fromarray(pixels[..., :3])
    image.save(tmp_path / "a.jpg", quality=95)
    image.convert("CMYK").save(tmp_path / "b.jpg", quality=95)
    for name in ("a.jpg", "b.jpg"):
        got = to_channels(read_picture(tmp_path / name), 3).transpose(1, 2, 0)
        assert np.abs(got - pixels[..., :3] / 255).mean() < 0.05


def test_photographs_are_turned_upright(tmp_path, pixels):
    image = Image.fromarray(pixels[..., :3])
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_picture(tmp_path / "a.jpg").pixels.shape == (53, 37, 3)


def test_floating_point_in_range(tmp_path, pixels):
    values = pixels[..., 0].astype(np.float32) / 255
    Image.fromarray(values).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif").pixels[..., 0], values)


def test_pixels_without_a_range_are_refused(tmp_path, pixels):
    path = tmp_path / "a.tif"
    Image.fromarray(pixels[..., 0].astype(np.float32)).save(path)
    with pytest.raises(CliError, match=r"a.tif' has pixels of mode 'F' with values .*; convert it to 8 or 16 bits"):
        read_picture(path)
    Image.fromarray(pixels[..., 0].astype(np.int32) * 1000).save(path)
    with pytest.raises(CliError, match=r"pixels of mode 'I' .* which have no fixed range"):
        read_picture(path)


def test_pages_of_a_tiff_are_channels(tmp_path, pixels):
    path = tmp_path / "bands.tif"
    pages = [Image.fromarray(pixels[..., band]) for band in range(4)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    picture = read_picture(path)
    assert picture.kind == "4-page 8-bit grey"
    np.testing.assert_array_equal(
        to_channels(picture, 4), pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    )
    with pytest.raises(CliError, match=r"bands.tif' is 4-page 8-bit grey with 4 channels; the model needs 3 channels"):
        to_channels(picture, 3)
    pages[1] = pages[1].crop((0, 0, 20, 20))
    pages[0].save(path, save_all=True, append_images=pages[1:])
    with pytest.raises(CliError, match="its 4 pages differ in size"):
        read_picture(path)


def test_the_first_frame_of_an_animation(tmp_path, pixels):
    frames = [Image.fromarray(pixels[..., band]) for band in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert to_channels(read_picture(tmp_path / "a.gif"), 1).shape == (1, 37, 53)


@pytest.mark.parametrize(("bands", "kind"), [(1, "8-bit grey with 1 channel"), (3, "8-bit RGB with 3 channels")])
def test_wrong_number_of_channels(tmp_path, pixels, bands, kind):
    path = tmp_path / "a.png"
    Image.fromarray(pixels[..., :bands].squeeze()).save(path)
    with pytest.raises(CliError, match=rf"a.png' is {kind}; the model needs 4 channels"):
        to_channels(read_picture(path), 4)


def test_as_many_bands_as_channels(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert to_channels(read_picture(tmp_path / "a.png"), 4).shape == (4, 37, 53)


def test_unreadable_files(tmp_path, pixels):
    text = tmp_path / "notes.png"
    text.write_text("not a picture")
    with pytest.raises(CliError, match=r"cannot read image '.*notes.png': not a picture in a format that Pillow knows"):
        read_picture(text)
    cut = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99, 3), dtype=np.uint8)).save(cut)
    cut.write_bytes(cut.read_bytes()[:5000])
    with pytest.raises(CliError, match=r"cannot read image '.*cut.png': .*truncated"):
        read_picture(cut)
    with pytest.raises(CliError, match=r"image '.*gone.png' does not exist"):
        read_picture(tmp_path / "gone.png")
    with pytest.raises(CliError, match=r"is a folder; pass image files"):
        read_picture(tmp_path)


def test_stretching_a_flat_picture_is_harmless():
    flat = np.full((4, 4), 0.3, dtype=np.float32)
    np.testing.assert_array_equal(stretch(flat), np.zeros((4, 4), dtype=np.float32))
