"""Checks of the weight sets that a spec names. Files that ship with the plugin are read; nothing is downloaded."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smp_core import create_encoder
from smp_core._specs.chosen import Chosen
from smp_core.errors import SmpError
from smp_core.plugin import WeightsSpec
from smp_core.tensors.places import obtain
from smp_testing.cases import EncoderCase
from smp_testing.expectations import ConformanceError, beginning, expect

_SAVE = "write them anew: safetensors.torch.save_file(state_dict, 'weights.safetensors')"
# How the archives and the pickles begin that torch.save writes.
_PICKLES = (b"PK\x03\x04", b"\x80")
_PICKLED_NAMES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def has_files(case: EncoderCase) -> bool:
    """Whether any of its weight sets is a file on this machine."""
    return any(weights.file for weights in case.spec.weights.values())


def weight_files_are_whole(case: EncoderCase) -> None:
    """Files that the weight sets name are there, have their checksum, and can be read."""
    for name, weights in _local(case):
        try:
            _read(case, name, weights)
        except SmpError as error:  # noqa: PERF203  # of a set or two
            raise ConformanceError(
                f"{case.name}: weights {name!r}, file={weights.file!r}: {error}; expected a file that can be read",
                hint="ship the file with the package: it lies in the package's folder, and the build includes it; "
                "write its digest into sha256 (sha256sum FILE)",
            ) from error


def weight_files_are_safetensors(case: EncoderCase) -> None:
    """Weights are safetensors: reading a pickle may run whatever its author put into it."""
    for name, weights in case.spec.weights.items():
        pickled = weights.file is None and weights.filename.lower().endswith(_PICKLED_NAMES)
        if weights.file is not None:
            try:
                _, path = _read(case, name, weights)
            except SmpError:  # which is another check's
                continue
            pickled = _begins_as_pickle(path)
        expect(
            not pickled,
            f"{case.name}: weights {name!r} are a pickle, {weights.file or weights.filename!r}; expected safetensors",
            hint=_SAVE,
        )


def weight_converters_import(case: EncoderCase) -> None:
    """What the weights' ``convert`` names exists and can be called."""
    for name, weights in case.spec.weights.items():
        if weights.convert is None:
            continue
        try:
            found = pkgutil.resolve_name(weights.convert)
        except (ImportError, AttributeError) as error:
            raise ConformanceError(
                f"{case.name}: weights {name!r}: convert={weights.convert!r} does not import: {beginning(error)}"
            ) from error
        expect(callable(found), f"{case.name}: weights {name!r}: convert={weights.convert!r} is not callable")


def weight_converters_return_state_dicts(case: EncoderCase) -> None:
    """What the weights' ``convert`` returns is a state dict.

    That of a file which is here is asked for it; others are given an empty dict and the encoder's own, and what they
    raise of these says nothing.
    """
    for name, weights in case.spec.weights.items():
        if weights.convert is None:
            continue
        convert: Callable[[dict[str, Tensor]], Any] = pkgutil.resolve_name(weights.convert)
        what = f"{case.name}: weights {name!r}: convert={weights.convert!r}"
        for given in _examples(case, name, weights):
            try:
                found = convert(dict(given))
            except Exception as error:  # whatever a plugin raises
                if weights.file is not None:
                    raise ConformanceError(f"{what} raised of its file: {beginning(error)}") from error
                continue
            if not (isinstance(found, Mapping) and all(isinstance(item, Tensor) for item in found.values())):
                raise ConformanceError(
                    f"{what} returned {_kind(found)}; expected a new dict of tensors",
                    hint=f"end {getattr(convert, '__name__', 'it')} in: return the new dict",
                )


def weight_files_fit(case: EncoderCase) -> None:
    """The encoder takes each weight set whose file is here, all keys and shapes."""
    for name, weights in _local(case):
        try:
            create_encoder(case.registered.qualified_name, weights=name)
        except SmpError as error:  # noqa: PERF203  # as above
            raise ConformanceError(
                f"{case.name}: weights {name!r}, file={weights.file!r}, do not load: {error}",
                hint="write them from the encoder itself, safetensors.torch.save_file(encoder.state_dict(), ...), or "
                "give the weight set a convert",
            ) from error


def _local(case: EncoderCase) -> Iterator[tuple[str, WeightsSpec]]:
    return ((name, weights) for name, weights in case.spec.weights.items() if weights.file is not None)


def _read(case: EncoderCase, name: str, weights: WeightsSpec) -> tuple[dict[str, Tensor], Path]:
    return obtain(Chosen(name=name), weights, f"weights {name!r} of {case.name}", ())


def _begins_as_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith(_PICKLES)


def _examples(case: EncoderCase, name: str, weights: WeightsSpec) -> Iterator[dict[str, Tensor]]:
    if weights.file is None:
        yield {}
        try:
            own = case.shared_outline().state_dict()
        except Exception:  # whatever a plugin raises, which is another check's
            return
        yield {key: torch.zeros_like(item, device="cpu") for key, item in own.items()}
        return
    try:
        yield _read(case, name, weights)[0]
    except SmpError:  # which is another check's
        return


def _kind(value: object) -> str:
    if value is None:
        return "None"
    if inspect.isgenerator(value) or not isinstance(value, Mapping):
        return f"a {type(value).__name__}"
    wrong = next(item for item in value.values() if not isinstance(item, Tensor))
    return f"a dict that holds a {type(wrong).__name__}"
