from torch import nn
from transformers import Dinov2Config, Dinov2Model

from smp_core.encoder import whole_patches
from smp_core.errors import OptionError

BLOCKS, WIDTH, PATCH = 4, 24, 16


class Dinov2(nn.Module):
    tokens = True
    num_prefix_tokens = 1
    first_convolution = "model.embeddings.patch_embeddings.projection"

    def __init__(self, *, in_channels=3, depth=4, output_stride=32, output_indices=None):
        super().__init__()
        indices = tuple(output_indices or range(BLOCKS - depth, BLOCKS))
        blocks = [index + BLOCKS if index < 0 else index for index in indices]
        if len({*blocks}) < len(blocks) or not all(0 <= index < BLOCKS for index in blocks):
            raise OptionError(f"output_indices={indices}: expected different blocks out of 0..{BLOCKS - 1}")
        config = Dinov2Config(
            num_channels=in_channels,
            hidden_size=WIDTH,
            num_hidden_layers=BLOCKS,
            num_attention_heads=2,
            image_size=4 * PATCH,
            patch_size=PATCH,
        )
        self.model = Dinov2Model(config)
        del self.model.encoder.layer[max(blocks) + 1 :]  # no feature depends on these
        self.model.embeddings.mask_token = None  # of pretraining: no feature depends on it
        self.blocks = [index + 1 for index in blocks]  # the first hidden state is what goes into the first block
        self.in_channels = in_channels
        self.out_channels = (WIDTH,) * depth
        self.reductions = (PATCH,) * depth

    def forward(self, x):
        x = whole_patches(x, PATCH)
        rows, columns = x.shape[2] // PATCH, x.shape[3] // PATCH
        states = self.model(x, output_hidden_states=True).hidden_states
        states = [self.model.layernorm(states[block]) for block in self.blocks]
        maps = [state[:, 1:].transpose(1, 2).reshape(-1, WIDTH, rows, columns) for state in states]
        return maps, [state[:, :1] for state in states]
