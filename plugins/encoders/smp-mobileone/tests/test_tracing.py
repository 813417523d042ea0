"""Blocks that the traced name of the conformance tests lacks: several equal branches, attention."""

import copy
import pickle

import pytest
import torch

import smp_core


# (name, depth): s0 has four branches from the second block on, s4 has attention from the fourth stage on.
@pytest.mark.parametrize(
    ("name", "depth"), [("mobileone_s0", 2), pytest.param("mobileone_s4", 4, marks=pytest.mark.slow)]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_other_forms_have_the_same_numbers(name, depth):
    encoder = smp_core.create_encoder(name, weights=None, depth=depth).eval()
    x = torch.randn(2, 3, 64, 64)
    forms = {
        "scripted": torch.jit.script(encoder),
        "exported": torch.export.export(encoder, (x,)).module(),
        "compiled": torch.compile(encoder, fullgraph=True, backend="eager"),
        "copied": copy.deepcopy(encoder),
        "pickled": pickle.loads(pickle.dumps(encoder)),
    }
    with torch.no_grad():
        expected = encoder(x)
        for form, module in forms.items():
            for one, other in zip(expected, module(x), strict=True):
                torch.testing.assert_close(other, one, msg=lambda text, form=form: f"{form}: {text}")
