from pathlib import Path

import smp_core


def count(folder: Path, trainable: bool = False) -> None:
    """Print how many parameters the model in FOLDER has."""
    model = smp_core.from_pretrained(folder)
    chosen = [item for item in model.parameters() if item.requires_grad or not trainable]
    print(sum(item.numel() for item in chosen))
