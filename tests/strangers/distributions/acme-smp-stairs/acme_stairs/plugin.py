from smp_core.plugin import NeckSpec, hookimpl


@hookimpl
def smp_necks():
    return [
        NeckSpec(
            name="acme_stairs",
            target="acme_stairs.neck:Stairs",
            reductions=(4, 8, 16, 32),
            options={"channels": 16},
            license="MIT",
        )
    ]
