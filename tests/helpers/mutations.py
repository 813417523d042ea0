"""Configs, and other JSON, as damage, accidents and attackers leave them: seeded changes of a right one."""

from __future__ import annotations

import json
import random
import string
from typing import Any

_NUMBERS = (0, -1, 1, 2, 3, 7, 255, 2**16, 2**31, 2**63, 10**9, 10**30, 0.0, 0.5, 1.5, -0.5, 1e30, 1e400, float("nan"))
_TEXTS = (
    *("", " ", "x", "batchnorm", "scse", "nearest", "sigmoid", "softmax", "avg", "max", "cat", "add", "auto", "3"),
    *("cpu", "cuda", "meta", "float32", "resnet18", "Unet", "unet", "imagenet", "RGB", "XYZ", "\x1b[31mred\x1b[0m"),
    *("../../etc/passwd", "os:system", "a" * 10_000, "ü\u202e\x00", "-inf", "None", "True"),
)


def _deep(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def _deep_dict(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"type": value}
    return value


def any_value(draw: random.Random) -> Any:
    """A value of any JSON type."""
    kind = draw.randrange(12)
    if kind < 4:
        return draw.choice(_NUMBERS)
    if kind < 6:
        return draw.choice(_TEXTS)
    if kind == 6:
        return draw.choice((None, True, False))
    if kind == 7:
        return [draw.choice(_NUMBERS) for _ in range(draw.choice((0, 1, 2, 3, 4, 5, 9, 2000)))]
    if kind == 8:
        return [any_value(draw) for _ in range(draw.randrange(5))]
    if kind == 9:
        return {draw.choice(_TEXTS): any_value(draw) for _ in range(draw.randrange(4))}
    if kind == 10:
        return {"type": draw.choice(_TEXTS), draw.choice(("eps", "momentum", "affine", "device")): any_value(draw)}
    depth = draw.choice((3, 30, 200, 900))
    return _deep(depth) if draw.random() < 0.5 else _deep_dict(depth)


def _places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything inside, a few levels down."""
    if len(here) > 5:
        return []
    if isinstance(value, dict):
        inside = [(key, item) for key, item in value.items()]
    elif isinstance(value, list):
        inside = list(enumerate(value))
    else:
        return []
    return [path for key, item in inside for path in ((*here, key), *_places(item, (*here, key)))]


def _near(draw: random.Random, value: Any) -> Any:
    """A value of the same kind, a little off."""
    if isinstance(value, bool) or value is None:
        return draw.choice((None, True, False, 0, 1))
    if isinstance(value, (int, float)):
        return draw.choice((-value, value + 1, value * 2, value * 1000, value + 0.5, float(value), str(value), [value]))
    if isinstance(value, str):
        return draw.choice((value.upper(), value + "x", value[:-1], value[::-1], value * 1000, f" {value}"))
    if isinstance(value, list):
        return draw.choice((value[:-1], value[::-1], value + value, value * 500, [value], [*value, None]))
    return draw.choice(([value], list(value), {}, {**value, draw.choice(string.ascii_letters): value}))


def mutate(draw: random.Random, config: Any) -> Any:
    """A copy with one to three changes."""
    result = json.loads(json.dumps(config))
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = _places(result)
        if not places:
            return any_value(draw)
        path = draw.choice(places)
        holder = result
        for key in path[:-1]:
            holder = holder[key]
        key, kind = path[-1], draw.randrange(10)
        if kind < 5:
            holder[key] = any_value(draw)
        elif kind < 8:
            holder[key] = _near(draw, holder[key])
        elif kind == 8:
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw.choice((str(key) + "x", str(key).upper(), *_TEXTS))] = holder.pop(key)
    return result


def mutate_text(draw: random.Random, text: str) -> bytes:
    """A file whose bytes are damaged: cut, flipped, doubled, filled."""
    data = bytearray(text.encode())
    kind = draw.randrange(5)
    if kind == 0:
        return bytes(data[: draw.randrange(len(data))])
    if kind == 1:
        for _ in range(draw.randrange(1, 8)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        return bytes(data)
    start, end = sorted(draw.sample(range(len(data)), 2))
    if kind == 2:
        return bytes(data[:start] + data[end:])
    if kind == 3:
        return bytes(data[:end] + data[start:])
    return bytes(data[:start] + b"[" * draw.choice((10, 500, 100_000)) + data[start:])


def written(value: Any) -> bytes:
    """As a file holds it; Python's JSON has NaN and infinities."""
    return json.dumps(value).encode()
