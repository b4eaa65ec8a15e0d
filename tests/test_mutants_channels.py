"""Wrong maps on channels, each caught."""

# pyright: reportOptionalCall=false

import jax.numpy as jnp
import pytest
from mutation import Mutant, assert_caught, changed, frozen

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.ops import channels

PAD = Case(jc.pad_channels, {"x": (2, 3, 2)}, {"before": 1, "after": 2})
CROP = Case(jc.crop_channels, {"x": (2, 3, 5)}, {"before": 1, "after": 2})
SCALE = Case(jc.scale_channels, {"x": (2, 3, 4), "scale": (4,), "bias": (4,)})
pad, crop, scale = (
    channels.pad_channels_map,
    channels.crop_channels_map,
    channels.scale_channels_map,
)

MUTANTS = [
    Mutant("pad channels: the other side's channels", PAD, lambda b, a, r, d: pad.bwd(a, b, r, d)),
    Mutant("pad channels: averaged", PAD, changed(pad, lambda x: (x * 0.4,))),
    Mutant("pad channels: turned round", PAD, changed(pad, lambda x: (x[..., ::-1],))),
    Mutant("crop channels: at the other side", CROP, lambda b, a, r, d: crop.bwd(a, b, r, d)),
    Mutant("crop channels: repeated, not zero", CROP, lambda b, a, r, d: (jnp.pad(d, ((0, 0), (0, 0), (b, a)), "edge"),)),
    Mutant("scale channels: ∂x forgets γ", SCALE, lambda r, d: (d, *scale.bwd(r, d)[1:])),
    Mutant("scale channels: ∂γ forgets x", SCALE, changed(scale, lambda x, g, b: (x, b, b))),
    Mutant("scale channels: ∂γ averaged", SCALE, changed(scale, lambda x, g, b: (x, g / 6, b))),
    Mutant("scale channels: ∂β times γ", SCALE, lambda r, d: (*scale.bwd(r, d)[:2], scale.bwd(r, d)[2] * r[1])),
    Mutant("scale channels: order 2 forgets x and γ", SCALE, frozen(scale, "residuals"), 2),
]  # fmt: skip


@pytest.mark.sampled(8)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_rule_is_caught(mutant: Mutant):
    assert_caught(mutant)
