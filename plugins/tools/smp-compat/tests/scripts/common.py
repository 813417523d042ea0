"""What the scripts share: weights that do not depend on who built the model, and pictures to train on."""

import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image


def start_from(model):
    """Fill every parameter and buffer with values that its key alone decides."""
    state = model.state_dict()
    model.load_state_dict({key: _values(key, value) for key, value in state.items()})
    return model


def _values(key, like):
    if not like.is_floating_point():
        return torch.zeros_like(like)
    random = torch.randn(like.shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
    if key.endswith("running_var"):
        return 1 + 0.2 * random.tanh()
    if key.endswith("weight") and like.dim() > 1:
        return random * (like[0].numel() ** -0.5)
    if key.endswith(("weight", "gamma")):
        return 1 + 0.1 * random
    return 0.02 * random


def pictures(count, size=64, classes=2, seed=0):
    """Discs on noise: images (N, 3, H, W), floats in 0..1, and masks (N, H, W), 0 for the background."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    images = draw.uniform(0, 0.3, (count, 3, size, size)).astype("float32")
    masks = np.zeros((count, size, size), "int64")
    for image, mask in zip(images, masks, strict=True):
        for label in range(1, classes):
            row, column = draw.uniform(0.2 * size, 0.8 * size, 2)
            disc = (rows - row) ** 2 + (columns - column) ** 2 < (draw.uniform(0.1, 0.3) * size) ** 2
            mask[disc] = label
            image[:, disc] += 0.1 + 0.6 * np.roll((0.9, 0.3, label / classes), label)[:, None]
    return torch.from_numpy(images.clip(0, 1)).to(torch.get_default_dtype()), torch.from_numpy(masks)


def photograph(size=64, seed=0):
    """An image as a camera gives it: (H, W, 3), uint8."""
    image = pictures(1, size, classes=4, seed=seed)[0][0]
    return (image.permute(1, 2, 0).numpy() * 255).round().astype("uint8")


def write_camvid(folder, classes, count=4):
    """Folders of pictures and annotations as CamVid's: train/, trainannot/, val/, valannot/."""
    for seed, part in enumerate(("train", "val")):
        images, masks = pictures(count, classes=classes, seed=seed)
        for name, arrays in ((part, (255 * images).byte().permute(0, 2, 3, 1)), (f"{part}annot", masks.byte())):
            target = Path(folder) / name
            target.mkdir(parents=True)
            for index, array in enumerate(arrays.numpy()):
                Image.fromarray(array).save(target / f"{index:04}.png")
