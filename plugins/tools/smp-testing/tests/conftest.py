"""Distributions that are on the path while a test module runs, as if they were installed."""

import signal
import sys
from pathlib import Path

import pytest

import smp_core

SITE = Path(__file__).parent / "site"


@pytest.fixture(autouse=True)
def _interrupts():
    """As at a terminal: jobs in the background of a shell ignore interrupts already."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def weight_files(tmp_path_factory):
    """A folder with the package ``acme_files``, which holds weights of the test encoders, right and wrong ones."""
    import safetensors.torch
    import torch

    sys.path.insert(0, str(SITE))
    from acme_wrong.encoders import Right

    sys.path.remove(str(SITE))
    folder = tmp_path_factory.mktemp("files") / "acme_files"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    torch.default_generator.manual_seed(0)
    right = Right().state_dict()
    sets = {
        "right": right,
        "prefixed": {f"backbone.{key}": value for key, value in right.items()},
        "foreign": {key.replace("stages", "layers"): value for key, value in right.items()},
        "wide": {key: torch.cat([value, value]) if value.dim() else value for key, value in right.items()},
        "incomplete": {key: value for key, value in right.items() if not key.startswith("stages.4.")},
        "integers": {key: value.to(torch.int32) for key, value in right.items()},
    }
    for name, state_dict in sets.items():
        safetensors.torch.save_file(state_dict, folder / f"{name}.safetensors")
    whole = (folder / "right.safetensors").read_bytes()
    (folder / "truncated.safetensors").write_bytes(whole[: len(whole) // 2])
    for name in ("right.pth", "renamed.safetensors"):
        torch.save(right, folder / name)
    return folder.parent


@pytest.fixture(autouse=True, scope="module")
def site(weight_files):
    folders = [str(SITE), str(weight_files)]
    sys.path[:0] = folders
    smp_core.refresh()
    yield SITE
    for folder in folders:
        sys.path.remove(folder)
    smp_core.refresh()
