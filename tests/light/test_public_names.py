"""What the package promises by name: exports, where they live, the hierarchy of errors, and what stays unimported."""

from __future__ import annotations

import importlib
import inspect

import pytest

import smp_core
from smp_core import errors

_EXPORTS = {
    "Blueprint": "smp_core.blueprints.value",
    "Encoder": "smp_core.encoder",
    "EncoderBase": "smp_core.encoder",
    "SegmentationModel": "smp_core.model",
    "compatible": "smp_core.blueprints.asking",
    "blueprint": "smp_core.blueprints.asking",
    "build": "smp_core.building",
    "create": "smp_core.factory",
    "create_encoder": "smp_core.factory",
    "describe": "smp_core.registry",
    "from_pretrained": "smp_core.checkpoint",
    "list_architectures": "smp_core.registry",
    "list_encoders": "smp_core.registry",
    "list_necks": "smp_core.registry",
    "optimize": "smp_core.inference.optimizing",
    "plugins": "smp_core.registry",
    "preprocessing": "smp_core.inputs",
    "refresh": "smp_core.registry",
}

# Every error with what it is besides: the outermost error of ours that catches it, and the builtin one.
_ERRORS = {
    "SmpError": (Exception,),
    "RegistryError": (errors.SmpError,),
    "UnknownEncoderError": (errors.RegistryError, LookupError),
    "UnknownArchitectureError": (errors.RegistryError, LookupError),
    "UnknownCommandError": (errors.RegistryError, LookupError),
    "UnknownNeckError": (errors.RegistryError, LookupError),
    "MissingPluginError": (errors.RegistryError, LookupError),
    "NameConflictError": (errors.RegistryError,),
    "PluginError": (errors.SmpError,),
    "InvalidSpecError": (errors.PluginError, ValueError),
    "CreationError": (errors.SmpError,),
    "IncompatibleError": (errors.CreationError, ValueError),
    "OptionError": (errors.CreationError, TypeError, ValueError),
    "BlueprintError": (errors.IncompatibleError, errors.OptionError),
    "EncoderProtocolError": (errors.CreationError, TypeError),
    "InputError": (errors.SmpError, ValueError),
    "WeightsError": (errors.SmpError, OSError),
    "CheckpointError": (errors.SmpError, ValueError),
}


def test_public_names_are_pinned() -> None:
    assert smp_core.__all__ == sorted(_EXPORTS, key=lambda name: (not name[0].isupper(), name))
    homes = {name: f"smp_core.{home}" for name, home in smp_core._HOME.items()}
    assert homes == _EXPORTS
    assert set(smp_core.__all__) | {"__version__"} <= set(dir(smp_core))
    assert dir(smp_core) == sorted(dir(smp_core))


@pytest.mark.parametrize("name", _EXPORTS)
def test_an_export_is_the_object_of_its_module(name: str) -> None:
    if _EXPORTS[name] not in ("smp_core.registry", "smp_core.inputs"):
        pytest.importorskip("torch", reason="this name builds models")
    exported = getattr(smp_core, name)
    assert exported is getattr(importlib.import_module(_EXPORTS[name]), name)
    assert exported.__module__ == _EXPORTS[name]
    assert inspect.getdoc(exported)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match=r"^module 'smp_core' has no attribute 'Unet'$"):
        smp_core.Unet  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Unet' from 'smp_core'"):
        from smp_core import Unet  # noqa: F401


def test_names_for_plugin_authors_are_pinned() -> None:
    from smp_core import plugin

    assert plugin.__all__ == [
        *("API_VERSION", "ENTRY_POINT_GROUP", "INTERPOLATIONS", "OLDEST_API_VERSION"),
        *("ArchitectureSpec", "CommandSpec", "ConformanceSpec", "EncoderSpec", "Flag", "FormRule", "FormerOption"),
        *("Migration", "NeckSpec", "NormKind", "Number", "OneOf", "OptionKind", "WeightsSpec", "Whole", "Wholes"),
        *("hookimpl", "hookspec"),
        *("smp_architecture_names", "smp_architectures", "smp_commands", "smp_conformance", "smp_encoder_names"),
        *("smp_encoders", "smp_forms", "smp_model_created", "smp_necks", "smp_resolve_architecture"),
        "smp_resolve_encoder",
    ]
    assert (plugin.ENTRY_POINT_GROUP, plugin.PROJECT_NAME) == ("smp_core", "smp_core")
    for name in plugin.__all__:
        assert hasattr(plugin, name)


def test_names_of_the_registry_are_pinned() -> None:
    from smp_core import registry

    assert registry.__all__ == [
        *("PluginRecord", "Registered", "conformance_specs", "describe", "list_architectures", "list_commands"),
        *("list_encoders", "list_necks"),
        *("plugins", "refresh", "resolve_architecture", "resolve_command", "resolve_encoder", "resolve_neck"),
    ]


def test_a_name_that_moved_is_still_found() -> None:
    from smp_core import registry

    assert registry.compatible is smp_core.compatible
    with pytest.raises(AttributeError, match=r"^module 'smp_core\.registry' has no attribute 'nothing'$"):
        registry.nothing  # noqa: B018


def test_errors_are_pinned() -> None:
    assert errors.__all__ == sorted(_ERRORS)
    defined = [name for name, value in vars(errors).items() if isinstance(value, type)]
    assert sorted(defined) == errors.__all__
    for name, bases in _ERRORS.items():
        error = getattr(errors, name)
        assert error.__bases__ == bases
        assert name in (errors.__doc__ or "")
        assert inspect.getdoc(error)
        # What is said is what is read: no error quotes its message, as KeyError does.
        assert str(error("the message")) == "the message"


def test_the_drawing_of_the_hierarchy_is_the_hierarchy() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        words = [word for word in line.split() if word in _ERRORS]
        if not words:
            continue
        level = (line.index(words[0]) - 4) // 4
        path[level:] = [words[0]]
        drawn[words[0]] = path[level - 1] if level else "Exception"
    assert drawn == {name: bases[0].__name__ for name, bases in _ERRORS.items()}


_HEAVY = ("torch", "numpy", "timm", "torchvision", "huggingface_hub", "safetensors")


@pytest.mark.parametrize(
    "script",
    [
        "import smp_core\nsmp_core.list_encoders()",
        "import smp_core\nsmp_core.list_architectures()\nsmp_core.plugins()\nsmp_core.refresh()",
        "import smp_core.plugin, smp_core.errors, smp_core.registry, smp_core.blueprints.compatibility",
        "import smp_core\nattempt(lambda: smp_core.describe('resnet34'))\n"
        "attempt(lambda: smp_core.compatible('unet', 'resnet34'))\nattempt(lambda: smp_core.preprocessing('resnet34'))",
    ],
)
def test_listing_imports_nothing_heavy(script: str) -> None:
    """In this very environment, with the plugins that are installed here."""
    import subprocess
    import sys

    attempt = "def attempt(function):\n    try:\n        function()\n    except LookupError:\n        pass\n"
    check = f"\nimport sys\nprint(sorted(set(sys.modules) & set({_HEAVY!r})))"
    command = [sys.executable, "-W", "error", "-c", f"{attempt}{script}{check}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_importing_the_package_imports_none_of_its_modules(sandbox) -> None:
    script = "import sys, smp_core\nreport([name for name in sys.modules if name.startswith('smp_core.')])"
    assert sandbox.run(script) == []


def test_importing_the_vocabulary_discovers_nothing(sandbox) -> None:
    names = "{'.'.join(name.split('.')[:2]) for name in sys.modules if name.startswith('smp_core.')}"
    script = f"import sys, smp_core.plugin\nreport(sorted({names}))"
    assert sandbox.run(script) == ["smp_core._specs", "smp_core.errors", "smp_core.plugin"]


def test_building_without_torch_says_so(sandbox) -> None:
    script = "import smp_core\nreport([attempt(lambda: smp_core.create), smp_core.list_encoders()])"
    assert sandbox.run(script) == [{"error": "ModuleNotFoundError", "message": "No module named 'torch'"}, []]
