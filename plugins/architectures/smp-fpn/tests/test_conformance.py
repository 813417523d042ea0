"""Everything that smp-core asks of an architecture."""

from smp_testing import conformance


def to_the_size_of_the_image(encoder):
    """The merged map is at an eighth of the deepest reduction, and upsampled by a factor of its own."""
    return {"upsampling": encoder.reductions[-1] // 8}


test_conformance = conformance("smp-fpn", options={"fpn": to_the_size_of_the_image}, surgery=["fpn-pyramid"])
