"""Binary segmentation with Lightning: FPN, Dice loss, IoU over the data set and per image."""

import pytorch_lightning as pl
import segmentation_models_pytorch as smp
import torch
from common import pictures
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)


class DiscModel(pl.LightningModule):
    def __init__(self, arch, encoder_name, in_channels, out_classes, **kwargs):
        super().__init__()
        self.model = smp.create_model(
            arch, encoder_name, encoder_weights=None, in_channels=in_channels, classes=out_classes, **kwargs
        )
        params = smp.encoders.get_preprocessing_params(encoder_name)
        self.register_buffer("std", torch.tensor(params["std"]).view(1, 3, 1, 1))
        self.register_buffer("mean", torch.tensor(params["mean"]).view(1, 3, 1, 1))
        self.loss_fn = smp.losses.DiceLoss(smp.losses.BINARY_MODE, from_logits=True)
        self.outputs, self.losses, self.scores = [], [], []

    def forward(self, image):
        return self.model((image - self.mean) / self.std)

    def shared_step(self, batch):
        image, mask = batch
        mask = mask.unsqueeze(1)
        assert image.shape[2] % 32 == 0
        assert image.shape[3] % 32 == 0
        logits_mask = self.forward(image)
        loss = self.loss_fn(logits_mask, mask)
        pred_mask = (logits_mask.sigmoid() > 0.5).float()
        stats = smp.metrics.get_stats(pred_mask.long(), mask.long(), mode="binary")
        self.losses.append(loss.item())
        return loss, stats

    def training_step(self, batch, batch_idx):
        return self.shared_step(batch)[0]

    def validation_step(self, batch, batch_idx):
        self.outputs.append(self.shared_step(batch)[1])

    def on_validation_epoch_end(self):
        tp, fp, fn, tn = (torch.cat(parts) for parts in zip(*self.outputs, strict=True))
        per_image = smp.metrics.iou_score(tp, fp, fn, tn, reduction="micro-imagewise")
        dataset = smp.metrics.iou_score(tp, fp, fn, tn, reduction="micro")
        self.log_dict({"valid_per_image_iou": per_image, "valid_dataset_iou": dataset}, prog_bar=True)
        self.scores.append([per_image.item(), dataset.item()])
        self.outputs.clear()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-5)


train = DataLoader(TensorDataset(*pictures(12, seed=1)), batch_size=4, shuffle=True)
valid = DataLoader(TensorDataset(*pictures(4, seed=2)), batch_size=2)
model = DiscModel("FPN", "resnet18", in_channels=3, out_classes=1)
pl.seed_everything(42)
trainer = pl.Trainer(
    max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False, num_sanity_val_steps=0,
)  # fmt: skip
trainer.fit(model, train, valid)
final = trainer.validate(model, valid, verbose=False)

RESULT = {"losses": model.losses, "metrics": model.scores, "logged": sorted(final[0]), "name": model.model.name}
