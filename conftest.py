"""What the tests of every distribution share."""

import sys

import pytest

_kept_alive = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Let no operator that TorchScript knows die.

    torch.jit finds operators by ``id()`` and never forgets one. torch.compile's inductor registers two and deletes
    them again; whatever object comes to lie at their addresses is then taken for an operator, and a script fails with
    "builtin cannot be used as a value" at some attribute of some convolution.
    """
    builtins = sys.modules.get("torch.jit._builtins")
    if builtins is not None and builtins._register_builtin.__module__ != __name__:
        register = builtins._register_builtin

        def register_and_keep(operator, name):
            _kept_alive.append(operator)
            register(operator, name)

        register_and_keep.__module__ = __name__
        builtins._register_builtin = register_and_keep
