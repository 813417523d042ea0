from smp_core.plugin import CommandSpec, hookimpl


@hookimpl
def smp_commands():
    return [CommandSpec(name="count", target="acme_tools.count:count", summary="Count a saved model's parameters.")]
