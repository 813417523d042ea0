"""smp predict over a Ray cluster of this machine."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray has no wheels for this Python")


def test_a_cluster_of_this_machine(smp, save_model, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number, shape in enumerate([(700, 90), (40, 50), (41, 50)]):
        np.save(folder / f"{number}.npy", generator.integers(0, 256, shape, dtype=np.uint8))
    arguments = ("predict", folder, "-r", "--model", save_model(), "--tile", 32, "--batch-size", 2)
    variables = {"OMP_NUM_THREADS": "1"}
    one = smp(*arguments, "--out", tmp_path / "one", environment=variables)
    assert one.returncode == 0, one.stderr
    many = smp(*arguments, "--out", tmp_path / "many", "--workers", "ray:2", environment=variables)
    assert many.returncode == 0, many.stderr
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "many").iterdir())
    for name in names:
        if name.endswith(".png"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()
