"""A pretrained Segformer of the Hub: an image of any size, prepared, padded by resizing, and its classes."""

import numpy as np
import segmentation_models_pytorch as smp
import torch
from common import photograph

checkpoint = "acme/segformer-b0-64x64-ade-160k"
model = smp.from_pretrained(checkpoint).eval()

image = photograph(80, seed=20)
mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
normalized = (image / 255.0 - mean) / std
tensor = torch.from_numpy(normalized.transpose(2, 0, 1)).unsqueeze(0).float()
tensor = torch.nn.functional.interpolate(tensor, size=(64, 64), mode="bilinear", align_corners=False)
with torch.no_grad():
    logits = model(tensor)
full = torch.nn.functional.interpolate(logits, size=image.shape[:2], mode="bilinear", align_corners=False)
labels = full.argmax(1)[0]

RESULT = {
    "type": type(model).__name__,
    "shape": [*logits.shape],
    "logits": logits.abs().mean((0, 2, 3)).tolist(),
    "largest": torch.bincount(labels.flatten(), minlength=logits.shape[1]).argsort(descending=True)[:3].tolist(),
    "encoder": model.config["encoder_name"],
}
