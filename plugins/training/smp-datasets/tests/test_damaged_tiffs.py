"""TIFFs that are damaged, or claim what they do not hold: an error, at once, and neither zeros nor memory."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from smp_datasets import UnreadableFileError, read_pixels

tifffile = pytest.importorskip("tifffile")


def values_of(shape, dtype):
    return np.random.default_rng(0).integers(-100, 100, shape).astype(dtype)


@pytest.mark.parametrize("options", [{"rowsperstrip": 3}, {"tile": (16, 16)}])
def test_tiff_without_some_of_its_strips(options, tmp_path):
    """What is missing is no zeros."""
    whole = values_of((20, 30), np.int8)
    tifffile.imwrite(tmp_path / "a.tif", whole, compression="zlib", **options)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif").values[..., 0], whole)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages[0].tags["ImageLength"].overwrite(1000)
    with pytest.raises(UnreadableFileError, match=r"it is damaged; of a page of \d+ strips or tiles it holds \d+$"):
        read_pixels(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_that_says_more_than_it_can_hold(compression, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values_of((20, 30), np.float64), compression=compression, rowsperstrip=2**31)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        for tag in ("ImageLength", "RowsPerStrip"):
            file.pages[0].tags[tag].overwrite(2**31)
    message = r"its header says \(2147483648, 30\) and float64, 515396075520 bytes, where the file can hold \d+$"
    with pytest.raises(UnreadableFileError, match=message):
        read_pixels(tmp_path / "a.tif")


def test_tiff_of_complex_numbers(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values_of((3, 9, 7), np.complex64), photometric="minisblack")
    with pytest.raises(UnreadableFileError, match=r"holds an array of shape \(9, 7, 3\) and dtype complex64; exp"):
        read_pixels(tmp_path / "a.tif")


def _directories(order, big, *directories, tags=1):
    """A TIFF of directories without meaning: each one's own offset, and that of the next."""
    code = "<" if order == b"II" else ">"
    count, offset, tag = ("Q", "Q", 20) if big else ("H", "I", 12)
    head = struct.pack(f"{code}HHHQ", 43, 8, 0, 16) if big else struct.pack(f"{code}HI", 42, 8)
    data = bytearray((order + head).ljust(2000, b"\0"))
    for at, following in directories:
        written = (
            struct.pack(f"{code}{count}", tags) + bytes(tag * min(tags, 2)) + struct.pack(f"{code}{offset}", following)
        )
        data[at : at + len(written)] = written
    return bytes(data)


@pytest.mark.parametrize("order", [b"II", b"MM"])
@pytest.mark.parametrize("big", [False, True])
def test_tiff_whose_directories_cannot_be(order, big, tmp_path):
    """What takes the libraries minutes, or for ever."""
    first = 16 if big else 8
    cases = {
        "at byte 1999": _directories(order, big, (first, 1999)),
        "at byte 90000": _directories(order, big, (first, 90000)),
        r"at byte \d+": _directories(order, big, (first, 100), (100, first)),
        f"at byte {first} with 65535 tags": _directories(order, big, (first, 0), tags=65535),
    }
    for where, data in cases.items():
        (tmp_path / "a.tif").write_bytes(data)
        message = rf"a\.tif': it is damaged; directory \d+ of its pages, {where}.* does not fit into the 2000 bytes of"
        with pytest.raises(UnreadableFileError, match=message):
            read_pixels(tmp_path / "a.tif")


def test_tiff_with_less_than_its_header_says(tmp_path, monkeypatch):
    """Of which tifffile only logs that it cannot be, and gives what there is."""
    tifffile.imwrite(tmp_path / "a.tif", values_of((3, 9, 7), np.float64), photometric="minisblack")
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", lambda self: np.empty(0))
    message = r"a\.tif': it is damaged; its header says \(3, 9, 7\), its data are \(0,\)$"
    with pytest.raises(UnreadableFileError, match=message):
        read_pixels(tmp_path / "a.tif")
