"""A command of the ``smp`` program, as data."""

from __future__ import annotations

from dataclasses import dataclass

from smp_core._specs.checks import (
    NAME_FORM,
    TARGET_FORM,
    Frozen,
    Violations,
    check_former_names,
    is_name,
    is_target,
)


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Frozen):
    """What a command is called, and what runs it.

    Attributes:
        name: what users write, as in ``smp annotate``.
        target: ``"package.module:attribute"``; a function whose parameters Typer reads off its signature, a Typer
            application, or a command of Click. Imported when the command runs.
        summary: one line for ``smp --help``.
        former_names: names by which it was known; they still mean it.

    Raises:
        InvalidSpecError: a field is wrong; lists every such field.
    """

    name: str
    target: str
    summary: str = ""
    former_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check = Violations(self, f"CommandSpec {self.name!r}")
        check.require(is_name(self.name), "name", NAME_FORM)
        check.require(is_target(self.target), "target", TARGET_FORM)
        check.require(isinstance(self.summary, str), "summary", "text")
        check_former_names(check, self)
        check.raise_if_any()
