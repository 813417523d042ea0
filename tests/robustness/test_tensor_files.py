"""Whatever a file of tensors holds, whole models and encoder weights give the right tensors or an error of ours."""

from __future__ import annotations

import contextlib
import io
import json
import random
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mutations import any_value, mutate
from outcomes import memory_limit, outcome, tally
from safetensors.torch import save
from torch import Tensor

import smp_core

_OPTIONS = {"encoder_depth": 3, "decoder_channels": (8, 8, 8)}


@pytest.fixture(scope="module")
def model() -> smp_core.SegmentationModel:
    torch.manual_seed(0)
    return smp_core.create("unet", "mobilenet_v2", encoder_weights=None, **_OPTIONS)


def _as_torch(content: Any, *, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def _damage(draw: random.Random, data: bytes) -> bytes:
    """Bytes flipped, cut, repeated or filled, near the beginning and the end more often than between."""
    result = bytearray(data)
    place = draw.choice((64, 4096, len(data)))
    start = draw.choice((0, max(len(data) - place, 0)))
    at = min(start + draw.randrange(place), len(data) - 1)
    kind = draw.randrange(5)
    if kind == 0:
        return bytes(result[:at])
    if kind == 1:
        for _ in range(draw.randrange(1, 16)):
            result[min(start + draw.randrange(place), len(data) - 1)] = draw.randrange(256)
    elif kind == 2:
        result[at : at + 8] = draw.randbytes(8)
    elif kind == 3:
        del result[at : at + draw.randrange(1, 200)]
    else:
        result[at:at] = draw.randbytes(draw.randrange(1, 200))
    return bytes(result)


def _other_header(draw: random.Random, data: bytes) -> bytes:
    """A safetensors file whose header says something else."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.dumps(mutate(draw, json.loads(data[8 : 8 + size]))).encode()
    return struct.pack("<Q", draw.choice((len(header), len(header), len(header), 2**63, 0))) + header + data[8 + size :]


def _odd_tensor(draw: random.Random, tensor: Tensor) -> Any:
    ones = torch.ones(3, 3)
    made: list[Callable[[], Any]] = [
        lambda: tensor.to(torch.int8),
        lambda: tensor.bool(),
        lambda: tensor.to(torch.complex64),
        lambda: tensor.double(),
        lambda: tensor.bfloat16(),
        lambda: tensor.reshape(-1),
        lambda: tensor[..., :0],
        lambda: tensor.new_zeros(()),
        lambda: tensor.to_sparse(),
        lambda: ones.to_sparse_csr(),
        lambda: tensor.to("meta"),
        lambda: tensor.new_full((1,), float("nan")).expand(tensor.shape),
        lambda: torch.quantize_per_tensor(ones, 0.1, 0, torch.qint8),
        lambda: torch.nn.Parameter(tensor.float()),
        lambda: tensor.numpy(),
        lambda: tensor.tolist(),
        lambda: any_value(draw),
    ]
    return draw.choice(made)()


def _odd_content(draw: random.Random, state: dict[str, Tensor]) -> Any:
    """A state dict as somebody's program may have written it."""
    result: dict[Any, Any] = dict(state)
    first = next(key for key in result if result[key].dim() == 4)
    for _ in range(draw.choice((1, 1, 2, 5))):
        key = draw.choice([first, *result])
        kind = draw.randrange(6)
        if kind == 0:
            result[draw.choice((3, None, b"key", ("a", 1), 1.5, "", "x" * 10_000, "\x00\x1b[31m"))] = result.pop(key)
        elif kind == 1:
            del result[key]
        elif kind == 2:
            channels = draw.choice((0, 1, 2, 5))
            result[first] = torch.zeros(32, channels, 3, 3) if draw.random() < 0.8 else torch.tensor(1.0)
        elif isinstance(result[key], Tensor):
            result[key] = _odd_tensor(draw, result[key])
    wrapped: list[Any] = [
        *(result, result, {"state_dict": result}, {"model": result, "epoch": 3}, [result], {"a": {"b": {"c": result}}}),
        *({f"module.{key}": item for key, item in result.items()}, {"state_dict": result, "model": dict(state)}),
        any_value(draw),
    ]
    return draw.choice(wrapped)


def _files(draw: random.Random, state: dict[str, Tensor]) -> tuple[str, bytes]:
    """A name and what a file of that name holds."""
    name = draw.choice(("w.safetensors", "w.SAFETENSORS", "w.pth", "w.pt", "w.ckpt", "w.bin", "w", "model.safetensors"))
    is_safe = name.lower().endswith(".safetensors")
    kind = draw.randrange(4)
    if kind == 0:
        while True:
            # Not all of it can be made, or written.
            with contextlib.suppress(RuntimeError, IndexError, TypeError), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return name, _as_torch(_odd_content(draw, state), zipped=draw.random() < 0.8)
    if not is_safe:
        return name, _damage(draw, _as_torch(state, zipped=draw.random() < 0.7))
    data = save(state)
    return name, _damage(draw, data) if kind == 1 else _other_header(draw, data)


def _outcomes(model: smp_core.SegmentationModel, folder: Path, seed: int, count: int) -> Iterator[tuple[str, object]]:
    draw = random.Random(seed)
    whole = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    encoder = {key: tensor.clone() for key, tensor in model.encoder.state_dict().items()}
    for number in range(count):
        of_encoder = draw.random() < 0.5
        name, data = _files(draw, encoder if of_encoder else whole)
        path = folder / name
        path.write_bytes(data)

        def load(path: Path = path, of_encoder: bool = of_encoder) -> None:
            if of_encoder:
                made: Any = smp_core.create("unet", "mobilenet_v2", encoder_weights=str(path), **_OPTIONS)
            else:
                made = smp_core.from_pretrained(path, blueprint=model.blueprint)
            made.eval()(torch.zeros(1, 3, 32, 32))

        with memory_limit(2 << 30):
            found = outcome(load)
        yield found, (seed, number, name, of_encoder, data[:200])
        path.unlink()


def test_tensor_files(model: smp_core.SegmentationModel, tmp_path: Path) -> None:
    tally(_outcomes(model, tmp_path, seed=0, count=100))


@pytest.mark.robustness
@pytest.mark.parametrize("seed", range(1, 21))
def test_many_tensor_files(model: smp_core.SegmentationModel, tmp_path: Path, seed: int) -> None:
    tally(_outcomes(model, tmp_path, seed, count=250))
