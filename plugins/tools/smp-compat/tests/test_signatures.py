"""Every public name of segmentation_models_pytorch, and its parameters, against ours."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from smp_compat._errors import NotProvidedError
from smp_compat._not_provided import NOT_PROVIDED

peer = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore:.*utils.* is deprecated:DeprecationWarning")]

# Private modules that code nevertheless imports; of other private ones nothing is promised.
_KNOWN_PRIVATE = ("_base", "_functional", "_preprocessing", "_utils", "__version__")

# Names that come from elsewhere, or that serve nothing outside of the module.
_NOT_MEANT = {
    "T": "a type variable",
    "supports_config_loading": "a decorator of the mixin, whose place is smp_compat.base.hub_mixin",
    "division": "of __future__",
    "print_function": "of __future__",
}

_ENCODERS = "a native encoder has no such method: what it does is an argument of smp_compat.encoders.get_encoder"
_MADE = "the class only makes encoders of smp-timm, which have these members"
_LOSSES = "losses are one function each, and faster for it; write the loss as a function of its scores"
# Members of classes that ours lack, by name: why.
_NO_SUCH_MEMBER = {
    **dict.fromkeys(("get_stages", "make_dilated", "set_in_channels"), _ENCODERS),
    **dict.fromkeys(("forward", "out_channels", "output_stride", "load_state_dict"), _MADE),
}

_OURS_TAKES_MORE = "further parameters, after SMP's, with defaults"
_FAMILY = "the constructor of a family's class is our plugin's"
# Whose parameters are others, and why.
_OTHER_PARAMETERS = {
    "SegmentationModel": "SMP's takes anything and forgets it",
    "SegmentationModel.load_state_dict": "strict and assign by name, which SMP passes on unseen",
    "DeepLabV3.load_state_dict": "as SegmentationModel.load_state_dict",
    "SegmentationModel.freeze_encoder": _OURS_TAKES_MORE,
    "SegmentationModel.predict": _OURS_TAKES_MORE,
    "OxfordPetDataset.download": _OURS_TAKES_MORE,
    "from_pretrained": "SMP's own are among the keywords; see its docstring",
}


def modules() -> list[str]:
    """The names of all modules of the peer, without its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is deprecated there
        found = [item.name.partition(".")[2] for item in pkgutil.walk_packages(peer.__path__, f"{peer.__name__}.")]
    return ["", *(name for name in found if is_public(name.rpartition(".")[2]))]


def is_public(module: str) -> bool:
    return not module.startswith("_") or module in _KNOWN_PRIVATE


def names_of(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The public names that a module defines, or has of others of the peer."""
    for name, value in vars(module).items():
        home = getattr(value, "__module__", None) or peer.__name__
        if name.startswith("_") or inspect.ismodule(value) or name in _NOT_MEANT:
            continue
        if home.startswith(peer.__name__) or name in getattr(module, "__all__", ()):
            yield name, value


def parameters(function: Any) -> list[tuple[Any, ...]]:
    return [(item.name, item.kind, item.default) for item in inspect.signature(function).parameters.values()]


def compare(title: str, theirs: Any, ours: Any, family: bool = False) -> None:
    """Name by name, in order, with defaults; what is listed differs, and only that."""
    expected, found = parameters(theirs), parameters(ours)
    if title in _OTHER_PARAMETERS:
        assert found != expected, f"{title} is listed for nothing"
        if _OTHER_PARAMETERS[title] == _OURS_TAKES_MORE:
            assert found[: len(expected)] == expected
            assert all(default is not inspect.Parameter.empty for _, _, default in found[len(expected) :])
    elif not family:
        assert found == expected, title


def members(kind: type) -> Iterator[tuple[str, Any]]:
    for name, value in vars(kind).items():
        if not name.startswith("_") and (inspect.isroutine(value) or isinstance(value, (property, classmethod))):
            yield name, getattr(kind, name)


def compare_class(title: str, theirs: type, ours: Any, family: bool) -> None:
    try:
        compare(title, theirs, ours, family)
    except ValueError:
        assert not issubclass(theirs, object)  # every class here has a signature
    for name, value in members(theirs):
        if not hasattr(ours, name):
            assert name in _NO_SUCH_MEMBER, f"{title}.{name} is missing"
        elif inspect.isroutine(value) and not family:
            compare(f"{title}.{name}", value, getattr(ours, name))


@pytest.mark.parametrize("name", modules())
def test_a_module(name: str) -> None:
    theirs = importlib.import_module(".".join(filter(None, (peer.__name__, name))))
    ours = importlib.import_module(".".join(filter(None, ("smp_compat", name))))
    missing = NOT_PROVIDED.get(name, ((), ""))[0]
    # The modules of the encoders' families: their classes are our plugins'.
    family = name.startswith("encoders.") and not name.rpartition(".")[2].startswith(("_", "timm_u", "timm_vit"))
    seen = []
    for item, value in names_of(theirs):
        if item in missing:
            with pytest.raises(NotProvidedError, match=f"{item} is not provided: "):
                getattr(ours, item)
            continue
        assert hasattr(ours, item), f"{name}.{item} is missing"
        seen.append(item)
        if inspect.isclass(value):
            compare_class(item, value, getattr(ours, item), family)
        elif inspect.isroutine(value):
            compare(item, value, getattr(ours, item))
    assert seen or missing or name in ("utils", "decoders") or not [*names_of(theirs)]


def test_a_difference_would_be_seen() -> None:
    def theirs(a: int, b: int = 2) -> None: ...
    def ours(a: int, b: int = 3) -> None: ...

    compare("same", theirs, theirs)
    with pytest.raises(AssertionError, match="other"):
        compare("other", theirs, ours)


def test_the_dicts_have_the_same_names() -> None:
    import smp_compat

    theirs = {name: [*value] for name, value in vars(peer.encoders).items() if name.endswith("_encoders")}
    assert len(theirs) == 14
    for name, encoders in theirs.items():
        assert sorted(getattr(smp_compat.encoders, name)) == sorted(encoders), name
    assert sorted(peer.encoders.get_encoder_names()) == sorted(smp_compat.encoders.get_encoder_names())
    assert [*peer.MODEL_ARCHITECTURES_MAPPING] == [*smp_compat.MODEL_ARCHITECTURES_MAPPING]
    assert peer.__version__ == smp_compat.__version__
