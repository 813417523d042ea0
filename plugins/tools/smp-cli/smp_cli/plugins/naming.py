"""How a new plugin may be called: its distribution, its package, what users write, and the class behind that."""

from __future__ import annotations

import builtins
import importlib.util
import keyword
import re
import sys
from collections.abc import Callable

from smp_cli.errors import CliError
from smp_core._specs.checks import NAME_FORM, is_name
from smp_core.registry import index

_DISTRIBUTION = re.compile(r"[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_OWNERS: dict[str, Callable[[str], str | None]] = {
    "encoder": index.encoder_owner,
    "architecture": index.architecture_owner,
    "neck": index.neck_owner,
}
# What the template's modules import by these names; a class of one of them would take its place.
_IMPORTED = (
    *("Any", "Callable", "ClassVar", "Mapping", "Sequence", "Tensor"),
    *("ConvNormAct", "EncoderBase", "OptionError", "SegmentationHead", "SegmentationModel"),
)


def default_model(name: str) -> str:
    """What users write, made of a distribution's name: ``"acme_hiera"`` of ``"acme-smp-hiera"``."""
    return re.sub(r"[-.]+", "_", name.lower().replace("-smp-", "-"))


def package_of(name: str) -> str:
    """The package of a distribution, as the template has it."""
    return name.lower().replace("-", "_").replace(".", "_")


def class_of(model: str) -> str:
    """The class of a model, as the template has it: ``"AcmeHiera"`` of ``"acme_hiera"``."""
    parts = re.split(r"[-._+:]", model)
    return ("Model" if model[0].isdigit() else "") + "".join(part[:1].upper() + part[1:] for part in parts)


def check_distribution(name: str) -> None:
    """Whether a distribution may have a name.

    Raises:
        CliError: it may not; says why.
    """
    if not _DISTRIBUTION.fullmatch(name):
        raise CliError(
            f"{name!r} cannot name a distribution; expected letters, digits, '-', '_' and '.', as in 'acme-smp-hiera'"
        )
    if re.fullmatch(r"smp[-_.].*", name, re.IGNORECASE):
        raise CliError(f"{name!r}: names that begin with 'smp-' are this project's; put yours in front, 'acme-{name}'")
    package = package_of(name)
    wrong = _taken(package)
    if wrong:
        raise CliError(f"{name!r}: its package would be called {package!r}, {wrong}; choose another name")


def _taken(package: str) -> str:
    """Why a package may not have a name; empty where it may."""
    if keyword.iskeyword(package):
        return "which is a keyword of Python"
    if package in sys.stdlib_module_names:
        return "as a module of Python's own"
    if package == "tests":
        return "as the folder of its tests"
    found = importlib.util.find_spec(package)
    if found is not None and found.origin is not None:
        return f"as one that is installed ({found.origin})"
    return ""


def check_model(kind: str, model: str) -> None:
    """Whether users may write a name, and a class may have the one that is made of it.

    Raises:
        CliError: they may not; says why.
    """
    if not is_name(model):
        raise CliError(f"--model {model!r}: expected {NAME_FORM}, as in 'acme_hiera'")
    owner = _OWNERS[kind](model)
    if owner is not None:
        raise CliError(f"the {kind} {model!r} is {owner}'s; choose another name with --model")
    name = class_of(model)
    wrong = ""
    if keyword.iskeyword(name):
        wrong = "which is a keyword of Python"
    elif hasattr(builtins, name):
        wrong = "as something that is built into Python"
    elif name in _IMPORTED:
        wrong = "as something that its module imports"
    elif kind == "architecture" and index.architecture_owner(name) is not None:
        wrong = f"as {index.architecture_owner(name)}'s, which checkpoints name it by"
    if wrong:
        raise CliError(f"--model {model!r}: its class would be called {name!r}, {wrong}; choose another name")
