"""Uses are found whatever the import, and what only looks like one is not."""

from __future__ import annotations

import textwrap

import pytest

from smp_cli.move.finding import find
from smp_cli.move.sources import UnreadableError

SMP = "segmentation_models_pytorch"


def uses(code: str) -> list[tuple[int, str]]:
    return [(use.line, use.name) for use in find(textwrap.dedent(code).replace("SMP", SMP)).uses]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import SMP as smp\nsmp.Unet()", "Unet"),
        ("import SMP as smp\nsmp.losses.DiceLoss('binary')", "losses.DiceLoss"),
        ("import SMP\nSMP.Unet()", "Unet"),
        ("import SMP.losses\nSMP.losses.DiceLoss", "losses.DiceLoss"),
        ("import SMP.losses\nSMP.Unet", "Unet"),
        ("import SMP.losses as L\nL.DiceLoss('binary')", "losses.DiceLoss"),
        ("import os, SMP as smp, sys\nsmp.FPN()", "FPN"),
        ("from SMP import Unet as U, losses\nU(); losses.DiceLoss", "Unet losses.DiceLoss"),
        ("from SMP.encoders import get_encoder\nget_encoder('a')", "encoders.get_encoder"),
        ("from SMP.encoders._base import EncoderMixin\nclass E(EncoderMixin): pass", "encoders._base.EncoderMixin"),
        ("from SMP import *\nUnet(); DiceLoss", "Unet"),
        ("from SMP.losses import *\nDiceLoss('binary'); torch", "losses.DiceLoss"),
        ("import SMP as smp; smp.PAN()", "PAN"),
        ("import smp_compat as smp\nsmp.PAN()", "PAN"),
        ("from SMP import (\n    Unet,  # a comment\n)\nUnet", "Unet"),
    ],
)
def test_every_form_of_import(code, name):
    assert [found for _, found in uses(code)] == name.split()


def test_imports_in_functions_and_branches():
    code = """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from SMP import Unet
        try:
            import SMP as smp
        except ImportError:
            smp = None
        def f(model: Unet) -> None:
            import SMP.metrics as M
            return M.iou_score(smp.FPN)
    """
    assert uses(code) == [(9, "Unet"), (11, "metrics.iou_score"), (11, "FPN")]


@pytest.mark.parametrize(
    "code",
    [
        "import SMP as smp\ndef f(smp):\n    return smp.Unet",
        "import SMP as smp\nf = lambda smp: smp.Unet",
        "import SMP as smp\n[smp.Unet for smp in other]",
        "import SMP as smp\nsmp = other\nsmp.Unet",
        "def f():\n    import SMP as smp\nsmp.Unet",
        "class C:\n    import SMP as smp\n    def f(self): return smp.Unet",
        "import SMP as smp\nother.smp.Unet; f(smp=1); other.Unet",
        "import SMP as smp\n'smp.Unet'  # smp.Unet",
        "from .SMP import Unet\nUnet()",
        "from SMP_extra import Unet\nUnet()",
        "import other.SMP as smp\nsmp.Unet",
        "import SMP as smp\nimport other as smp\nsmp.Unet",
    ],
)
def test_what_is_no_use(code):
    assert uses(code) == []


def test_a_name_bound_again_in_a_branch_may_still_be_ours():
    assert uses("import SMP as smp\nif x:\n    smp = other\nsmp.Unet") == [(4, "Unet")]


def test_a_name_bound_again_later_is_ours_before():
    assert uses("import SMP as smp\nsmp.Unet\nsmp = other\nsmp.FPN") == [(2, "Unet")]


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import SMP as smp\nU = smp.Unet\nU()", "Unet Unet"),
        ("import SMP as smp\nL = M = smp.losses\nM.DiceLoss('binary')", "losses losses.DiceLoss"),
        ("import SMP as smp\nU = smp.Unet\nV = U\ndef f(): return V()", "Unet Unet Unet"),
        ("import SMP as smp\nU = smp.Unet\nU = other\nU()", "Unet"),
        ("import SMP as smp\nsmp = smp.losses\nsmp.DiceLoss('binary')", "losses losses.DiceLoss"),
        ("import SMP as smp\nmode = smp.losses.BINARY_MODE\nprint(mode)", "losses.BINARY_MODE"),
        ("import SMP as smp\ndef f():\n    a = b\n    b = a\n    return a", ""),
        ("import SMP as smp\ndef f():\n    global U\n    U = smp.Unet\ndef g(): return U()", "Unet Unet"),
        ("import SMP as smp\nif (U := smp.Unet)(): U", "Unet"),
    ],
)
def test_other_names_for_what_was_imported(code, names):
    assert [found for _, found in uses(code)] == names.split()


def test_names_in_formatted_strings():
    assert uses("import SMP as smp\nf'{smp.__version__} {smp.Unet(1)!r:>{smp.x}}'") == [
        (2, "__version__"),
        (2, "Unet"),
        (2, "x"),
    ]


def test_scopes_of_their_own():
    code = """
        import SMP as smp
        @smp.a
        def smp2(x=smp.b, *smp, y: smp.c = smp.d) -> smp.e: return smp.no
        class C(smp.f, metaclass=smp.g):
            smp = smp.h
            x = smp.i
            def f(self): return smp.j
        match x:
            case {'a': other, **rest}: smp.k
        [smp for y in smp.l if smp.m]
        for smp in smp.n: smp.no
    """
    assert [name for _, name in uses(code)] == [*"abcdefgh", "h.i", *"jk", "", *"lmn"]


def test_a_name_that_is_imported_for_others_is_a_use():
    assert uses("from SMP import Unet, FPN as F\nUnet") == [(1, "FPN"), (2, "Unet")]


def test_the_package_itself_passed_on():
    assert uses("import SMP as smp\ngetattr(smp, name)") == [(2, "")]


def test_what_is_stored_is_known():
    found = find(f"import {SMP} as smp\nsmp.encoders.encoders['x'] = 1\ndel smp.encoders.encoders['x']\nsmp.Unet = 1\n")
    assert [use.stored for use in found.uses] == [True, True, True]


def test_modules_imported_by_a_string():
    found = find(f"import importlib\nimportlib.import_module('{SMP}.losses')\n__import__('{SMP}'); f('{SMP}')\n")
    assert [(name, line) for name, _, line in found.dynamic] == [(f"{SMP}.losses", 2), (SMP, 3)]
    assert found.uses == []


def test_a_program_that_does_not_parse():
    with pytest.raises(UnreadableError, match=r"^does not parse: unmatched '\)', line 2$"):
        find(f"import {SMP}\nx = )\n")


@pytest.mark.parametrize("times", [900, 100_000])
@pytest.mark.parametrize(
    "deep",
    [
        lambda times: "x = " + "(" * times,
        lambda times: "x = a" + " + b" * times,
        lambda times: "x = smp" + ".b" * times,
        lambda times: "x = smp.a" + ".b()" * times,
        lambda times: "x = " + "not " * times + "smp",
        lambda times: "x = smp" + "[smp]" * times,
        lambda times: "if a: pass\n" + "elif b: pass\n" * times,
    ],
    ids=["brackets", "sums", "attributes", "calls", "signs", "subscripts", "branches"],
)
def test_deep_programs_are_read_or_refused(deep, times):
    code = f"import {SMP} as smp\nsmp.Unet()\n{deep(times)}\n"
    try:
        said = " ".join(use.name for use in find(code).uses)
    except UnreadableError as error:
        said = str(error)
    assert said.startswith(("Unet", "does not parse", "is nested too deeply"))
