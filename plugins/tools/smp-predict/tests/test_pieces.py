"""Pieces of an image give what a run over the whole of it gives, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smp_predict import ArraySource, Options, Window, predict
from smp_predict.pieces import Mosaic, piece_path, pieces_of, run_piece
from smp_predict.planning import planner


class Batched(torch.nn.Module):
    """A network whose result depends on which tiles share its batch, as the last bits of real ones do."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.layer(x) + x.mean() + 0.01 * len(x)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    """Several swaths and many pieces, as a large image has."""
    monkeypatch.setattr("smp_predict.job.Job.swath_width", property(lambda _: 160))
    monkeypatch.setattr("smp_predict.job._BATCHES", 4)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize(("nodata", "context"), [(None, 0), (0, 0), (0, 16)])
def test_to_the_bit(tmp_path, image, overlap, nodata, context):
    image[50:140, 100:300] = 0
    model = Batched()
    options = {
        "tile": 32,
        "overlap": overlap,
        "batch_size": 3,
        "output": "scores",
        "nodata": nodata,
        "context": context,
    }
    expected = predict(model, image, **options)
    whole, model.calls = model.calls, 0
    with planner(model, Options(**options)) as plan:
        job = plan.job(ArraySource(image))
        pieces = pieces_of(job)
        assert len(pieces) >= 6
        assert len({piece.swath for piece in pieces}) > 1
        for piece in reversed(pieces):
            run_piece(job, piece, piece_path(tmp_path, piece.index))
        found = Mosaic(job, pieces, tmp_path).read(Window(0, 0, 300, 420))
        part = Mosaic(job, pieces, tmp_path).read(Window(33, 21, 201, 300))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(part, expected[33:234, 21:321])
    assert model.calls < 1.8 * whole
    covered = np.zeros((300, 420), int)
    for piece in pieces:
        covered[piece.window.slices] += 1
    assert (covered == 1).all()


def test_a_piece_that_breaks_leaves_none(tmp_path, image):
    class Broken(ArraySource):
        def read(self, window):
            if window.row > 100:
                raise OSError("the disk is gone")
            return super().read(window)

    with planner(Batched(), Options(tile=32, overlap=0.5, batch_size=3)) as plan:
        job = plan.job(Broken(image))
        last = pieces_of(job)[-1]
        with pytest.raises(OSError, match="the disk is gone"):
            run_piece(job, last, tmp_path / "piece")
        assert not (tmp_path / "piece").exists()
