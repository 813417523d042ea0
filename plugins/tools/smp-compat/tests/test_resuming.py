"""Training that was begun with SMP goes on here: weights, optimizers, checkpoints of Lightning."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import smp_compat

PEER = "segmentation_models_pytorch"
pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(
        importlib.util.find_spec(PEER) is None, reason="the peer is installed in the parity session only"
    ),
    pytest.mark.filterwarnings("ignore"),  # what the peer and Lightning warn of is not ours to mend
]
COMMON = runpy.run_path(str(Path(__file__).parent / "scripts" / "common.py"))

# Architecture, encoder, whether the optimizer's state is taken as it is.
CASES = [
    ("Unet", "resnet18", True),
    ("UnetPlusPlus", "resnet18", True),
    ("MAnet", "mobilenet_v2", True),
    ("Segformer", "mit_b0", True),
    ("UnetPlusPlus", "efficientnet-b0", False),
    ("PSPNet", "resnet18", False),
    ("FPN", "timm-efficientnet-b0", False),
]


def step(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, masks: Tensor) -> float:
    loss = nn.functional.cross_entropy(model(images), masks)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def build(library: str, kind: str, encoder: str) -> nn.Module:
    smp = importlib.import_module(library)
    # In float64, and without what drops at random: encoders draw for themselves.
    model = getattr(smp, kind)(encoder, encoder_weights=None, classes=3).double()
    for layer in model.modules():
        for name in ("p", "drop_rate", "drop_path_rate", "drop_prob", "_drop_connect_rate", "drop_connect_rate"):
            if isinstance(vars(layer).get(name), float):
                setattr(layer, name, 0.0)
    return model


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize(("kind", "encoder", "as_it_is"), CASES)
def test_an_optimizer_goes_on(kind: str, encoder: str, as_it_is: bool, groups: bool) -> None:
    def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
        if not groups:
            return torch.optim.Adam(model.parameters(), lr=1e-4)
        parts = [{"params": getattr(model, part).parameters()} for part in ("decoder", "encoder", "segmentation_head")]
        return torch.optim.AdamW([{**part, "lr": 1e-4 * (1 + i)} for i, part in enumerate(parts)])

    images, masks = COMMON["pictures"](4, classes=3)
    images = images.double()
    peer = COMMON["start_from"](build(PEER, kind, encoder)).eval()
    theirs = optimizer_of(peer)
    for _ in range(3):
        step(peer, theirs, images, masks)
    model = build("smp_compat", kind, encoder).eval()
    model.load_state_dict(peer.state_dict())
    ours = optimizer_of(model)
    state = copy.deepcopy(theirs.state_dict())  # which both would go on changing
    if not as_it_is:
        order = ("decoder", "encoder", "segmentation_head")
        names = [f"{part}.{name}" for part in order for name, _ in peer.get_submodule(part).named_parameters()]
        state = smp_compat.carry_optimizer_state(state, peer.state_dict(), model, names=names if groups else None)
    ours.load_state_dict(state)
    for _ in range(3):
        expected, found = step(peer, theirs, images, masks), step(model, ours, images, masks)
        assert found == pytest.approx(expected, rel=1e-8)


def test_a_checkpoint_of_lightning(tmp_path: Path) -> None:
    pl = pytest.importorskip("pytorch_lightning")

    class Module(pl.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self, library: str) -> None:
            super().__init__()
            self.model = build(library, "UnetPlusPlus", "resnet18")
            self.losses: list[float] = []

        def training_step(self, batch: Any, index: int) -> Tensor:
            loss = nn.functional.cross_entropy(self.model(batch[0]), batch[1])
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.model.parameters(), lr=1e-4)

    images, masks = COMMON["pictures"](8, classes=3)
    data = torch.utils.data.TensorDataset(images.double(), masks)
    loader = torch.utils.data.DataLoader(data, batch_size=4)

    def trainer(epochs: int) -> Any:
        options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        return pl.Trainer(max_epochs=epochs, enable_checkpointing=False, **options)

    begun = Module(PEER)
    COMMON["start_from"](begun.model)
    first = trainer(1)
    first.fit(begun, loader)
    first.save_checkpoint(tmp_path / "last.ckpt")
    losses = []
    for library in (PEER, "smp_compat"):
        module = Module(library)
        trainer(3).fit(module, loader, ckpt_path=tmp_path / "last.ckpt")
        assert len(module.losses) == 4
        losses.append(module.losses)
    assert losses[1] == pytest.approx(losses[0], rel=1e-8)
