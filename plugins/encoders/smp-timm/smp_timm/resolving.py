"""From a name to a spec. timm itself is asked only for a model that the index does not have."""

from __future__ import annotations

import functools
import importlib.metadata

from smp_core.errors import UnknownEncoderError
from smp_core.plugin import EncoderSpec
from smp_timm import index, specs
from smp_timm.facts import Facts
from smp_timm.names import PREFIX, Name, parse


def resolve(name: str) -> EncoderSpec | None:
    """The spec that a name means; None where it means no timm model.

    Args:
        name: ``"tu-<model>"``, ``"tu-<model>.<tag>"``, a former ``"timm-<model>"``, or a former name of timm's.

    Raises:
        UnknownEncoderError: it means a model, and weights that there are not.
    """
    parsed = parse(name)
    if parsed is None:
        return None
    if parsed.tag is None:
        parsed = _of_today(parsed)
    facts = index.find(parsed.model)
    if facts is None or (parsed.tag is not None and parsed.tag not in [tag.name for tag in facts.tags]):
        facts = _ask_timm(parsed.model) or facts
    if facts is None:
        return None
    tags = [tag.name for tag in facts.tags if tag.name]
    if parsed.tag is not None and parsed.tag not in tags:
        raise UnknownEncoderError(
            f"timm's model {parsed.model!r} has no weights {parsed.tag!r}; it has "
            f"{', '.join(tags) or 'none with a name'}"
        )
    former = (name,) if name != parsed.today else ()
    return specs.spec(parsed.today, facts, parsed.tag, _options(facts), former)


def every_name() -> list[str]:
    """Every model of the release that was measured, without tags."""
    return [PREFIX + name for name in index.names()]


def _of_today(name: Name) -> Name:
    """The name itself, or, where timm once used it, what it says today."""
    model, _, tag = (index.today(name.model) or "").partition(".")
    facts = index.find(model)
    if facts is None:
        return name
    if tag not in [known.name for known in facts.tags if known.name]:
        return Name(model, None, PREFIX + model)
    return Name(model, tag, f"{PREFIX}{model}.{tag}")


@functools.cache
def _ask_timm(model: str) -> Facts | None:
    """Measure a model that the installed timm may have, and the index does not."""
    try:
        installed = importlib.metadata.version("timm")
    except importlib.metadata.PackageNotFoundError:
        return None
    if installed == index.timm_version():
        return None  # without importing it: a misspelt name is to cost nothing
    import timm

    if not timm.is_model(model):
        return None
    from smp_timm.probing import probe

    return probe(model)


def _options(facts: Facts) -> tuple[str, ...]:
    known = index.options(facts.kind)
    if known:
        return known
    from smp_timm.probing import options_of  # a class that the index does not have: timm was asked already

    return options_of(facts.name)
