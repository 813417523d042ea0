from acme_declares.plugin import encoder

from smp_core.plugin import hookimpl


@hookimpl
def smp_encoders():
    return [encoder("Free", "Right", license="MIT")]
