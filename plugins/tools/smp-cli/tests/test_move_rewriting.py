"""Imports are rewritten, and nothing else: every other byte of a file stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smp_cli.move.documents import read
from smp_cli.move.finding import find
from smp_cli.move.rewriting import rewritten
from smp_cli.move.sources import UnreadableError, decode, split_lines

SMP = "segmentation_models_pytorch"


def rewrite(path: Path, raw: bytes) -> bytes:
    path.write_bytes(raw)
    document = read(path)
    return raw if document is None else rewritten(document, find(document.code)).encode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import SMP as smp", "import smp_compat as smp"),
        ("import SMP", "import smp_compat as SMP"),
        ("import SMP.losses as L", "import smp_compat.losses as L"),
        ("import SMP.losses", "import smp_compat as SMP, smp_compat.losses"),
        (
            "import os, SMP.losses, SMP.metrics as M",
            "import os, smp_compat as SMP, smp_compat.losses, smp_compat.metrics as M",
        ),
        ("from SMP import Unet as U, losses", "from smp_compat import Unet as U, losses"),
        ("from SMP.losses import DiceLoss", "from smp_compat.losses import DiceLoss"),
        ("from SMP.encoders._base import EncoderMixin", "from smp_compat.encoders._base import EncoderMixin"),
        ("from SMP import *", "from smp_compat import *"),
        ("from SMP import (\n  Unet, # SMP\n  FPN,\n)", "from smp_compat import (\n  Unet, # SMP\n  FPN,\n)"),
        ("import SMP as SMP", "import smp_compat as SMP"),
        ("from  SMP  import\\\n Unet", "from  smp_compat  import\\\n Unet"),
        ("if x: import SMP as smp; y = 1", "if x: import smp_compat as smp; y = 1"),
        ("x = 'import SMP'  # import SMP", "x = 'import SMP'  # import SMP"),
        ("from .SMP import Unet", "from .SMP import Unet"),
        ("import smp_compat as smp", "import smp_compat as smp"),
        ("from SMP.unet.model import Unet", "from smp_compat.decoders.unet.model import Unet"),
        ("from SMP import unet, fpn as f", "from smp_compat.decoders import unet, fpn as f"),
        ("import SMP.fpn as f, SMP", "import smp_compat.decoders.fpn as f, smp_compat as SMP"),
        ("from SMP.common.blocks import Conv2dReLU", "from smp_compat.base.modules import Conv2dReLU"),
        ("from SMP.united import a", "from smp_compat.united import a"),
    ],
)
def test_imports(tmp_path, before, after):
    before, after = (text.replace("SMP", SMP).encode() for text in (before, after))
    assert rewrite(tmp_path / "a.py", before) == after
    compile(after, "a.py", "exec")
    assert rewrite(tmp_path / "a.py", after) == after


@pytest.mark.parametrize(
    "raw",
    [
        b"import SMP as smp",
        b"import SMP as smp\r\nx = 1\r\n",
        b"import SMP as smp\rx = 1\r",
        b"import SMP as smp\r\nx = 1\ny = '''\r\n'''\r",
        b"\xef\xbb\xbfimport SMP as smp\n",
        b"\xef\xbb\xbf# -*- coding: utf-8 -*-\r\nimport SMP as smp",
        b"# -*- coding: latin-1 -*-\nx = '\xe9\xff'; import SMP as smp\n",
        "# coding: cp1251\nx = 'я'\nimport SMP as smp\n".encode("cp1251"),
        "é = 'é'; import SMP as smp; '漢'\n".encode(),
        b"def f():\n\timport SMP as smp\n\treturn smp\n",
        b"\x0cimport SMP as smp\n\x0c\nx = 1\x0c+ 2\n",
        b"x = '\\\n'; import SMP as smp  \n\n\n   \n",
        "x = '\u2028\x0b\x1c'\nimport SMP as smp\n".encode(),
    ],
)
def test_bytes_stay(tmp_path, raw):
    raw = raw.replace(b"SMP", SMP.encode())
    assert rewrite(tmp_path / "a.py", raw) == raw.replace(SMP.encode(), b"smp_compat")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"import SMP\nx = '\xff'\n", "cannot be decoded as utf-8"),
        (b"# coding: nonsense\nimport SMP\n", "unknown encoding: nonsense"),
        (b"# coding: utf-7\nimport SMP\nx = '+AGE-'\n", "decoding it as utf-7 and encoding it again gives other bytes"),
        (b"import SMP\nx = )\n", "does not parse: unmatched ')', line 2"),
        (b"import SMP\nx = 1\0\n", "does not parse"),
    ],
)
def test_what_cannot_be_read(tmp_path, raw, reason):
    with pytest.raises(UnreadableError) as caught:
        rewrite(tmp_path / "a.py", raw.replace(b"SMP", SMP.encode()))
    assert reason in str(caught.value)


SNIPPETS = st.sampled_from(
    [
        "x = 1",
        "\tif_ = 2".lstrip(),
        "def f(a, *, b: int = 3) -> None:\n\treturn a  # segmentation_models_pytorch",
        "class A:\n    '''import segmentation_models_pytorch'''\n    y: int",
        "text = '''\n  segmentation_models_pytorch as smp\n'''",
        "é = ['ü', \"漢字\", '\\\\']",
        "for i in range(3):\n  pass\nelse :\n  x=(1,\n2)",
        "# a comment, and trailing spaces   ",
        "",
        "   ",
        "lambda smp: smp.Unet",
        "async def g():\n    await x\n",
        "x = f'{1 + 1!r:>{3}}'",
        "if x: y = 1; z = 2",
        "@decorator\ndef h(): ...",
        "\x0c",
    ]
)
IMPORTS = st.sampled_from(
    [
        f"import {SMP} as smp",
        f"import {SMP}.losses",
        f"from {SMP} import (Unet,\n    FPN)",
        f"import os, {SMP} as smp  # kept",
        f"try:\n\tfrom {SMP}.losses import DiceLoss\nexcept ImportError:\n\tpass",
    ]
)


@settings(derandomize=True, max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(st.one_of(SNIPPETS, IMPORTS), min_size=1, max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_all_lines_but_those_of_imports_stay(tmp_path, parts, end, last, mark):
    text = "\n".join(parts).replace("\n", end) + (end if last else "")
    raw = mark + text.encode()
    new = rewrite(tmp_path / "a.py", raw)
    before, after = split_lines(decode(raw).encode().decode()), split_lines(new.decode())
    assert len(before) == len(after)
    for old_line, new_line in zip(before, after, strict=True):
        if old_line.lstrip("\ufeff\t ").startswith((f"import {SMP}", f"from {SMP}", "import os, ")):
            assert new_line != old_line
            assert new_line.endswith(old_line.partition(SMP)[2]) or "losses" in old_line
        elif not old_line.startswith("  segmentation"):
            assert new_line == old_line
    compile(new, "a.py", "exec")
    assert rewrite(tmp_path / "a.py", new) == new


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_what_is_decoded_is_encoded_again(raw):
    try:
        text = decode(raw)
    except UnreadableError:
        return
    assert text.encode() == raw


def test_rewritten_programs_find_all_they_found(tmp_path):
    """Run over a package of the new name: each chain of attributes after an import still leads somewhere."""
    package = tmp_path / "smp_compat"
    for name in ("", "losses", "encoders", "decoders/unet"):
        (package / name).mkdir(parents=True, exist_ok=True)
    for name in ("", "losses", "encoders", "decoders", "decoders/unet"):
        (package / name / "__init__.py").write_text("DiceLoss = Unet = 1\n")
    (package / "decoders" / "unet" / "decoder.py").write_text("UnetDecoder = 2\n")
    program = f"""
import {SMP}
import {SMP}.losses, sys
import {SMP}.decoders.unet.decoder
import {SMP} as smp, {SMP}.encoders as E
from {SMP}.decoders.unet import decoder as d
def f():
    import {SMP}.losses
    return {SMP}.losses.DiceLoss
assert {SMP}.Unet == {SMP}.losses.DiceLoss == smp.Unet == f() == E.Unet == 1
assert {SMP}.decoders.unet.decoder.UnetDecoder == d.UnetDecoder == 2
assert "{SMP}" not in sys.modules
"""
    new = rewrite(tmp_path / "a.py", program.encode())
    (tmp_path / "a.py").write_bytes(new)
    done = subprocess.run([sys.executable, "a.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
