"""ONNX: a model exported for batches of any size, checked, run by onnxruntime and compared."""

import numpy as np
import onnx
import onnxruntime
import segmentation_models_pytorch as smp
import torch
from common import pictures

torch.manual_seed(0)

model = smp.Unet("resnet18", encoder_weights=None, classes=2).eval()
dummy = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
batch = torch.export.Dim("batch", min=1, max=64)
torch.onnx.export(
    model,
    (dummy,),
    "unet.onnx",
    input_names=["image"],
    output_names=["mask"],
    dynamic_shapes=({0: batch},),
    dynamo=True,
    verbose=False,
)
onnx.checker.check_model(onnx.load("unet.onnx"))

session = onnxruntime.InferenceSession("unet.onnx", providers=["CPUExecutionProvider"])
images = pictures(3, seed=17)[0]
(mask,) = session.run(["mask"], {"image": images.numpy()})
with torch.inference_mode():
    expected = model(images).numpy()

RESULT = {
    "close": bool(np.allclose(mask, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())),
    "inputs": [item.name for item in session.get_inputs()],
    "outputs": [item.name for item in session.get_outputs()],
    "shape": [*mask.shape],
    "sum": float(np.abs(mask.astype("float64")).sum()),
}
