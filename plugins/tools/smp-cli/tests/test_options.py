"""Options as ``smp show`` prints them: default, kind or type, and the first sentence of the docstring."""

from __future__ import annotations

import inspect
import sys
import types
from typing import Any

import pytest

from smp_cli.options import option_rows
from smp_core.plugin import ArchitectureSpec, EncoderSpec, OneOf
from smp_core.registry import Registered


class Base:
    """A base.

    Args:
        dropout (float): probability that a channel is dropped. Of training alone.
    """


class Net(Base):
    """A net.

    Args:
        encoder: an encoder.
        width, depth: of the decoder,
            which has
            several lines; see Kirillov et al. Such are one sentence.
        norm:
            as ``build_norm`` takes it.

    Returns:
        policy: not an argument.
    """

    def __init__(
        self, encoder: Any, *, width: int, depth: int | None = 3, norm: Any = True, dropout: float = 0.5, policy="a"
    ) -> None:
        """Build it.

        Args:
            policy: ``a`` or ``b``.
        """


@pytest.fixture
def module(monkeypatch):
    module = types.ModuleType("acme_options")
    module.Net, module.function, module.NUMBER = Net, lambda size=3: None, 3
    monkeypatch.setitem(sys.modules, "acme_options", module)


def item(target: str, **fields: Any) -> Registered[Any]:
    return Registered(ArchitectureSpec(name="net", class_name="Net", target=target, **fields), "acme", "1")


@pytest.mark.usefixtures("module")
def test_what_signature_docstring_and_spec_say():
    options = {"width": inspect.Parameter.empty, "depth": 3, "norm": True, "dropout": 0.5, "policy": "a"}
    declared = {**options, "width": 1}
    kinds = {"policy": OneOf(names=("a", "b"))}
    rows = option_rows(item("acme_options:Net", options=declared, option_kinds=kinds), options, options)
    assert rows == [
        ("width", "required; int; of the decoder, which has several lines; see Kirillov et al. Such are one sentence"),
        ("depth", "3; int | None; of the decoder, which has several lines; see Kirillov et al. Such are one sentence"),
        ("norm", "True; as build_norm takes it"),
        ("dropout", "0.5; float; probability that a channel is dropped"),
        ("policy", "'a'; one of a, b; a or b"),
    ]


@pytest.mark.usefixtures("module")
def test_options_of_an_encoder_default_to_the_spec():
    spec = EncoderSpec(
        name="e",
        target="acme_options:Net",
        out_channels=(3,),
        reductions=(1,),
        options={"width": 7},
        user_options=("width", "dropout", "unknown"),
    )
    rows = dict(option_rows(Registered(spec, "acme", "1"), spec.user_options, spec.options))
    assert rows["width"].startswith("7; int; of the decoder")
    assert rows["dropout"].startswith("0.5; float; ")
    assert rows["unknown"] == "its values are the implementation's to judge"


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("target", "row"),
    [("acme_options:function", "3"), ("acme_options:NUMBER", "3"), ("acme_nowhere:Net", "3")],
)
def test_what_says_little(target, row):
    assert option_rows(item(target, options={"size": 3}), ["size"], {"size": 3}) == [("size", row)]
