"""Each is right but for what it does to the process."""

import gc
import os
import random
import signal
import sys
import threading

import numpy as np
import torch
from acme_wrong.encoders import Right
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_hook


class Does(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.do()


class HooksEveryModule(Does):
    def do(self):
        register_module_forward_hook(lambda module, inputs, output: None)


class ReplacesFunction(Does):
    def do(self):
        real = functional.interpolate
        functional.interpolate = lambda *inputs, **options: real(*inputs, **options)


class CoversMethod(Does):
    def do(self):
        real = torch.Tensor.add
        torch.Tensor.add = lambda *inputs, **options: real(*inputs, **options)


class IgnoresInterrupts(Does):
    def do(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class LeavesThreads(Does):
    def do(self):
        threading.Thread(target=threading.Event().wait, daemon=True).start()


class Forks(Does):
    def do(self):
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)


class CollectsNoGarbage(Does):
    def do(self):
        gc.disable()


class SeedsNumpy(Does):
    def do(self):
        np.random.seed(0)


class SeedsPython(Does):
    def do(self):
        random.seed(0)


class SeedsInForward(Right):
    def forward(self, x):
        torch.manual_seed(0)
        return self.walk(x, 1.0)


class ExitsInForward(Right):
    def forward(self, x):
        sys.exit(0)


class StopsInForward(Right):
    def forward(self, x):
        raise GeneratorExit
