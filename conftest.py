"""What the tests of every distribution share."""

import gc
import sys

import pytest

_kept_alive = []

# What the checks of plugins leave to the sweeps: what takes long, of cases that differ from others of the same plugin
# in little; processes of their own, tens of seconds for an encoder, but for some of each kind; and, of encoders too
# large to compute with, and of those that only are deeper than others, all but what they declare.
_LONG = ("compiles", "exports")
# Of EfficientNet's two classes, efficientnet-b0 and timm-tf_efficientnet_lite0 are compiled and exported.
_ALIKE = (
    *("-patches", "-full_resolution", "-from_4", "-to_64", "dpn68b", "timm-skresnext50_32x4d", "mobileone_s1"),
    "timm-efficientnet-b0",
)
_SCRIPTED_ALIKE = ("-patches", "-full_resolution")
# More of the same blocks than resnet18, resnext50_32x4d and timm-skresnet18 have.
_DEEPER = ("resnet34", "resnet50", "resnet101", "resnext101_32x4d", "timm-skresnet34")
_PROCESSES = ("opens_in_a_new_process", "trains_in_two_processes", "trains_sharded")
_STARTED_FOR = ("unet-pyramid", "segformer-pyramid", "upernet-pyramid", "linear-tokens", "resnet18", "mit_b0")
_DECLARED = ("features_match_spec", "num_parameters_matches_spec")


def pytest_collection_modifyitems(items):
    for item in items:
        check = item.callspec.params.get("check") if hasattr(item, "callspec") else None
        if item.name.startswith("test_conformance[") and _is_swept(check.case, check.check.name):
            item.add_marker(pytest.mark.slow)


def _is_swept(case, check):
    if check in _PROCESSES:
        return case.name not in _STARTED_FOR
    if check in _LONG and case.name.endswith(_ALIKE):
        return True
    if check == "scripts_as_declared" and case.name.endswith(_SCRIPTED_ALIKE):
        return True
    return (not case.has_numbers or case.name in _DEEPER) and check not in _DECLARED


def pytest_collection_finish():
    """Let the garbage collector pass over torch and the thousands of collected tests, which stay to the end."""
    gc.collect()
    gc.freeze()


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
