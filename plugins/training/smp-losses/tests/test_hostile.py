"""Tensors that hold their values in another way than one by one."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import smp_losses

_LOSSES: dict[str, Callable[[], torch.nn.Module]] = {
    "DiceLoss": lambda: smp_losses.DiceLoss("binary"),
    "JaccardLoss": lambda: smp_losses.JaccardLoss("binary"),
    "TverskyLoss": lambda: smp_losses.TverskyLoss("binary"),
    "FocalLoss": lambda: smp_losses.FocalLoss("binary"),
    "LovaszLoss": lambda: smp_losses.LovaszLoss("binary"),
    "MCCLoss": smp_losses.MCCLoss,
    "SoftBCEWithLogitsLoss": smp_losses.SoftBCEWithLogitsLoss,
    "SoftCrossEntropyLoss": smp_losses.SoftCrossEntropyLoss,
}
_DENSE = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
_ODD: dict[str, Callable[[], Tensor]] = {
    "torch.sparse_coo": _DENSE.to_sparse,
    "torch.quint8": lambda: torch.quantize_per_tensor(_DENSE, 0.1, 0, torch.quint8),
    "torch.float8_e4m3fn": lambda: _DENSE.to(torch.float8_e4m3fn),
    "nested": lambda: torch.nested.nested_tensor([_DENSE[0], _DENSE[1]]),
}


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("kind", _ODD)
@pytest.mark.parametrize("name", _LOSSES)
def test_tensors_that_are_not_dense(name: str, kind: str) -> None:
    loss, odd = _LOSSES[name](), _ODD[kind]()
    message = f": {{}} must be a dense tensor in a dtype to compute with; it is {kind}"
    with pytest.raises(TypeError, match=f"^{name}.*{re.escape(message.format('y_pred'))}$"):
        loss(odd, _DENSE.round())
    with pytest.raises(TypeError, match=f"^{name}.*{re.escape(message.format('y_true'))}$"):
        loss(_DENSE, odd)


def test_a_number_of_values_that_depends_on_the_labels_is_not_mapped() -> None:
    loss = smp_losses.FocalLoss("binary", ignore_index=255, reduction="none", smp_values=True)
    labels = _DENSE.round()
    labels[0, 0, 0, 0] = 255
    assert loss(_DENSE, labels).shape == (31,)
    with pytest.raises(RuntimeError, match=r"^FocalLoss \(binary\): smp_values=True with .* pass smp_values=False"):
        torch.vmap(loss)(_DENSE.unsqueeze(1), labels.unsqueeze(1))
