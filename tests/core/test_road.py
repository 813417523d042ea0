"""The straight way from names to a model: which files of the core a call enters, in order, none of them twice.

`docs/design.md` draws it. What is entered from many places, as it belongs to no room, is named here with its reason.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_models import architecture_spec, encoder_spec

import smp_core
from smp_core.plugin import WeightsSpec

CORE = Path(smp_core.__file__).parent

HELPERS = {
    "__init__.py": "resolves the public names lazily",
    "_specs/": "values that every room passes on, with their properties",
    "_warnings.py": "warns from wherever there is something to warn of",
    "sources/hub.py": "fetches and verifies a file, for whoever wants one",
    "sources/tensor_files.py": "opens a file, for whoever has found one",
    "inputs.py": "the value that says how images are prepared",
    "options.py": "checks of single values, which plugins call, too",
    "registry/index.py": "a table of names",
    "blueprints/modules.py": "describes what a user built",
    "parts/targets.py": "imports what a spec names, for whoever needs it",
    "parts/emptiness.py": "a context in which everything else runs",
    "tensors/renaming.py": "functions of keys, which encoders call, too",
    "tensors/spelling.py": "functions of keys",
    "tensors/unwrapping.py": "functions of keys",
    "encoder.py": "the base class that plugins' encoders call",
    "heads.py": "parts that plugins' models build",
    "layers/": "parts that plugins' models build",
}

NAMES = ["registry/__init__.py", "registry/resolution.py"]
BLUEPRINT = [
    *("blueprints/drafting.py", "blueprints/former.py", "blueprints/request.py", "blueprints/encoder_options.py"),
    *("blueprints/necks.py", "blueprints/compatibility.py"),
    *("sources/weights.py", "blueprints/channels.py", "blueprints/architecture_options.py", "blueprints/findings.py"),
]
PARTS = ["parts/assembly.py"]
MODEL = ["model.py"]

CREATE = [
    *("factory.py", "blueprints/asking.py"),
    *(*NAMES, *BLUEPRINT, "building.py", *PARTS, *MODEL),
    *("tensors/pretrained.py", "tensors/places.py", "tensors/files.py"),
    *("tensors/torch_files.py", "tensors/translation.py", "tensors/fitting.py", "tensors/channels.py"),
    "announcement.py",
]
LOAD = [
    *("checkpoint.py", "sources/saved.py", "blueprints/value.py", "blueprints/config.py"),
    *(*NAMES, "blueprints/versions.py", *BLUEPRINT, "building.py", *PARTS, *MODEL),
    *("tensors/checkpoint.py", "tensors/reading.py", "tensors/files.py", "tensors/migrations.py", "tensors/fitting.py"),
    "announcement.py",
]


def files_entered(call: Callable[[], Any]) -> list[str]:
    """The files of the core that calls enter, in order; once more each time that another one was entered between."""
    call()  # what is imported once is not on the way
    entered: list[str] = []

    def profile(frame: Any, event: str, argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        # A comprehension is a call of the function that it stands in.
        if event == "call" and path.is_relative_to(CORE) and not frame.f_code.co_name.startswith("<"):
            entered.append(path.relative_to(CORE).as_posix())

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return [name for name, _ in itertools.groupby(name for name in entered if not name.startswith(tuple(HELPERS)))]


@pytest.fixture
def _trained(install, tmp_path: Path) -> None:
    install(encoder_spec(), architecture_spec())
    encoder = smp_core.create_encoder("toy_encoder", weights=None)
    torch.save(encoder.state_dict(), tmp_path / "toy.pth")
    weights = {"imagenet": WeightsSpec(file=str(tmp_path / "toy.pth"))}
    install(
        encoder_spec(name="trained", weights=weights, default_weights="imagenet"),
        architecture_spec(name="listed", options={"width": 8, "decoder_use_norm": "batchnorm", "size_multiple": 1}),
        distribution="acme-smp-trained",
    )


@pytest.mark.usefixtures("_trained")
def test_create_enters_each_file_once() -> None:
    entered = files_entered(lambda: smp_core.create("listed", "trained", in_channels=4, width=5))
    assert entered == CREATE


@pytest.mark.usefixtures("_trained")
def test_from_pretrained_enters_each_file_once(tmp_path: Path) -> None:
    smp_core.create("listed", "trained", classes=2).save_pretrained(tmp_path / "out")
    assert files_entered(lambda: smp_core.from_pretrained(tmp_path / "out")) == LOAD


@pytest.mark.usefixtures("_trained")
def test_a_blueprint_enters_names_and_blueprint_alone() -> None:
    entered = files_entered(lambda: smp_core.blueprint("listed", "trained"))
    assert entered == CREATE[1 : CREATE.index("building.py")]


def test_no_file_is_on_the_way_twice_and_every_helper_exists() -> None:
    for road in (CREATE, LOAD):
        assert len(road) == len(set(road))
        assert all((CORE / name).is_file() for name in road)
    for name in HELPERS:
        assert (CORE / name).is_dir() if name.endswith("/") else (CORE / name).is_file(), name


def test_coming_back_would_be_seen() -> None:
    assert files_entered(lambda: smp_core.list_encoders()).count("registry/__init__.py") == 2


def test_the_design_draws_the_way() -> None:
    text = (CORE.parent / "docs" / "design.md").read_text(encoding="utf-8")
    for road in (CREATE, LOAD):
        places = [text.find(f"`{name}`") for name in road]
        assert min(places) >= 0, f"docs/design.md does not name {road[places.index(-1)]}"
