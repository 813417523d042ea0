"""The old trainer: epochs for training and validation, the best model kept, a learning rate that is set by hand."""

import segmentation_models_pytorch as smp
import torch
from common import pictures
from segmentation_models_pytorch import utils as smp_utils
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)

DEVICE = "cpu"
ACTIVATION = "sigmoid"


def loader(count, batch, seed):
    images, masks = pictures(count, seed=seed)
    return DataLoader(TensorDataset(images, masks[:, None].to(images)), batch_size=batch)


model = smp.PSPNet("resnet18", encoder_weights=None, classes=1, activation=ACTIVATION, psp_dropout=0.0)
loss = smp_utils.losses.DiceLoss() + smp_utils.losses.BCELoss()
metrics = [
    smp_utils.metrics.IoU(threshold=0.5),
    smp_utils.metrics.Fscore(beta=2),
    smp_utils.metrics.Accuracy(),
    smp_utils.metrics.Recall(),
    smp_utils.metrics.Precision(),
]
optimizer = torch.optim.Adam([{"params": model.parameters(), "lr": 0.0001}])
train_epoch = smp_utils.train.TrainEpoch(
    model, loss=loss, metrics=metrics, optimizer=optimizer, device=DEVICE, verbose=True
)
valid_epoch = smp_utils.train.ValidEpoch(model, loss=loss, metrics=metrics, device=DEVICE, verbose=True)

max_score = -1.0
losses, scores = [], []
for epoch in range(3):
    train_logs = train_epoch.run(loader(8, 4, seed=15))
    valid_logs = valid_epoch.run(loader(3, 1, seed=16))
    losses += [float(train_logs[loss.__name__]), float(valid_logs[loss.__name__])]
    scores.append({name: float(value) for name, value in valid_logs.items() if name != loss.__name__})
    if max_score < valid_logs["iou_score"]:
        max_score = valid_logs["iou_score"]
        torch.save(model.state_dict(), "best_model.pth")
    if epoch == 1:
        optimizer.param_groups[0]["lr"] = 1e-5

model.load_state_dict(torch.load("best_model.pth"))
best = valid_epoch.run(loader(3, 1, seed=16))
RESULT = {"losses": losses, "metrics": scores, "names": list(best), "kept": bool(best["iou_score"] == max_score)}
