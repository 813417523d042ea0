"""The picture that the demo writes: the micrograph, the prediction on the held-out quadrant, and where it errs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from smp_cli.images import Bytes, Floats, stretch, to_bytes
from smp_cli.overlay import outline
from smp_cli.quickstart.sample import Sample

Colour = tuple[int, int, int]
Mask = NDArray[np.bool_]

# Okabe and Ito's palette: told apart with any kind of colour vision.
_ORANGE, _SKY, _GREEN, _VERMILLION, _YELLOW = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (213, 94, 0),
    (240, 228, 66),
)
_PAPER, _INK, _FAINT = (18, 20, 26), (238, 240, 244), (150, 156, 168)

_PANEL = 768  # 3 pixels for each of the quadrant's 256, 1.5 for each of the micrograph's 512
_FINE = 2  # panels are drawn this much larger and reduced, which smooths every edge
_MARGIN, _TOP, _BOTTOM = 40, 156, 92
_GAMMA = 0.7  # lifts the dim nuclei without burning out the bright ones


@dataclass(frozen=True)
class Result:
    """What came of the training.

    Attributes:
        sample: the micrograph.
        probabilities: of the held-out quadrant: (256, 256).
        iou: on that quadrant.
        model: its name, for people.
        seconds, steps: of the training.
    """

    sample: Sample
    probabilities: Tensor
    iou: float
    model: str
    seconds: float
    steps: int


def draw(result: Result) -> Image.Image:
    """Three panels side by side under a title, with a legend below each."""
    size = (3 * _PANEL + 4 * _MARGIN, _TOP + _PANEL + _BOTTOM)
    page = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(page)
    _titles(pen, result)
    shown = stretch(result.sample.image[0].numpy(), gamma=_GAMMA)
    predicted = _enlarge(result.probabilities) > 0.5
    truth = _enlarge(result.sample.held_out[1][0, 0]) > 0.5
    quadrant = _grey(shown[256:, 256:], _PANEL * _FINE)
    panels = (_whole(shown), _prediction(quadrant, predicted, truth), _comparison(quadrant, predicted, truth))
    for number, panel in enumerate(panels):
        page.paste(panel, (_left(number), _TOP))
    _legends(pen, predicted, truth)
    return page


def _titles(pen: ImageDraw.ImageDraw, result: Result) -> None:
    title, line = _font(44), _font(24)
    pen.text((_MARGIN, 62), f"Held-out IoU {result.iou:.3f}", fill=_INK, font=title, anchor="ls")
    right = _left(2) + _PANEL
    about = f"{result.model}, trained from scratch on three quadrants: {result.steps} steps in {result.seconds:.0f} s"
    pen.text((right, 62), about, fill=_FAINT, font=line, anchor="rs")
    captions = ("The micrograph", "Held-out quadrant: prediction", "Held-out quadrant: right and wrong")
    for number, caption in enumerate(captions):
        pen.text((_left(number), _TOP - 22), caption, fill=_INK, font=_font(28), anchor="ls")


def _left(number: int) -> int:
    return _MARGIN + number * (_PANEL + _MARGIN)


def _whole(shown: Floats) -> Image.Image:
    """The micrograph; the training quadrants a little darker, the held-out one in a frame."""
    pixels = np.asarray(_grey(shown, _PANEL)).astype(np.float32)
    half = _PANEL // 2
    dimmed = pixels * 0.75
    dimmed[half:, half:] = pixels[half:, half:]
    panel = Image.fromarray(np.rint(dimmed).astype(np.uint8))
    pen = ImageDraw.Draw(panel)
    pen.line((half, 0, half, half), fill=_FAINT, width=1)
    pen.line((0, half, half, half), fill=_FAINT, width=1)
    pen.rectangle((half, half, _PANEL - 1, _PANEL - 1), outline=_SKY, width=4)
    for row, column, text, colour in (
        (0, 0, "training", _INK),
        (0, half, "training", _INK),
        (half, 0, "training", _INK),
        (half, half, "held out", _SKY),
    ):
        _label(pen, (column + 14, row + 14), text, colour)
    return panel


def _label(pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, colour: Colour) -> None:
    font = _font(22)
    left, top, right, bottom = pen.textbbox(corner, text, font=font)
    pen.rectangle((left - 7, top - 6, right + 7, bottom + 6), fill=_PAPER)
    pen.text(corner, text, fill=colour, font=font)


def _prediction(quadrant: Image.Image, predicted: Mask, truth: Mask) -> Image.Image:
    """The predicted nuclei tinted, and their true outlines."""
    pixels = _tint(np.asarray(quadrant).astype(np.float32), predicted, _ORANGE, 0.42)
    pixels[_line(predicted)] = _ORANGE
    pixels[_line(truth)] = _INK
    return _reduce(pixels)


def _comparison(quadrant: Image.Image, predicted: Mask, truth: Mask) -> Image.Image:
    """Right, missed and added pixels in a colour each."""
    pixels = np.asarray(quadrant).astype(np.float32) * 0.75
    for mask, colour, opacity in _verdicts(predicted, truth):
        pixels = _tint(pixels, mask, colour, opacity)
    return _reduce(pixels)


def _verdicts(predicted: Mask, truth: Mask) -> tuple[tuple[Mask, Colour, float], ...]:
    return (
        (predicted & truth, _GREEN, 0.55),
        (~predicted & truth, _YELLOW, 0.95),
        (predicted & ~truth, _VERMILLION, 0.95),
    )


def _legends(pen: ImageDraw.ImageDraw, predicted: Mask, truth: Mask) -> None:
    baseline = _TOP + _PANEL + 46
    pen.text(
        (_left(0), baseline), "fluorescence, cell nuclei; contrast stretched", fill=_FAINT, font=_font(22), anchor="ls"
    )
    x = _entry(pen, _left(1), baseline, _ORANGE, "predicted nucleus")
    _entry(pen, x, baseline, _INK, "true outline", is_line=True)
    x = _left(2)
    words = ("correct", "missed", "added")
    for word, (mask, colour, _) in zip(words, _verdicts(predicted, truth), strict=True):
        x = _entry(pen, x, baseline, colour, f"{word} {100 * mask.mean():.1f} %")


def _entry(pen: ImageDraw.ImageDraw, x: int, baseline: int, colour: Colour, text: str, is_line: bool = False) -> int:
    """One patch or line of colour and what it means; returns where the next one starts."""
    if is_line:
        pen.line((x, baseline - 8, x + 26, baseline - 8), fill=colour, width=4)
    else:
        pen.rounded_rectangle((x, baseline - 19, x + 26, baseline + 3), radius=5, fill=colour)
    font = _font(24)
    pen.text((x + 38, baseline), text, fill=_INK, font=font, anchor="ls")
    return x + 38 + round(font.getlength(text)) + 40


def _grey(values: Floats, side: int) -> Image.Image:
    """A square grey picture, enlarged smoothly."""
    image = Image.fromarray(to_bytes(values)).resize((side, side), Image.Resampling.BICUBIC)
    return image.convert("RGB")


def _enlarge(values: Tensor) -> Floats:
    """(256, 256) -> the size at which panels are drawn; smooth, so that a threshold gives smooth outlines."""
    side = _PANEL * _FINE
    large = functional.interpolate(values[None, None], size=(side, side), mode="bicubic", align_corners=False)
    if set(torch.unique(values).tolist()) <= {0.0, 1.0}:
        # A mask has steps of six drawn pixels: averaging over two of its pixels rounds them off.
        large = functional.avg_pool2d(large, (13, 1), stride=1, padding=(6, 0), count_include_pad=False)
        large = functional.avg_pool2d(large, (1, 13), stride=1, padding=(0, 6), count_include_pad=False)
    result: Floats = large[0, 0].numpy()
    return result


def _line(mask: Mask) -> Mask:
    return outline(mask.astype(np.uint8), 3)


def _tint(pixels: Floats, mask: Mask, colour: Colour, opacity: float) -> Floats:
    result: Floats = pixels.copy()
    result[mask] = pixels[mask] * np.float32(1 - opacity) + np.array(colour, dtype=np.float32) * np.float32(opacity)
    return result


def _reduce(pixels: Floats) -> Image.Image:
    fine: Bytes = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
    return Image.fromarray(fine).reduce(_FINE)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
