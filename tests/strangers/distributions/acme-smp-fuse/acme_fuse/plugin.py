from smp_core.plugin import ArchitectureSpec, Whole, hookimpl


@hookimpl
def smp_architectures():
    return [
        ArchitectureSpec(
            name="acme_fuse",
            class_name="AcmeFuse",
            target="acme_fuse.model:AcmeFuse",
            options={"decoder_channels": 16},
            option_kinds={"decoder_channels": Whole()},
            license="MIT",
        )
    ]
