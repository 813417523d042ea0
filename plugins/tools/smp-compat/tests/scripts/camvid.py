"""CamVid: a data set in folders, the encoder's own preprocessing, some of the classes, a loop without a framework."""

import os

import numpy as np
import segmentation_models_pytorch as smp
import torch
from common import write_camvid
from PIL import Image
from segmentation_models_pytorch.encoders import get_preprocessing_fn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)

ENCODER = "resnet18"


class CamVid(Dataset):
    CLASSES = ("sky", "building", "pole", "road", "pavement", "car")

    def __init__(self, images_dir, masks_dir, classes, preprocessing=None):
        self.ids = sorted(os.listdir(images_dir))
        self.images = [os.path.join(images_dir, name) for name in self.ids]
        self.masks = [os.path.join(masks_dir, name) for name in self.ids]
        self.values = [self.CLASSES.index(name) for name in classes]
        self.preprocessing = preprocessing

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        image = np.array(Image.open(self.images[index]).convert("RGB"))
        mask = np.array(Image.open(self.masks[index]))
        mask = np.stack([mask == value for value in self.values])
        if self.preprocessing is not None:
            image = self.preprocessing(image)
        image, mask = torch.from_numpy(image.transpose(2, 0, 1)), torch.from_numpy(mask)
        return image.to(torch.get_default_dtype()), mask.to(torch.get_default_dtype())


write_camvid("CamVid", len(CamVid.CLASSES))
wanted = ["car", "road", "sky"]
preprocessing = get_preprocessing_fn(ENCODER, "imagenet")
train = DataLoader(CamVid("CamVid/train", "CamVid/trainannot", wanted, preprocessing), batch_size=2)
valid = DataLoader(CamVid("CamVid/val", "CamVid/valannot", wanted, preprocessing), batch_size=1)

model = smp.FPN(encoder_name=ENCODER, encoder_weights=None, classes=len(wanted))
torch.manual_seed(0)
criterion = smp.losses.JaccardLoss("multilabel")
optimizer = torch.optim.AdamW([{"params": model.parameters(), "lr": 1e-5}])

losses, metrics = [], []
for _ in range(2):
    model.train()
    for image, mask in train:
        optimizer.zero_grad()
        loss = criterion(model(image), mask)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    stats = []
    with torch.inference_mode():
        for image, mask in valid:
            probabilities = model(image).sigmoid()
            stats.append(smp.metrics.get_stats(probabilities, mask.long(), mode="multilabel", threshold=0.5))
    tp, fp, fn, tn = (torch.cat(parts) for parts in zip(*stats, strict=True))
    metrics.append(smp.metrics.iou_score(tp, fp, fn, tn, reduction="macro").item())

first = next(iter(valid))[0]
RESULT = {"losses": losses, "metrics": metrics, "input sum": first.double().sum().item(), "shape": [*first.shape]}
