"""Every installed encoder compiled, exported and scripted, by shapes alone; conformance checks numbers by kind."""

from __future__ import annotations

import logging
import sys
import warnings

import pytest
import torch
from torch import Tensor
from torch.export import Dim

import smp_core

pytestmark = pytest.mark.slow

SMALLEST = 64


def shapes_of(features: list[Tensor]) -> list[tuple[int, ...]]:
    return [tuple(feature.shape) for feature in features]


@pytest.mark.parametrize("name", smp_core.list_encoders())
def test_in_one_graph_of_any_size_and_as_a_script(name, caplog):
    caplog.set_level(logging.CRITICAL, logger="torch")
    spec = smp_core.describe(name).spec
    with torch.device("meta"):  # the biggest have a billion parameters
        encoder = smp_core.create_encoder(name, weights=None).eval()
        x, other = torch.empty(2, 3, SMALLEST, 96), torch.empty(1, 3, 133, 70)
    torch.compiler.reset()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's exporters warn of their own deprecations
        compiled = torch.compile(encoder, fullgraph=True, backend="eager")
        assert shapes_of(compiled(x)) == shapes_of(encoder(x))
        sizes = {0: Dim("batch"), 2: Dim("height", min=SMALLEST), 3: Dim("width", min=SMALLEST)}
        program = torch.export.export(encoder, (x,), dynamic_shapes=(sizes,)).module()
        assert shapes_of(program(other)) == shapes_of(encoder(other))
        if spec.scriptable and sys.version_info < (3, 14):
            assert shapes_of(torch.jit.script(encoder)(other)) == shapes_of(encoder(other))
    torch.compiler.reset()
