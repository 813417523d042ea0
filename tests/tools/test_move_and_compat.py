"""What ``smp move`` says of smp-compat holds: the command does not depend on it, so that only here the two meet."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

import smp_core
from smp_cli.move.native import STAYS, native
from smp_cli.move.not_provided import NOT_PROVIDED, instead_of
from smp_cli.move.surface import FORMER_MODULES
from smp_compat import NotProvidedError, _not_provided
from smp_core.registry import index

NAMES = json.loads((Path(__file__).parents[2] / "plugins/tools/smp-cli/tests/data/smp_names.json").read_text())


def has(name: str) -> bool:
    """Whether smp-compat has a name."""
    module, _, last = f"smp_compat.{name}".rpartition(".")
    try:
        return hasattr(importlib.import_module(module), last)
    except (ImportError, NotProvidedError):
        return False


def test_both_name_the_same_in_place_of_what_is_not_provided():
    assert NOT_PROVIDED == _not_provided.NOT_PROVIDED


@pytest.mark.filterwarnings("ignore:smp_compat.utils is deprecated:DeprecationWarning")
def test_what_stays_with_smp_compat_is_there():
    said = [name for name in NAMES if (entry := native(name)) is not None and entry.note.startswith(STAYS)]
    assert "decoders.unet.decoder.UnetDecoder" in said
    for name in said:
        assert has(name) or instead_of(name) is not None, name
        assert not (has(name) and instead_of(name) is not None), name


@pytest.mark.parametrize("module", FORMER_MODULES.values())
def test_what_former_modules_become_is_there(module):
    importlib.import_module(f"smp_compat.{module}")


def test_no_first_party_encoder_but_timms_takes_options():
    """So that an option of such an encoder is said to be unknown."""
    for name in index.encoder_names():
        assert smp_core.describe(name).spec.user_options == (), name
