"""Checkpoints of older versions of a plugin: what changed when is data of its specs, and every one loads alike."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from toy_models import ToyEncoder, architecture_spec, encoder_spec, randomise

import smp_core
from smp_core.errors import CheckpointError, PluginError
from smp_core.plugin import Migration

Tensors = dict[str, Tensor]


def join_halves(state_dict: Tensors) -> Tensors:
    """Before 2.0 the decoder kept its weight in two halves."""
    halves = [state_dict.pop("decoder.conv.0.upper"), state_dict.pop("decoder.conv.0.lower")]
    return {**state_dict, "decoder.conv.0.weight": torch.cat(halves)}


ENCODER = (Migration(before="2.0", renames=((r"^layer(\d)\.", r"stage\1."), (r"\.gain$", ".weight"))),)
ARCHITECTURE = (
    Migration(before="1.5", renames=((r"^head\.", "final."),)),
    Migration(
        before="2.0",
        renames=((r"^final\.", "segmentation_head."), (r"^decoder\.project\.", "decoder.conv.")),
        convert="acme_history:join_halves",
    ),
)


def as_before(tensors: Tensors, version: str) -> Tensors:
    """The tensors of a model of today as a version of the plugin named them."""
    if version >= "2.0":
        return tensors
    upper, lower = tensors["decoder.conv.0.weight"].chunk(2)
    older = {**tensors, "decoder.conv.0.upper": upper.clone(), "decoder.conv.0.lower": lower.clone()}
    del older["decoder.conv.0.weight"]
    renames = [(r"^encoder\.stage(\d)\.1\.weight$", r"encoder.stage\1.1.gain"), (r"^encoder\.stage", "encoder.layer")]
    renames += [(r"^decoder\.conv\.", "decoder.project."), (r"^segmentation_head\.", "final.")]
    renames += [(r"^final\.", "head.")] if version < "1.5" else []
    for pattern, replacement in renames:
        older = {re.sub(pattern, replacement, key): value for key, value in older.items()}
    return older


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module for the functions that migrations name."""
    module = ModuleType("acme_history")
    module.join_halves = join_halves  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "acme_history", module)
    return module


@pytest.fixture
def plugin(install, history: ModuleType) -> None:
    """The toy plugin at version 2.1, which renamed everything in 2.0."""
    install(encoder_spec(migrations=ENCODER), architecture_spec(migrations=ARCHITECTURE), version="2.1")


def build(encoder: Any = "toy_encoder", **options: Any) -> smp_core.SegmentationModel:
    model = smp_core.create("toy", encoder, encoder_weights=None, **options)
    randomise(model)
    return model


def write(model: smp_core.SegmentationModel, folder: Path, version: str, *, record: bool = True) -> Path:
    """Save a model as a version of the plugin did; without a record, as SMP does."""
    model.save_pretrained(folder)
    rewrite(folder, lambda tensors: as_before(tensors, version))
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for part in ("architecture", "encoder"):
        if config["_smp_core"][part] is not None:
            config["_smp_core"][part]["version"] = version
    if not record:
        del config["_smp_core"]
    path.write_text(json.dumps(config))
    return folder


def rewrite(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    path = folder / "model.safetensors"
    tensors = change(load_file(path))
    path.unlink()
    save_file(tensors, path, metadata={"format": "pt"})


def assert_same(model: nn.Module, other: nn.Module) -> None:
    first, second = model.state_dict(), other.state_dict()
    assert list(first) == list(second)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


# --- every version


@pytest.mark.parametrize("version", ["1.0", "1.5", "2.0", "2.1"])
@pytest.mark.usefixtures("plugin")
def test_every_version_loads_to_the_same_tensors(tmp_path: Path, version: str) -> None:
    model = build(classes=2)
    write(model, tmp_path, version)
    content = (tmp_path / "model.safetensors").read_bytes()
    assert_same(smp_core.from_pretrained(tmp_path), model)
    assert (tmp_path / "model.safetensors").read_bytes() == content


@pytest.mark.parametrize("version", ["0.9rc1", "1.5.dev0", "1.4.99", None])
@pytest.mark.usefixtures("plugin")
def test_versions_are_compared_as_versions(tmp_path: Path, version: str | None) -> None:
    model = build()
    write(model, tmp_path, "1.0")
    config = json.loads((tmp_path / "config.json").read_text())
    config["_smp_core"]["architecture"]["version"] = version
    if version is None:
        del config["_smp_core"]["architecture"]["version"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert_same(smp_core.from_pretrained(tmp_path), model)


@pytest.mark.usefixtures("plugin")
def test_what_records_no_version_is_older_than_any(tmp_path: Path) -> None:
    model = build(classes=2)
    write(model, tmp_path, "1.0", record=False)
    assert_same(smp_core.from_pretrained(tmp_path), model)


@pytest.mark.usefixtures("plugin")
def test_an_older_model_can_be_changed_while_it_is_loaded(tmp_path: Path) -> None:
    model = build(classes=2)
    write(model, tmp_path, "1.0")
    with pytest.warns(UserWarning, match=r"^not everything was loaded; left at their initialisation: segmentation_he"):
        loaded = smp_core.from_pretrained(tmp_path, classes=5)
    assert torch.equal(loaded.decoder.conv[0].weight, model.decoder.conv[0].weight)
    assert torch.equal(loaded.encoder.stage1[0].weight, model.encoder.stage1[0].weight)


@pytest.mark.usefixtures("plugin")
def test_an_older_model_that_is_saved_again_is_one_of_today(tmp_path: Path) -> None:
    model = build()
    smp_core.from_pretrained(write(model, tmp_path / "old", "1.0")).save_pretrained(tmp_path / "new")
    assert set(load_file(tmp_path / "new" / "model.safetensors")) == set(model.state_dict())
    assert json.loads((tmp_path / "new" / "config.json").read_text())["_smp_core"]["encoder"]["version"] == "2.1"
    assert_same(smp_core.from_pretrained(tmp_path / "new"), model)


@pytest.mark.usefixtures("plugin")
def test_a_bare_file_of_an_older_version(tmp_path: Path) -> None:
    model = build()
    save_file(as_before(dict(model.state_dict()), "1.0"), tmp_path / "old.safetensors")
    assert_same(smp_core.from_pretrained(tmp_path / "old.safetensors", blueprint=model.blueprint), model)


@pytest.mark.usefixtures("plugin")
def test_a_bare_file_of_today(tmp_path: Path) -> None:
    """It records no version, but every key that it has is one of today."""
    model = build()
    save_file(dict(model.state_dict()), tmp_path / "new.safetensors")
    assert_same(smp_core.from_pretrained(tmp_path / "new.safetensors", blueprint=model.blueprint), model)


@pytest.mark.usefixtures("plugin")
def test_a_newer_version_wrote_it(tmp_path: Path) -> None:
    model = build()
    write(model, tmp_path, "3.0")
    with pytest.warns(UserWarning, match="was saved with acme-smp-toy 3.0, but 2.1 is installed") as caught:
        loaded = smp_core.from_pretrained(tmp_path)
    assert_same(loaded, model)
    assert len({str(item.message) for item in caught}) == len(caught)


# --- which migration sees what


@pytest.mark.parametrize(
    ("version", "applied"), [("1.0", ["1.5", "1.8", "2.0"]), ("1.5", ["1.8", "2.0"]), ("1.9", ["2.0"]), ("2.0", [])]
)
def test_migrations_are_applied_in_order(install, history, tmp_path: Path, version: str, applied: list[str]) -> None:
    seen: list[str] = []
    for before in ("1.5", "1.8", "2.0"):
        name = f"to_{before.replace('.', '_')}"
        setattr(history, name, lambda part, before=before: seen.append(before) or part)
    migrations = [
        Migration(before=before, convert=f"acme_history:to_{before.replace('.', '_')}")
        for before in ("1.5", "1.8", "2.0")
    ]
    install(encoder_spec(), architecture_spec(migrations=migrations), version="2.1")
    model = build()
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["_smp_core"]["architecture"]["version"] = version
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert_same(smp_core.from_pretrained(tmp_path), model)
    assert seen == applied


def test_each_plugin_sees_its_own_part(install, history, tmp_path: Path) -> None:
    seen: dict[str, set[str]] = {}
    for who in ("encoder", "architecture"):
        setattr(history, who, lambda part, who=who: seen.update({who: set(part)}) or part)
    old = {who: (Migration(before="9", convert=f"acme_history:{who}"),) for who in ("encoder", "architecture")}
    install(encoder_spec(migrations=old["encoder"]), version="2.1", distribution="acme-smp-net")
    install(architecture_spec(migrations=old["architecture"]), version="2.1")
    model = build(aux_params={"classes": 2})
    model.save_pretrained(tmp_path)
    assert_same(smp_core.from_pretrained(tmp_path), model)
    assert seen["encoder"] == set(model.encoder.state_dict())
    assert seen["architecture"] == {key for key in model.state_dict() if not key.startswith("encoder.")}


def test_a_rename_of_one_part_leaves_the_other_alone(install, tmp_path: Path) -> None:
    """Both parts have keys that both patterns would match."""
    swap = ((r"weight$", "gain"), (r"bias$", "weight"), (r"gain$", "bias"))
    install(encoder_spec(migrations=(Migration(before="2.0", renames=swap),)), version="2.1", distribution="acme-net")
    install(architecture_spec(), version="2.1")
    model = build()
    model.save_pretrained(tmp_path)
    back = {"weight": "bias", "bias": "weight"}

    def swapped(key: str) -> str:
        stem, _, last = key.rpartition(".")
        return f"{stem}.{back.get(last, last)}" if key.startswith("encoder.") else key

    rewrite(tmp_path, lambda tensors: {swapped(key): value for key, value in tensors.items()})
    config = json.loads((tmp_path / "config.json").read_text())
    config["_smp_core"]["encoder"]["version"] = "1.0"
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert_same(smp_core.from_pretrained(tmp_path), model)


def test_older_keys_that_look_as_if_something_wrapped_the_model(install, tmp_path: Path) -> None:
    """Before 2.0 the encoder was one level deeper, so that what is under ``encoder.`` looks like a whole model's."""
    moved = Migration(before="2.0", renames=((r"^encoder\.", ""),))
    install(encoder_spec(migrations=(moved,)), architecture_spec(), version="2.1")
    model = build()
    write(model, tmp_path, "2.0")
    rewrite(tmp_path, lambda tensors: {re.sub(r"^encoder\.", "encoder.encoder.", key): tensors[key] for key in tensors})
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text().replace('"2.0"', '"1.0"'))
    assert_same(smp_core.from_pretrained(tmp_path), model)


@pytest.mark.usefixtures("plugin")
def test_an_encoder_of_the_users_own_is_not_migrated(tmp_path: Path) -> None:
    model = build(ToyEncoder(depth=2))
    write(model, tmp_path, "2.1")

    def older(tensors: Tensors) -> Tensors:
        mine = {key: value for key, value in tensors.items() if key.startswith("encoder.")}
        return {**{key: value for key, value in as_before(tensors, "1.0").items() if "encoder." not in key}, **mine}

    rewrite(tmp_path, older)
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text().replace('"2.1"', '"1.0"'))
    assert_same(smp_core.from_pretrained(tmp_path, encoder=ToyEncoder(depth=2)), model)


# --- what fails


def _raises(state_dict: Tensors) -> Tensors:
    raise SystemExit("out of ideas")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda part: {**part, "x": part["missing"]}, "it raised KeyError: 'missing'"),
        (_raises, "it raised SystemExit: out of ideas"),
        (lambda part: None, "it raised TypeError: 'NoneType' object is not iterable"),
        (None, "module 'acme_history' has no 'fails' (target 'acme_history:fails')"),
    ],
)
def test_a_migration_that_fails(install, history, tmp_path: Path, function: Any, message: str) -> None:
    if function is not None:
        history.fails = function
    failing = Migration(before="2.0", convert="acme_history:fails")
    install(encoder_spec(), architecture_spec(migrations=(failing,)), version="2.1")
    build().save_pretrained(tmp_path)
    assert smp_core.from_pretrained(tmp_path).config["_smp_core"]["architecture"]["version"] == "2.1"
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text().replace('"2.1"', '"1.0"'))
    title = "migration of architecture 'acme-smp-toy/toy' to 2.0: "
    with pytest.raises(PluginError, match=f"^{re.escape(title + message)}$"):
        smp_core.from_pretrained(tmp_path)


def test_two_keys_that_become_one(install, tmp_path: Path) -> None:
    """A tensor of the file must not be lost without a word."""
    both = Migration(before="2.0", renames=((r"\.(upper|lower)$", ".weight"),))
    install(encoder_spec(), architecture_spec(migrations=(both,)), version="2.1")
    build().save_pretrained(tmp_path)
    rewrite(
        tmp_path,
        lambda tensors: {
            **{key: value for key, value in tensors.items() if key != "decoder.conv.0.weight"},
            **{f"decoder.conv.0.{half}": tensors["decoder.conv.0.weight"].clone() for half in ("upper", "lower")},
        },
    )
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text().replace('"2.1"', '"1.0"'))
    with pytest.raises(
        PluginError, match=r"^migration of architecture 'acme-smp-toy/toy' to 2.0: .*decoder.conv.0.wei"
    ):
        smp_core.from_pretrained(tmp_path)


def test_tensors_that_do_not_fit_name_both_versions(install, tmp_path: Path) -> None:
    install(encoder_spec(), architecture_spec(), version="2.1")
    build().save_pretrained(tmp_path)
    rewrite(tmp_path, lambda tensors: {**tensors, "decoder.conv.0.weight": torch.zeros(8, 99, 1, 1)})
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text().replace('"2.1"', '"1.0"'))
    with pytest.raises(CheckpointError, match=r"size mismatch for decoder\.conv\.0\.weight: \(8, 99, 1, 1\)") as caught:
        smp_core.from_pretrained(tmp_path)
    assert str(caught.value).endswith(" (acme-smp-toy 1.0 wrote it, 2.1 is installed)")
