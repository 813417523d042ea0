"""What the family has of its own."""

import pytest

from smp_core.errors import OptionError
from smp_inception.encoder import InceptionResNetV2Encoder, InceptionV4Encoder


@pytest.mark.parametrize("encoder", [InceptionV4Encoder, InceptionResNetV2Encoder])
def test_another_output_stride_is_refused(encoder):
    with pytest.raises(OptionError, match="output stride 32 only, got 16"):
        encoder(output_stride=16)
