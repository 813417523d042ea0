"""A pretrained UPerNet of the Hub, over ConvNeXt: tiles of a large image, and their scores put together."""

import segmentation_models_pytorch as smp
import torch
from common import photograph
from segmentation_models_pytorch import from_pretrained

TILE = 64
model = from_pretrained("acme/upernet-convnext-tiny")
model.eval()
preprocess = smp.encoders.get_preprocessing_fn("tu-convnext_atto", pretrained="imagenet")
image = torch.from_numpy(preprocess(photograph(128, seed=22))).permute(2, 0, 1).float()
scores = torch.zeros(model.config["classes"], 128, 128)
with torch.inference_mode():
    for top in range(0, 128, TILE):
        for left in range(0, 128, TILE):
            tile = image[:, top : top + TILE, left : left + TILE]
            scores[:, top : top + TILE, left : left + TILE] = model(tile[None])[0].softmax(0)

RESULT = {
    "type": type(model).__name__,
    "name": model.name,
    "scores": scores.mean((1, 2)).tolist(),
    "largest": torch.bincount(scores.argmax(0).flatten(), minlength=len(scores)).argsort(descending=True)[:3].tolist(),
}
