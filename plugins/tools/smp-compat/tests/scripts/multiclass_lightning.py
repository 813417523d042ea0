"""Segmentation into several classes with Lightning: Unet, Dice loss, a cosine schedule, a score per class."""

import pytorch_lightning as pl
import segmentation_models_pytorch as smp
import torch
from common import pictures
from segmentation_models_pytorch.losses import DiceLoss
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)

CLASSES = 4
EPOCHS = 2


class MulticlassModel(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = smp.Unet("mobilenet_v2", encoder_weights=None, classes=CLASSES)
        self.loss_fn = DiceLoss(smp.losses.MULTICLASS_MODE, from_logits=True)
        self.losses, self.scores, self.stats = [], {}, []

    def training_step(self, batch, batch_idx):
        image, mask = batch
        loss = self.loss_fn(self.model(image).contiguous(), mask)
        self.log("train_loss", loss)
        self.losses.append(loss.item())
        return loss

    def test_step(self, batch, batch_idx):
        image, mask = batch
        pred = self.model(image).softmax(dim=1).argmax(dim=1)
        self.stats.append(smp.metrics.get_stats(pred, mask, mode="multiclass", num_classes=CLASSES))

    def on_test_epoch_end(self):
        tp, fp, fn, tn = (torch.cat(parts) for parts in zip(*self.stats, strict=True))
        for name in ("iou_score", "f1_score", "accuracy", "recall"):
            score = getattr(smp.metrics, name)
            for reduction in ("micro", "macro", "micro-imagewise"):
                self.scores[f"{name} {reduction}"] = score(tp, fp, fn, tn, reduction=reduction).item()
        per_class = smp.metrics.iou_score(tp.sum(0), fp.sum(0), fn.sum(0), tn.sum(0), reduction="none")
        self.scores["per class"] = per_class.tolist()

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1e-2, momentum=0.9)
        scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS * 3, eta_min=1e-4)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


train = DataLoader(TensorDataset(*pictures(12, classes=CLASSES, seed=3)), batch_size=4, shuffle=True)
test = DataLoader(TensorDataset(*pictures(4, classes=CLASSES, seed=4)), batch_size=4)
model = MulticlassModel()
pl.seed_everything(7)
trainer = pl.Trainer(
    max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False, log_every_n_steps=1,
)  # fmt: skip
trainer.fit(model, train)
trainer.test(model, test, verbose=False)

RESULT = {"losses": model.losses, "metrics": model.scores}
