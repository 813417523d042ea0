"""What the README shows works, and its table names every format."""

import re
from pathlib import Path

import numpy as np

from smp_predict import Window, predict, readable_suffixes

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_first_example():
    names = {}
    lines = BLOCKS[0].splitlines()
    exec("\n".join(lines[:-2]), names)
    assert f"# {eval(lines[-2], names)}" == lines[-1]


def test_a_source_of_ones_own():
    names = {"np": np}
    exec(next(block for block in BLOCKS if block.startswith("class Waves")), names)
    source = names["Waves"]()
    assert source.read(Window(99_000, 5, 3, 4)).shape == (3, 4, 1)
    source.shape = (100, 90, 1)
    assert predict(lambda x: x, source, tile=32).shape == (100, 90)


def test_the_table_names_the_formats():
    for suffix in (
        ".npy",
        ".png",
        ".jpg",
        ".bmp",
        ".webp",
        ".gif",
        ".pgm",
        ".ppm",
        ".tif",
        ".jp2",
        ".zarr",
        ".ome.zarr",
        ".svs",
        ".ndpi",
        ".mrxs",
    ):
        assert f"`{suffix}`" in README
        assert suffix in readable_suffixes()
