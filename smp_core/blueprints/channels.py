"""The channels of the input: how many, their names (bands of a satellite, say), and how they are prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from smp_core._specs.chosen import Chosen
from smp_core.blueprints.request import Request
from smp_core.errors import OptionError
from smp_core.inputs import Preprocessing
from smp_core.options import check_bands_known
from smp_core.plugin import EncoderSpec


def settle(spec: EncoderSpec, chosen: Chosen | None, request: Request) -> tuple[Request, list[OptionError]]:
    """The request with its channels, and what is wrong with those that were asked for.

    Args:
        spec: of the encoder.
        chosen: its weights; None for random ones.
        request: checked; its ``in_channels`` and ``bands`` are None where nothing was asked.
    """
    trained = spec.trained_bands(chosen.name if chosen is not None else None)
    asked, names = request.in_channels, request.bands
    found = []
    if names is None:
        count = asked if asked is not None else len(trained) or spec.in_channels
        names = trained if trained and count == len(trained) else None
    else:
        count = len(names)
        if asked not in (None, count):
            found.append(OptionError(f"in_channels={asked}, but bands names {count}: {', '.join(names)}"))
        if chosen is not None and chosen.name is not None:  # what a file was trained on shows when it is read
            title = f"weights {chosen.name!r} of encoder {spec.name!r}"
            try:
                check_bands_known(trained, names, request.channel_fitting, title)
            except OptionError as error:
                found.append(error)
    prepared = request.preprocessing
    if prepared is None and chosen is not None and chosen.name is not None:
        whole = Preprocessing.of_weights(spec.weights[chosen.name])
        prepared = select(whole, trained, names) if names and trained else whole
        # It says nothing of another number of channels.
        prepared = prepared if prepared is not None and len(prepared.mean) == count else None
    return replace(request, in_channels=count, bands=names, preprocessing=prepared), found


def select(preprocessing: Preprocessing, trained: Sequence[str], bands: Sequence[str]) -> Preprocessing | None:
    """The preprocessing of some bands, in their order; None where it does not know them all."""
    if len(preprocessing.mean) != len(trained) or not {*bands} <= {*trained}:
        return None
    places = [trained.index(name) for name in bands]
    return replace(
        preprocessing,
        mean=tuple(preprocessing.mean[place] for place in places),
        std=tuple(preprocessing.std[place] for place in places),
    )
