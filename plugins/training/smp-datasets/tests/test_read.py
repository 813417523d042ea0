"""Every kind of file gives what was written into it."""

from __future__ import annotations

import os
import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from smp_datasets import MissingDependencyError, UnreadableFileError, read_pixels


def refused(error, message):
    return pytest.raises(error, match=re.escape(message))


@st.composite
def pictures(draw):
    """Values, depth, interlacing and filters of a PNG."""
    channels, depth = draw(st.sampled_from([(1, 1), (1, 2), (1, 4), *((c, d) for c in range(1, 5) for d in (8, 16))]))
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)), channels)
    values = draw(arrays(np.uint16, shape, elements=st.integers(0, 2**depth - 1)))
    return values, depth, draw(st.booleans()), tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=5)))


@given(picture=pictures())
def test_png_masks_have_the_values_of_the_file(picture, write_png, tmp_path_factory):
    values, depth, interlaced, filters = picture
    path = write_png(tmp_path_factory.getbasetemp() / "a.png", values, depth, interlaced, filters)
    pixels = read_pixels(path, as_mask=True)
    assert pixels.values.dtype == (np.uint16 if depth == 16 else np.uint8)
    np.testing.assert_array_equal(pixels.values, values)
    assert pixels.colours == ("grey" if values.shape[2] < 3 else "rgb")
    assert pixels.kind.startswith(f"{depth}-bit" if depth != 16 or values.shape[2] > 1 else "uint16")


@given(picture=pictures())
def test_png_images_span_the_range_of_their_dtype(picture, write_png, tmp_path_factory):
    values, depth, interlaced, filters = picture
    path = write_png(tmp_path_factory.getbasetemp() / "b.png", values, depth, interlaced, filters)
    stretched = values * (255 // (2**depth - 1)) if depth < 8 else values
    np.testing.assert_array_equal(read_pixels(path).values, stretched)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palette(depth, write_png, noise, tmp_path):
    palette = noise(2**depth, 3)
    values = noise(7, 9, 1, below=2**depth)
    path = write_png(tmp_path / "a.png", values, depth, palette=palette)
    mask = read_pixels(path, as_mask=True)
    np.testing.assert_array_equal(mask.values, values)
    np.testing.assert_array_equal(mask.palette[: len(palette)], palette)
    image = read_pixels(path)
    np.testing.assert_array_equal(image.values, palette[values[..., 0]])
    assert (image.colours, image.palette) == ("rgb", None)


def test_palette_with_transparency(tmp_path, noise):
    picture = Image.fromarray(noise(4, 5, below=2)).convert("P")
    picture.save(tmp_path / "a.png", transparency=0)
    assert read_pixels(tmp_path / "a.png").channels == 4
    assert read_pixels(tmp_path / "a.png", as_mask=True).channels == 1


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("CMYK", 3)])
def test_jpeg(mode, channels, tmp_path):
    Image.new(mode, (9, 7), 200 if mode == "L" else (0, 0, 0, 55)[: len(mode)]).save(tmp_path / "a.JPG", "JPEG")
    pixels = read_pixels(tmp_path / "a.JPG")
    assert pixels.values.shape == (7, 9, channels)
    assert pixels.values.dtype == np.uint8
    assert pixels.values.flags.writeable
    assert pixels.values.flags.c_contiguous


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_orientation(name, orientation, channels, tmp_path):
    # 16x32 blocks of one value: JPEG keeps them nearly as they are.
    blocks = np.array([[0, 50, 100], [150, 200, 250]], np.uint8).repeat(16, 0).repeat(32, 1)
    blocks = np.stack([blocks] * channels, 2)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(blocks[..., 0] if channels == 1 else blocks)
    picture.save(tmp_path / name, exif=exif)
    # What EXIF says of the place of the stored row 0 and column 0.
    flips = {1: "", 2: "x", 3: "xy", 4: "y", 5: "t", 6: "tx", 7: "txy", 8: "ty"}[orientation]
    expected = blocks.transpose(1, 0, 2) if "t" in flips else blocks
    expected = expected[:, ::-1] if "x" in flips else expected
    expected = expected[::-1] if "y" in flips else expected
    values = read_pixels(tmp_path / name).values
    assert values.shape == expected.shape
    assert np.abs(values.astype(int) - expected).max() <= 3
    if not name.endswith("tif"):
        assert read_pixels(tmp_path / name, upright=False).values.shape == blocks.shape


def test_orientation_of_16_bit_colours(write_png, noise, tmp_path):
    import zlib

    values = noise(3, 5, 3, below=65536, dtype=np.uint16)
    path = write_png(tmp_path / "a.png", values, 16)
    exif = Image.Exif()
    exif[0x0112] = 6
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    data = path.read_bytes()
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    path.write_bytes(data[:33] + chunk + data[33:])
    np.testing.assert_array_equal(read_pixels(path).values, values.transpose(1, 0, 2)[:, ::-1])


TIFFS = {
    "8-bit": ((7, 9), np.uint8, {}),
    "16-bit": ((7, 9), np.uint16, {}),
    "16-bit, big-endian": ((7, 9), np.uint16, {"byteorder": ">"}),
    "16-bit, compressed": ((7, 9), np.uint16, {"compression": "zlib"}),
    "signed": ((7, 9), np.int16, {}),
    "32-bit": ((7, 9), np.uint32, {}),
    "signed 32-bit": ((7, 9), np.int32, {}),
    "float": ((7, 9), np.float32, {}),
    "RGB": ((7, 9, 3), np.uint8, {"photometric": "rgb"}),
    "RGBA": ((7, 9, 4), np.uint8, {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
}
# Pillow gives other values than the file's, without a word, or none.
TIFFS_FOR_TIFFFILE = {
    "signed 8-bit": ((7, 9), np.int8, {}),
    "half precision": ((7, 9), np.float16, {}),
    "double precision": ((7, 9), np.float64, {}),
    "16-bit RGB": ((7, 9, 3), np.uint16, {"photometric": "rgb"}),
    "16-bit RGB, compressed": ((7, 9, 3), np.uint16, {"photometric": "rgb", "compression": "zlib"}),
    "RGB and infrared": ((7, 9, 4), np.uint8, {"photometric": "rgb", "extrasamples": ["unspecified"]}),
    "RGB and more": ((7, 9, 6), np.uint8, {"photometric": "rgb"}),
    "2 bands": ((7, 9, 2), np.uint8, {"photometric": "minisblack", "planarconfig": "contig"}),
    "5 bands": ((7, 9, 5), np.uint8, {"photometric": "minisblack", "planarconfig": "contig"}),
    "13 bands of floats": ((7, 9, 13), np.float32, {"photometric": "minisblack", "planarconfig": "contig"}),
}


def values_of(shape, dtype):
    values = np.random.default_rng(0).integers(0, 256, shape)
    return (values - 128 if np.dtype(dtype).kind in "if" else values * (257 if dtype == np.uint16 else 1)).astype(dtype)


@pytest.mark.parametrize("as_mask", [False, True])
@pytest.mark.parametrize("kind", [*TIFFS, *TIFFS_FOR_TIFFFILE])
def test_tiff(kind, as_mask, tmp_path, monkeypatch):
    tifffile = pytest.importorskip("tifffile")
    shape, dtype, options = {**TIFFS, **TIFFS_FOR_TIFFFILE}[kind]
    values = values_of(shape, dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    if kind in TIFFS:
        monkeypatch.setitem(sys.modules, "tifffile", None)
    pixels = read_pixels(tmp_path / "a.tif", as_mask=as_mask)
    np.testing.assert_array_equal(pixels.values, values.reshape(7, 9, -1))
    assert pixels.values.dtype == (np.int32 if dtype == np.int16 else dtype)
    assert pixels.values.dtype.isnative


@pytest.mark.parametrize("kind", TIFFS_FOR_TIFFFILE)
def test_tiff_without_tifffile(kind, tmp_path, monkeypatch):
    tifffile = pytest.importorskip("tifffile")
    shape, dtype, options = TIFFS_FOR_TIFFFILE[kind]
    tifffile.imwrite(tmp_path / "a.tif", values_of(shape, dtype), **options)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with refused(MissingDependencyError, f"cannot read {str(tmp_path / 'a.tif')!r}: Pillow reads no TIFF of this kind"):
        read_pixels(tmp_path / "a.tif")


def test_tiff_with_bands_apart(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    values = values_of((5, 7, 9), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="separate")
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif").values, values.transpose(1, 2, 0))


def test_tiff_orientation_by_tifffile(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    values = values_of((7, 9, 5), np.uint16)
    tag = (274, "H", 1, 6, True)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="contig", extratags=[tag])
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif").values, values.transpose(1, 0, 2)[:, ::-1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_pages_are_channels(dtype, noise, tmp_path):
    values = noise(5, 7, 9).astype(dtype)
    pages = [Image.fromarray(page) for page in values]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    pixels = read_pixels(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels.values, values.transpose(1, 2, 0))
    assert pixels.kind.startswith("5-page ")


def test_tiff_pages_that_differ(noise, tmp_path):
    first, second = Image.fromarray(noise(7, 9)), Image.fromarray(noise(3, 4))
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    with refused(UnreadableFileError, "its 2 pages are channels and must be alike, but are 7x9x1, 3x4x1"):
        read_pixels(tmp_path / "a.tif")


def test_tiff_with_a_preview(noise, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    values = noise(8, 6)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(values)
        file.write(values[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif").values[..., 0], values)


def test_tiff_palette_and_bits(noise, tmp_path):
    indices = noise(7, 9, below=2)
    picture = Image.fromarray(indices)
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif", as_mask=True).values[..., 0], indices)
    colours = np.array([[10, 20, 30], [40, 50, 60]])[indices]
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif").values, colours)
    Image.fromarray(indices > 0).save(tmp_path / "b.tif")
    np.testing.assert_array_equal(read_pixels(tmp_path / "b.tif", as_mask=True).values[..., 0], indices)
    np.testing.assert_array_equal(read_pixels(tmp_path / "b.tif").values[..., 0], indices * 255)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, ">u2", np.int64, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 1), (7, 9, 12)])
def test_npy_and_npz(dtype, shape, noise, tmp_path):
    values = noise(*shape, below=2).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    np.savez_compressed(tmp_path / "a.npz", values)
    for name in ("a.npy", "a.npz"):
        pixels = read_pixels(tmp_path / name)
        np.testing.assert_array_equal(pixels.values, values.reshape(7, 9, -1))
        assert pixels.values.dtype == (np.uint8 if dtype is bool else np.dtype(dtype).newbyteorder("="))


def test_refused_arrays(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with refused(UnreadableFileError, "holds an array of shape (3,) and dtype float64; expected numbers of shape"):
        read_pixels(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.array([["a"]]))
    with refused(UnreadableFileError, "holds an array of shape (1, 1) and dtype <U1; expected numbers of shape"):
        read_pixels(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.array([[{}]], dtype=object))
    with refused(UnreadableFileError, "a.npy': Object arrays cannot be loaded when allow_pickle=False"):
        read_pixels(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", img=np.zeros((2, 2)), msk=np.zeros((2, 2)))
    with refused(
        UnreadableFileError, "a.npz': it holds img, msk; expected one array; save the image and the mask apart"
    ):
        read_pixels(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"PK\3\4 nothing")
    with refused(UnreadableFileError, "a.npz': it is not an .npz file"):
        read_pixels(tmp_path / "a.npz")


@pytest.mark.parametrize("extension", ["png", "jpg", "tif", "npy", "npz"])
def test_what_is_no_image_names_the_file(extension, tmp_path):
    path = tmp_path / f"a.{extension}"
    with refused(UnreadableFileError, f"cannot read {str(path)!r}: No such file or directory"):
        read_pixels(path)
    path.write_bytes(b"")
    with refused(UnreadableFileError, f"cannot read {str(path)!r}: "):
        read_pixels(path)
    path.write_bytes(b"<html>not found</html>")
    with refused(UnreadableFileError, f"cannot read {str(path)!r}: "):
        read_pixels(path)


@pytest.mark.parametrize("extension", ["png", "jpg", "tif", "npy"])
def test_what_breaks_off_names_the_file(extension, noise, tmp_path):
    path = tmp_path / f"a.{extension}"
    if extension == "npy":
        np.save(path, noise(40, 50))
    else:
        Image.fromarray(noise(40, 50)).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    with refused(UnreadableFileError, f"cannot read {str(path)!r}: "):
        read_pixels(path)


def test_16_bit_png_that_breaks_off(noise, write_png, tmp_path):
    path = write_png(tmp_path / "a.png", noise(40, 50, 3, below=65536, dtype=np.uint16), 16)
    path.write_bytes(path.read_bytes()[:-500])
    with refused(UnreadableFileError, f"cannot read {str(path)!r}: "):
        read_pixels(path)


def test_unknown_extension(tmp_path):
    with refused(
        UnreadableFileError,
        "a.xcf': expected a file with one of .png, .jpg, .jpeg, .bmp, .webp, .gif, .pgm, .ppm, .jp2, .tif",
    ):
        read_pixels(tmp_path / "a.xcf")


def test_pillow_that_decodes_otherwise(write_png, noise, tmp_path, monkeypatch):
    path = write_png(tmp_path / "a.png", noise(4, 5, 3, below=65536, dtype=np.uint16), 16)
    opened = Image.open

    def changed(*arguments):
        image = opened(*arguments)
        image.tile = [(codec, box, offset, "RGB;16X") for codec, box, offset, _ in image.tile]
        image.load = lambda: None
        return image

    picture = np.zeros((4, 5, 3), np.uint8)
    monkeypatch.setattr("smp_datasets.read_pillow.Image.open", changed)
    monkeypatch.setattr("smp_datasets.read_pillow.np.asarray", lambda _: picture)
    with refused(UnreadableFileError, "this version of Pillow would keep 8 of its 16 bits; convert it to .npy"):
        read_pixels(path)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy", "a.npz"])
def test_a_pipe_is_not_waited_for(name, tmp_path):
    os.mkfifo(tmp_path / name)
    with refused(UnreadableFileError, f"cannot read {str(tmp_path / name)!r}: it is no regular file"):
        read_pixels(tmp_path / name)


def test_a_picture_of_another_kind_named_tif(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.tif", format="PNG")
    with refused(UnreadableFileError, f"cannot read {str(tmp_path / 'a.tif')!r}: it is a PNG, not a TIFF; rename it"):
        read_pixels(tmp_path / "a.tif")


def test_pictures_beyond_pillows_limit(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    Image.new("L", (50, 50), 7).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    message = (
        f"cannot read {str(path)!r}: it has more pixels than Pillow reads unasked (Image size (2500 pixels) exceeds"
    )
    with refused(UnreadableFileError, message):
        read_pixels(path)
    with refused(UnreadableFileError, "where you trust your files, set PIL.Image.MAX_IMAGE_PIXELS = None"):
        read_pixels(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_pixels(path).values.mean() == 7
