"""Checks that encoders and models share: compiling, exporting, scripting.

Warnings of torch's own machinery come and go with its versions; here they say nothing about the module.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.export import Dim

from smp_testing.cases import ArchitectureCase, ModuleCase
from smp_testing.expectations import ConformanceError, beginning, expect, expect_close

SCRIPT_IS_SUPPORTED = sys.version_info < (3, 14)
"""torch supports TorchScript up to Python 3.13."""


def compiles(case: ModuleCase) -> None:
    """``torch.compile(fullgraph=True)`` takes it, and the compiled module agrees; a model also at another size."""
    expect_compiles(case, case.settled())


def expect_compiles(case: ModuleCase, module: nn.Module, *, of: str = "") -> None:
    """As `compiles`, of another form of the settled module.

    Args:
        case: whose.
        module: the form.
        of: what it is called, with a space behind it.
    """
    torch.compiler.reset()
    try:
        with _quietly():
            # Capturing the graph is what can fail on a module's account; no compiler has to be there.
            compiled = torch.compile(module, fullgraph=True, backend="eager")
            sizes = _sizes(case)
            # The second size is compiled with symbols for sizes, which takes long and which an export sees as well; it
            # matters where the module's own code looks at sizes to choose its way, as decoders do.
            chosen = sizes if isinstance(case, ArchitectureCase) and case.is_main else sizes[1:]
            _expect_same(case, compiled, chosen, f"{of}compiled", fails=f"{of}does not compile with fullgraph=True")
    finally:
        torch.compiler.reset()


def exports(case: ModuleCase) -> None:
    """``torch.export`` with dynamic batch, height and width takes it, and the program agrees for other sizes."""
    expect_exports(case, case.settled())


def expect_exports(case: ModuleCase, module: nn.Module, *, of: str = "") -> None:
    """As `exports`, of another form of the settled module; arguments as of `expect_compiles`."""
    # Below twice the reduction a feature may have a size of one, which torch may treat as a case of its own.
    smallest = 2 * case.largest_reduction
    dimensions = {0: Dim("batch"), 2: Dim("height", min=smallest), 3: Dim("width", min=smallest)}
    x = case.image(2, smallest, smallest + case.largest_reduction)
    with _quietly():
        try:
            program = torch.export.export(module, (x,), dynamic_shapes=(dimensions,)).module()
        except Exception as error:  # the exporter raises whatever it meets
            raise ConformanceError(
                f"{case.name} {of}does not export with dynamic batch, height and width: {beginning(error)}"
            ) from error
        _expect_same(case, program, _sizes(case)[1:], f"{of}exported", fails=f"{of}was exported, but the program fails")


def scripts_as_declared(case: ModuleCase) -> None:
    """``torch.jit.script`` takes the module if, and only if, its spec declares it scriptable."""
    module = case.settled()
    with _quietly():
        if case.scriptable:
            try:
                scripted = torch.jit.script(module)
            except Exception as error:  # the compiler raises whatever it meets
                raise ConformanceError(
                    f"{case.name}: its spec declares scriptable=True, but torch.jit.script fails: {beginning(error)}"
                ) from error
            _expect_same(case, scripted, _sizes(case), "scripted", fails="is scripted, but the result fails")
        else:
            expect(
                not _is_scriptable(module),
                f"{case.name}: its spec declares scriptable=False, but torch.jit.script takes it; declare "
                "scriptable=True",
            )


def _is_scriptable(module: nn.Module) -> bool:
    try:
        torch.jit.script(module)
    except Exception:  # the compiler raises whatever it meets
        return False
    return True


def _sizes(case: ModuleCase) -> list[tuple[int, int, int]]:
    """Batch, height and width: one that reductions divide, and an odd one, the batch included."""
    size = 2 * case.largest_reduction
    return [(2, size, size + case.largest_reduction), (3, size + 13, size + 5)]


def _expect_same(
    case: ModuleCase, form: Callable[[Tensor], object], sizes: list[tuple[int, int, int]], what: str, *, fails: str
) -> None:
    """Compare another form of the settled module with it, for each size."""
    for batch, height, width in sizes:
        x = case.image(batch, height, width)
        with torch.no_grad():
            expected = case.run(case.settled(), x)
            try:
                got = case.run(form, x)
            except Exception as error:  # the compiler raises whatever it meets
                raise ConformanceError(f"{case.name} {fails}, at {tuple(x.shape)}: {beginning(error)}") from error
        expect_close(got, expected, f"{case.name} {what}, at {tuple(x.shape)}")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """No warnings, and none of torch's thousands of debug records, which pytest would print below a failure."""
    log = logging.getLogger("torch.__trace")
    propagates, log.propagate = log.propagate, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.propagate = propagates
