"""Saved, loaded, uploaded with what the card shows, and downloaded again."""

import json
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from common import pictures

torch.manual_seed(0)

images = pictures(2, seed=18)[0]
model = smp.PAN("resnet18", encoder_weights=None, classes=3, decoder_channels=16)
model.eval()
model.save_pretrained("./my-model", dataset="discs", metrics={"mIoU": 0.95})
restored = smp.from_pretrained("./my-model")
typed = smp.PAN.from_pretrained("./my-model")

model.save_pretrained("shared", repo_id="acme/discs-pan", push_to_hub=True, dataset="discs", metrics={"mIoU": 0.95})
model.push_to_hub("acme/again")
fetched = smp.from_pretrained("acme/discs-pan").eval()
again = smp.from_pretrained("acme/again").eval()
wider = smp.from_pretrained("acme/again", classes=7, strict=False).eval()

with torch.no_grad():
    images = torch.nn.functional.interpolate(images, (128, 128))
    expected = model(images)
    same = [torch.allclose(other.eval()(images), expected, atol=1e-5) for other in (restored, typed, fetched, again)]

config = json.loads(Path("my-model/config.json").read_text())
card = Path("my-model/README.md").read_text()
RESULT = {
    "same": same,
    "type": type(restored).__name__,
    "sum": expected.double().sum().item(),
    "config": {key: value for key, value in sorted(config.items()) if not key.startswith("_")},
    "class": config["_model_class"],
    "files": sorted(path.name for path in Path("my-model").iterdir()),
    "card": ["discs" in card, "mIoU" in card, "0.95" in card],
    "wider": [*wider(images).shape],
}
