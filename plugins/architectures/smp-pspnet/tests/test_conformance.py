"""Everything that smp-core asks of an architecture."""

from smp_testing import conformance


def to_the_size_of_the_image(encoder):
    """The default enlarges eightfold, which is the image's size only at the default depth."""
    return {"upsampling": encoder.reductions[-1]}


test_conformance = conformance("smp-pspnet", options={"pspnet": to_the_size_of_the_image}, surgery=["pspnet-pyramid"])
