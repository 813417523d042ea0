"""Notebooks: code cells as one program, magics passed over, and all but the changed lines as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smp_cli.move.documents import read
from smp_cli.move.finding import find
from smp_cli.move.report import FileReport, file_report
from smp_cli.move.sources import UnreadableError

SMP = "segmentation_models_pytorch"


def notebook(*cells: str | list[str], **metadata: object) -> dict[str, object]:
    code = [{"cell_type": "code", "source": cell, "outputs": [], "metadata": {}} for cell in cells]
    text = {"cell_type": "markdown", "source": [f"import {SMP}\n", "% é"], "metadata": {}}
    return {"cells": [text, *code], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def report(path: Path, text: str | bytes) -> FileReport:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    document = read(path)
    assert document is not None
    assert document.failures == []
    return file_report(document, find(document.code))


def lines(found: FileReport) -> list[tuple[str, str, str | None]]:
    return [(line.place, line.text, line.becomes) for line in found.lines]


CELLS = (
    [f"!pip install -q {SMP}\n", "%matplotlib inline\n", f"import {SMP} as smp"],
    ["%%time\n", "model = smp.Unet('resnet18')\n", "model?\n", "if True:\n", "    !nvidia-smi \\\n", "      -L"],
    ["files = !ls\n", "%timeit model(x)\n", "smp.FPN()\n"],
    ["%%bash\n", "smp.PAN()\n"],
    ["x = (5\n", "  %y)\n", "??smp.Unet\n"],
)


def test_cells_are_one_program(tmp_path):
    found = report(tmp_path / "a.ipynb", json.dumps(notebook(*CELLS)))
    assert lines(found) == [
        ("cell 2:3", f"import {SMP} as smp", "import smp_compat as smp"),
        ("cell 3:2", "smp.Unet('resnet18')", "smp_core.create(\"unet\", 'resnet18')"),
        ("cell 4:3", "smp.FPN()", 'smp_core.create("fpn", "resnet34")'),
        ("cell 2:1", f"!pip install -q {SMP}", None),
    ]


@pytest.mark.parametrize("indent", [None, 1, 2, 4, "\t"])
@pytest.mark.parametrize("escapes", [True, False])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_all_but_the_line_stays(tmp_path, indent, escapes, end):
    cells = notebook(*CELLS, ["s = 'é'; import SMP".replace("SMP", SMP)], kernel="é\u2028", number=1.50)
    raw = json.dumps(cells, indent=indent, ensure_ascii=escapes) + end
    raw = raw.replace('"number": 1.5', '"number": 1.50e-07')
    raw = raw.replace("\n", "\r\n") if end == "\r\n" else raw
    found = report(tmp_path / "a.ipynb", raw)
    expected = raw.replace(f'"import {SMP} as smp"', '"import smp_compat as smp"')
    expected = expected.replace(f"; import {SMP}", f"; import smp_compat as {SMP}")
    assert found.new.encode() == expected.encode()
    assert found.changes
    assert not report(tmp_path / "a.ipynb", found.new.encode()).changes


def test_a_source_of_one_string_and_a_byte_order_mark(tmp_path):
    raw = b"\xef\xbb\xbf" + json.dumps(notebook(f"%cd ..\nimport {SMP}\n\nx = 1"), indent=1).encode()
    found = report(tmp_path / "a.ipynb", raw)
    assert found.new.encode() == raw.replace(f"..\\nimport {SMP}".encode(), f"..\\nimport smp_compat as {SMP}".encode())


def test_lines_that_are_cut_otherwise_than_strings(tmp_path):
    raw = json.dumps(notebook([f"import {SMP[:5]}", f"{SMP[5:]} as smp\nsmp.", "Unet()"]))
    found = report(tmp_path / "a.ipynb", raw.replace('"outputs"', f'"note": "{SMP}", "outputs"'))
    cell = json.loads(found.new.encode())["cells"][1]
    assert "".join(cell["source"]) == "import smp_compat as smp\nsmp.Unet()"


def test_a_cell_that_does_not_parse_is_named_and_the_others_are_done(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook([f"import {SMP} as smp"], ["x = )\n"], ["smp.Unet()"])))
    document = read(path)
    assert document is not None
    assert document.failures == ["cell 3 does not parse: unmatched ')', line 1"]
    assert [line.place for line in file_report(document, find(document.code)).lines] == ["cell 2:1", "cell 4:1"]


def test_a_cell_magic_of_another_language_names_the_library(tmp_path):
    found = report(tmp_path / "a.ipynb", json.dumps(notebook(["%%writefile a.py\n", f"import {SMP}\n"])))
    assert [(line.place, line.kind, line.notes) for line in found.lines] == [
        ("cell 2:2", "text", ("not Python: by hand",))
    ]
    assert not found.changes


def test_a_notebook_in_another_language_has_no_uses(tmp_path):
    for metadata in (
        {"language_info": {"name": "julia"}},
        {"kernelspec": {"name": "ir", "language": "R"}},
        {"kernelspec": {"name": "julia-1.10"}},
    ):
        cells = notebook([f"import {SMP} as smp"], **metadata)
        assert report(tmp_path / "a.ipynb", json.dumps(cells)).lines == []


def test_a_notebook_whose_kernel_has_a_name_of_its_own_is_python(tmp_path):
    for metadata in ({"kernelspec": {"name": "my-env"}}, {"kernelspec": {"name": "x", "language": "python"}}, {"a": 1}):
        cells = notebook([f"import {SMP} as smp"], **metadata)
        assert len(report(tmp_path / "a.ipynb", json.dumps(cells)).lines) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{SMP", "is no notebook: "),
        ('["SMP"]', "is no notebook: expected a JSON object with a list of 'cells'"),
        ('{"SMP": 1}', "is no notebook: expected a JSON object with a list of 'cells'"),
        (
            '{"worksheets": [], "SMP": 1}',
            "is a notebook of format 3 or older; open and save it with a Jupyter of today",
        ),
    ],
)
def test_what_is_no_notebook(tmp_path, text, reason):
    (tmp_path / "a.ipynb").write_text(text.replace("SMP", SMP))
    with pytest.raises(UnreadableError) as caught:
        read(tmp_path / "a.ipynb")
    assert str(caught.value).startswith(reason)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a.ipynb").write_bytes(b"\xff" + SMP.encode())
    with pytest.raises(UnreadableError, match="cannot be decoded as utf-8"):
        read(tmp_path / "a.ipynb")


def test_cells_of_odd_shapes(tmp_path):
    odd = notebook([f"import {SMP} as smp\n"], [], "", ["", "smp.Unet()"])
    cells = odd["cells"]
    assert isinstance(cells, list)
    cells += [3, {}, {"cell_type": "code"}, {"cell_type": "code", "source": [1, "smp.FPN()"]}]
    found = report(tmp_path / "a.ipynb", json.dumps(odd))
    assert [line.place for line in found.lines] == ["cell 2:1", "cell 5:1", "cell 9:1"]
