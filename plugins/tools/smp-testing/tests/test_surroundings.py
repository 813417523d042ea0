"""What a check meets and leaves: the process's state, the network, the tiny encoders."""

import gc
import logging
import os
import random
import signal
import socket
import sys
import warnings

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from smp_core.encoder import check_encoder
from smp_testing import encoders, network
from smp_testing.surroundings import Surroundings, preserved

CHANGES = {
    "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch's default device": lambda: torch.set_default_device("meta"),
    "torch's gradient mode": lambda: torch.set_grad_enabled(False),
    "torch's number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "torch's deterministic algorithms": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "torch's float32 matmul precision": lambda: torch.set_float32_matmul_precision("medium"),
    "cuDNN's flags": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "autograd's anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "warnings.filters": lambda: warnings.simplefilter("ignore"),
    "os.environ": lambda: os.environ.update(ACME="1"),
    "sys.path": lambda: sys.path.append("acme"),
    "the working directory": lambda: os.chdir(os.path.dirname(os.getcwd())),
    "the recursion limit": lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1),
    "torch's hooks of all modules": lambda: register_module_forward_hook(lambda module, inputs, output: None),
    "functions of torch and Python": lambda: setattr(torch.Tensor, "add", torch.Tensor.mul),
    "handlers of signals": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    "sys.stdout, sys.stderr, sys.excepthook": lambda: setattr(sys, "excepthook", print),
    "whether garbage is collected": gc.disable,
    "sockets' timeout": lambda: socket.setdefaulttimeout(7.0),
    "logging.disable": lambda: logging.disable(logging.ERROR),
    "the root logger's level": lambda: logging.root.setLevel(logging.root.level + 1),
    "the root logger's handlers": lambda: logging.root.addHandler(logging.NullHandler()),
}


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("title", CHANGES)
def test_each_change_is_seen_and_undone(title):
    before = Surroundings()
    with preserved():
        inside = Surroundings()
        CHANGES[title]()
        (change,) = inside.changes()
        assert change.startswith(title)
    assert before.changes() == []


def test_random_numbers_go_on_as_if_nothing_had_been_drawn():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with preserved():
        torch.rand(5)
    assert torch.equal(torch.rand(2), expected)


def test_other_generators_of_random_numbers_go_on_as_well():
    random.seed(3)
    np.random.seed(3)
    expected = random.random(), np.random.rand()
    random.seed(3)
    np.random.seed(3)
    with preserved():
        random.seed(4)
        np.random.seed(4)
    assert (random.random(), np.random.rand()) == expected


def test_connections_are_refused_and_counted():
    with network.blocked() as attempts:
        with pytest.raises(OSError, match=r"the network is blocked: getaddrinfo of example.org"):
            socket.create_connection(("example.org", 80))
        with socket.socket() as plain, pytest.raises(OSError, match="connect to"):
            plain.connect(("127.0.0.1", 9))
        assert attempts == ["getaddrinfo of example.org", "connect to ('127.0.0.1', 9)"]
    assert socket.getaddrinfo("127.0.0.1", 80)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this platform has no local sockets")
def test_local_sockets_still_work(tmp_path):
    path = str(tmp_path / "s")
    with (
        network.blocked() as attempts,
        socket.socket(socket.AF_UNIX) as server,
        socket.socket(socket.AF_UNIX) as client,
    ):
        server.bind(path)
        server.listen()
        client.connect(path)
    assert attempts == []


@pytest.mark.parametrize("kind", encoders.PYRAMIDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("size", [(1, 1), (7, 33), (64, 96), (67, 95)])
def test_tiny_pyramids_are_encoders(kind, size):
    for depth in range(kind.min_depth, 6):
        for stride in (None, 8, 16):
            encoder = kind.build(depth=depth, in_channels=2, output_stride=stride).eval()
            check_encoder(encoder)
            assert max(encoder.reductions) == min(2**depth, stride or 32)
            features = encoder(torch.zeros(1, 2, *size))
            for feature, channels, reduction in zip(features, encoder.out_channels, encoder.reductions, strict=True):
                assert feature.shape[1] == channels
                for got, whole in zip(feature.shape[2:], size, strict=True):
                    low = max(whole // reduction, 1)
                    assert low <= got <= (low if kind is encoders.PATCHES else -(-whole // reduction))


def test_the_tiny_transformer_is_a_token_encoder():
    encoder = encoders.TOKENS.build(depth=4, in_channels=1)
    check_encoder(encoder)
    features, prefix_tokens = encoder(torch.zeros(2, 1, 32, 41))
    assert [tuple(feature.shape) for feature in features] == [(2, 32, 2, 3)] * 4
    assert [tuple(tokens.shape) for tokens in prefix_tokens] == [(2, 1, 32)] * 4
    torch.jit.script(encoder)
