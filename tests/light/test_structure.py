"""What the source must look like, whoever writes it: no import cycles, short files, short functions, no sinks."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
_SKIPPED = {"build", "dist", "demo", "__pycache__", "site-packages"}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def _files(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        if not _SKIPPED.intersection(parts) and not any(part.startswith(".") for part in parts):
            found.append(path)
    return found


FILES = _files(ROOT)
PACKAGES = [ROOT / "smp_core", *sorted(path for path in ROOT.glob("plugins/*/*/smp_*") if path.is_dir())]
SOURCES = list(itertools.chain.from_iterable(map(_files, PACKAGES)))


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(_parse(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def test_there_is_something_to_look_at() -> None:
    assert ROOT / "smp_core" / "factory.py" in FILES
    assert Path(__file__) in FILES
    assert len(PACKAGES) >= 1


# --- imports


def _module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _at_module_level(nodes: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements outside of functions, also those that only a type checker sees."""
    for node in nodes:
        yield node
        for name in ("body", "orelse", "finalbody", "handlers"):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from _at_module_level(getattr(node, name, []))


def _imports(path: Path, modules: set[str]) -> set[str]:
    """The modules of the same package that a file imports by name; ``from a import b`` may mean ``a.b``."""
    found: set[str] = set()
    for node in _at_module_level(_parse(path).body):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_id(path)}: relative import"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & modules
            found.update(submodules or {str(node.module)})
    return found & modules


def _cycle(graph: dict[str, set[str]]) -> list[str] | None:
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        for other in sorted(graph[name]):
            found = visit(other, [*path, name])
            if found:
                return found
        done.add(name)
        return None

    return next((found for name in graph if (found := visit(name, []))), None)


@pytest.mark.parametrize("package", PACKAGES, ids=_id)
def test_no_import_cycle(package: Path) -> None:
    files = {_module_name(path, package): path for path in _files(package)}
    graph = {name: _imports(path, set(files)) - {name} for name, path in files.items()}
    assert _cycle(graph) is None


def test_a_cycle_would_be_found() -> None:
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]
    assert _cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_errors_and_specs_import_nothing_of_ours() -> None:
    modules = {_module_name(path, ROOT / "smp_core") for path in _files(ROOT / "smp_core")}
    assert _imports(ROOT / "smp_core" / "errors.py", modules) == set()
    for path in _files(ROOT / "smp_core" / "_specs"):
        outside = {name for name in _imports(path, modules) if not name.startswith("smp_core._specs.")}
        assert outside <= {"smp_core.errors"}, _id(path)


# --- length


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_a_file_has_one_subject(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines < MAX_FILE_LINES, f"{_id(path)} has {lines} lines: which of its subjects is a file of its own?"


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring, which may be as long as its reader needs."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_a_function_does_one_thing(path: Path) -> None:
    long = {function.name: _length(function) for function in _functions(path)}
    assert {name: lines for name, lines in long.items() if lines >= MAX_FUNCTION_LINES} == {}


# --- sinks


def _swallows(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function takes ``**keywords`` and does not hand them on as keywords, for somebody to check."""
    if function.args.kwarg is None:
        return False
    name = function.args.kwarg.arg
    handed_on = (
        part
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg is None
        for part in ast.walk(keyword.value)
    )
    return not any(isinstance(part, ast.Name) and part.id == name for part in handed_on)


# The options of the first are compared with the parameters of the architecture; those of the others with the
# ``user_options`` of their specs before, and then by timm. An unknown one is an error. The next writes down what a
# module is called with; the last ones refuse whatever they are given.
_CHECKED = {
    ("smp_core/blueprints/asking.py", "blueprint"),
    ("plugins/encoders/smp-timm/smp_timm/pyramid.py", "__init__"),
    ("plugins/encoders/smp-timm/smp_timm/tokens.py", "__init__"),
    ("smp_core/inference/calls.py", "call"),
    ("smp_core/inference/model.py", "push_to_hub"),
    ("smp_core/inference/model.py", "save_pretrained"),
}


# Its signatures are those of segmentation_models_pytorch; that it refuses unknown options is tested by calling it.
_SIGNATURES_OF_OTHERS = ROOT / "plugins" / "tools" / "smp-compat"


@pytest.mark.parametrize("path", [path for path in SOURCES if _SIGNATURES_OF_OTHERS not in path.parents], ids=_id)
def test_no_option_is_swallowed(path: Path) -> None:
    sinks = {(path.relative_to(ROOT).as_posix(), function.name) for function in _functions(path) if _swallows(function)}
    assert sinks - _CHECKED == set()


def test_a_sink_would_be_found() -> None:
    source = (
        "def sink(a, **rest): f(a, b=rest)\ndef hands_on(**rest): return f(1, **{'a': 2, **rest})\ndef plain(a): pass\n"
    )
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    assert [_swallows(function) for function in functions] == [True, False, False]
