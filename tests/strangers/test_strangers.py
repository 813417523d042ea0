"""Plugins of strangers, with other build backends, wrapping other libraries: all that a user does with them works."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from installed_site import Site

HERE = Path(__file__).parent
DISTRIBUTIONS = {
    "nordic-smp-regnet": ["nordic_regnet_400mf", "nordic_regnet_mini"],
    "fjord-hf": ["fjord_convnextv2", "fjord_dinov2"],
    "acme-smp-fuse": ["acme_fuse"],
    "acme-smp-stairs": ["acme_stairs"],
    "acme-smp-tools": ["count"],
}
# Which models are trained, saved, loaded and missed: each over parts of strangers.
MODELS = {
    "regnet": ('"unet", "nordic_regnet_mini", encoder_options={"gates": False}', "nordic-smp-regnet"),
    "convnextv2": ('"acme_fuse", "fjord_convnextv2"', "acme-smp-fuse"),
    "dinov2": ('"unet", "fjord_dinov2", neck="acme_stairs"', "acme-smp-stairs"),
}
TRAIN = """
import json, sys, torch, smp_core
torch.manual_seed(0)
model = smp_core.create({arguments}, encoder_weights=None, classes=2)
x, y = torch.randn(2, 3, 70, 65), torch.randint(2, (2, 70, 65))
before = [parameter.detach().clone() for parameter in model.parameters()]
loss = torch.nn.functional.cross_entropy(model(x), y)
loss.backward()
torch.optim.Adam(model.parameters(), lr=0.01).step()
still = [n for (n, p), b in zip(model.named_parameters(), before) if torch.equal(p.detach(), b)]
model.save_pretrained(sys.argv[1])
torch.save([x, model.predict(x)], sys.argv[2])
print(json.dumps([loss.item(), still]))
"""
LOAD = """
import json, sys, torch, smp_core
try:
    model = smp_core.from_pretrained(sys.argv[1])
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
else:
    x, expected = torch.load(sys.argv[2], weights_only=True)
    print(json.dumps([torch.equal(model.predict(x), expected), type(model).__name__]))
"""


def test_each_is_discovered_and_nothing_is_wrong_with_it(site) -> None:
    done = site.start("-m", "smp_cli", "plugins", "list", "--json")
    records = {record["module"]: record for record in json.loads(done.stdout)}
    for names in DISTRIBUTIONS.values():
        (record,) = [item for item in records.values() if [*item["encoders"], *_others(item)] == names]
        assert (record["status"], record["error"]) == ("ok", None)
    assert {records["fjord_hf.plugin"]["distribution"], records["acme_fuse.plugin"]["version"]} == {
        "Fjord.Smp_HF",
        "1.1.0rc1",
    }
    doctor = json.loads(site.start("-m", "smp_cli", "plugins", "doctor", "--json").stdout)
    whose = {record["distribution"] for record in records.values() if "smp_" not in record["module"]}
    assert len(whose) >= len(DISTRIBUTIONS)
    assert [item for item in doctor["findings"] if item["distribution"] in whose] == []


def _others(record) -> list[str]:
    return [*record["architectures"], *record["necks"], *record["commands"]]


@pytest.mark.parametrize("distribution", [name for name in DISTRIBUTIONS if name != "acme-smp-tools"])
def test_each_passes_the_checks(site, distribution: str, tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    shutil.copytree(HERE / "distributions" / distribution / "tests", tests)
    options = ("-q", "-p", "no:cacheprovider", "-W", "error", f"--basetemp={tmp_path / 'base'}", "--rootdir", tests)
    done = site.start("-m", "pytest", *options, tests, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


@pytest.mark.parametrize("name", MODELS)
def test_each_trains_is_saved_loaded_in_a_fresh_process_and_missed(site: Site, name: str, tmp_path: Path) -> None:
    arguments, distribution = MODELS[name]
    own = site.copied(tmp_path / "site")
    folder, numbers = tmp_path / "model", tmp_path / "numbers.pt"
    loss, still = own.run(TRAIN.replace("{arguments}", arguments), folder, numbers)
    assert 0 < loss < 10
    assert still == []
    same, kind = own.run(LOAD, folder, numbers)
    assert same is True
    assert kind == ("AcmeFuse" if name == "convnextv2" else "Unet")
    own.uninstall(distribution)
    kind, message = own.run(LOAD, folder, numbers)
    assert kind == "MissingPluginError"
    assert message.startswith(f"this model was saved with '{distribution}/")
    assert f"no plugin of the distribution '{distribution}' is installed; run: pip install {distribution}" in message


def test_a_command_runs_and_goes(site: Site, tmp_path: Path) -> None:
    site = site.copied(tmp_path / "site")
    assert "Count a saved model's parameters." in site.start("-m", "smp_cli", "--help").stdout
    missing = site.start("-m", "smp_cli", "count", tmp_path)
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: no config.json in ")
    site.uninstall("acme-smp-tools")
    gone = site.start("-m", "smp_cli", "count", tmp_path)
    assert gone.returncode == 2
    assert "No such command 'count'" in gone.stderr
