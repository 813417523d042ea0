"""A state dict that lacks something is an error that names it, whoever would have filled it with random numbers."""

import re

import pytest
import timm

import smp_core

CASES = {
    "test_vit": {
        "blocks.2.attn.qkv.weight": "model.blocks.2.attn.qkv.weight",
        "blocks.2.norm1.bias": "model.blocks.2.norm1.bias",
    },
    "test_convnext": {"stages.1.blocks.0.norm.weight": "model.stages_1.blocks.0.norm.weight"},
}


@pytest.mark.parametrize(("name", "lost"), [(name, lost) for name, keys in CASES.items() for lost in keys])
def test_what_is_missing_is_named(name: str, lost: str) -> None:
    encoder = smp_core.create_encoder(f"tu-{name}", weights=None)
    weights = timm.create_model(name).state_dict()
    del weights[lost]
    with pytest.raises(RuntimeError, match=rf'Missing key\(s\) in state_dict: "{re.escape(CASES[name][lost])}"\.'):
        encoder.load_state_dict(weights)


def test_a_position_embedding_of_another_size_is_resampled() -> None:
    encoder = smp_core.create_encoder("tu-test_vit", weights=None, options={"img_size": 320})
    weights = timm.create_model("test_vit").state_dict()
    encoder.load_state_dict(weights)
    assert weights["pos_embed"].shape == (1, 101, 64)
    assert encoder.model.pos_embed.shape == (1, 401, 64)
    assert encoder.model.pos_embed.std() > 0.5 * weights["pos_embed"].std()
