"""Masks and labels of whole images from one model: `aux_params`, and both losses weighted."""

import segmentation_models_pytorch as smp
import torch
from common import pictures

torch.manual_seed(0)

aux_params = {"pooling": "avg", "dropout": 0.5, "activation": None, "classes": 4}
model = smp.Unet("resnet18", encoder_weights=None, classes=4, aux_params=aux_params)
images, masks = pictures(4, classes=4, seed=6)
labels = torch.stack([(masks == label).flatten(1).any(1) for label in range(4)], 1).to(images)

segment = smp.losses.JaccardLoss("multiclass")
classify = smp.losses.SoftBCEWithLogitsLoss(smooth_factor=0.1)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
torch.manual_seed(1)
losses = []
for _ in range(4):
    mask, label = model(images)
    loss = segment(mask, masks) + 0.5 * classify(label, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

mask, label = model.predict(images)
stats = smp.metrics.get_stats(label.sigmoid(), labels.long(), mode="multilabel", threshold=0.5)
RESULT = {
    "losses": losses,
    "metrics": {
        "labels": smp.metrics.fbeta_score(*stats, beta=2, reduction="macro").item(),
        "weighted": smp.metrics.iou_score(*stats, reduction="weighted", class_weights=[0.1, 0.3, 0.3, 0.3]).item(),
    },
    "shapes": [[*mask.shape], [*label.shape]],
}
