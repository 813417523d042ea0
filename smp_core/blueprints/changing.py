"""A blueprint with other values, drafted anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from smp_core.blueprints import channels, modules
from smp_core.blueprints.drafting import Parts, draft
from smp_core.blueprints.request import Request
from smp_core.errors import OptionError
from smp_core.options import check_bands

_ARGUMENTS = tuple(item.name for item in fields(Request) if item.name not in ("options", "given", "encoder_weights"))
_PARTS = ("arch", "encoder", "encoder_name", "encoder_weights", "neck")


def change(blueprint: Mapping[str, Any], changes: Mapping[str, Any], encoder: Any) -> dict[str, Any]:
    """The fields of a blueprint with changes; see `smp_core.Blueprint.changed`.

    Args:
        blueprint: its fields.
        changes: arguments of `smp_core.create`.
        encoder: the built encoder, where the blueprint names none.
    """
    modules.check_given(blueprint["encoder"], encoder)
    fixed = [name for name in changes if name in _PARTS]
    if fixed:
        raise OptionError(f"{', '.join(map(repr, fixed))} cannot be changed: with other parts it is another model")
    asked = {
        name: blueprint[name]
        for name in ("in_channels", "bands", "classes", "activation", "aux_params", "channel_fitting", "preprocessing")
    }
    if blueprint["encoder"] is not None:
        asked["encoder_options"] = blueprint["encoder_options"]
        asked |= {f"encoder_{name}": blueprint[name] for name in ("depth", "output_stride", "output_indices")}
        # A depth and indices say the same twice: where one changes, the other follows.
        for one, other in (("depth", "output_indices"), ("output_indices", "depth")):
            if f"encoder_{one}" in changes:
                asked[f"encoder_{other}"] = None
    asked |= {name: value for name, value in changes.items() if name in _ARGUMENTS}
    preprocessing = asked["preprocessing"]
    # A number of channels and their names say the same twice: where one changes, the other follows.
    for one, other in (("in_channels", "bands"), ("bands", "in_channels")):
        if one in changes and other not in changes and changes[one] != blueprint[one]:
            asked[other] = None
    if "preprocessing" not in changes and preprocessing is not None:
        asked["preprocessing"] = _preprocessing(blueprint, asked)
    request = Request(
        encoder_weights=None,
        **asked,
        options={name: value for name, value in changes.items() if name not in _ARGUMENTS},
        given=frozenset(changes),
    )
    parts = Parts(
        architecture=blueprint["architecture"],
        encoder=blueprint["encoder"],
        neck=blueprint["neck"],
        written={},
        module=encoder,
    )
    return draft(parts, request, before=blueprint["options"]) | {"weights": blueprint["weights"]}


def _preprocessing(blueprint: Mapping[str, Any], asked: Mapping[str, Any]) -> Any:
    """How the channels that are asked for are prepared; it says nothing of those that were not there."""
    preprocessing, trained, wanted = blueprint["preprocessing"], blueprint["bands"], check_bands(asked["bands"])
    if (asked["in_channels"], wanted) == (blueprint["in_channels"], trained):
        return preprocessing
    if trained and wanted:
        return channels.select(preprocessing, trained, wanted)
    return preprocessing if len(preprocessing.mean) == asked["in_channels"] else None
