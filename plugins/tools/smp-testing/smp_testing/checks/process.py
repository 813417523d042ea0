"""Checks that encoders and models share: what building and running them does to the process."""

from __future__ import annotations

from smp_testing import network
from smp_testing.cases import ModuleCase
from smp_testing.expectations import ConformanceError, beginning, contained, expect
from smp_testing.surroundings import Surroundings, preserved


def builds_without_network(case: ModuleCase) -> None:
    """Without pretrained weights nothing is fetched, looked up or sent."""
    with network.blocked() as attempts, contained() as raised:
        case.build_cheaply()
    failure = raised[0] if raised else None  # what a plugin makes of a refused connection; any other has its own check
    if attempts:
        raise ConformanceError(
            f"{case.name}: building it with encoder_weights=None uses the network ({'; '.join(attempts)}), expected no "
            f"connection{f'; it then failed with {beginning(failure)}' if failure else ''}"
        ) from failure


def leaves_global_state_alone(case: ModuleCase) -> None:
    """Building and running it in both modes changes no setting of torch, warnings, logging or the process."""
    changes = _changes(case)
    if changes:
        # The first use imports modules, torch's own among them, and these may set something once. What the plugin's do
        # is measured in a process of their own; what building and running does, it does every time.
        changes = _changes(case)
    expect(
        not changes,
        f"{case.name}: building and running it changes global state, expected none:\n  " + "\n  ".join(changes),
    )


def _changes(case: ModuleCase) -> list[str]:
    with preserved():
        surroundings = Surroundings()
        with contained():  # whatever a plugin raises: that it does is what every other check says
            case.build_cheaply()
            module, x = case.outline(depth=case.shallow_depth), case.image()
            for training in (True, False):
                case.run(module.train(training), x)
        return surroundings.changes()
