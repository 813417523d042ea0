"""What a Mix Transformer costs beside the reference: memory and time of a training step, time of an evaluation."""

import statistics
import time

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")

pytestmark = [pytest.mark.parity, pytest.mark.slow]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pair(name):
    theirs = smp.encoders.get_encoder(name, weights=None)
    ours = smp_core.create_encoder(name, weights=None)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def train(module, x):
    module.train().zero_grad()
    sum(feature.mean() for feature in module(x) if feature.requires_grad).backward()


@torch.inference_mode()
def evaluate(module, x):
    module.eval()(x)


def peak_bytes(module, x):
    """Most bytes that a training step holds at once, from torch's records of each allocation."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        train(module, x)
    events = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


@pytest.mark.parametrize("name", ["mit_b0", "mit_b2"])
def test_a_training_step_holds_less_memory(name):
    ours, theirs = pair(name)
    x = torch.randn(1, 3, 512, 512)
    assert peak_bytes(ours, x) < 0.9 * peak_bytes(theirs, x)


@pytest.mark.parametrize("step", [train, evaluate])
def test_it_takes_at_most_nine_tenths_of_the_time(step):
    ours, theirs = pair("mit_b0")
    x = torch.randn(1, 3, 512, 512)
    seconds = {ours: [], theirs: []}
    for _ in range(8):
        for module, taken in seconds.items():
            start = time.process_time()  # other processes do not count
            step(module, x)
            taken.append(time.process_time() - start)
    assert statistics.median(seconds[ours][1:]) <= 0.9 * statistics.median(seconds[theirs][1:])
