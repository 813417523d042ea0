"""One encoder, a decoder and a head for each of two tasks: discs and their distance, and how many there are."""

import segmentation_models_pytorch as smp
import torch
from common import pictures
from segmentation_models_pytorch.base import ClassificationHead, SegmentationHead
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import nn

torch.manual_seed(0)


class MultiHead(nn.Module):
    def __init__(self, encoder_name, tasks, channels=(64, 32, 16, 16, 8)):
        super().__init__()
        self.encoder = smp.encoders.get_encoder(encoder_name, in_channels=3, depth=5, weights=None)
        self.decoders = nn.ModuleDict()
        self.heads = nn.ModuleDict()
        for task, classes in tasks.items():
            self.decoders[task] = UnetDecoder(
                encoder_channels=self.encoder.out_channels, decoder_channels=channels, n_blocks=5
            )
            self.heads[task] = SegmentationHead(channels[-1], classes, activation=None, kernel_size=3)
        self.counting = ClassificationHead(self.encoder.out_channels[-1], 3, pooling="max", dropout=0.0)

    def forward(self, x):
        features = self.encoder(x)
        out = {task: self.heads[task](decoder(features)) for task, decoder in self.decoders.items()}
        return {**out, "count": self.counting(features[-1])}


images, masks = pictures(4, classes=3, seed=5)
targets = {
    "label": masks,
    "area": masks.to(images).mean((1, 2), keepdim=True).expand_as(masks)[:, None],
    "count": torch.tensor([len(mask.unique()) - 1 for mask in masks]),
}
losses_of = {
    "label": smp.losses.FocalLoss("multiclass"),
    "area": nn.L1Loss(),
    "count": nn.CrossEntropyLoss(),
}

model = MultiHead("resnet18", {"label": 3, "area": 1})
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
steps = []
for _ in range(4):
    optimizer.zero_grad()
    outputs = model(images)
    losses = {task: criterion(outputs[task], targets[task]) for task, criterion in losses_of.items()}
    sum(losses.values()).backward()
    optimizer.step()
    steps.append([loss.item() for loss in losses.values()])

RESULT = {
    "losses": steps,
    "shapes": {task: [*output.shape] for task, output in outputs.items()},
    "parameters": sum(parameter.numel() for parameter in model.parameters()),
}
