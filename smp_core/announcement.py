"""Telling plugins of a model that was made."""

from __future__ import annotations

import traceback

from smp_core import registry
from smp_core._warnings import warn
from smp_core.errors import FAILURES
from smp_core.model import SegmentationModel


def announce(model: SegmentationModel) -> None:
    """Call every plugin's ``smp_model_created``; one that raises becomes a warning, and the others are still called."""
    for plugin in registry._registry.loaded:
        if plugin.manager is None or not plugin.manager.hook.smp_model_created.get_hookimpls():
            continue
        try:
            plugin.manager.hook.smp_model_created(model=model, config=model.config)
        except FAILURES as error:
            record = plugin.record
            warn(
                f"plugin {record.distribution!r} {record.version}: hook 'smp_model_created' raised "
                f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}",
                RuntimeWarning,
            )
