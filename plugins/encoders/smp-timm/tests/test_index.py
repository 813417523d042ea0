"""The index is what the installed timm says, and what measuring its models gives."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import timm
from samples import EVERY, long_ones_slow

from smp_timm import index, regenerate, resolving
from smp_timm.facts import Facts
from smp_timm.probing import options_of, probe
from smp_timm.tags import tags_of

measured = pytest.mark.skipif(
    timm.__version__ != index.timm_version(), reason=f"the index is of timm {index.timm_version()}"
)


@measured
def test_every_model_of_timm_is_in_the_index_and_no_other() -> None:
    assert list(index.names()) == timm.list_models()


def _other_tags(names: Iterable[str]) -> list[str]:
    return [name for name in names if index.find(name).tags != tags_of(name)]  # type: ignore[union-attr]


@measured
def test_tags_are_those_of_timm() -> None:
    assert _other_tags(index.names()[::12]) == []


@measured
@pytest.mark.slow
def test_all_tags_are_those_of_timm() -> None:
    assert _other_tags(index.names()) == []


@measured
def test_default_weights_are_those_of_timm() -> None:
    for name in EVERY:
        config = timm.get_pretrained_cfg(name)
        assert config is not None
        facts = index.find(name)
        assert facts is not None
        if facts.tags:
            assert facts.tags[0].name == (config.tag or "")
            assert (facts.tags[0].mean, facts.tags[0].std) == (tuple(config.mean), tuple(config.std))


def test_every_class_has_its_options() -> None:
    kinds = {facts.kind for name in index.names() if (facts := index.find(name)) is not None}
    assert all(index.options(kind) for kind in kinds)
    assert {"img_size", "drop_path_rate"} <= {*index.options("vision_transformer.VisionTransformer")}
    refused = {"in_chans", "num_classes", "features_only", "out_indices", "output_stride", "device"}
    assert not refused & {option for kind in kinds for option in index.options(kind)}


@measured
@pytest.mark.parametrize("name", long_ones_slow(EVERY))
def test_a_model_that_is_measured_anew_is_as_the_index_says(name: str) -> None:
    assert probe(name) == index.find(name)
    assert options_of(name) == index.options(index.find(name).kind)  # type: ignore[union-attr]


@measured
@pytest.mark.slow
@pytest.mark.parametrize("part", range(16))
def test_all_models_are_as_the_index_says(part: int) -> None:
    wrong = {name: probe(name) for name in index.names()[part::16] if probe(name) != index.find(name)}
    assert wrong == {}


def test_what_the_index_holds_is_read_as_it_was_written() -> None:
    for name in index.names():
        facts = index.find(name)
        assert facts is not None
        assert Facts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


@measured
@pytest.mark.slow
def test_the_command() -> None:
    command = [sys.executable, "-m", "smp_timm.regenerate", "--check", "test_vit"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == ""


@measured
def test_a_check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["regenerate", "--check", "test_vit"])
    monkeypatch.setattr(
        regenerate, "probe", lambda name: Facts(name=name, module="", kind="", reductions=(), channels=())
    )
    assert regenerate.main() == 1
    assert capsys.readouterr().out.startswith(
        "test_vit: the index has Facts(name='test_vit', module='vision_transformer'"
    )


def test_a_written_index_has_a_line_for_each_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["test_resnet", "test_vit"]
    facts = [item for name in names if (item := index.find(name)) is not None]
    monkeypatch.setattr(index, "FILE", tmp_path / "index.json")
    regenerate.write(regenerate.content(facts))
    text = (tmp_path / "index.json").read_text(encoding="utf-8")
    assert len(text.splitlines()) == len(names) + 2
    content = json.loads(text)
    assert content["timm"] == timm.__version__
    assert [Facts.from_json({"name": name, **content["models"][name]}) for name in names] == facts


# --- a timm that is not the one that was measured


@pytest.fixture
def other_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed timm passes for another release than the index's."""
    installed = importlib.metadata.version

    def version(name: str) -> str:
        return "99.0" if name == "timm" else installed(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    resolving._ask_timm.cache_clear()


def hide(monkeypatch: pytest.MonkeyPatch, name: str) -> Facts:
    """Take a model out of the index."""
    facts = index.find(name)
    assert facts is not None
    find = index.find
    monkeypatch.setattr(index, "find", lambda wanted: None if wanted == name else find(wanted))
    return facts


@pytest.mark.usefixtures("other_timm")
@pytest.mark.parametrize("name", ["test_convnext", "test_vit"])
def test_a_model_that_only_timm_knows_is_measured(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    wanted = resolving.resolve(f"tu-{name}")
    hide(monkeypatch, name)
    assert resolving.resolve(f"tu-{name}") == wanted
    assert resolving.resolve("tu-nope") is None


def test_nothing_is_measured_where_the_index_is_of_the_installed_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "test_vit")
    monkeypatch.setattr(importlib.metadata, "version", lambda _: index.timm_version())
    resolving._ask_timm.cache_clear()
    assert resolving.resolve("tu-test_vit") is None


@pytest.mark.usefixtures("other_timm")
def test_weights_that_only_timm_knows_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = tags_of("test_vit")
    facts = Facts.from_json(index.find("test_vit").to_json() | {"tags": []})  # type: ignore[union-attr]
    monkeypatch.setattr(index, "find", lambda _: facts)
    found = resolving.resolve(f"tu-test_vit.{tags[0].name}")
    assert found is not None
    assert found.weights[tags[0].name].repo_id == tags[0].repo_id


def test_a_model_without_weights_has_no_tags() -> None:
    assert tags_of("test_coatnet") == tags_of("nope") == ()


def test_every_former_name_of_the_installed_timm_is_known() -> None:
    assert {name: index.today(name) for name in regenerate.former_names()} == regenerate.former_names()
