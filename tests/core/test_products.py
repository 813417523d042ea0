"""Products of the places of tiles by packed kernels, against plain ones."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from smp_core.layers import products
from smp_core.layers.products import HeldKernel, may_pack, multiply, pack, unpack

needs_onednn = pytest.mark.skipif(not may_pack(torch.zeros(1)), reason="torch without oneDNN")


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def rows_of(places: int, rows: int, channels: int) -> Tensor:
    """(places, rows, channels), those of a row neighbours in memory."""
    return normal(rows, places, channels).transpose(0, 1)


@needs_onednn
@pytest.mark.parametrize("shape", [(16, 64, 64), (36, 5, 7), (36, 96, 17), (4, 130, 100), (1, 1, 1)])
@pytest.mark.parametrize("rows", [1, 9, 63, 64, 200])
def test_a_packed_kernel_gives_the_product(shape: tuple[int, int, int], rows: int) -> None:
    kernel, x = normal(*shape), rows_of(shape[0], rows, shape[1])
    found = multiply(x, pack(kernel, rows))
    torch.testing.assert_close(found, torch.bmm(x, kernel), rtol=1e-4, atol=1e-4)
    assert found.transpose(0, 1).is_contiguous()


@needs_onednn
@pytest.mark.parametrize("shape", [(16, 64, 64), (36, 5, 7), (36, 96, 17), (4, 512, 100)])
@pytest.mark.parametrize("rows", [3, 200])
def test_unpacked_it_is_what_it_was(shape: tuple[int, int, int], rows: int) -> None:
    kernel = normal(*shape)
    assert torch.equal(unpack(pack(kernel, rows), shape[2]), kernel)


def rows_packed_for(held: HeldKernel, calls: list[int]) -> list[int]:
    """Of each of some calls whether the kernel was packed for its rows, 0 if not."""
    found = []
    for rows in calls:
        kernel = held.for_rows(rows)
        assert kernel is held._held[0]
        found.append(rows if kernel.is_mkldnn else 0)
    return found


@needs_onednn
def test_it_is_packed_for_the_first_number_and_for_others_the_more_seldom_the_more_they_change() -> None:
    kernel = normal(16, 24, 32)
    held = HeldKernel(kernel)
    assert rows_packed_for(held, [9, 9]) == [9, 9]
    assert rows_packed_for(held, [8, 8, 8]) == [0, 8, 8]
    assert rows_packed_for(held, [9, 8, 9, 8]) == [0, 0, 0, 0]
    assert rows_packed_for(held, [9, 9, 9, 9, 9]) == [0, 0, 0, 9, 9]
    assert rows_packed_for(held, [7] * 9) == [0] * 7 + [7, 7]
    assert torch.equal(held.as_computed(), kernel)


@needs_onednn
def test_another_number_of_threads_is_another_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldKernel(normal(16, 24, 32))
    assert rows_packed_for(held, [9, 9]) == [9, 9]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert rows_packed_for(held, [9, 9, 9]) == [0, 9, 9]
    assert held.for_graph(9)[1:] == (9, 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert held.for_graph(9)[1:] == (0, 0)


@needs_onednn
def test_graphs_have_one_packed_kernel_and_one_that_is_not() -> None:
    kernel = normal(16, 24, 32)
    held = HeldKernel(kernel)
    packed, *packed_for = held.for_graph(9)
    assert packed.is_mkldnn
    assert packed_for == [9, torch.get_num_threads()]
    assert held.for_rows(9) is packed
    others = [held.for_graph(rows) for rows in (0, 8, 7)]
    assert all(torch.equal(other[0], kernel) and other[1:] == (0, 0) for other in others)
    assert others[0][0] is others[1][0] is others[2][0]
    assert held.for_graph(9)[0] is packed
    torch.use_deterministic_algorithms(True)
    try:
        assert held.for_graph(9)[1:] == (0, 0)
    finally:
        torch.use_deterministic_algorithms(False)


@needs_onednn
def test_one_size_gives_the_same_from_the_first_call_on() -> None:
    held, x = HeldKernel(normal(16, 256, 256)), rows_of(16, 40, 256)
    first = multiply(x, held.for_rows(40))
    assert all(torch.equal(multiply(x, held.for_rows(40)), first) for _ in range(3))


def test_nothing_is_packed_where_torch_is_to_be_deterministic() -> None:
    held = HeldKernel(normal(16, 24, 32))
    torch.use_deterministic_algorithms(True)
    try:
        assert rows_packed_for(held, [9, 9]) == [0, 0]
    finally:
        torch.use_deterministic_algorithms(False)


@needs_onednn
def test_what_is_packed_is_taken_apart_where_onednn_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldKernel(normal(16, 24, 32))
    assert rows_packed_for(held, [9]) == [9]
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert rows_packed_for(held, [9, 9]) == [0, 0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_are_not_packed(dtype: torch.dtype) -> None:
    kernel = normal(16, 24, 32).to(dtype)
    assert HeldKernel(kernel).for_rows(9) is kernel


@pytest.mark.parametrize("again", [copy.deepcopy, lambda held: pickle.loads(pickle.dumps(held))])
def test_a_copy_has_the_kernel_as_it_was_computed(again: Callable[[HeldKernel], HeldKernel]) -> None:
    kernel = normal(16, 24, 32)
    held = HeldKernel(kernel)
    held.for_rows(9)
    copied = again(held)
    assert torch.equal(copied.as_computed(), kernel)
    assert (copied.dtype, copied.device) == (kernel.dtype, kernel.device)


@needs_onednn
def test_what_a_copy_is_made_of_is_kept_for_as_long_as_another_process_reads_it() -> None:
    held = HeldKernel(normal(16, 24, 32))
    held.for_rows(9)
    _, (given,) = held.__reduce__()
    assert held.as_computed() is given
    assert rows_packed_for(held, [9]) == [9]


@needs_onednn
def test_threads_with_other_sizes_have_their_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = normal(16, 24, 32)
    held, wrong = HeldKernel(kernel), []
    packed_for: dict[int, int] = {}

    def noting(given: Tensor, rows: int) -> Tensor:
        made = pack(given, rows)
        kept.append(made)
        packed_for[id(made)] = rows
        return made

    kept: list[Tensor] = []
    monkeypatch.setattr(products, "pack", noting)

    def call(rows: int) -> None:
        for turn in range(200):
            found = held.for_rows(rows + turn // 50)
            if found.is_mkldnn and packed_for[id(found)] != rows + turn // 50:
                wrong.append(rows)

    threads = [threading.Thread(target=call, args=(rows,)) for rows in (5, 70, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert torch.equal(held.as_computed(), kernel)
