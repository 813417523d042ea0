"""What the tests of every distribution share."""

import sys

import pytest

_kept_alive = []

# Checks that take long, of cases that differ from others of the same plugin in little: left to the sweeps.
_LONG = ("compiles", "exports")
_ALIKE = (
    "-patches-",
    "-full_resolution-",
    "-from_4-",
    "-to_64-",
    "dpn68b-",
    "timm-skresnext50_32x4d-",
    "mobileone_s1-",
)
# Processes of their own, tens of seconds for an encoder: in every run of these.
_PROCESSES = ("opens_in_a_new_process", "trains_in_two_processes", "trains_sharded")
_STARTED_FOR = ("unet-pyramid", "segformer-pyramid", "upernet-pyramid", "linear-tokens", "resnet18", "mit_b0")


def pytest_collection_modifyitems(items):
    """Mark what the checks of plugins leave to the sweeps."""
    for item in items:
        case, _, check = item.name.rpartition("[")[2].rstrip("]").rpartition("-")
        is_alike = check in _LONG and any(name in f"{case}-" for name in _ALIKE)
        if is_alike or (check in _PROCESSES and item.originalname == "test_conformance" and case not in _STARTED_FOR):
            item.add_marker(pytest.mark.slow)


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
