"""Wheels that were built from the sources of 1.0 keep working with the core of today."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from installed_site import Site

FROZEN = Path(__file__).parent / "frozen"
USE = """
import json, sys, torch, smp_core
import smp_fpn.model, smp_mobilenet.encoder
torch.manual_seed(0)
model = smp_core.create("fpn", "mobilenet_v2", encoder_weights=None, classes=3)
x = torch.randn(2, 3, 50, 64)
loss = model(x).square().mean()
loss.backward()
torch.optim.SGD(model.parameters(), lr=0.01).step()
model.save_pretrained(sys.argv[1])
again = smp_core.from_pretrained(sys.argv[1])
scripted = torch.jit.script(again) if sys.version_info < (3, 14) else again
x = torch.randn(1, 3, 70, 33)
with torch.inference_mode():
    print(json.dumps([
        smp_fpn.model.__file__,
        smp_mobilenet.encoder.__file__,
        list(again.predict(x).shape),
        torch.equal(again.predict(x), model.predict(x)),
        torch.allclose(scripted(x), again(x), atol=1e-5),
        {record.distribution: record.status for record in smp_core.plugins()},
    ]))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("frozen"), sorted(FROZEN.glob("*.whl")))


def test_they_are_discovered_build_train_save_and_load(site: Site, tmp_path: Path) -> None:
    architecture, encoder, shape, same, scripted, statuses = site.run(USE, tmp_path / "model")
    for file in (architecture, encoder):
        assert Path(file).is_relative_to(site.folder)
    assert shape == [1, 3, 70, 33]
    assert same is True
    assert scripted is True
    assert (statuses["smp-fpn"], statuses["smp-mobilenet"]) == ("ok", "ok")


def test_nothing_is_wrong_with_them(site: Site) -> None:
    doctor = json.loads(site.start("-m", "smp_cli", "plugins", "doctor", "--json").stdout)
    frozen = [item for item in doctor["plugins"] if item["location"] == str(site.folder)]
    assert sorted(item["distribution"] for item in frozen) == ["smp-fpn", "smp-mobilenet"]
    kinds = {item["kind"] for item in doctor["findings"] if item["distribution"] in ("smp-fpn", "smp-mobilenet")}
    assert kinds <= {"duplicate", "editable"}  # beside those of the work tree, which they hide
