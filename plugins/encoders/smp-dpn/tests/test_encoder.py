"""What the family has of its own."""

import pytest

from smp_core.errors import OptionError
from smp_dpn.encoder import DPNEncoder


def test_an_unknown_model_is_named_beside_the_right_ones():
    with pytest.raises(OptionError, match=r"'dpn69'; expected one of dpn68, dpn68b, dpn92"):
        DPNEncoder("dpn69")
