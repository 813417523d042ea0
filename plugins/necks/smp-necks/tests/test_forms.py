"""Traced, scripted, in ONNX and copied a neck gives the same; compiled and exported: the conformance test."""

import copy
import io
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional

from smp_necks.regrid import Regrid
from smp_necks.resize_pyramid import ResizePyramid
from smp_necks.simple_pyramid import SimplePyramid

CASES = {
    "simple_pyramid-16": (SimplePyramid, (16,), {"channels": 6}),
    "simple_pyramid-14": (SimplePyramid, (14, 14), {"channels": 6}),
    "simple_pyramid-7": (SimplePyramid, (7,), {"channels": 6, "output_stride": 16}),
    "resize_pyramid-14": (ResizePyramid, (14, 14, 14), {}),
    "resize_pyramid-7": (ResizePyramid, (7,), {}),
    "regrid-7-14-28": (Regrid, (7, 14, 28), {}),
    "regrid-12-17": (Regrid, (12, 17), {}),
    "regrid-4-8-16": (Regrid, (4, 8, 16), {"output_stride": 16}),
}
SIZES = [(9, 7), (8, 16), (1, 1), (5, 12), (33, 2)]


class Over(nn.Module):
    """A neck over features of one tensor, whose sizes are those of an image in the reductions' proportions."""

    def __init__(self, neck, reductions):
        super().__init__()
        self.neck = neck
        self.reductions = list(reductions)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        features: list[torch.Tensor] = []
        for reduction in self.reductions:
            rows = (x.shape[2] * self.reductions[0] + reduction - 1) // reduction
            columns = (x.shape[3] * self.reductions[0] + reduction - 1) // reduction
            features.append(functional.pad(x, [0, columns - x.shape[3], 0, rows - x.shape[2]]))
        return self.neck(features)


@pytest.fixture(params=CASES, scope="module")
def model(request):
    kind, reductions, options = CASES[request.param]
    torch.manual_seed(0)
    channels = (24,) * len(reductions)
    neck = kind(out_channels=channels, reductions=reductions, tokens=kind is not Regrid, **options)
    return Over(neck, reductions).eval()


def image(size, batch=1):
    return torch.randn(batch, 24, *size, generator=torch.Generator().manual_seed(size[0]))


def assert_same(other, model, sizes=SIZES, tolerance=1e-6):
    with torch.no_grad():
        for batch, size in enumerate(sizes, start=1):
            x = image(size, batch)
            for got, expected in zip(other(x), model(x), strict=True):
                torch.testing.assert_close(torch.as_tensor(got), expected, rtol=tolerance, atol=tolerance)


def test_traced_for_other_sizes(model):
    # Not strict: torch warns of the list, whose length never changes.
    assert_same(torch.jit.trace(model, image((8, 16)), strict=False), model)


def test_scripted_saved_and_loaded(model):
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(model), file)
    file.seek(0)
    assert_same(torch.jit.load(file), model)


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda neck: pickle.loads(pickle.dumps(neck))], ids=["copy", "pickle"]
)
def test_copied_and_pickled(model, again):
    neck = again(model.neck)
    assert (neck.reductions, neck.out_channels) == (model.neck.reductions, model.neck.out_channels)
    assert_same(Over(neck, model.reductions), model)


def test_loaded_into_another(model):
    again = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.fill_(0.5)
    again.load_state_dict(model.state_dict())
    assert_same(again, model)


# The others have no operation that these have not; the exporter takes ten seconds for each.
@pytest.mark.slow
@pytest.mark.parametrize("model", ["simple_pyramid-14", "regrid-7-14-28"], indirect=True)
def test_onnx_for_other_sizes(model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = tmp_path / "model.onnx"
    dim = torch.export.Dim
    dimensions = {0: dim("batch"), 2: dim("height", min=5), 3: dim("width", min=5)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
        torch.onnx.export(
            model, (image((9, 14), batch=2),), path, dynamo=True, dynamic_shapes=(dimensions,), verbose=False
        )
    session = onnxruntime.InferenceSession(path)

    def run(x):
        return session.run(None, {session.get_inputs()[0].name: x.numpy()})

    assert_same(run, model, sizes=[(9, 7), (8, 16), (5, 12)], tolerance=1e-4)
