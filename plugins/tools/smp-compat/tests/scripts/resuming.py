"""A checkpoint of model, optimizer and epoch, in the middle of training, and going on from it."""

import segmentation_models_pytorch as smp
import torch
from common import pictures

torch.manual_seed(0)

images, masks = pictures(4, seed=10)
criterion = smp.losses.MCCLoss()


def build():
    model = smp.MAnet("resnet18", encoder_weights=None, decoder_channels=(64, 32, 32, 16, 16))
    return model, torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)


def train(model, optimizer, steps):
    history = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = criterion(model(images).sigmoid(), masks[:, None].to(images))
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    return history


model, optimizer = build()
losses = train(model, optimizer, 2)
torch.save(
    {"epoch": 2, "model_state_dict": model.state_dict(), "optimizer_state_dict": optimizer.state_dict()}, "last.pt"
)
losses += train(model, optimizer, 2)

checkpoint = torch.load("last.pt")
other, optimizer = build()
other.load_state_dict(checkpoint["model_state_dict"])
optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
again = losses[:2] + train(other, optimizer, 2)

RESULT = {
    "losses": losses,
    "same": again == losses,
    "epoch": checkpoint["epoch"],
    "keys": list(checkpoint["model_state_dict"]),
}
