"""What the family has of its own."""

import pytest

from smp_core.errors import OptionError
from smp_xception.encoder import XceptionEncoder


def test_another_output_stride_is_refused():
    with pytest.raises(OptionError, match="output stride 32 only, got 16"):
        XceptionEncoder(output_stride=16)
