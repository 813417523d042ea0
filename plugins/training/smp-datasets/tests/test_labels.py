"""Masks by class index, by colour and binary, against plain NumPy; and what is no class."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from smp_datasets import Binary, ClassIndices, ColourMap, LabelError, OptionError, Pixels
from smp_datasets.labels import Labels


def refused(error, message):
    return pytest.raises(error, match=re.escape(message))


def grey(values, **options):
    values = np.asarray(values)
    return Pixels("m.png", values[..., None], f"{values.dtype} grey", "grey", **options)


def rgb(values):
    return Pixels("m.png", np.asarray(values, np.uint8), "8-bit RGB", "rgb")


maps = arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 11))


@given(values=maps)
def test_class_indices(values):
    for dtype in (np.uint8, np.uint16, np.int32, np.int64, np.float32):
        mask = ClassIndices(11, ignore_index=11).encode(grey(values.astype(dtype)))
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, values)


@given(values=maps, ignore_index=st.sampled_from([11, 255, -100, 1000]))
def test_mapping(values, ignore_index):
    mapping = {value: ignore_index if value > 7 else value // 2 for value in range(12)}
    mask = ClassIndices(4, ignore_index, mapping).encode(grey(values))
    np.testing.assert_array_equal(mask, np.where(values > 7, ignore_index, values.astype(int) // 2))
    assert mask.dtype == (np.uint8 if 0 <= ignore_index <= 255 else np.int32)


def test_large_masks_as_small_ones():
    # Bytes by the thousand go through a table of all of them.
    values = np.random.default_rng(0).integers(0, 4, (40, 50)).astype(np.uint8)
    mapping = {0: 0, 1: 255, 2: 1, 3: 0}
    for number in range(40):
        row = values[number : number + 1]
        expected = ClassIndices(2, 255, mapping).encode(grey(row))
        np.testing.assert_array_equal(ClassIndices(2, 255, mapping).encode(grey(values))[number], expected[0])
    with refused(LabelError, "expected the values of the mapping: 0, 1, 2"):
        ClassIndices(2, 255, {0: 0, 1: 255, 2: 1}).encode(grey(values))


def test_many_classes():
    values = np.array([[0, 299], [65535, 150]], np.uint16)
    mask = ClassIndices(300, ignore_index=65535).encode(grey(values))
    assert mask.dtype == np.int32
    np.testing.assert_array_equal(mask, values)


def test_the_index_counts_in_a_palette_file():
    mask = grey([[0, 1], [2, 1]], palette=np.array([[9, 9, 9], [0, 0, 0], [5, 5, 5]], np.uint8))
    assert ClassIndices(3).encode(mask).tolist() == [[0, 1], [2, 1]]


def test_what_is_no_class():
    values = np.zeros((5, 8), np.uint8)
    values[3, 7] = values[4] = 12
    values[1, 2] = 40
    expected = (
        "mask 'm.png' holds values that are no class: 12 (9 pixels, first at row 3, column 7), "
        "40 (1 pixel, first at row 1, column 2); expected 0 to 10, or 255 for what is ignored"
    )
    with refused(LabelError, expected):
        ClassIndices(11, ignore_index=255).encode(grey(values))
    with refused(LabelError, "40 (1 pixel, first at row 1, column 2); expected 0 to 10"):
        ClassIndices(11).encode(grey(values))
    with refused(LabelError, "-1 (1 pixel, first at row 0, column 0); expected 0 to 10"):
        ClassIndices(11).encode(grey([[-1]]))
    with refused(LabelError, "40 (1 pixel, first at row 1, column 2); expected the values of the mapping: 0, 12"):
        ClassIndices(2, mapping={0: 0, 12: 1}).encode(grey(values))
    with refused(LabelError, "mask 'm.png' holds float32 numbers that are not whole; expected class indices"):
        ClassIndices(2).encode(grey(np.array([[0.5]], np.float32)))
    with refused(LabelError, "mask 'm.png' holds float32 numbers that are not whole; expected class indices"):
        ClassIndices(2).encode(grey(np.array([[np.nan]], np.float32)))
    with refused(LabelError, "inf (1 pixel, first at row 0, column 1); expected 0 to 1"):
        ClassIndices(2).encode(grey(np.array([[1, np.inf]], np.float32)))
    with refused(LabelError, "9 (1 pixel, first at row 0, column 4) and 4 more; expected 0 to 0"):
        ClassIndices(1).encode(grey([[5, 6, 7, 8, 9, 10, 11, 12, 13]]))


@given(values=maps)
def test_indices_that_were_saved_in_colour_or_with_alpha(values):
    labels = ClassIndices(11, ignore_index=11)
    alpha = np.full_like(values, 200)
    np.testing.assert_array_equal(labels.encode(rgb(np.stack([values] * 3, axis=2))), values)
    np.testing.assert_array_equal(labels.encode(rgb(np.stack([values] * 3 + [alpha], axis=2))), values)
    with_alpha = Pixels("m.png", np.stack([values, alpha], axis=2), "8-bit grey with alpha", "grey")
    np.testing.assert_array_equal(labels.encode(with_alpha), values)


def test_colours_are_no_indices():
    message = (
        "mask 'm.png' is 8-bit RGB with 3 channels; expected one of class indices; for classes by colour use ColourMap"
    )
    with refused(LabelError, message):
        ClassIndices(2).encode(rgb([[[1, 1, 0], [0, 0, 0]]]))


COLOURS = {(0, 0, 0): 0, (128, 64, 128): 1, (128, 64, 129): 2, (255, 255, 255): 1}


@given(values=arrays(np.uint8, (4, 5), elements=st.integers(0, 3)))
def test_colour_map(values):
    colours = np.array(list(COLOURS), np.uint8)
    expected = np.array(list(COLOURS.values()))[values]
    for mask in (
        rgb(colours[values]),
        Pixels("m.png", np.dstack([colours[values], values]), "8-bit RGBA", "rgb"),
        Pixels("m.npy", colours[values], "uint8 array", "none"),
        grey(values, palette=colours),
    ):
        encoded = ColourMap(COLOURS).encode(mask)
        np.testing.assert_array_equal(encoded, expected)
        assert encoded.dtype == np.uint8
    shades = ColourMap({(value,) * 3: value for value in range(4)})
    np.testing.assert_array_equal(shades.encode(grey(values)), values)


@given(values=arrays(np.uint8, (4, 5, 3), elements=st.sampled_from([0, 64, 128, 129, 255])))
def test_unknown_colours(values):
    flat = [COLOURS.get(tuple(colour)) for colour in values.reshape(-1, 3).tolist()]
    mask = ColourMap(COLOURS, unknown=-1).encode(rgb(values))
    assert mask.dtype == np.int32
    assert mask.reshape(-1).tolist() == [-1 if index is None else index for index in flat]
    if None in flat:
        number, place = flat.count(None), flat.index(None)
        with pytest.raises(LabelError) as error:
            ColourMap(COLOURS).encode(rgb(values))
        assert str(error.value).startswith("mask 'm.png' holds colours that are no class: (")
        first = tuple(values.reshape(-1, 3)[place].tolist())
        if number == 1:
            assert f"{first} (1 pixel, first at row {place // 5}, column {place % 5}); expected the 4" in str(
                error.value
            )


def test_unused_entries_of_a_palette_do_not_matter():
    palette = np.array([[1, 1, 1], [0, 0, 0], [7, 8, 9]], np.uint8)
    assert ColourMap(COLOURS).encode(grey([[1]], palette=palette)).tolist() == [[0]]
    with refused(LabelError, "colours that are no class: (7, 8, 9) (1 pixel, first at row 0, column 1)"):
        ColourMap(COLOURS).encode(grey([[1, 2]], palette=palette))


def test_colours_of_another_kind():
    with refused(LabelError, "mask 'm.png' is uint16 grey with 1 channel; expected 8-bit colours or a palette"):
        ColourMap(COLOURS).encode(grey(np.zeros((2, 2), np.uint16)))
    with refused(LabelError, "mask 'm.npy' is uint8 array with 5 channels; expected 8-bit colours or a palette"):
        ColourMap(COLOURS).encode(Pixels("m.npy", np.zeros((2, 2, 5), np.uint8), "uint8 array"))


@given(values=arrays(np.uint16, (4, 5)), threshold=st.integers(0, 65535))
def test_binary(values, threshold):
    mask = Binary(threshold).encode(grey(values))
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask, values > threshold)


def test_binary_of_colours():
    values = np.zeros((1, 4, 4), np.uint8)
    values[0, :, 3] = 255  # alpha says nothing
    values[0, 1, 0], values[0, 2, 1], values[0, 3, 2] = 1, 2, 3
    assert Binary().encode(Pixels("m.png", values, "8-bit RGBA", "rgb")).tolist() == [[0, 1, 1, 1]]
    with refused(LabelError, "with 5 channels; expected one of foreground and background"):
        Binary().encode(Pixels("m.npy", np.zeros((2, 2, 5), np.uint8), "uint8 array"))
    indices = grey([[0, 2]], palette=np.zeros((3, 3), np.uint8))
    assert Binary().encode(indices).tolist() == [[0, 1]]


def test_options():
    with refused(OptionError, "ClassIndices: classes must be 1 or more, got 0"):
        ClassIndices(0)
    with refused(OptionError, "ClassIndices: the mapping of 7 must lead to 0 to 1, or 255 for what is ignored, got 2"):
        ClassIndices(2, 255, {7: 2})
    with refused(OptionError, "ColourMap: expected at least one colour, got none"):
        ColourMap({})
    for colour in ((0, 0), (0, 0, 256), (-1, 0, 0)):
        with refused(OptionError, f"ColourMap: a colour is (red, green, blue), each from 0 to 255; got {colour}"):
            ColourMap({colour: 0})


def test_all_are_labels():
    labels: list[Labels] = [Binary(), ClassIndices(2), ColourMap(COLOURS)]
    assert all(hasattr(item, "encode") for item in labels)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ClassIndices(2**31 + 1),
            "ClassIndices: classes lie within -2147483648 and 2147483647, got 2147483648",
        ),
        (
            lambda: ClassIndices(3, ignore_index=2**40),
            "ClassIndices: classes lie within -2147483648 and 2147483647, got",
        ),
        (lambda: ColourMap({(0, 0, 0): 2**31}), "ColourMap: classes lie within -2147483648 and 2147483647, got"),
        (
            lambda: ColourMap({(0, 0, 0): 0}, unknown=-(2**40)),
            "ColourMap: classes lie within -2147483648 and 2147483647",
        ),
    ],
)
def test_classes_that_no_mask_can_hold(make, message):
    with refused(OptionError, message):
        make()


def test_nan_is_neither_foreground_nor_background():
    with refused(LabelError, "mask 'm.png' holds NaN at 2 pixels"):
        Binary().encode(grey(np.array([[0.0, np.nan], [1.0, np.nan]], np.float32)))
