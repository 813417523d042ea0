"""Change between two images: a model of the user's own over SMP's parts, with one encoder for both."""

import segmentation_models_pytorch as smp
import torch
from common import pictures
from segmentation_models_pytorch.base import SegmentationHead, SegmentationModel
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.encoders import get_encoder

torch.manual_seed(0)


class Siamese(SegmentationModel):
    def __init__(self, encoder_name="resnet18", encoder_depth=4, classes=1):
        super().__init__()
        self.encoder = get_encoder(encoder_name, in_channels=3, depth=encoder_depth, weights=None)
        self.decoder = UnetDecoder(
            encoder_channels=[2 * channels for channels in self.encoder.out_channels],
            decoder_channels=(64, 32, 16, 16),
            n_blocks=encoder_depth,
            attention_type="scse",
        )
        self.segmentation_head = SegmentationHead(in_channels=16, out_channels=classes, kernel_size=3)
        self.classification_head = None
        self.name = f"siamese-{encoder_name}"
        self.initialize()

    def forward(self, before, after):
        pairs = zip(self.encoder(before), self.encoder(after), strict=True)
        features = [torch.cat((one, (one - other).abs()), dim=1) for one, other in pairs]
        return self.segmentation_head(self.decoder(features))


before, first = pictures(3, seed=13)
after, second = pictures(3, seed=14)
changed = (first != second)[:, None]
model = Siamese()
criterion = smp.losses.FocalLoss("binary", alpha=0.25)
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
losses = []
for _ in range(4):
    optimizer.zero_grad()
    loss = criterion(model(before, after), changed.to(before))
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

model.eval()
with torch.no_grad():
    stats = smp.metrics.get_stats(model(before, after).sigmoid(), changed.long(), mode="binary", threshold=0.5)
RESULT = {"losses": losses, "metrics": smp.metrics.f1_score(*stats, reduction="micro").item(), "name": model.name}
