from smp_core.plugin import CommandSpec, hookimpl


@hookimpl
def smp_commands():
    return [CommandSpec(name="count", target="json:number", summary="Count.")]
