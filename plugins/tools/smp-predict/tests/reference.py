"""Tiled prediction written down plainly, with all of the image in memory."""

import numpy as np

from smp_predict.grid import axis, own, reflected, weights


def blended(image, model, tile, overlap, blend, context=0):
    """Scores (H, W, K) of an image (H, W, C); ``model`` maps (h, w, C) to (h, w, K)."""
    rows, columns = (axis(length, tile, overlap, context) for length in image.shape[:2])
    total, count = 0.0, 0.0
    tall, wide = (side.start(side.count - 1) + side.tile for side in (rows, columns))
    reach = [side.window(side.count - 1) + side.seen for side in (rows, columns)]
    mirrored = image[reflected(0, reach[0], image.shape[0])][:, reflected(0, reach[1], image.shape[1])]
    for i in range(rows.count):
        for j in range(columns.count):
            place = (
                slice(rows.start(i), rows.start(i) + rows.tile),
                slice(columns.start(j), columns.start(j) + columns.tile),
            )
            weight = np.outer(weights(blend, rows.tile, rows.overlap), weights(blend, columns.tile, columns.overlap))
            if blend == "none":
                weight = np.zeros((rows.tile, columns.tile))
                weight[slice(*own(i, rows)), slice(*own(j, columns))] = 1
            top, left = rows.window(i), columns.window(j)
            scores = model(mirrored[top : top + rows.seen, left : left + columns.seen])
            inner = slice(place[0].start - top, place[0].stop - top), slice(place[1].start - left, place[1].stop - left)
            scores = scores[inner]
            if isinstance(total, float):
                total, count = np.zeros((tall, wide, scores.shape[2])), np.zeros((tall, wide, 1))
            total[place] += scores * weight[..., None]
            count[place] += weight[..., None]
    return (total / count)[: image.shape[0], : image.shape[1]]
