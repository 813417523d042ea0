"""A pretrained DPT of the Hub, over a vision transformer: `smp.DPT.from_pretrained`, and `predict`."""

import segmentation_models_pytorch as smp
import torch
from common import photograph

model = smp.DPT.from_pretrained("acme/dpt-tiny-ade20k")
params = smp.encoders.get_preprocessing_params(model.config["encoder_name"], "imagenet")
mean = torch.tensor(params["mean"]).view(3, 1, 1)
std = torch.tensor(params["std"]).view(3, 1, 1)
image = torch.from_numpy(photograph(224, seed=21)).permute(2, 0, 1) / 255
logits = model.predict(((image - mean) / std)[None])

RESULT = {
    "type": type(model).__name__,
    "shape": [*logits.shape],
    "logits": logits.abs().mean((0, 2, 3)).tolist(),
    "largest": torch.bincount(logits.argmax(1).flatten(), minlength=logits.shape[1])
    .argsort(descending=True)[:3]
    .tolist(),
    "preprocessing": [params["mean"], params["std"], params["input_space"]],
    "options": [model.config["decoder_readout"], model.config["encoder_depth"]],
}
