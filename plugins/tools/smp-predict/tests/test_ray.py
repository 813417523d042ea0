"""Many images over the workers of a local Ray cluster: the results of one process, whatever happens to a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from smp_predict import ClusterError, MissingDependencyError, OptionError, Options, SourceError, predict_many

ray = pytest.importorskip("ray", reason="Ray has no wheels for this Python")

# Ray's own, of its processes and sockets.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]

WORKERS = 3
OPTIONS = Options(tile=32, overlap=0.25, context=8, batch_size=2)


class Network(torch.nn.Module):
    """A small network; its process is killed in the middle, once, or again and again."""

    def __init__(self, flag=None, *, always=False):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(3, 4, 3, padding=1)
        self._flag, self._always, self._calls = flag, always, 0

    def forward(self, x):
        self._calls += 1
        if self._flag is not None and (self._always if self._flag.exists() else self._calls == 60):
            self._flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.layer(x)


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    # The workers cannot import the tests.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture
def scenes(tmp_path):
    """A large image of many pieces, and ten small ones."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "in"
    folder.mkdir()
    for number, shape in enumerate([(2400, 160), *[(40, 50 + k) for k in range(10)]]):
        np.save(folder / f"{number:02}.npy", generator.integers(0, 256, (*shape, 3), dtype=np.uint8))
    return sorted(folder.iterdir())


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def on_ray(model, sources, folder, **options):
    return predict_many(model, sources, folder, suffix=".npy", options=OPTIONS, engine="ray", **options)


def test_the_results_of_one_process(tmp_path, scenes):
    predict_many(Network(), scenes, tmp_path / "one", suffix=".npy", options=OPTIONS)
    seen = []
    found = on_ray(Network(), scenes, tmp_path / "many", workers=WORKERS, progress=seen.append)
    assert {item.error for item in found} == {None}
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert (seen[-1].done, seen[-1].images) == (11, 11)
    assert [item.done for item in seen] == sorted(item.done for item in seen)
    assert len([item for item in seen if item.name == "00.npy"]) > 4  # the large one came in pieces


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_worker_is_killed_in_the_middle(tmp_path, scenes):
    predict_many(Network(), scenes, tmp_path / "one", suffix=".npy", options=OPTIONS)
    flag = tmp_path / "killed"
    found = on_ray(Network(flag), scenes, tmp_path / "many", workers=WORKERS)
    assert flag.exists()
    assert {item.error for item in found} == {None}
    assert contents(tmp_path / "many") == contents(tmp_path / "one")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_finished_pieces_are_kept(tmp_path, scenes):
    predict_many(Network(), scenes[:1], tmp_path / "one", suffix=".npy", options=OPTIONS)
    flag, out = tmp_path / "killed", tmp_path / "many"
    (lost,) = on_ray(Network(flag, always=True), scenes[:1], out, workers=1)
    assert isinstance(lost.error, ClusterError)
    assert str(lost.error).startswith("the worker was lost 4 times: ")
    kept = {path: path.stat().st_mtime_ns for path in out.glob(".*/piece-*") if path.suffix != ".new"}
    assert kept
    assert not (out / "00.npy").exists()
    seen = []
    (done,) = on_ray(Network(), scenes[:1], out, workers=1, progress=seen.append)
    assert done.error is None
    assert contents(out) == contents(tmp_path / "one")
    first = seen[0]
    assert first.done > len(kept) / 10  # it did not begin anew


def test_one_that_fails_does_not_stop_the_others(tmp_path, scenes):
    scenes[2].write_bytes(scenes[2].read_bytes()[:-99])
    gone = scenes[0].with_name("gone.npy")
    found = on_ray(Network(), [*scenes, gone], tmp_path / "many", workers=2)
    failed = {item.name: item.error for item in found if item.error}
    assert set(failed) == {"02.npy", "gone.npy"}
    assert all(isinstance(error, SourceError) for error in failed.values())
    assert "it ends early" in str(failed["02.npy"])
    assert len(contents(tmp_path / "many")) == 10 + 1  # and which are done


_PROGRAM = """
import sys, torch
from smp_predict import Options, predict_many
torch.manual_seed(0)
layer = torch.nn.Conv2d(3, 4, 3, padding=1)
options = Options(tile=32, overlap=0.25, context=8, batch_size=2)
found = predict_many(
    layer, sys.argv[3:], sys.argv[2], suffix=".npy", options=options, engine="ray", workers=2, address=sys.argv[1]
)
print(sorted(item.name for item in found if item.error is None))
"""


@pytest.mark.slow
def test_a_cluster_at_an_address(tmp_path, scenes):
    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-c", _PROGRAM, address, tmp_path / "many", *scenes[:4]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout.splitlines()[-1:] == [str([path.name for path in scenes[:4]])], done.stderr
    predict_many(Network().layer, scenes[:4], tmp_path / "one", suffix=".npy", options=OPTIONS)
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    with pytest.raises(ClusterError, match=rf"connected to a Ray cluster at {address}, not 10.0.0.9:6379: call"):
        on_ray(Network(), scenes, tmp_path, address="10.0.0.9:6379")


def test_options_are_checked(tmp_path, scenes):
    with pytest.raises(ClusterError, match="the cluster has 3 CPUs and no room for 9 workers: ask for 1 to 3"):
        on_ray(Network(), scenes, tmp_path, workers=9)
    with pytest.raises(ClusterError, match=r"workers cannot start: .*device 'xpu' cannot be used here"):
        predict_many(Network(), scenes, tmp_path, options=Options(device="xpu"), engine="ray", workers=1)
    with pytest.raises(OptionError, match="mode='binary' is for one map, the model gives 4"):
        predict_many(Network(), scenes, tmp_path, options=Options(mode="binary"), engine="ray", workers=1)
    with pytest.raises(OptionError, match="engine must be None or 'ray', got 'dask'"):
        predict_many(Network(), scenes, tmp_path, engine="dask")
    with pytest.raises(OptionError, match="workers and address are for engine='ray', got engine=None"):
        predict_many(Network(), scenes, tmp_path, workers=2)
    with pytest.raises(OptionError, match="workers must be an int of at least 1, got 0"):
        on_ray(Network(), scenes, tmp_path, workers=0)


def test_ray_is_needed(tmp_path, scenes, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"engine='ray' needs ray: pip install 'smp-predict\[ray\]'"):
        on_ray(Network(), scenes, tmp_path)
