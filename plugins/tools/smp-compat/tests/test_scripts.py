"""Scripts of SMP's users run with only the import changed, and give SMP's numbers.

The scripts are in scripts/, written as for segmentation_models_pytorch, and leave numbers, shapes and names in RESULT.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import os
import re
import runpy
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_server import Hub, serve
from torch import nn

import smp_compat
import smp_core

SCRIPTS = Path(__file__).parent / "scripts"
PEER = "segmentation_models_pytorch"
OURS = "smp_compat"

needs_the_peer = [
    pytest.mark.parity,
    pytest.mark.skipif(
        importlib.util.find_spec(PEER) is None, reason="the peer is installed in the parity session only"
    ),
    pytest.mark.filterwarnings("ignore"),  # what the peer and its dependencies warn of is not ours to mend
]

# Each with some of what it has to leave in RESULT.
HERE: dict[str, dict[str, Any]] = {
    "multiclass_lightning": {},
    "multi_head": {"shapes": {"label": [4, 3, 64, 64], "area": [4, 1, 64, 64], "count": [4, 3]}},
    "labels_of_images": {"shapes": [[4, 4, 64, 64], [4, 4]]},
    "competition": {},
    "freezing": {"unchanged": True},
    "resuming": {"same": True, "epoch": 2},
    "own_encoder": {"names": ["u-plain", "deeplabv3plus-plain"], "channels": [2, 8, 12, 16], "listed": True},
    "subclass": {"embedding": [4, 8], "is a Unet": True, "is a model": True, "name": "u-resnet18"},
    "change_detection": {"name": "siamese-resnet18"},
    "old_trainer": {"kept": True},
    "onnx_conversion": {"close": True, "inputs": ["image"], "outputs": ["mask"], "shape": [3, 2, 64, 64]},
}
ON_A_HUB: dict[str, dict[str, Any]] = {
    "camvid": {"shape": [1, 3, 64, 64]},
    "binary_lightning": {"name": "fpn-resnet18", "logged": ["valid_dataset_iou", "valid_per_image_iou"]},
    "segformer_inference": {"type": "Segformer", "shape": [1, 20, 64, 64], "encoder": "mit_b0"},
    "dpt_inference": {"type": "DPT", "shape": [1, 10, 224, 224], "options": ["cat", 4]},
    "upernet_inference": {"type": "UPerNet", "name": "upernet-tu-convnext_atto"},
    "save_share": {"same": [True] * 4, "type": "PAN", "class": "PAN", "card": [True] * 3, "wider": [2, 7, 128, 128]},
}
# Not compared in float64, as nothing is trained.
IN_FLOAT32 = ("onnx_conversion", *(set(ON_A_HUB) - {"camvid", "binary_lightning"}))
PRETRAINED = {
    "acme/segformer-b0-64x64-ade-160k": ("Segformer", "mit_b0", {"classes": 20}),
    "acme/dpt-tiny-ade20k": ("DPT", "tu-vit_tiny_patch16_224", {"classes": 10}),
    "acme/upernet-convnext-tiny": ("UPerNet", "tu-convnext_atto", {"classes": 12, "decoder_channels": 32}),
}

# What Lightning says of a small training on the CPU, and does itself.
LIGHTNING_SAYS = [
    "The 'train_dataloader' does not have many workers",
    "The 'val_dataloader' does not have many workers",
    "The 'test_dataloader' does not have many workers",
    "The number of training batches (3) is smaller than the logging interval",
    "`isinstance(treespec, LeafSpec)` is deprecated",
]
WIDER = "not everything was loaded; left at their initialisation"  # a head of other classes
LOSSES = 1e-4  # relative; layers here sum in another order
METRICS = 1e-6  # absolute; they count pixels


# --- running a script


def text_of(name: str, library: str) -> str:
    """A script with the library's name in its import lines."""
    text = (SCRIPTS / f"{name}.py").read_text()
    return re.sub(rf"^(import|from) {PEER}\b", rf"\1 {library}", text, flags=re.MULTILINE)


def write(name: str, library: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(text_of(name, library))
    return path


def run_here(name: str, library: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """RESULT of a script that ran in this process, in a folder of its own."""
    path = write(name, library, folder / library)
    monkeypatch.chdir(path.parent)
    monkeypatch.syspath_prepend(SCRIPTS)
    result: dict[str, Any] = runpy.run_path(str(path), run_name="__main__")["RESULT"]
    return result


@pytest.fixture
def _in_float64(request: pytest.FixtureRequest) -> Iterator[None]:
    """What is compared is computed in float64: in float32 training lets the rounding of sums grow, in the peer too."""
    if request.node.callspec.params.get("name") not in IN_FLOAT32:
        torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# The client of the Hub reads HF_ENDPOINT when it is imported: hence another process, one for all scripts.
_RUN = """
import json, runpy, sys, torch
results = []
for item in sys.argv[1:]:
    dtype, path = item.split(":", 1)
    torch.set_default_dtype(getattr(torch, dtype))
    results.append(runpy.run_path(path, run_name="__main__")["RESULT"])
print("RESULTS:" + json.dumps(results))
"""


def run_on(hub: Hub, names: list[str], library: str, folder: Path) -> dict[str, dict[str, Any]]:
    """RESULT of each script, in a process that takes a hub on the loopback interface for the Hugging Face Hub."""
    dtype = str(torch.get_default_dtype()).partition(".")[2]
    paths = [f"{'float32' if name in IN_FLOAT32 else dtype}:{write(name, library, folder / library)}" for name in names]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING", "SMP_"))}
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / library / "home"), "HF_TOKEN": "hf_write"}
    own["PYTHONPATH"] = os.pathsep.join((str(SCRIPTS), os.environ.get("PYTHONPATH", "")))
    known = [f"ignore:{message}" for message in (WIDER, *LIGHTNING_SAYS)]
    warnings = ["error", *known] if library == OURS else ["ignore"]
    options = [part for item in warnings for part in ("-W", item)]
    command = [sys.executable, *options, "-c", _RUN, *paths]
    done = subprocess.run(
        command, cwd=folder / library, env={**kept, **own}, capture_output=True, text=True, check=False
    )
    found = re.search("^RESULTS:(.*)$", done.stdout, re.MULTILINE)
    assert found, f"{done.stdout}\n{done.stderr}"
    return dict(zip(names, json.loads(found[1]), strict=True))


def pretrained(library: str, folder: Path) -> dict[str, dict[str, bytes]]:
    """Repositories of saved models, as the library writes them."""
    smp, common = importlib.import_module(library), runpy.run_path(str(SCRIPTS / "common.py"))
    repositories = {}
    for repo, (kind, encoder, options) in PRETRAINED.items():
        model = common["start_from"](getattr(smp, kind)(encoder, encoder_weights=None, **options))
        model.save_pretrained(folder / repo)
        repositories[repo] = {path.name: path.read_bytes() for path in (folder / repo).iterdir()}
    return repositories | how_images_are_prepared()


def how_images_are_prepared() -> dict[str, dict[str, bytes]]:
    """The repository that the peer asks; ours knows it from the encoder's spec."""
    weights = smp_core.describe("resnet18").spec.weights["imagenet"]
    config = {key: getattr(weights, key) for key in ("mean", "std", "input_space", "input_range")}
    files = {"config.json": json.dumps(config).encode()}
    return {str(weights.repo_id): files, f"{weights.repo_id}@{weights.revision}": files}


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """What scripts register and import does not outlive them."""
    yield
    sys.modules.pop("common", None)
    for library in filter(None, map(sys.modules.get, (PEER, OURS))):
        if "plain" in library.encoders.encoders:
            del library.encoders.encoders["plain"]


# --- what has to hold of results


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """All floats of a result with where they are."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from numbers(item, f"{path}/{key}")
    if isinstance(value, float):
        yield path, value


def without_numbers(value: Any) -> Any:
    """A result with None in the place of each float."""
    if isinstance(value, Mapping):
        return {key: without_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_numbers(item) for item in value]
    return None if isinstance(value, float) else value


def assert_sane(result: dict[str, Any], expected: dict[str, Any]) -> None:
    found = dict(numbers(result))
    assert all(map(math.isfinite, found.values())), found
    assert all(0 <= value <= 1 for path, value in found.items() if path.startswith("/metrics")), found
    losses = {round(value, 6) for path, value in found.items() if path.startswith("/losses")}
    assert len(losses) > 2 or "losses" not in result, losses
    assert {key: result[key] for key in expected} == expected
    json.dumps(result)


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert without_numbers(ours) == without_numbers(theirs)
    expected = dict(numbers(theirs))
    worst: dict[str, float] = {}
    for path, value in numbers(ours):
        other, part = expected[path], path.split("/")[1]
        if part == "metrics":
            assert value == pytest.approx(other, rel=0, abs=METRICS), path
        else:
            assert value == pytest.approx(other, rel=LOSSES, abs=1e-7), path
        worst[part] = max(worst.get(part, 0), abs(value - other) / max(abs(other), 1e-12))
    print("largest relative deviations:", {part: f"{value:.1e}" for part, value in worst.items()})


# --- the scripts


def test_only_imports_are_changed() -> None:
    names = {path.stem for path in SCRIPTS.glob("*.py")} - {"common"}
    assert names == {*HERE, *ON_A_HUB}
    assert len(names) >= 12
    for name in names:
        before = (SCRIPTS / f"{name}.py").read_text().splitlines()
        after = text_of(name, OURS).splitlines()
        changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
        assert (f"import {PEER} as smp", f"import {OURS} as smp") in changed, name
        for old, new in changed:
            assert re.match(rf"(import|from) {PEER}\b", old), name
            assert new == old.replace(PEER, OURS, 1), name
        assert PEER not in "\n".join(after), name


LIGHTNING = [pytest.mark.filterwarnings(f"ignore:{re.escape(item)}") for item in LIGHTNING_SAYS]
OLD = [pytest.mark.filterwarnings("ignore:smp_compat.utils is deprecated:DeprecationWarning")]


def marks(name: str) -> list[pytest.MarkDecorator]:
    return LIGHTNING if name.endswith("_lightning") else OLD if name == "old_trainer" else []


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in HERE])
def test_a_script(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_sane(run_here(name, OURS, tmp_path, monkeypatch), HERE[name])


@pytest.mark.usefixtures("_in_float64")
@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_the_peer) for name in HERE])
def test_a_script_gives_the_numbers_of_the_peer(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = run_here(name, PEER, tmp_path, monkeypatch)
    assert_sane(theirs, HERE[name])
    assert_same(run_here(name, OURS, tmp_path, monkeypatch), theirs)


def test_scripts_that_use_the_hub(tmp_path: Path) -> None:
    with serve() as hub:
        hub.files.update(pretrained(OURS, tmp_path))
        results = run_on(hub, [*ON_A_HUB], OURS, tmp_path)
        for name, result in results.items():
            assert_sane(result, ON_A_HUB[name])
        assert {"acme/discs-pan", "acme/again"} <= hub.files.keys()


@pytest.mark.usefixtures("_in_float64")
@pytest.mark.parametrize("by", [pytest.param(PEER, marks=needs_the_peer), pytest.param(OURS, marks=needs_the_peer)])
def test_scripts_that_use_the_hub_give_the_numbers_of_the_peer(by: str, tmp_path: Path) -> None:
    """Whichever library wrote what is on the hub."""
    results = []
    for library in (PEER, OURS):
        with serve() as hub:
            hub.files.update(pretrained(by, tmp_path / by / library))
            results.append(run_on(hub, [*ON_A_HUB], library, tmp_path))
    for name, theirs in results[0].items():
        assert_sane(theirs, ON_A_HUB[name])
        assert_same(results[1][name], theirs)


# --- a model that was pickled whole


def without_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == PEER]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, PEER, None)


def read_in_the_clear_way(path: Path, build: Any, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """The model, of a file that names classes which are not there: say which model it is, and its tensors are read."""
    without_the_peer(monkeypatch)
    with pytest.raises(ModuleNotFoundError, match=PEER):
        torch.load(path, weights_only=False)
    with pytest.raises(smp_core.errors.CheckpointError, match=r"does not say which model it holds; pass blueprint="):
        smp_compat.from_pretrained(path)
    wanted = build()
    with pytest.warns(UserWarning, match=rf"the tensors were read, nothing was run, and .*: .*{PEER}\."):
        model = smp_compat.from_pretrained(path, blueprint=wanted.blueprint)
    assert type(model) is type(wanted)
    assert model.name == wanted.name
    assert not model.training
    return model


def test_a_model_pickled_whole_by_a_library_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> nn.Module:
        return smp_compat.Unet("resnet18", encoder_weights=None, classes=2)

    model = build()
    home = types.ModuleType(f"{PEER}.decoders.unet.model")
    home.Unet = type("Unet", (nn.Module,), {"__module__": home.__name__, "__qualname__": "Unet"})  # type: ignore[attr-defined]
    pickled = home.Unet()  # type: ignore[attr-defined]
    for name, part in model.named_children():
        pickled.add_module(name, part)
    with monkeypatch.context() as patch:
        for name in (PEER, f"{PEER}.decoders", f"{PEER}.decoders.unet"):
            patch.setitem(sys.modules, name, types.ModuleType(name))
        patch.setitem(sys.modules, home.__name__, home)
        torch.save(pickled, tmp_path / "whole.pth")
    read = read_in_the_clear_way(tmp_path / "whole.pth", build, monkeypatch)
    image = torch.zeros(1, 3, 64, 64)
    assert torch.equal(read(image), model.eval()(image))


WHOLE = {
    "Unet": ("mobilenet_v2", {"classes": 2}),
    "DeepLabV3Plus": ("resnet18", {"classes": 3, "aux_params": {"classes": 2}}),
    "Segformer": ("mit_b0", {}),
    "DPT": ("tu-vit_tiny_patch16_224", {"classes": 4}),
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=needs_the_peer) for kind in WHOLE])
def test_a_model_pickled_whole_by_the_peer(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, options = WHOLE[kind]
    peer, common = importlib.import_module(PEER), runpy.run_path(str(SCRIPTS / "common.py"))
    model = common["start_from"](getattr(peer, kind)(encoder, encoder_weights=None, **options)).eval()
    torch.save(model, tmp_path / "whole.pth")
    image = common["pictures"](1, 224)[0]
    with torch.no_grad():
        expected = model(image)
        build = lambda: getattr(smp_compat, kind)(encoder, encoder_weights=None, **options)  # noqa: E731
        found = read_in_the_clear_way(tmp_path / "whole.pth", build, monkeypatch)(image)
    for one, other in zip([*found], [*expected], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * other.abs().max().item())
