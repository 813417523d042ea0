"""smp move, from files to its report, its diff and the files that it writes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from smp_cli.errors import CliError
from smp_cli.move import run as run_module
from smp_cli.move import writing
from smp_cli.move.walking import files_of

SMP = "segmentation_models_pytorch"
PROGRAM = f'import {SMP} as smp\n\nmodel = smp.Unet("mit_b0", classes=3)\n'
REPORT = f"""\
{{path}}:1: import {SMP} as smp
    -> import smp_compat as smp
{{path}}:3: smp.Unet("mit_b0", classes=3)
    -> smp_core.create("unet", "mit_b0", classes=3)

1 use of {SMP}, in 1 of 1 file.
natively:       import smp_core
                pip install smp-core smp-mit smp-unet
imports alone:  pip install smp-compat
"""
BLANK = " "
DIFF = f"""\
--- {{path}}
+++ {{path}}
@@ -1,3 +1,3 @@
-import {SMP} as smp
+import smp_compat as smp
{BLANK}
 model = smp.Unet("mit_b0", classes=3)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(PROGRAM)
    return path


def test_the_report(run, program):
    result = run("move", program)
    assert (result.exit_code, result.stdout) == (0, REPORT.format(path=program))
    assert program.read_text() == PROGRAM


def test_the_diff_writes_nothing(run, program):
    result = run("move", program, "--diff")
    assert result.stdout == REPORT.format(path=program) + DIFF.format(path=program)
    assert program.read_text() == PROGRAM


def test_writing(run, program):
    result = run("move", program.parent, "--write")
    assert result.exit_code == 0
    assert result.stdout.endswith(DIFF.format(path=program))
    assert result.stderr == "note: rewrote the imports of 1 file\n"
    assert program.read_text() == PROGRAM.replace(SMP, "smp_compat")
    assert [path.name for path in program.parent.iterdir()] == ["train.py"]


def test_what_is_moved_already(run, program):
    run("move", program, "--write")
    before = program.stat().st_mtime_ns
    result = run("move", program, "--write")
    assert result.exit_code == 0
    assert f"{program}:1: import smp_compat as smp\n    note: already moved\n" in result.stdout
    assert "1 use of" in result.stdout
    assert result.stdout.endswith("The imports are already moved: nothing to rewrite.\n")
    assert program.stat().st_mtime_ns == before


def test_on_a_terminal_it_asks(monkeypatch, run, program):
    monkeypatch.setattr(run_module, "is_interactive", lambda: True)
    asked = []
    monkeypatch.setattr(run_module.typer, "confirm", lambda question, **_: asked.append(question) or len(asked) > 1)
    result = run("move", program, "--write")
    assert (result.exit_code, result.stderr) == (0, "note: nothing was written\n")
    assert program.read_text() == PROGRAM
    run("move", program, "--write")
    assert asked == ["Rewrite the imports of 1 file?"] * 2
    assert program.read_text() != PROGRAM


def test_yes_does_not_ask(monkeypatch, run, program):
    monkeypatch.setattr(run_module, "is_interactive", lambda: True)
    assert run("move", program, "--write", "--yes").exit_code == 0
    assert program.read_text() != PROGRAM


def test_colours_on_a_terminal(monkeypatch, run, program):
    monkeypatch.setattr("smp_cli.move.printing.is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    program.write_text(PROGRAM.replace("mit_b0", "a\x1b[31m\\u202e"))
    result = run("move", program, "--diff")
    assert '"a\\x1b[31m' in result.stdout
    assert "\x1b[31m\\u" not in result.stdout
    assert "+import smp_compat as smp\n" in result.stdout


def test_json(run, program):
    result = run("move", program, "--json", "--write")
    assert json.loads(result.stdout) == {
        "files": [
            {
                "path": str(program),
                "changes": True,
                "lines": [
                    {
                        "line": 1,
                        "cell": None,
                        "kind": "import",
                        "text": f"import {SMP} as smp",
                        "becomes": "import smp_compat as smp",
                        "notes": [],
                    },
                    {
                        "line": 3,
                        "cell": None,
                        "kind": "use",
                        "text": 'smp.Unet("mit_b0", classes=3)',
                        "becomes": 'smp_core.create("unet", "mit_b0", classes=3)',
                        "notes": [],
                    },
                ],
            }
        ],
        "install": {"native": ["smp-core", "smp-mit", "smp-unet"], "compat": ["smp-compat"]},
        "imports": ["smp_core"],
        "staying": [],
        "failures": [],
        "left": [],
        "written": [str(program)],
    }


def test_no_uses(run, tmp_path):
    (tmp_path / "a.py").write_text("import torch\n")
    (tmp_path / "b.py").write_text(f"# {SMP}\n")
    (tmp_path / "c.py").write_text("no Python, and nothing of ours")
    result = run("move", tmp_path)
    assert (result.exit_code, result.output) == (0, f"No use of {SMP} in 3 files.\n")
    assert json.loads(run("move", tmp_path, "--json").stdout)["install"] == {"native": [], "compat": []}


def test_what_rewritten_imports_need(run, program):
    program.write_text(f"import importlib\nimportlib.import_module('{SMP}')\n")
    assert "imports alone" not in run("move", program).stdout  # there is none to rewrite
    assert json.loads(run("move", program, "--json").stdout)["install"] == {"native": [], "compat": []}


def test_what_has_no_native_form_is_counted_and_not_installed_for_it(run, program):
    program.write_text(f"import {SMP} as smp\nsmp.utils.losses.DiceLoss()\nsmp.FPN('resnet18')\n")
    output = run("move", program).stdout
    assert "    note: stays with smp-compat, which has it under the same name, deprecated there and here" in output
    assert "                pip install smp-core smp-fpn smp-resnet\n" in output
    assert (
        "                1 use without a native form: see the notes\nimports alone:  pip install smp-compat\n" in output
    )
    assert json.loads(run("move", program, "--json").stdout)["staying"] == [f"{program}:2"]


def test_what_does_not_parse_is_listed_and_the_others_are_done(run, program):
    (program.parent / "a.py").write_text(f"import {SMP}\nx = )\n")
    (program.parent / "z.ipynb").write_text(f'["{SMP}"]')
    result = run("move", program.parent, "--write")
    assert result.exit_code == 1
    assert program.read_text() != PROGRAM
    assert result.stderr == (
        "note: rewrote the imports of 1 file\n"
        f"error: {str(program.parent / 'a.py')!r} does not parse: unmatched ')', line 2\n"
        f"error: {str(program.parent / 'z.ipynb')!r} is no notebook: expected a JSON object with a list of 'cells'\n"
    )
    failures = json.loads(run("move", program.parent, "--json").stdout)["failures"]
    assert failures[0] == {"path": str(program.parent / "a.py"), "reason": "does not parse: unmatched ')', line 2"}


def test_a_path_that_does_not_exist(run, tmp_path):
    result = run("move", tmp_path / "nothing")
    assert result.exit_code == 1
    expected = "does not exist; expected a Python file, a notebook or a folder of these"
    assert result.stderr == f"error: {str(tmp_path / 'nothing')!r} {expected}\n"


def test_encoders_that_are_named_elsewhere(run, program):
    program.write_text(
        f"import {SMP} as smp\nsmp.Unet(name)\nimport importlib\nimportlib.import_module('{SMP}.base')\n"
    )
    output = run("move", program).stdout
    assert "and the distributions of the encoders that are not named where they are used" in output
    assert f"note: '{SMP}.base' is a string, which is never rewritten" in output


def test_the_files_of_a_folder(tmp_path):
    kept = ["a.py", "b.ipynb", "c.pyi", "e.PY", "f.IPYNB", "sub/d.py"]
    skipped = [".git/a.py", ".hidden/a.py", "venv/lib/a.py", "node_modules/a.py", "__pycache__/a.py"]
    skipped += [".ipynb_checkpoints/b.ipynb", "a.txt", "a.pyc"]
    for name in (*kept, *skipped, "venv/pyvenv.cfg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert files_of([tmp_path]) == [tmp_path / name for name in kept]
    assert files_of([tmp_path / "venv", tmp_path / "a.txt"]) == [tmp_path / "venv/lib/a.py", tmp_path / "a.txt"]
    assert files_of([tmp_path / "a.py", tmp_path]) == [tmp_path / name for name in kept]


@pytest.mark.skipif(os.name == "nt", reason="modes and links")
def test_modes_and_links_stay(run, program):
    program.chmod(0o750)
    link = program.parent / "link.py"
    link.symlink_to("train.py")
    assert run("move", link, "--write").exit_code == 0
    assert link.is_symlink()
    assert stat.S_IMODE(program.stat().st_mode) == 0o750
    assert program.read_text() == PROGRAM.replace(SMP, "smp_compat")


def test_what_cannot_be_written_is_as_it_was(monkeypatch, run, program):
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "replace", fail)
    result = run("move", program, "--write")
    assert result.exit_code == 1
    assert result.stderr == f"error: {str(program)!r} No space left on device\n"
    assert program.read_text() == PROGRAM
    assert [path.name for path in program.parent.iterdir()] == ["train.py"]


def test_a_file_that_changed_meanwhile_is_left_alone(program):
    with pytest.raises(CliError, match="was changed by somebody else meanwhile"):
        writing.replace_file(program, b"something else", b"new")
    assert program.read_text() == PROGRAM


def test_a_file_that_may_not_be_written_to(monkeypatch, program):
    monkeypatch.setattr(writing.os, "access", lambda *_: False)
    with pytest.raises(CliError, match="may not be written to"):
        writing.replace_file(program, PROGRAM.encode(), b"new")


@pytest.mark.skipif(os.name == "nt", reason="modes")
def test_a_read_only_file_is_left_alone_whoever_runs_it(run, program):
    other = program.parent / "other.py"
    other.write_text(PROGRAM)
    program.chmod(0o444)
    result = run("move", program.parent, "--write")
    assert result.exit_code == 1
    assert result.stderr == (
        "note: rewrote the imports of 1 file\n"
        f"error: {str(program)!r} is read-only (mode 0444) and was left alone; chmod u+w makes it writable\n"
    )
    assert program.read_text() == PROGRAM
    assert other.read_text() != PROGRAM


def test_one_file_that_is_nested_too_deeply_holds_up_no_other(run, program):
    (program.parent / "deep.py").write_text(f"import {SMP} as smp\nx = smp" + ".a" * 100_000 + "\n")
    (program.parent / "deeper.py").write_text(f"import {SMP} as smp\nx = " + "-" * 100_000 + "smp\n")
    result = run("move", program.parent, "--write")
    assert result.exit_code == 1
    deep = str(program.parent / "deep.py")
    # Python 3.10 bounds the second alone, and says of the first that there is no such name.
    assert f"error: {deep!r} is nested too deeply\n" in result.stderr or f"{deep}:2: smp.a.a" in result.stdout
    assert f"error: {str(program.parent / 'deeper.py')!r} is nested too deeply\n" in result.stderr
    assert program.read_text() == PROGRAM.replace(SMP, "smp_compat")


def test_a_notebook_of_another_kernel_is_left_alone_with_a_note(run, tmp_path):
    cell = {"cell_type": "code", "source": [f"library({SMP})"], "outputs": [], "metadata": {}}
    metadata = {"kernelspec": {"name": "ir", "language": "R", "display_name": "R"}}
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))
    before = path.read_bytes()
    result = run("move", tmp_path, "--write")
    assert (result.exit_code, result.stdout) == (0, f"No use of {SMP} in 1 file.\n")
    assert result.stderr == f"note: {str(path)!r} is a notebook in R, not in Python: left alone\n"
    assert path.read_bytes() == before
    (left,) = json.loads(run("move", path, "--json").stdout)["left"]
    assert left == {"path": str(path), "reason": "is a notebook in R, not in Python: left alone"}


@pytest.mark.skipif(os.name == "nt", reason="names of files")
def test_names_of_files_are_printed_escaped(run, tmp_path):
    path = tmp_path / "a\n\x1b[31m.py"
    path.write_text(PROGRAM)
    result = run("move", tmp_path, "--diff")
    escaped = str(tmp_path / "a\\n\\x1b[31m.py")
    assert result.stdout == REPORT.format(path=escaped) + DIFF.format(path=escaped)
    path.write_text(f"import {SMP}\nx = )\n")
    assert run("move", tmp_path).stderr == f"error: {str(path)!r} does not parse: unmatched ')', line 2\n"


def test_each_place_that_passes_a_class_on_is_listed_with_its_note(run, program):
    program.write_text(
        f"import {SMP} as smp\nfrom functools import partial\nmake = partial(smp.Unet, classes=2)\n"
        "known = {'fpn': smp.FPN, 'other': smp.FPN}\nU = smp.Unet\n\n\nclass Mine(smp.Unet): ...\n\n\nU('resnet18')\n"
    )
    output = run("move", program).stdout
    in_a_partial = 'in place of the class write: smp_core.create, "unet"; the other arguments follow by their names'
    assert f"{program}:3: smp.Unet\n    -> smp_unet.model.Unet\n    note: {in_a_partial}\n" in output
    passed_on = "note: good for isinstance and annotations (or smp_core.SegmentationModel, for any model)"
    for place in (
        f"{program}:4: smp.FPN\n    -> smp_fpn.model.FPN\n",
        f"{program}:5: smp.Unet\n    -> smp_unet.model.Unet\n",
    ):
        assert f"{place}    {passed_on}" in output
    assert output.count(passed_on) == 3
    assert (
        f"{program}:8: smp.Unet\n    -> smp_unet.model.Unet\n    note: a subclass of it takes a built encoder" in output
    )
    assert f"{program}:11: U('resnet18')\n    -> smp_core.create(\"unet\", 'resnet18')\n" in output
    lines = json.loads(run("move", program, "--json").stdout)["files"][0]["lines"]
    assert [line["line"] for line in lines if line["kind"] == "class"] == [3, 4, 4, 5, 8]


def test_modules_of_before_version_0_2(run, program):
    program.write_text(
        f"from {SMP}.unet import Unet\nimport {SMP}.fpn\nfrom {SMP} import pan, Linknet\nUnet('vgg11')\n"
    )
    output = run("move", program, "--write").stdout
    assert (
        f"{program}:1: from {SMP}.unet import Unet\n    -> from smp_compat.decoders.unet import Unet\n"
        f"    note: unet has been decoders.unet since {SMP} 0.2\n"
    ) in output
    assert f"    note: by hand: {SMP}.fpn is decoders.fpn today, also where it is used\n" in output
    assert f"    note: by hand: {SMP}.pan is decoders.pan today, also where it is used\n" in output
    assert f"note: unet.Unet has been decoders.unet.Unet since {SMP} 0.2\n" in output
    assert program.read_text() == (
        "from smp_compat.decoders.unet import Unet\n"
        f"import smp_compat as {SMP}, smp_compat.decoders.fpn\n"
        "from smp_compat import pan, Linknet\nUnet('vgg11')\n"
    )


def test_a_module_that_never_was_is_named_where_it_is_imported(run, program):
    program.write_text(f"import {SMP}.nothing\n")
    assert f"    note: nothing is unknown to {SMP} 0.6.0\n" in run("move", program).stdout


def test_a_notebook(run, tmp_path):
    cell = {"cell_type": "code", "source": [f"import {SMP} as smp\n", "smp.Unet()"], "outputs": [], "metadata": {}}
    raw = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"
    path = tmp_path / "a.ipynb"
    path.write_text(raw)
    result = run("move", path, "--write")
    assert f'{path}:cell 1:2: smp.Unet()\n    -> smp_core.create("unet", "resnet34")\n' in result.stdout
    assert f'-    "import {SMP} as smp\\n",\n+    "import smp_compat as smp\\n",\n' in result.stdout
    assert path.read_text() == raw.replace(SMP, "smp_compat")


def test_neither_torch_nor_the_program_is_imported(program):
    program.write_text(f"import {SMP} as smp\nraise SystemExit('run')\nsmp.Unet('resnet34')\n")
    code = (
        "import sys; from smp_cli.app import app\n"
        f"app(['move', {str(program)!r}, '--diff'], standalone_mode=False)\n"
        "print(sorted({'torch', 'numpy', 'train', 'segmentation_models_pytorch'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    assert "smp_core.create" in done.stdout
