"""Which files make a pair, and what is said of those that make none."""

from __future__ import annotations

import pickle
import re

import pytest

from smp_datasets import FileListError, OptionError, UnpairedFilesError, find_pairs


def refused(error, message):
    return pytest.raises(error, match=re.escape(message))


@pytest.fixture
def make(tmp_path):
    def touch(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return touch


def short(pairs, root):
    return [(name, image[len(str(root)) + 1 :], mask[len(str(root)) + 1 :]) for name, image, mask in pairs]


def test_by_name_sorted_below_folders(make):
    root = make("x/b.jpg", "x/town/a.JPEG", "x/B.tif", "x/a.b.png", "y/b.png", "y/town/a.png", "y/B.npy", "y/a.b.npz")
    make("x/.hidden.png", "x/Thumbs.db", "x/.git/a.png", "y/notes.txt", "y/._b.png")
    assert short(find_pairs(root / "x", root / "y"), root) == [
        ("B", "x/B.tif", "y/B.npy"),
        ("a.b", "x/a.b.png", "y/a.b.npz"),
        ("b", "x/b.jpg", "y/b.png"),
        ("town/a", "x/town/a.JPEG", "y/town/a.png"),
    ]
    assert find_pairs(str(root / "x"), str(root / "y")) == find_pairs(root / "x", root / "y")


def test_suffixes(make):
    root = make("x/a_img.png", "x/b_img.png", "x/c_depth.png", "y/a_mask.png", "y/b_mask.png", "y/b_color.png")
    pairs = find_pairs(root / "x", root / "y", "_img", "_mask")
    assert short(pairs, root) == [("a", "x/a_img.png", "y/a_mask.png"), ("b", "x/b_img.png", "y/b_mask.png")]


def test_prefixes(make):
    root = make("x/img_1.jpg", "x/town/img_2.jpg", "x/notes_1.png", "y/gt_1_m.png", "y/town/gt_2_m.png")
    pairs = find_pairs(root / "x", root / "y", "", "_m", image_prefix="img_", mask_prefix="gt_")
    assert short(pairs, root) == [
        ("1", "x/img_1.jpg", "y/gt_1_m.png"),
        ("town/2", "x/town/img_2.jpg", "y/town/gt_2_m.png"),
    ]
    with refused(FileListError, f"{str(root / 'y')!r} holds no files whose names end in '_x' and begin with 'a_' with"):
        find_pairs(root / "x", root / "y", "", "_x", mask_prefix="a_")
    with refused(FileListError, f"{str(root / 'y')!r} holds no files whose names begin with 'a_' with .png"):
        find_pairs(root / "x", root / "y", mask_prefix="a_")


def test_prefixes_in_one_folder(make):
    root = make("x/a.jpg", "x/mask_a.png", "x/town/b.jpg", "x/town/mask_b.png")
    expected = [("a", "x/a.jpg", "x/mask_a.png"), ("town/b", "x/town/b.jpg", "x/town/mask_b.png")]
    assert short(find_pairs(root / "x", root / "x", mask_prefix="mask_"), root) == expected
    message = (
        f"images and masks are both in {str(root / 'x')!r} and both end in '' and begin with 'm'; expected different"
    )
    with refused(OptionError, message):
        find_pairs(root / "x", root / "x", image_prefix="m", mask_prefix="m")


def test_a_name_is_not_shorter_than_its_affixes(make):
    root = make("x/aba.png", "x/ab.png", "y/.png", "y/b.png")
    make("y/1.png", "x/ab1ba.png")
    pairs = find_pairs(root / "x", root / "y", "ba", names=["1"], image_prefix="ab")
    assert short(pairs, root) == [("1", "x/ab1ba.png", "y/1.png")]


def test_one_folder(make):
    root = make("x/a.jpg", "x/a_mask.png", "x/b.jpg", "x/b_mask.png")
    expected = [("a", "x/a.jpg", "x/a_mask.png"), ("b", "x/b.jpg", "x/b_mask.png")]
    assert short(find_pairs(root / "x", root / "x", mask_suffix="_mask"), root) == expected
    turned = [(name, image, mask) for name, mask, image in expected]
    assert short(find_pairs(root / "x", root / "x", image_suffix="_mask"), root) == turned
    message = f"images and masks are both in {str(root / 'x')!r} and both end in ''; expected different suffixes"
    with refused(OptionError, message):
        find_pairs(root / "x", root / "x")


def test_masks_below_the_images(make):
    root = make("x/a.jpg", "x/masks/a.png")
    assert short(find_pairs(root / "x", root / "x" / "masks"), root) == [("a", "x/a.jpg", "x/masks/a.png")]


def test_links_to_folders_are_followed_once(make):
    root = make("x/a.jpg", "y/a.png", "z/b.jpg", "y/z/b.png")
    (root / "x" / "z").symlink_to(root / "z")
    (root / "z" / "again").symlink_to(root / "z")
    assert [name for name, _, _ in find_pairs(root / "x", root / "y")] == ["a", "z/b"]


def test_all_unpaired_files_at_once(make):
    root = make("x/a.jpg", "x/b.jpg", "x/c.jpg", "y/b.png", "y/d.png")
    with pytest.raises(UnpairedFilesError) as caught:
        find_pairs(root / "x", root / "y")
    assert str(caught.value) == (
        f"2 images without a mask in {str(root / 'y')!r}: {str(root / 'x/a.jpg')!r}, {str(root / 'x/c.jpg')!r}; "
        f"1 mask without an image in {str(root / 'x')!r}: {str(root / 'y/d.png')!r}; "
        "a pair has one name below both folders; see image_suffix, mask_suffix, image_prefix, mask_prefix and names"
    )
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.images == (str(root / "x/a.jpg"), str(root / "x/c.jpg"))
    assert error.masks == (str(root / "y/d.png"),)


def test_many_unpaired_files(make):
    root = make("y/000.png", *(f"x/{number:03}.jpg" for number in range(50)))
    with pytest.raises(UnpairedFilesError, match=r"^49 images without .*'.*020\.jpg' and 29 more; a pair") as caught:
        find_pairs(root / "x", root / "y")
    assert len(caught.value.images) == 49


def test_two_files_of_one_name(make):
    root = make("x/a.jpg", "x/a.png", "y/a.png")
    message = f"1 name in {str(root / 'x')!r} with two files: {str(root / 'x/a.jpg')!r} and {str(root / 'x/a.png')!r}; "
    with refused(FileListError, message):
        find_pairs(root / "x", root / "y")


def test_folders_without_files(make):
    root = make("x/a.jpg", "y/a.txt")
    with refused(FileListError, f"{str(root / 'y')!r} holds no files with .png, .jpg"):
        find_pairs(root / "x", root / "y")
    with refused(FileListError, f"{str(root / 'x')!r} holds no files whose names end in '_x' with .png"):
        find_pairs(root / "y", root / "x", mask_suffix="_x")
    with refused(FileListError, f"{str(root / 'z')!r} is no folder; expected one that holds files with .png"):
        find_pairs(root / "x", root / "z")


def test_names(make):
    root = make("x/a.jpg", "x/b.jpg", "x/c.jpg", "y/b.png", "y/c.png", "y/d.png")
    pairs = find_pairs(root / "x", root / "y", names=["c", "b"])
    assert [name for name, _, _ in pairs] == ["c", "b"]
    assert find_pairs(root / "x", root / "y", names=[]) == []
    with pytest.raises(FileListError) as caught:
        find_pairs(root / "x", root / "y", names=["a", "b", "d"])
    expected = f"2 files named in names= and not found: 'd' in {str(root / 'x')!r}, 'a' in {str(root / 'y')!r}"
    assert str(caught.value) == expected
    with refused(OptionError, "names must differ, but these come twice: 'b'"):
        find_pairs(root / "x", root / "y", names=["b", "c", "b"])
