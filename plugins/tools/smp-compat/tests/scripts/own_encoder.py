"""An encoder of the user's own, registered in the dict of encoders, in two architectures."""

import itertools

import segmentation_models_pytorch as smp
import torch
from common import pictures
from segmentation_models_pytorch.encoders._base import EncoderMixin
from torch import nn

torch.manual_seed(0)


class PlainEncoder(nn.Module, EncoderMixin):
    def __init__(self, out_channels, depth=5, output_stride=32, **kwargs):
        super().__init__()
        self._depth = depth
        self._in_channels = 3
        self._out_channels = list(out_channels)
        self._output_stride = output_stride
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(o), nn.SiLU())
            for i, o in itertools.pairwise(out_channels)
        )

    def get_stages(self):
        return {16: [self.blocks[3]], 32: [self.blocks[4]]}

    def forward(self, x):
        features = [x]
        for block in self.blocks[: self._depth]:
            features.append(block(features[-1]))
        return features


smp.encoders.encoders["plain"] = {
    "encoder": PlainEncoder,
    "pretrained_settings": {},
    "params": {"out_channels": (3, 8, 12, 16, 24, 32)},
}

images, masks = pictures(4, seed=11)
criterion = smp.losses.JaccardLoss("binary")
losses, names = [], []
for build in (smp.Unet, smp.DeepLabV3Plus):
    model = build("plain", encoder_weights=None, in_channels=3, classes=1)
    torch.manual_seed(0)
    names.append(model.name)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    for _ in range(3):
        loss = criterion(model(images), masks[:, None])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

bands = smp.FPN("plain", encoder_weights=None, in_channels=5, encoder_depth=4).eval()
RESULT = {
    "losses": losses,
    "names": names,
    "channels": list(smp.encoders.get_encoder("plain", in_channels=2, depth=3, weights=None).out_channels),
    "shape": [*bands(torch.zeros(1, 5, 64, 64)).shape],
    "listed": "plain" in smp.encoders.get_encoder_names(),
}
