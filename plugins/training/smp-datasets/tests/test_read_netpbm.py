"""Portable grey and colour maps, and GIF: every value of the file."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from smp_datasets import UnreadableFileError, find_pairs, read_pixels


def refused(message):
    return pytest.raises(UnreadableFileError, match=re.escape(message))


def written(path, values, most, *, text):
    """A file as netpbm's tools write it."""
    kind = {(1, False): 5, (3, False): 6, (1, True): 2, (3, True): 3}[values.shape[2], text]
    body = (
        " ".join(map(str, values.ravel())).encode() if text else values.astype(">u2" if most > 255 else "u1").tobytes()
    )
    path.write_bytes(f"P{kind}\n# by hand\n{values.shape[1]} {values.shape[0]}\n{most}\n".encode() + body)
    return path


@st.composite
def maps(draw):
    most = draw(st.sampled_from([1, 5, 254, 255, 256, 4095, 65535]))
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.sampled_from([1, 3])))
    return draw(arrays(np.uint16, shape, elements=st.integers(0, most))), most, draw(st.booleans())


@given(item=maps())
def test_masks_have_the_values_of_the_file(item, tmp_path_factory):
    values, most, text = item
    path = written(tmp_path_factory.getbasetemp() / "a.pgm", values, most, text=text)
    pixels = read_pixels(path, as_mask=True)
    assert pixels.values.dtype == (np.uint8 if most < 256 else np.uint16)
    np.testing.assert_array_equal(pixels.values, values)
    assert pixels.colours == ("grey" if values.shape[2] == 1 else "rgb")


@given(item=maps())
def test_images_are_scaled_to_white(item, tmp_path_factory):
    values, most, text = item
    path = written(tmp_path_factory.getbasetemp() / "b.ppm", values, most, text=text)
    white = 255 if most < 256 else 65535
    np.testing.assert_array_equal(read_pixels(path).values, np.rint(values * (white / most)))


def test_as_pillow_writes_them(tmp_path, noise):
    for name, values in {"a.pgm": noise(6, 7), "a.ppm": noise(6, 7, 3)}.items():
        Image.fromarray(values).save(tmp_path / name)
        np.testing.assert_array_equal(read_pixels(tmp_path / name).values, values.reshape(6, 7, -1))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is not a portable grey or colour map (P2, P3, P5 or P6)"),
        (b"P4 2 2\n\0", "it is not a portable grey or colour map"),
        (b"P5 0 2 255\n", "it claims 0x2 pixels of up to 255"),
        (b"P5 2 2 70000\n", "it claims 2x2 pixels of up to 70000"),
        (b"P5 2 2 255\nabc", "it ends early, with 3 of 4 bytes"),
        (b"P5 2 1 3\n\1\7", "it holds 7, and claims at most 3"),
        (b"P2 2 2 255\n1 2 3", "it holds 3 values, expected 4 numbers"),
        (b"P2 2 1 255\n1 -2", "it holds something else than numbers, expected 2 numbers"),
    ],
)
def test_damaged(tmp_path, data, message):
    path = tmp_path / "a.pgm"
    path.write_bytes(data)
    with refused(f"cannot read {str(path)!r}: {message}"):
        read_pixels(path)


def test_gif(tmp_path, noise):
    indices = noise(6, 7, below=4)
    image = Image.fromarray(indices, "L").convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / "a.gif", optimize=False)
    mask = read_pixels(tmp_path / "a.gif", as_mask=True)
    np.testing.assert_array_equal(mask.values[..., 0], indices)
    table = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.gif").values, table[indices])


def test_animations_are_no_images(tmp_path, noise):
    frames = [Image.fromarray(noise(6, 7)) for _ in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with refused(
        f"cannot read {str(tmp_path / 'a.gif')!r}: it is an animation of 3 frames; save the one that is meant"
    ):
        read_pixels(tmp_path / "a.gif")


def test_they_make_pairs(tmp_path):
    for name in ("x/a.ppm", "x/b.jpg", "y/a.pgm", "y/b.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [name for name, _, _ in find_pairs(tmp_path / "x", tmp_path / "y")] == ["a", "b"]
