"""A check of where features look: what changes in one part of the image changes that part of a feature most."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_testing.cases import ModuleCase
from smp_testing.expectations import expect

# The image has so many parts: flips, transpositions and shifts show, and rows are not columns.
_ROWS, _COLUMNS = 2, 3
_PARTS = tuple(itertools.product(range(_ROWS), range(_COLUMNS)))
# A mirrored feature has two right at most, and chance finds one of six.
_ENOUGH = 4
# Cells of the deepest feature in a part. Where layers see all of a small image, places only show in a larger one.
_CELLS = (1, 2, 4)
# What changes in a feature that hardly sees other parts has a middle, and this is near to that of the change: within
# two of its own cells, or half of one of the deepest feature, where what is coarse is added to it.
_LOCAL, _NEAR, _NEAR_OF_LARGEST = 5.5, 2.0, 0.5
# Attention with random weights may mix all of the image evenly: then whatever changes, the same numbers change. Those
# that a scrambled feature changes are others for each part.
_SAME_EVERYWHERE = 0.5


def features_keep_their_place(case: ModuleCase) -> None:
    """What changes in one part of the image changes that part of each feature, level or mask most."""
    module = case.settled()
    wrong: dict[int, str] = {}
    for cells in _CELLS:
        found = _misplaced(case, module, cells)
        # What keeps its place at one size does; chance does not find four of six.
        wrong = found if cells == _CELLS[0] else {index: text for index, text in found.items() if index in wrong}
        if not wrong:
            return
    index, text = next(iter(wrong.items()))
    expect(
        False,
        f"{case.name}: output {index} does not lie where it looks: {text}; expected it to change there most where the "
        "image does",
        hint="tokens (N, H * W, C) become a map by .transpose(1, 2).reshape(N, C, H, W), rows before columns; what "
        "is flipped, rolled or transposed on the way is put back",
    )


def _misplaced(case: ModuleCase, module: nn.Module, cells: int) -> dict[int, str]:
    """The outputs that change elsewhere than the image does, and how."""
    part = cells * case.unit
    x = case.image(1, _ROWS * part, _COLUMNS * part)
    with torch.no_grad():
        outputs = case.run(module, torch.cat([x, *(_changed(x, row, column, part) for row, column in _PARTS)]))
    found = {}
    for index, output in enumerate(outputs):
        # Not labels, nor prefix tokens; a level of a larger reduction has no places to tell apart.
        if output.dim() == 4 and output.shape[2] >= _ROWS and output.shape[3] >= _COLUMNS:
            changes = output[1:].double() - output[:1].double()
            differences = changes.square().sum(1)
            wrong = _wrong_parts(differences) or _wrong_middles(differences, part, case.unit)
            if wrong and cells == _CELLS[-1] and _alike(changes) > _SAME_EVERYWHERE:
                continue
            found.update({index: wrong} if wrong else {})
    return found


def _changed(x: Tensor, row: int, column: int, part: int) -> Tensor:
    """The image with other pixels in the first quarter of a part, which is nearest to it wherever cells are centred."""
    # Convolutions with padding centre a cell on its first pixel, patches on their middle.
    size = _size_of_change(part)
    other = x.clone()
    noise = 3 * torch.randn((1, x.shape[1], size, size), generator=torch.Generator().manual_seed(5))
    other[:, :, row * part : row * part + size, column * part : column * part + size] += noise
    return other


def _size_of_change(part: int) -> int:
    return max(part // 2, 1)


def _followed(differences: Tensor) -> Tensor:
    """How much each part of a feature, (N, H, W), follows a change in each part of the image: about 1 on average.

    Some parts follow every change more than others do, and some changes are seen everywhere: padding, gates and random
    weights see to that. So rows and columns are brought to the same sums.
    """
    changes = functional.adaptive_avg_pool2d(differences[:, None], (_ROWS, _COLUMNS)).flatten(1)
    changes = changes + 1e-12 * changes.max() + 1e-300
    for _ in range(10):
        changes = changes / changes.mean(0, keepdim=True)
        changes = changes / changes.mean(1, keepdim=True)
    return changes


def _wrong_parts(differences: Tensor) -> str:
    """Which parts change where others do, if too many; empty where all is well."""
    nearest = [_PARTS[int(row.argmax())] for row in _followed(differences)]
    pairs = [(changed, follows) for changed, follows in zip(_PARTS, nearest, strict=True) if changed != follows]
    if len(_PARTS) - len(pairs) >= _ENOUGH:
        return ""
    text = ", ".join(f"{changed} changes part {follows}" for changed, follows in pairs)
    return f"of the image in {_ROWS} x {_COLUMNS} parts (row, column), part {text}"


def _alike(changes: Tensor) -> float:
    """How alike the sizes of what several changes change, (N, C, H, W), are: 1 if they are the same, 0 if apart."""
    sizes = functional.normalize(changes.abs().flatten(1), dim=1)
    alike = sizes @ sizes.T
    return float((alike.sum() - alike.diagonal().sum()) / (len(sizes) * (len(sizes) - 1)))


def _wrong_middles(differences: Tensor, part: int, unit: int) -> str:
    """How far the middle of what changes is from that of the change, if it is too far; empty where all is well."""
    if _followed(differences).diagonal().mean() < _LOCAL:
        return ""
    weights = differences / differences.sum((1, 2), keepdim=True).clamp(min=1e-300)
    for axis, name, number in ((0, "down", _ROWS), (1, "to the right", _COLUMNS)):
        length = differences.shape[1 + axis]
        cell = number * part / length
        centres = (torch.arange(length, dtype=torch.float64) + 0.5) * cell
        middles = (weights.sum(2 - axis) * centres).sum(1)
        starts = torch.tensor([place[axis] * part for place in _PARTS], dtype=torch.float64)
        offset = float((middles - starts - _size_of_change(part) / 2).mean())
        if abs(offset) > max(_NEAR * cell, _NEAR_OF_LARGEST * unit):
            return (
                f"what changes is {offset:.1f} pixels further {name} than in the image, and its cells are of {cell:g}"
            )
    return ""
