"""The identity of a save: its config and all files of its tensors carry it, so that no two saves are taken for one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor


def identify(config: str, tensors: Mapping[str, Tensor]) -> str:
    """A digest (SHA-256, 64 hex digits) of what is saved, tensors on the CPU: the same model has the same."""
    digest = hashlib.sha256(config.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def order_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file in order: it is written in any, and a model is to be one file."""
    with open(path, "rb+") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= size:  # it is padded with spaces
            file.seek(8)
            file.write(text.ljust(size))
