"""Training the decoder alone, then all of it with a smaller learning rate for the encoder."""

import segmentation_models_pytorch as smp
import torch
from common import pictures

torch.manual_seed(0)

model = smp.Linknet("resnet18", encoder_weights=None, classes=3)
images, masks = pictures(4, classes=3, seed=9)
criterion = smp.losses.DiceLoss("multiclass", classes=[1, 2])


def state_sum(module):
    return sum(value.double().abs().sum().item() for value in module.state_dict().values())


def trainable(module):
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def train(optimizer, steps):
    model.train()
    history = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = criterion(model(images), masks)
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    return history


everything = trainable(model)
before = state_sum(model.encoder)
model.freeze_encoder()
frozen = trainable(model)
losses = train(torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-4), 3)
unchanged = state_sum(model.encoder) == before

model.unfreeze_encoder()
groups = [
    {"params": model.encoder.parameters(), "lr": 1e-6},
    {"params": [*model.decoder.parameters(), *model.segmentation_head.parameters()], "lr": 1e-5},
]
losses += train(torch.optim.AdamW(groups), 3)

# As it was done before there was a method for it: the statistics go on moving.
for parameter in model.encoder.parameters():
    parameter.requires_grad = False
middle = state_sum(model.encoder)
losses += train(torch.optim.SGD(filter(lambda p: p.requires_grad, model.parameters()), lr=0.01), 2)

RESULT = {
    "losses": losses,
    "trainable": [everything, frozen, trainable(model)],
    "unchanged": unchanged,
    "encoder": [before, middle, state_sum(model.encoder)],
}
