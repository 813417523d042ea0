"""A file as torchvision publishes it: all keys of the classifier network, under torch's own format."""

import pytest
import torch

import smp_core


def classifier_file(path, encoder):
    """A file with the keys of torchvision's mobilenet_v2-b0353104.pth: the encoder's, and the classifier's."""
    classifier = {"classifier.1.weight": torch.randn(1000, 1280), "classifier.1.bias": torch.randn(1000)}
    torch.save({**encoder.state_dict(), **classifier}, path)
    return path


@pytest.mark.parametrize("depth", [2, 5])
def test_a_local_file_of_torchvisions_keys_loads(tmp_path, depth):
    published = smp_core.create_encoder("mobilenet_v2", weights=None)
    path = classifier_file(tmp_path / "mobilenet_v2.pth", published)
    encoder = smp_core.create_encoder("mobilenet_v2", weights=str(path), depth=depth)
    assert all(torch.equal(value, published.state_dict()[key]) for key, value in encoder.state_dict().items())


def test_the_first_convolution_is_fitted_to_the_input(tmp_path):
    published = smp_core.create_encoder("mobilenet_v2", weights=None)
    path = classifier_file(tmp_path / "mobilenet_v2.pth", published)
    weight = published.features[0][0].weight
    grey = smp_core.create_encoder("mobilenet_v2", weights=path, in_channels=1)
    torch.testing.assert_close(grey.features[0][0].weight, weight.sum(1, keepdim=True))
    four = smp_core.create_encoder("mobilenet_v2", weights=path, in_channels=4)
    torch.testing.assert_close(four.features[0][0].weight, weight[:, [0, 1, 2, 0]] * 0.75)
