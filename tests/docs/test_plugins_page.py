"""What the page on plugins shows of an encoder runs, in every form that the page promises."""

import re
from pathlib import Path

import torch

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")


def test_the_patch_encoder(capsys):
    (code,) = [item for item in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL) if "PatchEncoder" in item]
    page = {"__name__": "page"}
    exec(code, page)
    (shown,) = re.findall(r"^print\(.*\)  # (.*)$", code, flags=re.MULTILINE)
    assert capsys.readouterr().out.strip() == shown
    torch.manual_seed(0)
    encoder = page["PatchEncoder"]()
    for size in ((5, 30), (16, 16), (33, 47)):
        x = torch.rand(2, 3, *size)
        shapes = [tuple(feature.shape) for feature in encoder(x)]
        assert shapes == [(2, width, -(-size[0] // step), -(-size[1] // step)) for width, step in ((16, 8), (32, 16))]
